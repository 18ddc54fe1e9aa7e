"""Models are loaded once, when they are needed, and a model that fails affects no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.catalog.loading import open_served
from app.catalog.residency import Open, Residency
from app.catalog.routing import LoadingPolicy, plan
from app.catalog.snapshot import Snapshot, read_snapshot
from app.concurrency.forms import Threads
from app.inference.calibration import BatchSettings
from app.inference.model import LoadedModel
from models.errors import LoadError, ModelNotFound, NotReady, StoreUnavailable
from models.names import Version
from models.record import Record
from models.store import Store
from tests.conftest import LONG_SECONDS
from tests.toys import ToyRuntime, summing_draft


class AtOnce(Threads):
    """A concurrency that runs each function before ``spawn`` returns, and does not sleep."""

    def spawn(self, run: Callable[[], None]) -> None:
        run()

    def pause(self, seconds: float) -> None:
        pass


class Watcher:
    """An observer that records the events."""

    def __init__(self) -> None:
        self.loads: list[tuple[Version, bool]] = []

    def predicted(self, prediction: object) -> None:
        pass

    def loaded(self, target: Version, seconds: float, ready: bool) -> None:
        assert seconds >= 0
        self.loads.append((target, ready))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Model "one" with four versions, 2 tagged; model "two" with one."""
    store = Store(tmp_path_factory.mktemp("store"))
    draft = summing_draft("one")
    for _ in range(4):
        store.add(draft.manifest, draft.files)
    store.tag("one", 2, "blue")
    other = summing_draft("two")
    store.add(other.manifest, other.files)
    return read_snapshot(store, "one")


@pytest.fixture
def opened() -> Iterator[list[Version]]:
    yield []


def opener(opened: list[Version], failing: Version | None = None) -> Open:
    """A function that loads toys, and fails for one version."""

    def open_version(artifact: Record, *_: object) -> LoadedModel:
        target = Version(artifact.manifest.name, artifact.manifest.version)
        opened.append(target)
        if target == failing:
            raise LoadError("broken on purpose")
        return LoadedModel(ToyRuntime(artifact), artifact.manifest, AtOnce())

    return open_version


def opened_for_real(artifact: Record, *_: object) -> LoadedModel:
    """Load a version as a worker does."""
    return open_served(artifact, AtOnce(), BatchSettings())


def test_a_version_is_loaded_by_its_first_request(snapshot: Snapshot, opened: list[Version]) -> None:
    residency = Residency(snapshot, AtOnce(), opener(opened))
    target = Version("one", 3)
    assert (residency.status(target), dict(residency.about(target))) == (("lazy", ""), {})
    model = residency.model(target)
    assert residency.status(target) == ("ready", "")
    assert residency.about(target) == model.about()
    assert residency.model(target) is model
    assert opened == [target]


def test_what_is_planned_is_loading_and_then_ready_or_failed(
    snapshot: Snapshot, opened: list[Version]
) -> None:
    watcher, bad = Watcher(), Version("one", 1)
    residency = Residency(snapshot, AtOnce(), opener(opened, failing=bad), [watcher])
    made = plan(snapshot, residency.statuses(), (), residency.routing, LoadingPolicy())
    residency.apply(made)
    assert {residency.status(target) for target in made.load} == {("loading", "")}
    for target in made.load:
        residency.load(target, "start")
    assert opened == list(made.load)
    assert residency.model_status("one") == ("failed", "broken on purpose")
    assert residency.model_status("two") == ("ready", "")
    assert residency.faults == {"one:1": "broken on purpose"}
    assert (bad, False) in watcher.loads
    assert (Version("two", 1), True) in watcher.loads


def test_a_version_that_failed_is_tried_again_for_a_plan_and_not_by_requests(
    snapshot: Snapshot, opened: list[Version]
) -> None:
    bad = Version("one", 1)
    residency = Residency(snapshot, AtOnce(), opener(opened, failing=bad))
    for _ in range(3):
        with pytest.raises(NotReady, match="one:1 cannot be loaded"):
            residency.model(bad)
    assert (opened.count(bad), residency.failures) == (1, 1)
    assert residency.statuses()[bad] == "failed"
    residency.enter(snapshot)
    assert residency.statuses()[bad] == "outdated"
    residency.load(bad)
    assert (opened.count(bad), residency.failures) == (2, 2)


def test_a_model_that_raises_anything_while_loading_only_fails_itself(snapshot: Snapshot) -> None:
    """Even a RecursionError or MemoryError of foreign code becomes a state."""

    def open_version(artifact: Record, *_: object) -> LoadedModel:
        raise MemoryError

    residency = Residency(snapshot, AtOnce(), open_version)
    residency.load(Version("two", 1), "start")
    assert residency.status(Version("two", 1)) == ("failed", "MemoryError while loading")


def test_the_first_request_loads_and_the_others_wait_for_it(
    snapshot: Snapshot, opened: list[Version]
) -> None:
    """Twenty threads ask for one lazy version at once: it is loaded once, and all get the same runtime."""
    release = threading.Event()
    fast = opener(opened)

    def slow(artifact: Record, *said: Any) -> LoadedModel:
        release.wait(LONG_SECONDS)
        return fast(artifact, *said)

    residency = Residency(snapshot, Threads(), slow)
    got: list[LoadedModel] = []
    threads = [
        threading.Thread(target=lambda: got.append(residency.model(Version("two", 1)))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    release.set()
    for thread in threads:
        thread.join(LONG_SECONDS)
    assert opened == [Version("two", 1)]
    assert len(got) == 20
    assert len(set(map(id, got))) == 1


def test_recorded_answers_are_replayed_once_the_process_has_started(
    snapshot: Snapshot, opened: list[Version]
) -> None:
    """A request that comes first finds a version as the start would have left it."""
    replays: list[bool] = []

    def open_version(artifact: Record, replay: bool, *_: object) -> LoadedModel:
        replays.append(replay)
        return opener(opened)(artifact, replay, lambda: False)

    residency = Residency(snapshot, AtOnce(), open_version)
    residency.load(Version("one", 1), "start")
    residency.model(Version("one", 2))
    residency.is_started = True
    residency.model(Version("one", 3))
    residency.load(Version("one", 4))
    assert replays == [False, False, True, True]


def test_close_lets_go_of_every_model(snapshot: Snapshot) -> None:
    runtimes: list[ToyRuntime] = []

    def open_version(artifact: Record, *_: object) -> LoadedModel:
        runtimes.append(ToyRuntime(artifact))
        return LoadedModel(runtimes[-1], artifact.manifest, AtOnce())

    residency = Residency(snapshot, AtOnce(), open_version)
    for target in snapshot.targets:
        residency.model(target)
    residency.close()
    assert [runtime.closes for runtime in runtimes] == [1] * 5
    assert set(residency.statuses().values()) == {"lazy"}


def test_the_state_of_an_unknown_model_is_an_error_that_lists_the_models(snapshot: Snapshot) -> None:
    residency = Residency(snapshot, AtOnce(), opened_for_real)
    with pytest.raises(ModelNotFound, match="one, two"):
        residency.model_status("three")


def test_a_version_with_a_damaged_manifest_is_listed_and_fails(tmp_path: Path) -> None:
    store = Store(tmp_path)
    draft = summing_draft("toy")
    for _ in range(2):
        store.add(draft.manifest, draft.files)
    (tmp_path / "toy" / "1" / "manifest.json").write_text("{")
    residency = Residency(read_snapshot(store, "toy"), AtOnce(), opened_for_real)
    for number in (1, 2):
        residency.load(Version("toy", number), "start")
    state, reason = residency.model_status("toy")
    assert state == "failed"
    assert "toy/1/manifest.json" in reason
    assert residency.status(Version("toy", 2))[0] == "ready"


def test_nothing_is_said_to_be_missing_from_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    residency = Residency(read_snapshot(Store(tmp_path / "file"), "toy"), AtOnce(), opened_for_real)
    with pytest.raises(StoreUnavailable):
        residency.model_status("toy")
