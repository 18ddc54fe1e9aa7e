"""The models that the parent process holds for its workers, over several states of a store.

The scenario runs in a process of its own, as the parent of workers does: it must have one native thread, and
it freezes what the garbage collector looks at.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from app.catalog.routing import LoadingPolicy
from app.catalog.shared import Shared
from app.catalog.snapshot import read_snapshot
from models.errors import LoadError
from models.store import Store
from models.threads import ONE_THREAD
from tests.conftest import LONG_SECONDS
from tests.harmful import exiting, linear_draft
from tests.toys import summing_draft

ROOT = Path(__file__).parents[3]


def keeps_what_is_unchanged(path: Path) -> None:
    """Unchanged versions stay the same object; deleted and republished ones are dropped."""
    store, shared = Store(path), Shared()
    for draft in (linear_draft("kept"), linear_draft("deleted"), linear_draft("lazy"), summing_draft("own")):
        store.add(draft.manifest, draft.files)

    def refresh() -> None:
        policy = LoadingPolicy("startup", {"lazy": "lazy"})
        shared.refresh(store, read_snapshot(store, "kept"), policy, seconds=30.0)

    refresh()
    kept, deleted = store.get("kept", 1), store.get("deleted", 1)
    model = shared.find(kept)
    assert model is not None and shared.find(deleted) is not None
    assert shared.find(store.get("lazy", 1)) is None, "loaded at its first request, by the worker"
    assert shared.find(store.get("own", 1)) is None, "an object of any class may start threads"

    store.delete_model("deleted")
    draft = linear_draft("new")
    new = store.add(draft.manifest, draft.files)
    assert shared.find(new) is None, "private until the next refresh"
    refresh()
    assert shared.find(kept) is model
    assert shared.find(deleted) is None
    assert shared.find(new) is not None


def never_answers_for_another_version(path: Path) -> None:
    """A store that was created again has the same names and numbers, but other manifests."""
    shared = Shared()
    for place in ("one", "two"):
        store = Store(path / place)
        draft = linear_draft("model")
        store.add(draft.manifest, draft.files)
        if place == "one":
            shared.refresh(store, read_snapshot(store, "model"), LoadingPolicy(), seconds=30.0)
    one, two = (Store(path / place).get("model", 1) for place in ("one", "two"))
    assert one.manifest != two.manifest
    assert shared.find(one) is not None
    assert shared.find(two) is None


def refuses_what_ended_its_trial(path: Path) -> None:
    """Workers do not load it either, because they would crash as well. A refresh tries again."""
    store, shared = Store(path), Shared()
    draft = exiting("exits")
    version = store.add(draft.manifest, draft.files)
    for _ in range(2):
        shared.refresh(store, read_snapshot(store, "exits"), LoadingPolicy(), seconds=30.0)
        with pytest.raises(LoadError, match=r"exit status 7.* when it was tried"):
            shared.find(version)


def shares_nothing_with_threads_beside_it(path: Path) -> None:
    """With a second thread in the parent, every worker loads its own models."""
    import threading

    end = threading.Event()
    threading.Thread(target=end.wait, daemon=True).start()
    store, shared = Store(path), Shared()
    draft = linear_draft("model")
    version = store.add(draft.manifest, draft.files)
    shared.refresh(store, read_snapshot(store, "model"), LoadingPolicy(), seconds=30.0)
    assert shared.find(version) is None
    end.set()


def gives_each_worker_its_own_random_numbers(path: Path) -> None:
    """NumPy's global generator is copied by a fork."""
    shared, drawn = Shared(), []
    for _ in range(2):
        read, write = os.pipe()
        if os.fork() == 0:
            shared.begin_worker()
            os.write(write, np.random.bytes(8))
            os._exit(0)
        os.wait()
        drawn.append(os.read(read, 8))
        os.close(read)
        os.close(write)
    assert drawn[0] != drawn[1]


SCENARIOS = (
    keeps_what_is_unchanged,
    never_answers_for_another_version,
    refuses_what_ended_its_trial,
    shares_nothing_with_threads_beside_it,
    gives_each_worker_its_own_random_numbers,
)


@pytest.mark.parametrize("scenario", [scenario.__name__ for scenario in SCENARIOS])
def test_a_parent(scenario: str, tmp_path: Path) -> None:
    code = f"from pathlib import Path; from tests.app.catalog.test_shared import *; {scenario}(Path({str(tmp_path)!r}))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        timeout=LONG_SECONDS,
    )
    assert done.returncode == 0, done.stderr


def test_files_that_changed_after_they_were_imported_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload does not bring them to workers, which inherit what the parent imported."""
    for name in ("changed_module", "same_module"):
        (tmp_path / f"{name}.py").touch()
        os.utime(tmp_path / f"{name}.py", (0, 0))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(sys.modules, name, importlib.import_module(name))
    shared = Shared()
    assert shared.changed_code(tmp_path) == []
    later = time.time() + 1
    os.utime(tmp_path / "changed_module.py", (later, later))
    assert shared.changed_code(tmp_path) == ["changed_module.py"]
