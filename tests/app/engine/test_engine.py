"""The engine's answers, and the answers of models that it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.catalog.loading import open_served
from app.catalog.residency import Residency
from app.catalog.routing import as_stored
from app.catalog.snapshot import read_snapshot
from app.concurrency.forms import Threads
from app.engine.engine import Engine
from app.inference.calibration import BatchSettings
from app.inference.messages import Ask, Failure, Observer, Prediction, listeners
from app.inference.model import LoadedModel
from models.errors import Fault, InputError, ModelNotFound, PredictError, VersionNotFound
from models.names import Version
from models.outputs import Outputs
from models.record import Record
from models.runtime import Runtime
from models.store import Store
from models.store.lifecycle import set_traffic
from models.traffic import Arm, Rule
from tests.toys import ToyRuntime, summing_draft


class Answers(ToyRuntime):
    """A runtime that returns fixed answers."""

    def __init__(self, values: list[Any], probabilities: list[list[float]] | None = None) -> None:
        super().__init__()
        self.outputs = Outputs(np.array(values), None if probabilities is None else np.array(probabilities))

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        return self.outputs


class Keeper(Observer):
    """An observer that records its events."""

    def __init__(self) -> None:
        self.predictions: list[Prediction] = []
        self.failures: list[Failure] = []

    def predicted(self, prediction: Prediction) -> None:
        self.predictions.append(prediction)

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure)


def engine(path: Path, runtime: Runtime | None = None, observer: Observer | None = None) -> Engine:
    """Return an engine with two versions of the summing toy or of another runtime."""
    store = Store(path)
    draft = summing_draft("toy")
    for _ in range(2):
        store.add(draft.manifest, draft.files)
    threads = Threads()

    def opened(artifact: Record, *_: object) -> LoadedModel:
        if runtime is None:
            return open_served(artifact, threads, BatchSettings())
        return LoadedModel(runtime, artifact.manifest, threads)

    residency = Residency(read_snapshot(store, "toy"), threads, opened)
    return Engine(residency, [observer or Observer()])


def test_a_request_is_answered_by_the_version_it_was_routed_to(tmp_path: Path) -> None:
    keeper = Keeper()
    serving = engine(tmp_path, observer=keeper)
    prediction = serving.ask(Ask("toy", "2", np.array([[1.0, 2.0], [3.0, 4.0]]), {"factor": 2.0}))
    assert prediction.target == Version("toy", 2)
    assert prediction.answer.outputs.values.tolist() == [6.0, 14.0]
    assert prediction.answer.predict_seconds >= 0
    assert prediction.answer.queue_seconds >= 0
    assert keeper.predictions == [prediction]


def test_ids_of_predictions_differ(tmp_path: Path) -> None:
    serving = engine(tmp_path)
    rows = np.array([[1.0, 2.0]])
    ids = {serving.ask(Ask("toy", "1", rows, {"factor": 1.0})).prediction_id for _ in range(100)}
    assert len(ids) == 100


@pytest.mark.parametrize(("selector", "version"), [(None, 1), ("stable", 1), ("latest", 2), ("2", 2)])
def test_a_selector_names_a_version(tmp_path: Path, selector: str | None, version: int) -> None:
    assert engine(tmp_path).route(Ask("toy", selector)).target == Version("toy", version)


def test_what_does_not_exist_is_named_with_what_does(tmp_path: Path) -> None:
    serving = engine(tmp_path)
    with pytest.raises(ModelNotFound, match="the store has: toy"):
        serving.route(Ask("tea"))
    for selector in ("3", "blue", "0", "01"):
        with pytest.raises(VersionNotFound, match="it has: 1, 2, stable, latest"):
            serving.route(Ask("toy", selector))


@pytest.mark.parametrize(
    ("runtime", "why"),
    [
        (Answers([1.0]), "answers 1 rows where 2 were asked"),
        (Answers([1.0, float("nan")]), "NaN or Infinity"),
        (Answers([1.0, float("inf")]), "NaN or Infinity"),
        (
            Answers([0, 1], [[0.5, 0.5], [0.5, 0.5]]),
            r"probabilities of shape \(2, 2\) where none is declared",
        ),
    ],
)
def test_answers_that_no_reply_can_hold_are_a_fault_of_the_model(
    tmp_path: Path, runtime: Runtime, why: str
) -> None:
    """Otherwise null in place of a number would look like an answer."""
    keeper = Keeper()
    serving = engine(tmp_path, runtime, keeper)
    with pytest.raises(PredictError, match=why):
        serving.ask(Ask("toy", "1", np.array([[1.0, 2.0], [3.0, 4.0]])))
    assert keeper.predictions == []
    assert [(str(failure.ask.route.target), type(failure.error)) for failure in keeper.failures] == [
        ("toy:1", PredictError)
    ]


class OfColumn(Ask):
    """A request with a value in the column of the rule."""

    value: str | None = None

    def column(self, version: Version, name: str) -> str | None:
        return self.value


@pytest.mark.parametrize(("value", "arms"), [("x", 1), ("", 1), (None, 2)])
def test_requests_with_one_value_of_the_column_have_one_arm_also_if_it_is_empty(
    tmp_path: Path, value: str | None, arms: int
) -> None:
    serving = engine(tmp_path)
    set_traffic(Store(tmp_path), "toy", Rule(arms=(Arm(2, 50),), key="a"))
    serving.residency.routing = as_stored(read_snapshot(Store(tmp_path), "toy"))
    asks = [OfColumn("toy", request_id=str(number)) for number in range(40)]
    for ask in asks:
        ask.value = value
    assert len({serving.route(ask).arm for ask in asks}) == arms


class Unreadable(Ask):
    """A request whose body is refused when it is read."""

    def read(self, version: Version) -> None:
        raise InputError([Fault(("features",), "not a number")])


@pytest.mark.parametrize(
    ("ask", "error", "routed"),
    [
        (Unreadable("toy"), InputError, True),
        (Ask("toy", "7"), VersionNotFound, False),
        (Ask("tea"), ModelNotFound, False),
    ],
)
def test_observers_hear_of_refusals(tmp_path: Path, ask: Ask, error: type[Exception], routed: bool) -> None:
    keeper = Keeper()
    with pytest.raises(error):
        engine(tmp_path, observer=keeper).ask(ask)
    (failure,) = keeper.failures
    assert failure.ask is ask
    assert type(failure.error) is error
    assert (ask.route is not None) == routed
    assert keeper.predictions == []


class Deaf(Observer):
    """An observer that overrides one method only."""

    def left(self) -> None: ...


def test_only_who_overrides_a_method_is_called() -> None:
    deaf = Deaf()
    assert listeners([deaf, Observer()], "left") == (deaf.left,)
    assert listeners([deaf, Observer()], "predicted") == ()
