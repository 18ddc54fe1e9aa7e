"""The trial of versions in a subprocess: which of them may be shared or served, and which crash or hang."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from sklearn.preprocessing import FunctionTransformer

from app.host.trial import Verdict, reason_against, try_out
from models.golden import GOLDEN
from models.names import Version
from models.publishing import publish
from models.record import Record
from models.store import Store
from models.threads import ONE_THREAD
from tests.conftest import LONG_SECONDS, wait_until
from tests.harmful import exiting, hanging, linear_draft, telling, threaded
from tests.toys import directory, remember

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the numbers of threads as gunicorn.conf.py does."""
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)


def filled(path: Path, *drafts: Record) -> tuple[Store, list[Version]]:
    store = Store(path)
    added = [store.add(draft.manifest, draft.files) for draft in drafts]
    return store, [Version(v.manifest.name, v.manifest.version) for v in added]


def with_other_answers(draft: Record) -> Record:
    golden = orjson.loads(draft.files[GOLDEN])
    golden["probabilities"][-1][0] += 1e-3
    return draft.with_files({GOLDEN: orjson.dumps(golden)})


def test_what_crashes_or_hangs_is_named_and_the_others_are_tried(tmp_path: Path) -> None:
    """The versions after one that crashes or hangs get their verdicts."""
    store, targets = filled(
        tmp_path, linear_draft("good"), exiting("exits"), hanging("hangs"), linear_draft("also-good")
    )
    good, exits, hangs, also = targets
    assert list(try_out(store, targets, 5.0)) == [
        Verdict(good),
        Verdict(exits, "loading it ended its process (exit status 7)", fatal=True),
        Verdict(hangs, "loading it took longer than 5 seconds", fatal=True),
        Verdict(also),
    ]


def test_what_must_not_be_shared_says_why(tmp_path: Path) -> None:
    """The reasons that the subprocess reports, asked for in this process."""
    store, _ = filled(
        tmp_path,
        linear_draft("good"),
        telling("foreign", tmp_path / "told"),
        threaded("threads"),
        with_other_answers(linear_draft("changed")),
    )
    draft = linear_draft("damaged")
    damaged = store.add(draft.manifest, draft.files)
    file = directory(damaged) / "model.joblib"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    reasons = {name: reason_against(store, name, 1) for name in store.names()}
    assert reasons["good"] == ""
    assert reasons["foreign"] == "it uses tests"
    assert reasons["threads"] == "loading it starts native threads"
    assert reasons["changed"] == "its golden rows do not give the recorded answers"
    assert "digest" in reasons["damaged"]
    assert "no version or tag" in reason_against(store, "good", 2), "deleted since the catalog was read"


def test_functions_of_other_packages_inside_a_pipeline_are_found(tmp_path: Path) -> None:
    """The class of the estimator is not the only one that is checked."""
    from sklearn.pipeline import make_pipeline

    from tests.harmful import linear_model

    store = Store(tmp_path)
    X = [[0.0, 1.0]] * 32
    pipeline = make_pipeline(FunctionTransformer(remember).fit(X), linear_model())
    publish(store, "piped", pipeline, X)
    assert reason_against(store, "piped", 1) == "it uses tests"


def test_libraries_that_start_threads_share_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In this test Python itself starts one, in sitecustomize."""
    (tmp_path / "path").mkdir()
    threads = "import threading, time; threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()"
    (tmp_path / "path" / "sitecustomize.py").write_text(threads)
    monkeypatch.syspath_prepend(tmp_path / "path")
    store, targets = filled(tmp_path / "store", linear_draft("good"))
    assert list(try_out(store, targets, LONG_SECONDS)) == []
    assert "leave OMP_NUM_THREADS" in caplog.text


def test_a_server_that_ends_does_not_wait_for_a_trial(tmp_path: Path) -> None:
    store, targets = filled(tmp_path, hanging("hangs"))
    began = time.monotonic()
    assert list(try_out(store, targets, 3600.0, lambda: time.monotonic() - began > 1)) == []
    assert time.monotonic() - began < LONG_SECONDS


def test_a_signed_store_is_tried_with_its_key(tmp_path: Path) -> None:
    signed = Store(tmp_path, key=b"k" * 32)
    draft = linear_draft("good")
    signed.add(draft.manifest, draft.files)
    target = Version("good", 1)
    assert list(try_out(signed, [target], LONG_SECONDS)) == [Verdict(target)]
    (verdict,) = try_out(Store(tmp_path, key=b"x" * 32), [target], LONG_SECONDS)
    assert "no valid signature" in verdict.reason


def test_a_trial_ends_with_the_server_that_asked_for_it(tmp_path: Path) -> None:
    """Even if the server is killed and cannot end it."""
    store, _ = filled(tmp_path / "store", telling("tells", tmp_path / "told"), hanging("hangs"))
    code = (
        "from models.names import Version; from app.host.trial import try_out; "
        "from models.store import Store; "
        f"list(try_out(Store({str(store.path)!r}), [Version('tells', 1), Version('hangs', 1)], 3600.0))"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        wait_until((tmp_path / "told").exists)
        (trial,) = map(int, children.read_text().split())
        parent.kill()
    wait_until(lambda: not Path(f"/proc/{trial}").exists())
