"""Tests of models that are loading, load lazily, or cannot be loaded."""

from __future__ import annotations

import pickle
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.runtimes.pickled import ARTIFACT
from models.store import Store
from tests.app.api.asking import answer, problem
from tests.conftest import LONG_SECONDS, MakeApp, wait_until
from tests.toy_store import SECRET
from tests.toys import Summing, canary_draft, directory, summing_draft

ONE = {"features": [1, 2]}


class Unloadable:
    """A model whose unpickling fails."""

    def __init__(self, kind: type[BaseException] = RuntimeError) -> None:
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return _fail, (self.kind,)


def _fail(kind: type[BaseException]) -> None:
    raise kind(SECRET)


class Slow:
    """A model that counts the start of its unpickling and waits for permission to continue."""

    began = threading.Semaphore(0)
    may_end = threading.Event()
    loads = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_slowly, ()


def _load_slowly() -> Summing:
    Slow.loads += 1
    Slow.began.release()
    assert Slow.may_end.wait(LONG_SECONDS)
    return Summing()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two versions of a valid model."""
    store = Store(tmp_path / "store")
    draft = summing_draft("good")
    for _ in range(2):
        store.add(draft.manifest, draft.files)
    return store


@pytest.fixture
def add(store: Store) -> Callable[[str, object], None]:
    """Publish an object as a model."""

    def add_model(name: str, model: object) -> None:
        draft = summing_draft(name).with_files({ARTIFACT: pickle.dumps(model)})
        store.add(draft.manifest, draft.files)

    return add_model


@pytest.fixture
def slow(add: Callable[[str, object], None]) -> Any:
    """A model whose load ends when the test permits it."""
    Slow.began, Slow.loads = threading.Semaphore(0), 0
    Slow.may_end.clear()
    add("slow", Slow())
    yield Slow
    Slow.may_end.set()


def states(client: FlaskClient) -> dict[str, str]:
    return {name: model["state"] for name, model in client.get("/ready").get_json()["models"].items()}


# -- models that cannot be loaded -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, RecursionError])
def test_a_model_that_cannot_be_loaded_is_503_and_takes_nothing_else_down(
    make_app: MakeApp, store: Store, add: Callable[[str, object], None], kind: type[BaseException]
) -> None:
    add("bad", Unloadable(kind))
    client = make_app(store).test_client()
    for path in ("/models/bad/predict", "/models/bad/versions/1/predict", "/models/bad/predict/batch"):
        body = {"inputs": [[1, 2]]} if path.endswith("batch") else ONE
        payload = problem(client.post(path, json=body), 503)
        assert "bad:1 cannot be loaded" in payload["detail"]
        assert SECRET not in str(payload)
    ready = answer(client.get("/ready"))
    assert ready["status"] == "ready"
    assert ready["models"]["bad"]["state"] == "failed"
    assert "unpickled" in ready["models"]["bad"]["reason"]
    assert answer(client.post("/models/good/predict", json=ONE))["prediction"] == 3.0
    reply = client.get("/models/bad/ready")
    assert (reply.status_code, reply.get_json()["ready"], reply.get_json()["state"]) == (503, False, "failed")
    assert answer(client.get("/models/good/ready"))["ready"] is True


def test_a_bad_input_to_a_model_that_cannot_be_loaded_is_still_told(
    make_app: MakeApp, store: Store, add: Callable[[str, object], None]
) -> None:
    """The columns are in the manifest, which is not damaged."""
    add("bad", Unloadable())
    problem(make_app(store).test_client().post("/models/bad/predict", json={"features": ["x", 1]}), 422)


def test_when_no_model_can_be_loaded_the_server_is_not_ready(make_app: MakeApp, tmp_path: Path) -> None:
    store = Store(tmp_path)
    draft = summing_draft("bad").with_files({ARTIFACT: pickle.dumps(Unloadable())})
    store.add(draft.manifest, draft.files)
    client = make_app(store).test_client()
    reply = client.get("/ready")
    assert (reply.status_code, reply.get_json()["reason"]) == (503, "no model can answer")
    assert client.get("/health").status_code == 200


def test_a_required_model_that_cannot_be_loaded_makes_the_server_not_ready(
    make_app: MakeApp, store: Store, add: Callable[[str, object], None]
) -> None:
    add("bad", Unloadable())
    client = make_app(store, required_models=("good", "bad")).test_client()
    reply = client.get("/ready")
    assert (reply.status_code, reply.get_json()["reason"]) == (503, "required models cannot answer: bad")
    assert answer(client.post("/models/good/predict", json=ONE))


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_artifact_is_never_unpickled(
    make_app: MakeApp, store: Store, tmp_path: Path, damage: str
) -> None:
    canary = tmp_path / "canary"
    draft = canary_draft(canary, "damaged")
    version = store.add(draft.manifest, draft.files)
    path = directory(version) / ARTIFACT
    path.chmod(0o644)
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[: len(data) * 3 // 4])
    elif damage == "flipped":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        path.unlink()
    client = make_app(store).test_client()
    problem(client.post("/models/damaged/predict", json=ONE), 503)
    assert not canary.exists()
    state = answer(client.get("/ready"))["models"]["damaged"]
    assert state["state"] == "failed"
    assert "damaged/1/model.joblib" in state["reason"]
    assert str(tmp_path) not in state["reason"]
    assert answer(client.post("/models/good/predict", json=ONE))


def test_a_damaged_manifest_is_503_for_that_version_alone(make_app: MakeApp, store: Store) -> None:
    manifest = store.path / "good/1/manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(b"{}")
    client = make_app(store, default_model="good").test_client()
    for path in ("/predict", "/v1/predict", "/models/good/predict"):
        assert "good/1/manifest.json" in problem(client.post(path, json=ONE), 503)["detail"]
    assert answer(client.post("/v2/predict", json=ONE))["model_version"] == "2"
    ready = client.get("/ready").get_json()["models"]["good"]
    assert (ready["versions"]["1"]["state"], ready["versions"]["2"]["state"]) == ("failed", "ready")


# -- while models load ------------------------------------------------------------------------------------------


def test_while_models_load_the_server_is_not_ready_and_answers_what_it_can(
    make_app: MakeApp, store: Store, slow: Any
) -> None:
    client = make_app(store, start=False).test_client()
    assert client.get("/health").status_code == 200  # the first request begins to load
    assert slow.began.acquire(timeout=LONG_SECONDS)
    reply = client.get("/ready")
    assert (reply.status_code, reply.get_json()["status"]) == (503, "loading")
    assert states(client) == {"good": "ready", "slow": "loading"}
    assert client.get("/models/slow/ready").status_code == 503
    assert answer(client.post("/models/good/predict", json=ONE))["prediction"] == 3.0
    slow.may_end.set()
    wait_until(lambda: client.get("/ready").status_code == 200)
    assert states(client) == {"good": "ready", "slow": "ready"}
    assert answer(client.post("/models/slow/predict", json=ONE))["prediction"] == 3.0
    assert slow.loads == 1


def test_a_request_for_a_model_that_is_being_loaded_waits_for_it(
    make_app: MakeApp, store: Store, slow: Any
) -> None:
    app = make_app(store, start=False)
    assert app.test_client().get("/health").status_code == 200
    assert slow.began.acquire(timeout=LONG_SECONDS)
    with ThreadPoolExecutor(4) as pool:
        waiting = [
            pool.submit(lambda: app.test_client().post("/models/slow/predict", json=ONE)) for _ in range(4)
        ]
        time.sleep(0.05)
        assert not any(reply.done() for reply in waiting)
        slow.may_end.set()
        assert [answer(reply.result(LONG_SECONDS))["prediction"] for reply in waiting] == [3.0] * 4
    assert slow.loads == 1


# -- lazily -----------------------------------------------------------------------------------------------------


def test_with_lazy_loading_nothing_is_loaded_before_it_is_asked_for(
    make_app: MakeApp, store: Store, slow: Any
) -> None:
    slow.may_end.set()
    client = make_app(store, loading="lazy").test_client()
    assert answer(client.get("/ready"))["status"] == "ready"
    assert states(client) == {"good": "lazy", "slow": "lazy"}
    assert answer(client.get("/models/slow/ready")) == {"name": "slow", "ready": True, "state": "lazy"}
    assert slow.loads == 0
    assert answer(client.post("/models/slow/predict", json=ONE))["prediction"] == 3.0
    assert states(client) == {"good": "lazy", "slow": "ready"}
    assert slow.loads == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model_loading": {"slow": "lazy"}}, {"good": "ready", "slow": "lazy"}),
        ({"loading": "lazy", "model_loading": {"good": "startup"}}, {"good": "ready", "slow": "lazy"}),
    ],
)
def test_single_models_may_load_at_another_time_than_the_rest(
    make_app: MakeApp, store: Store, slow: Any, settings: dict[str, Any], expected: dict[str, str]
) -> None:
    client = make_app(store, **settings).test_client()
    assert client.get("/ready").status_code == 200
    assert states(client) == expected


def test_a_lazy_model_is_loaded_once_however_many_ask_at_once(
    make_app: MakeApp, store: Store, slow: Any
) -> None:
    app = make_app(store, loading="lazy")
    together = threading.Barrier(12)

    def ask() -> Any:
        together.wait(LONG_SECONDS)
        return app.test_client().post("/models/slow/predict", json=ONE)

    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(ask) for _ in range(12)]
        assert slow.began.acquire(timeout=LONG_SECONDS)
        assert states(app.test_client())["slow"] == "loading"
        slow.may_end.set()
        assert [answer(reply.result(LONG_SECONDS))["prediction"] for reply in waiting] == [3.0] * 12
    assert slow.loads == 1


def test_a_lazy_model_that_cannot_be_loaded_is_tried_once(
    make_app: MakeApp, store: Store, add: Callable[[str, object], None], caplog: pytest.LogCaptureFixture
) -> None:
    add("bad", Unloadable())
    client = make_app(store, loading="lazy").test_client()
    assert states(client)["bad"] == "lazy"
    for _ in range(3):
        problem(client.post("/models/bad/predict", json=ONE), 503)
    assert states(client)["bad"] == "failed"
    assert caplog.text.count("cannot be loaded: ") == 1


def test_a_model_whose_versions_vanish_from_the_disk_is_still_answered_from_memory(
    make_app: MakeApp, store: Store
) -> None:
    client = make_app(store).test_client()
    shutil.rmtree(store.path)
    assert answer(client.post("/models/good/predict", json=ONE))["prediction"] == 3.0
