"""Models change under load without a failed request: promotions, rollbacks, bad versions, killed workers, traffic rules.

One server answers for all of these tests; each has a model of its own.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from app.concurrency.forms import Threads
from app.host.proof import HostProver
from app.operations.operations import Operations
from models.errors import Conflict, PlumblineError
from models.golden import GOLDEN
from models.manifest import Manifest
from models.publishing.publication import Description, draft_version
from models.record import Record
from models.runtimes.pickled import ARTIFACT
from models.store import Store
from models.store.lifecycle import promote, rollback
from models.traffic import Arm, Rule, Shadow
from tests.conftest import LONG_SECONDS, wait_until
from tests.end_to_end.load import Load
from tests.end_to_end.server import ROOT, Lines, Server
from tests.harmful import Calling, exiting, hanging, slowly
from tests.toys import Plus, directory

WORKERS = 3
VERSIONS = 2
TOKEN = "k" * 40
#: More models than there are tests.
NAMES = [f"toy{number}" for number in range(26)]
ROWS = np.random.default_rng(2).integers(0, 1000, (40, 2)).astype(float)


def adder(number: int) -> LinearRegression:
    """Return a model that answers the sum of two columns and a number."""
    model = LinearRegression()
    model.coef_, model.intercept_ = np.array([1.0, 1.0]), float(number)
    model.n_features_in_ = 2
    return model


def adding(number: int) -> Record:
    """Return a draft of it, as publishing builds it."""
    return draft_version("toy", adder(number), ROWS, None, Description())


def add(store: Store, name: str, draft: Record) -> int:
    """Store the draft as the next version of this model."""
    return store.add(named(name, draft), draft.files).manifest.version


def named(name: str, draft: Record) -> Manifest:
    """The manifest of the draft as a version of this model."""
    return replace(draft.manifest, name=name)


@contextmanager
def serving(store: Store) -> Iterator[Server]:
    """Return a server over the store with the settings of these tests."""
    settings = {"PLUMBLINE_ADMIN_TOKEN": TOKEN, "PLUMBLINE_PROOF_SECONDS": str(LONG_SECONDS)}
    with Server(store.path, workers=WORKERS, **settings) as running:
        wait_until(lambda: all_follow(running))
        yield running


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one model for each test, since the verification of a later version takes a second."""
    store = Store(tmp_path_factory.mktemp("live") / "store")
    for name in NAMES:
        for number in range(1, VERSIONS + 1):
            assert add(store, name, adding(number)) == number
    with serving(store) as running:
        yield running


@pytest.fixture
def store(server: Server) -> Store:
    return Store(server.store)


@pytest.fixture
def name(store: Store) -> Iterator[str]:
    """The name of the test's own model, whose versions every worker serves."""
    name = next(name for name in NAMES if name in store.names())
    yield name
    store.delete_model(name)


def operations(server: Server, wait_seconds: float = LONG_SECONDS) -> Operations:
    """The operations, as the command line uses them."""
    store = Store(server.store)
    threads = Threads()
    return Operations(
        store, server.run_dir, HostProver(store, server.run_dir, LONG_SECONDS, threads), wait_seconds, threads
    )


def all_follow(server: Server) -> bool:
    """Return whether every worker serves the current state of the store."""
    generation, workers = Store(server.store).generation(), operations(server).workers()
    return len(workers) == WORKERS and all(
        worker.generation == generation and not worker.coming for worker in workers
    )


def answered_by(server: Server, name: str, times: int = 12) -> set[int]:
    """Return the versions that answer over many connections, so that probably every worker answers."""
    replies = [server.post(f"/models/{name}/predict", {"features": [1, 2]}) for _ in range(times)]
    assert {reply.status for reply in replies} == {200}
    return {int(reply.headers["x-model-version"]) for reply in replies}


@pytest.mark.parametrize("changes", [20, pytest.param(100, marks=pytest.mark.stress)])
def test_promotions_and_rollbacks_under_load(server: Server, store: Store, name: str, changes: int) -> None:
    versions = [*range(1, VERSIONS + 4)]
    for number in versions[VERSIONS:]:
        add(store, name, adding(number))
    wait_until(lambda: all_follow(server))
    chance = random.Random(1)
    stable, past = 1, list[int]()
    stays: list[tuple[float, float, int]] = []
    with Load(server.port, f"/models/{name}/predict") as load:
        for _ in range(changes):
            began = time.monotonic()
            if stays:
                stays[-1] = (stays[-1][0], began, stays[-1][2])
            if past and chance.random() < 0.4:
                outcome = operations(server).rollback(name)
                stable = past.pop()
            else:
                chosen = chance.choice([v for v in versions if v != stable])
                outcome = operations(server).promote(name, chosen)
                past.append(stable)
                stable = chosen
            assert outcome.complete and len(outcome.switched) == WORKERS
            assert outcome.changed.after == stable
            since = time.monotonic()
            stays.append((since, float("inf"), stable))
            time.sleep(chance.random() * 0.05)
            wait_until(lambda since=since: any(asked.sent > since for asked in load.asked[-load.clients :]))
    assert load.faults == []
    judged = 0
    for asked in load.asked:
        for since, until, version in stays:
            if since <= asked.sent and asked.answered < until:
                assert asked.version == version
                judged += 1
    assert judged >= changes
    print(
        f"{changes} changes, {len(load.asked)} requests, {len(load.faults)} faults, {judged} after a verb had returned"
    )
    assert [line["what"] for line in store.history(name)].count("publish") == len(versions)


def test_an_administrator_promotes_over_http(server: Server, name: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert server.post(f"/admin/models/{name}/promote", {"version": 2}).status == 401
    reply = server.post(f"/admin/models/{name}/promote", {"version": 2, "reason": "better"}, headers)
    assert reply.status == 200, reply.body
    assert (reply.json()["complete"], len(reply.json()["switched"])) == (True, WORKERS)
    assert answered_by(server, name) == {2}
    found = server.get("/admin/workers", headers).json()["workers"]
    assert sorted(worker["pid"] for worker in found) == sorted(server.workers())
    assert all(worker["silent_seconds"] < LONG_SECONDS for worker in found)


def test_a_new_version_has_its_routes_and_documentation_in_every_worker(
    server: Server, store: Store, name: str
) -> None:
    number = add(store, name, adding(VERSIONS + 1))
    path = f"/models/{name}/versions/{number}/predict"
    wait_until(lambda: all_follow(server))
    for _ in range(12):
        assert server.post(path, {"features": [1, 2]}).json()["prediction"] == 3 + number
        assert path in server.get("/openapi.json").json()["paths"]


def other_numbers() -> Record:
    draft = adding(VERSIONS + 1)
    golden = json.loads(draft.files[GOLDEN])
    golden["values"][0] += 1.0
    return draft.with_files({GOLDEN: json.dumps(golden).encode()})


def raising() -> Record:
    """Return a version that loads and fails at every call."""
    return adding(VERSIONS + 1).with_files({ARTIFACT: pickle.dumps(Calling(LinearRegression))})


BAD: dict[str, tuple[Callable[[], Record], str]] = {
    "raises": (raising, "fails on its own first golden row"),
    "other numbers": (other_numbers, "do not give the recorded answers"),
    "crashes": (
        lambda: adding(VERSIONS + 1).with_files({ARTIFACT: exiting("toy").files[ARTIFACT]}),
        "ended its process",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_version_is_refused_and_the_old_one_answers_on(
    server: Server, store: Store, name: str, kind: str
) -> None:
    make, why = BAD[kind]
    with Load(server.port, f"/models/{name}/predict") as load:
        number = add(store, name, make())
        with pytest.raises(Conflict, match=why):
            operations(server).promote(name, number)
        wait_until(lambda: all(f"{name}:{number}" in w.faults for w in operations(server).workers()))
    assert load.faults == []
    assert {asked.version for asked in load.asked} == {1}
    assert set(server.workers()) == {worker.pid for worker in operations(server).workers()}
    state = server.get("/ready").json()["models"][name]
    assert state["state"] == "ready" and why in state["versions"][str(number)]["reason"]


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_damaged_bytes_are_refused_and_the_old_version_answers_on(
    server: Server, store: Store, name: str, damage: str
) -> None:
    draft = adding(VERSIONS + 1)
    with Load(server.port, f"/models/{name}/predict") as load:
        version = store.add(named(name, draft), draft.files)
        file = directory(version) / ARTIFACT
        data = file.read_bytes()
        file.chmod(0o644)
        file.write_bytes(data[:-5] if damage == "truncated" else bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises((Conflict, PlumblineError)):
            operations(server).promote(name, version.manifest.version)
    assert load.faults == []
    assert answered_by(server, name) == {1}


def test_a_bad_version_that_was_made_stable_behind_the_servers_back_is_stood_in_for(
    server: Server, store: Store, name: str
) -> None:
    """A restarted worker uses the stand-in too."""
    number = add(store, name, raising())
    with Load(server.port, f"/models/{name}/predict") as load:
        promote(store, name, number)
        wait_until(lambda: all_follow(server))
        assert answered_by(server, name) == {1}
    assert load.faults == []
    killed = server.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in server.workers() and len(server.workers()) == WORKERS)
    wait_until(lambda: killed not in {w.pid for w in operations(server).workers()} and all_follow(server))
    assert answered_by(server, name, 30) == {1}
    assert server.get(f"/models/{name}").json()["stand_in"] == "1"


def test_a_version_that_loads_slowly_is_late_and_holds_up_nobody(
    server: Server, store: Store, name: str
) -> None:
    seconds = 5.0
    slow = adding(VERSIONS + 1).with_files(
        {ARTIFACT: pickle.dumps(Calling(slowly, seconds, adder(VERSIONS + 1)))}
    )
    with Load(server.port, f"/models/{name}/predict") as load:
        number = add(store, name, slow)
        assert operations(server).promote(name, number).complete
    assert load.faults == []
    assert load.asked[-1].version == number
    waited = max(asked.answered - asked.sent for asked in load.asked)
    assert waited < seconds * 0.8, "nobody waited for the loading"


def test_a_version_that_never_loads_holds_up_no_other_change(tmp_path: Path) -> None:
    """The test has its own server, because the version blocks one of its threads for ever."""
    store = Store(tmp_path / "store")
    for number in (1, 2):
        add(store, "toy", adding(number))
    with serving(store) as server:
        add(store, "other", adding(1))
        add(store, "other", hanging("other"))
        wait_until(lambda: all("other:2" in worker.coming for worker in operations(server).workers()))
        assert operations(server).promote("toy", 2).complete
        assert answered_by(server, "toy") == {2}
        assert operations(server).rollback("toy").complete
        assert answered_by(server, "toy") == {1}


def test_a_stopped_worker_is_named_and_the_others_switch(server: Server, name: str) -> None:
    # Once with all of them, so that the others have loaded it and only switch while one stands still.
    assert operations(server).promote(name, 2).complete and operations(server).rollback(name).complete
    stopped = server.workers()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        outcome = operations(server, wait_seconds=8.0).promote(name, 2)
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert [worker.pid for worker in outcome.missing] == [stopped]
    assert len(outcome.switched) == WORKERS - 1
    wait_until(lambda: all_follow(server))
    assert answered_by(server, name) == {2}


def test_the_command_line_waits_for_the_workers(server: Server, name: str) -> None:
    found = json.loads(flask(server, "promote", f"{name}:2", "--json").stdout)
    assert (found["after"], found["complete"], found["workers"]) == (2, True, WORKERS)
    assert answered_by(server, name) == {2}


def test_a_canary_gets_its_share_in_every_worker(server: Server, name: str) -> None:
    assert operations(server).traffic(name, Rule(arms=(Arm(2, 20),))).complete
    keys = [f"k{i}" for i in range(300)]

    def arms() -> dict[str, str]:
        found = {}
        for key in keys:
            reply = server.post(f"/models/{name}/predict", {"features": [1, 2]}, {"X-Routing-Key": key})
            found[key] = f"{reply.headers['x-model-version']} {reply.headers['x-model-arm']}"
        return found

    first = arms()
    assert Counter(first.values()).keys() == {"1 stable", "2 canary"}
    assert 30 <= list(first.values()).count("2 canary") <= 90
    assert arms() == first, "the same key always has the same arm, whichever worker answers"
    killed = server.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(killed) & {w.pid for w in operations(server).workers()} and all_follow(server))
    assert arms() == first, "and workers that were started anew decide alike"
    operations(server).traffic(name, Rule(arms=(Arm(2, 50),)))
    raised = arms()
    assert all(raised[key] == arm for key, arm in first.items() if arm == "2 canary")
    lines = server.access_log(lambda lines: {"stable", "canary"} <= arms_of(lines, name))
    assert arms_of(lines, name) == {"stable", "canary"}


def arms_of(lines: Lines, name: str) -> set[str]:
    """Return the arms in the access log of this model."""
    return {line["arm"] for line in lines if line.get("model") == name and line.get("arm")}


def flask(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the server's environment."""
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "models", *arguments],
        cwd=ROOT,
        env={**os.environ, "PLUMBLINE_STORE": str(server.store), "PLUMBLINE_RUN_DIR": str(server.run_dir)},
        capture_output=True,
        text=True,
        check=False,
    )


WALK = ("--every", "2s", "--min-requests", "10", "--json")


def test_a_canary_walks_to_the_end_by_itself(server: Server, store: Store, name: str) -> None:
    with Load(server.port, f"/models/{name}/predict") as load:
        done = flask(server, "canary", name, "2", "--steps", "30,100", "--min-agreement", "0", *WALK)
        assert done.returncode == 0, done.stderr
    assert f"{name}:2 at 30 %" in done.stderr and f"{name}:2 at 100 %" in done.stderr, (
        "no terminal: a line a step"
    )
    assert json.loads(done.stdout) == {
        "name": name,
        "version": 2,
        "promoted": True,
        "percent": 100.0,
        "reason": "",
    }
    assert load.faults == []
    assert {asked.version for asked in load.asked} == {1, 2}
    assert (store.resolve(name), store.state(name).traffic) == (2, None)


def test_a_canary_that_fails_requests_is_taken_back(server: Server, store: Store, name: str) -> None:
    """The version fails for one row of twenty."""
    draft = draft_version("toy", Plus(VERSIONS + 1, fails_from=950.0), ROWS * 0.3, None, Description())
    number = add(store, name, draft)
    with Load(server.port, f"/models/{name}/predict") as load:
        done = flask(server, "canary", name, str(number), "--steps", "30,100", *WALK)
        ended = time.monotonic()
        go_on(load)
    assert done.returncode == 1
    assert "requests failed, more than 1.00%" in json.loads(done.stdout)["reason"]
    assert (store.resolve(name), store.state(name).traffic) == (1, None)
    assert any(asked.fault for asked in load.asked), "some of the canary's requests did fail"
    assert not [asked.fault for asked in load.asked if asked.sent > ended and asked.fault]


@pytest.mark.parametrize("stall_seconds", [0.0, 1.0])
def test_a_shadow_that_fails_or_stalls_is_seen_by_nobody(
    server: Server, store: Store, name: str, stall_seconds: float
) -> None:
    models = Plus(VERSIONS + 1), Plus(VERSIONS + 2, fails_from=300.0, stall_seconds=stall_seconds)
    stable, number = (
        add(store, name, draft_version("toy", m, ROWS * 0.1, None, Description())) for m in models
    )
    assert operations(server).promote(name, stable).complete
    with Load(server.port, f"/models/{name}/predict", clients=3, pause_seconds=0.01) as load:
        go_on(load)
        assert operations(server).traffic(name, Rule((), (), Shadow(number))).complete
        began = time.monotonic()
        wait_until(lambda: outcomes(server, name).get("error", 0) >= 10)
        go_on(load)
    assert load.faults == []
    during = [asked for asked in load.asked if asked.sent > began]
    assert {asked.version for asked in during} == {stable}
    if stall_seconds:
        waited = median(asked.answered - asked.sent for asked in during)
        assert waited < stall_seconds / 2, "most of the shadow's calls stall, and nobody waits for it"
    page = server.get("/metrics").body.decode()
    assert f'shadow="{number}"' in page


def go_on(load: Load) -> None:
    """Wait until each client has sent some more requests."""
    asked = len(load.asked)
    wait_until(lambda: len(load.asked) > asked + 20 * load.clients)


def outcomes(server: Server, name: str) -> dict[str, float]:
    """Return the number of each outcome of this model's shadow."""
    lines = server.get("/metrics").body.decode().splitlines()
    own = [line for line in lines if f'model="{name}"' in line]
    counts = re.findall(r'plumbline_shadow_requests_total{.*outcome="(\w+)".*} (\S+)', "\n".join(own))
    return {outcome: float(value) for outcome, value in counts}


def test_a_canary_that_was_killed_is_resumed(server: Server, store: Store, name: str) -> None:
    with Load(server.port, f"/models/{name}/predict"):
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "models", "canary", name, "2"]
        env = {**os.environ, "PLUMBLINE_STORE": str(server.store), "PLUMBLINE_RUN_DIR": str(server.run_dir)}
        steps = ("--steps", "30,60,100")
        with subprocess.Popen([*command, *steps, "--every", "600s"], cwd=ROOT, env=env) as walking:
            wait_until(lambda: store.state(name).traffic is not None)
            walking.kill()
        done = flask(server, "canary", name, "2", *steps, *WALK)
    assert json.loads(done.stdout)["promoted"], done.stdout + done.stderr
    shares = [line["rule"]["arms"][0]["percent"] for line in store.history(name) if line.get("rule")]
    assert shares == [30.0, 60.0, 100.0], "it did not begin anew"


def test_many_who_change_the_store_at_random_leave_it_whole(server: Server, store: Store, name: str) -> None:
    changing(server, store, name, threads=8, times=12)


@pytest.mark.stress
def test_very_many_who_change_the_store_at_random_leave_it_whole(
    server: Server, store: Store, name: str
) -> None:
    changing(server, store, name, threads=32, times=200)


def changing(server: Server, store: Store, name: str, *, threads: int, times: int) -> None:
    """Publish, promote, tag and delete versions at random under load; afterwards all workers agree."""
    other = f"{name}-other"
    drafts = [adding(number) for number in range(1, 4)]
    wrong: list[BaseException] = []

    def change(seed: int) -> None:
        chance = random.Random(seed)
        own = Store(store.path)
        for i in range(times):
            try:
                versions = own.versions(other)
                action = chance.choice(("publish", "promote", "rollback", "tag", "delete"))
                if action == "publish":
                    draft = chance.choice(drafts)
                    add(own, other, draft)
                elif action == "promote":
                    promote(own, other, chance.choice(versions))
                elif action == "rollback":
                    rollback(own, other)
                elif action == "tag":
                    own.tag(other, chance.choice(versions), f"t{i % 5}")
                else:
                    own.delete(other, chance.choice(versions))
            except PlumblineError:
                pass  # refused, as it should be: what was chosen has gone, or is held
            except BaseException as error:
                wrong.append(error)

    for draft in drafts:
        add(store, other, draft)
    with Load(server.port, f"/models/{name}/predict") as load:
        running = [threading.Thread(target=change, args=(seed,)) for seed in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    assert wrong == []
    assert load.faults == []
    wait_until(lambda: all_follow(server))
    catalog = server.get(f"/models/{other}").json()
    assert [v["version"] for v in catalog["versions"]] == [str(v) for v in store.versions(other)]
    assert catalog["aliases"]["stable"] == str(store.resolve(other))
    lines = store.history(other)
    published = [line["version"] for line in lines if line["what"] == "publish"]
    deleted = [line["version"] for line in lines if line["what"] == "delete"]
    assert sorted(set(published) - set(deleted)) == store.versions(other)
    assert server.get("/ready").status == 200
    assert len(server.workers()) == WORKERS
