"""When models come into memory, and what a model that fails takes with it: nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.catalog.loading import open_served
from app.catalog.residency import Loader, LoadingRule, Open
from app.catalog.snapshot import Catalog, read_catalog
from app.concurrency.forms import Threads
from app.inference.calibration import BatchWish
from app.inference.model import LoadedModel
from models.errors import LoadError, ModelNotFound, NotReady, StoreUnavailable
from models.names import Version
from models.record import Record
from models.store import Store
from tests.conftest import LONG_SECONDS
from tests.toys import ToyRuntime, summing_draft


class AtOnce(Threads):
    """Runs what is spawned before ``spawn`` returns, and sleeps for no time."""

    def spawn(self, run: Callable[[], None]) -> None:
        run()

    def pause(self, seconds: float) -> None:
        pass


class Watcher:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.loads: list[tuple[Version, bool]] = []

    def predicted(self, prediction: object) -> None:
        pass

    def loaded(self, target: Version, seconds: float, ready: bool) -> None:
        assert seconds >= 0
        self.loads.append((target, ready))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Model "one" with four versions, 2 tagged; model "two" with one."""
    store = Store(tmp_path_factory.mktemp("store"))
    draft = summing_draft("one")
    for _ in range(4):
        store.add(draft.manifest, draft.files)
    store.tag("one", 2, "blue")
    other = summing_draft("two")
    store.add(other.manifest, other.files)
    return read_catalog(store, "one")


@pytest.fixture
def opened() -> Iterator[list[Version]]:
    yield []


def opener(opened: list[Version], failing: Version | None = None) -> Open:
    """Opens toys, and fails for one version."""

    def open_version(artifact: Record, *_: object) -> LoadedModel:
        target = Version(artifact.manifest.name, artifact.manifest.version)
        opened.append(target)
        if target == failing:
            raise LoadError("broken on purpose")
        return LoadedModel(ToyRuntime(artifact), artifact.manifest, AtOnce())

    return open_version


def opened_for_real(artifact: Record, *_: object) -> LoadedModel:
    """As a worker opens a version."""
    return open_served(artifact, AtOnce(), BatchWish())


def test_start_up_loads_named_versions_and_the_latest(catalog: Catalog, opened: list[Version]) -> None:
    """Version 3 has no tag and no alias and is not the latest: it waits for its first request."""
    loader = Loader(catalog, LoadingRule(), AtOnce(), opener(opened))
    assert not loader.tried
    loader.start()
    assert loader.tried
    assert set(opened) == {Version("one", 1), Version("one", 2), Version("one", 4), Version("two", 1)}
    assert loader.status(Version("one", 3)) == ("lazy", "")
    loader.version(Version("one", 3))
    assert loader.status(Version("one", 3)) == ("ready", "")


def test_lazy_is_chosen_for_all_or_for_one_model(catalog: Catalog, opened: list[Version]) -> None:
    loader = Loader(catalog, LoadingRule("lazy", {"two": "startup"}), AtOnce(), opener(opened))
    loader.start()
    assert opened == [Version("two", 1)]
    assert loader.tried
    assert loader.model_status("one") == ("lazy", "")


def test_a_failing_version_is_reported_and_the_others_load(catalog: Catalog, opened: list[Version]) -> None:
    watcher, done = Watcher(), []
    bad = Version("one", 1)
    loader = Loader(catalog, LoadingRule(), AtOnce(), opener(opened, failing=bad), [watcher])
    loader.start(lambda: done.append(True))
    assert done == [True]
    assert loader.tried
    assert loader.model_status("one") == ("failed", "broken on purpose")
    assert loader.model_status("two") == ("ready", "")
    with pytest.raises(NotReady, match="one:1 cannot be loaded"):
        loader.version(bad)
    assert opened.count(bad) == 1, "a version that failed is not tried again by every request"
    assert (bad, False) in watcher.loads
    assert (Version("two", 1), True) in watcher.loads


def test_a_model_that_raises_anything_while_loading_only_fails_itself(catalog: Catalog) -> None:
    """Not even a RecursionError or MemoryError of foreign code leaves the loader."""

    def open_version(artifact: Record, *_: object) -> LoadedModel:
        raise MemoryError

    loader = Loader(catalog, LoadingRule(), AtOnce(), open_version)
    loader.start()
    assert loader.status(Version("two", 1)) == ("failed", "MemoryError while loading")


def test_the_first_request_loads_and_the_others_wait_for_it(catalog: Catalog, opened: list[Version]) -> None:
    """Twenty threads ask for one lazy version at once: it is opened once, and all get the same runtime."""
    release = threading.Event()
    fast = opener(opened)

    def slow(artifact: Record, *said: Any) -> LoadedModel:
        release.wait(LONG_SECONDS)
        return fast(artifact, *said)

    loader = Loader(catalog, LoadingRule("lazy"), Threads(), slow)
    got: list[LoadedModel] = []
    threads = [
        threading.Thread(target=lambda: got.append(loader.version(Version("two", 1)))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    release.set()
    for thread in threads:
        thread.join(LONG_SECONDS)
    assert opened == [Version("two", 1)]
    assert len(got) == 20
    assert len(set(map(id, got))) == 1


def test_close_lets_go_of_every_model(catalog: Catalog) -> None:
    runtimes: list[ToyRuntime] = []

    def open_version(artifact: Record, *_: object) -> LoadedModel:
        runtimes.append(ToyRuntime(artifact))
        return LoadedModel(runtimes[-1], artifact.manifest, AtOnce())

    loader = Loader(catalog, LoadingRule(), AtOnce(), open_version)
    loader.start()
    loader.close()
    assert [runtime.closes for runtime in runtimes] == [1] * 4


def test_the_state_of_an_unknown_model_is_an_error_that_lists_the_models(catalog: Catalog) -> None:
    loader = Loader(catalog, LoadingRule(), AtOnce(), opened_for_real)
    with pytest.raises(ModelNotFound, match="one, two"):
        loader.model_status("three")


def test_a_version_with_a_damaged_manifest_is_listed_and_fails(tmp_path: Path) -> None:
    store = Store(tmp_path)
    draft = summing_draft("toy")
    for _ in range(2):
        store.add(draft.manifest, draft.files)
    (tmp_path / "toy" / "1" / "manifest.json").write_text("{")
    catalog = read_catalog(store, "toy")
    loader = Loader(catalog, LoadingRule(), AtOnce(), opened_for_real)
    loader.start()
    state, reason = loader.model_status("toy")
    assert state == "failed"
    assert "toy/1/manifest.json" in reason
    assert loader.status(Version("toy", 2))[0] == "ready"


def test_nothing_is_said_to_be_missing_from_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    loader = Loader(read_catalog(Store(tmp_path / "file"), "toy"), LoadingRule(), AtOnce(), opened_for_real)
    with pytest.raises(StoreUnavailable):
        loader.model_status("toy")
