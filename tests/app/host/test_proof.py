"""The proof of a version: one trial in a subprocess for each host, whose verdict is shared."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from app.concurrency.forms import Threads
from app.host import memory, proof
from app.host.marks import forget
from app.host.proof import HostProver, Proof
from models.errors import LoadError
from models.golden import GOLDEN
from models.names import Version
from models.record import Record
from models.store import Store
from tests.harmful import exiting, hanging, linear_draft, matching, summing
from tests.toys import directory


def added(store: Store, draft: Record) -> tuple[Version, Record]:
    version = store.add(draft.manifest, draft.files)
    return Version(version.manifest.name, version.manifest.version), version


def prover(
    store: Store, run_dir: Path | None, seconds: float = 30.0, worker_timeout_seconds: float = math.inf
) -> HostProver:
    return HostProver(store, run_dir, seconds, Threads(), worker_timeout_seconds)


def with_other_answers(draft: Record) -> Record:
    golden = orjson.loads(draft.files[GOLDEN])
    golden["probabilities"][-1][0] += 1e-3
    return draft.with_files({GOLDEN: orjson.dumps(golden)})


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        (linear_draft("good"), ""),
        (with_other_answers(linear_draft("changed")), "its golden rows do not give the recorded answers"),
        (exiting("exits"), "loading it ended its process (exit status 7)"),
        (hanging("hangs"), "loading it took longer than 1 seconds"),
    ],
    ids=lambda value: value.manifest.name if isinstance(value, Record) else "",
)
def test_what_speaks_against_a_version_is_found_out(tmp_path: Path, draft: Record, reason: str) -> None:
    store = Store(tmp_path / "store")
    verdict = prover(store, tmp_path / "run", 1.0 if "longer" in reason else 30.0).prove(*added(store, draft))
    assert verdict.reason == reason
    assert verdict.seconds > 0


def test_bytes_that_do_not_match_their_digest_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    target, version = added(store, linear_draft("damaged"))
    file = directory(version) / "model.joblib"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert "digest" in prover(store, None).prove(target, version).reason


def test_a_verdict_is_found_by_whoever_asks_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    good, bad = added(store, linear_draft("good")), added(store, exiting("bad"))
    first = prover(store, tmp_path / "run")
    expected = [first.prove(*good), first.prove(*bad)]

    def nobody(*_: object) -> None:
        raise AssertionError("tried again")

    monkeypatch.setattr(proof, "try_out", nobody)
    again = prover(store, tmp_path / "run")
    assert [again.prove(*good), again.prove(*bad)] == expected


def test_refusals_are_forgotten_when_that_is_asked(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    good, bad = added(store, linear_draft("good")), added(store, exiting("bad"))
    one = prover(store, tmp_path / "run")
    known = one.prove(*good)
    assert one.prove(*bad).reason
    one.forget_refusals()
    assert [file.name.split("-")[0] for file in (tmp_path / "run" / "proofs").glob("*.json")] == ["good"]
    assert one.prove(*good) == known


def test_a_version_that_was_served_from_the_start_needs_no_proof(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    bad = added(store, exiting("bad"))
    one = prover(store, tmp_path / "run")
    one.vouch(*bad)
    assert one.prove(*bad) == Proof()


def test_a_version_that_ended_a_process_is_proved_before_it_is_loaded_again(tmp_path: Path) -> None:
    """A worker finds the mark of its predecessor, which died while it loaded the version."""
    store = Store(tmp_path / "store")
    bad, good = added(store, exiting("bad")), added(store, linear_draft("good"))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.app.host.test_proof import load_and_die\n"
        "load_and_die(sys.argv[2], sys.argv[3])"
    )
    for name in ("bad", "good"):
        root = str(Path(__file__).parents[3])
        subprocess.run([sys.executable, "-c", code, root, str(tmp_path), name], check=False)
    one = prover(store, tmp_path / "run")
    with pytest.raises(LoadError, match="ended its process"), one.loading(*bad):
        pass
    with one.loading(*good):
        pass
    assert sorted(file.suffix for file in (tmp_path / "run" / "proofs").iterdir()) == [
        ".json",
        ".json",
        ".lock",
        ".lock",
    ]


def test_a_version_that_ends_processes_again_and_again_is_refused_though_its_proof_is_good(
    tmp_path: Path,
) -> None:
    """It may fail only next to the other work of a worker. One load between two deaths resets the count."""
    store = Store(tmp_path / "store")
    good = added(store, linear_draft("good"))
    one = prover(store, tmp_path / "run")
    die_while_loading(one, *good)
    with one.loading(*good):
        pass
    for _ in range(proof.MOST_DEATHS - 1):
        die_while_loading(one, *good)
        with pytest.raises(Exit), one.loading(*good):
            raise Exit
    die_while_loading(one, *good)
    with pytest.raises(LoadError, match="ended 3 processes in a row"), one.loading(*good):
        pass
    one.forget_refusals()
    with one.loading(*good):
        pass


class Exit(Exception):
    """Stands for a load that was interrupted."""


def test_the_death_of_many_workers_at_once_counts_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    good = added(store, linear_draft("good"))
    one = prover(store, tmp_path / "run")
    for _ in range(proof.MOST_DEATHS):
        die_while_loading(one, *good)
    with one.loading(*good):
        pass


def test_what_a_process_was_loading_that_ends_as_it_should_is_not_held_against_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    bad = added(store, exiting("bad"))
    with prover(store, tmp_path / "run").loading(*bad):
        forget(tmp_path / "run", os.getpid())
        assert list((tmp_path / "run" / "proofs").iterdir()) == []


@pytest.mark.parametrize("draft", [summing("sums"), matching("matches")], ids=["sum", "match"])
def test_a_version_that_lets_nothing_else_run_is_refused_before_a_worker_loads_it(
    tmp_path: Path, draft: Record
) -> None:
    store = Store(tmp_path / "store")
    verdict = prover(store, tmp_path / "run", 600.0, worker_timeout_seconds=5.0).prove(*added(store, draft))
    assert "blocked everything else in its process for longer than 3.5 seconds" in verdict.reason
    assert verdict.lasting


def die_while_loading(one: HostProver, target: Version, version: Record) -> None:
    """Leave the mark of a process that died while it loaded the version."""
    process = subprocess.Popen(["true"])
    process.wait()
    assert one._directory is not None
    one._file(one._directory, target, version).with_suffix(f".{process.pid}").touch()


def load_and_die(path: str, name: str) -> None:
    """Load a version and die meanwhile, like a worker that crashes."""
    store = Store(Path(path) / "store")
    with prover(store, Path(path) / "run").loading(Version(name, 1), store.get(name, 1)):
        os._exit(1)


def test_what_is_not_lasting_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    good = added(store, linear_draft("good"))
    one = prover(store, tmp_path / "run")
    monkeypatch.setattr(proof, "try_out", lambda *_, **named: iter(()))
    assert "could not be started" in one.prove(*good).reason
    monkeypatch.undo()
    assert one.prove(*good).reason == ""


def test_a_version_that_is_larger_than_what_is_left_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9999 kB\nMemAvailable: 0 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", meminfo)
    verdict = prover(store, None).prove(*added(store, linear_draft("large")))
    assert (verdict.reason == "") == (verdict.mib <= 0)
    assert verdict.reason == "" or "this machine has 0 MiB left" in verdict.reason
