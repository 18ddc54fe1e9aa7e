"""The commands `flask models promote, rollback, traffic, reload, history`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.commands import models_group
from app.concurrency.forms import Threads
from app.host.proof import HostProver
from app.host.workers import Slot, WorkerFile, claim_slot
from models.names import Version
from models.store import Store
from tests.conftest import LONG_SECONDS
from tests.harmful import exiting
from tests.toys import summing_draft

DRAFT = summing_draft()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Versions 1 to 3 of ``toy``, each better than the one before.

    They count as proved in the run directory, because a process of its own takes a second for a proof.
    """
    store, run_dir = Store(tmp_path / "store"), tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    prover = HostProver(store, run_dir, LONG_SECONDS, Threads())
    for i in range(3):
        store.add(replace(DRAFT.manifest, metrics={"auc": 0.7 + i / 10}), DRAFT.files, tags=[f"{i + 1}.0.0"])
        prover.vouch(Version("toy", i + 1), store.get("toy", i + 1))
    monkeypatch.setenv("PLUMBLINE_STORE", str(store.path))
    monkeypatch.setenv("PLUMBLINE_RUN_DIR", str(run_dir))
    return store


@pytest.fixture
def worker(store: Store, tmp_path: Path) -> tuple[Slot, WorkerFile]:
    """A living worker that serves the store as it is now, and no later change."""
    slot = claim_slot(tmp_path / "run")
    file = WorkerFile(slot)
    file.write(store.generation(), {})
    return slot, file


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(models_group, list(arguments))
    assert result.exit_code == code, result.output
    return result


def said(*arguments: str, code: int = 0) -> dict:
    found: dict = json.loads(run(*arguments, "--json", code=code).stdout)
    return found


def test_a_promotion_without_a_server_says_so(store: Store, tmp_path: Path) -> None:
    """The version has no verdict yet."""
    shutil.rmtree(tmp_path / "run")
    found = run("promote", "toy:2", "--reason", "better")
    assert "toy:stable is now version 2" in found.stdout
    assert "no server of this store in" in found.stdout
    assert store.resolve("toy") == 2
    assert store.history("toy")[-1]["why"] == "better"


def test_a_rollback_after_it(store: Store) -> None:
    run("promote", "toy:3.0.0")
    assert said("rollback", "toy")["after"] == 1
    assert "no version that was stable before version 1" in run("rollback", "toy", code=1).stderr


def test_only_a_better_one(store: Store) -> None:
    assert said("promote", "toy:3", "--if-better", "auc")["after"] == 3
    refused = run("promote", "toy:2", "--if-better", "auc", code=1)
    assert "auc of toy:2 is 0.8, which is not more than 0.9 of version 3" in refused.stderr


def test_a_stale_one_is_refused(store: Store) -> None:
    assert "stable is version 1 by now, not 2" in run("promote", "toy:3", "--expected", "2", code=1).stderr


def test_a_version_that_fails_its_proof_is_not_promoted(store: Store) -> None:
    harmful = exiting("toy")
    store.add(harmful.manifest, harmful.files)
    refused = run("promote", "toy:4", code=1)
    assert "toy:4 did not pass its proof: loading it ended its process" in refused.stderr
    assert store.resolve("toy") == 1


def test_a_worker_that_does_not_switch_is_named(store: Store, worker: tuple[Slot, WorkerFile]) -> None:
    found = run("promote", "toy:2", "--wait", "0.2", code=1)
    assert "has not switched in time" in found.stdout and "s ago" in found.stdout
    machine = said("promote", "toy:3", "--wait", "0.2", code=1)
    assert (machine["complete"], machine["workers"], machine["switched"]) == (False, 1, [])
    assert machine["missing"][0]["slot"] == 0 and machine["missing"][0]["silent_seconds"] < 60


def test_a_worker_that_cannot_serve_the_version_is_named_with_the_reason(
    store: Store, worker: tuple[Slot, WorkerFile]
) -> None:
    worker[1].write("9" * 18, {"toy:2": "too large"})
    found = said("promote", "toy:2", code=1)
    assert found["refused"] == [{"slot": 0, "reason": "too large"}]
    assert "too large" in run("promote", "toy:2", code=1).stdout


def test_a_version_that_was_damaged_after_its_proof_is_not_promoted(
    store: Store, worker: tuple[Slot, WorkerFile]
) -> None:
    worker[1].write("9" * 18, {})
    run("promote", "toy:2")
    run("promote", "toy:1")
    artifact = next(p for p in (store.path / "toy" / "2").iterdir() if p.name != "manifest.json")
    artifact.write_bytes(artifact.read_bytes()[:-1])
    assert "bytes where" in run("promote", "toy:2", code=1).output
    assert store.resolve("toy") == 1


def test_workers_that_have_switched_are_counted(store: Store, worker: tuple[Slot, WorkerFile]) -> None:
    worker[1].write("9" * 18, {})
    assert "1 of this host serves it" in run("promote", "toy:2").stdout


def test_traffic_is_given_and_taken(store: Store) -> None:
    found = run(
        "traffic", "toy", "2=10", "3.0.0=5", "--shadow", "3=50", "--match", "X-Beta=a:b:2", "--key", "a"
    )
    assert (
        "toy is routed 10 % to version 2, 5 % to version 3, X-Beta=a:b to version 2, 50 % to version 3 as a shadow"
        in found.stdout
    )
    assert store.state("toy").traffic == {
        "arms": [{"version": 2, "percent": 10.0}, {"version": 3, "percent": 5.0}],
        "matches": [{"header": "X-Beta", "value": "a:b", "version": 2}],
        "shadow": {"version": 3, "percent": 50.0},
        "key": "a",
    }
    assert "to its stable version alone" in run("traffic", "toy", "--clear").stdout
    assert store.state("toy").traffic is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["toy", "2=10", "--clear"], "--clear leaves no rule; give either"),
        (["toy", "2"], "2: use VERSION=PERCENT"),
        (["toy", "2=ten"], "2=ten: use VERSION=PERCENT"),
        (["toy", "2=0"], "0 percent for version 2"),
        (["toy", "9=10"], "no version or tag"),
        (["toy", "--match", "X-Beta"], "use HEADER=VALUE:VERSION"),
        (["none", "2=10"], "none"),
    ],
)
def test_traffic_that_makes_no_sense_is_refused(store: Store, arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(models_group, ["traffic", *arguments])
    assert result.exit_code != 0
    assert says in result.stderr
    assert store.state("toy").traffic is None


def test_the_history_is_a_table(store: Store) -> None:
    run("promote", "toy:2", "--reason", "better")
    run("traffic", "toy", "3=10")
    shown = run("history", "toy").stdout
    assert "promote" in shown and "better" in shown and "arms" in shown
    assert [line["what"] for line in said("history", "toy")["history"]] == ["publish"] * 3 + [
        "promote",
        "traffic",
    ]
    assert "nothing" in run("history", "nothing", code=1).stderr


def test_a_reload_is_a_new_generation(store: Store) -> None:
    before = store.generation()
    assert said("reload")["generation"] == store.generation() != before


def test_the_name_alone_shows_the_rule(store: Store) -> None:
    assert run("traffic", "toy").stdout == "toy is routed to its stable version alone\n"
    assert said("traffic", "toy") == {"name": "toy", "rule": None}
    run("traffic", "toy", "2=10", "--match", "X-Team=blue:3")
    shown = run("traffic", "toy").stdout
    assert "10 % to version 2" in shown and "X-Team=blue to version 3" in shown
    assert said("traffic", "toy")["rule"]["arms"] == [{"version": 2, "percent": 10.0}]
    assert "no model called 'tuy'" in run("traffic", "tuy", code=1).stderr
