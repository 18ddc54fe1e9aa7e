"""Requests share calls, and each gets exactly the answer to its own rows, once.

The tests run under a simulated schedule, under native threads, and under gevent in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.concurrency.forms import Concurrency, Threads
from app.inference.batcher import STALE_SECONDS, Batcher, BatchRule
from app.inference.messages import Answer
from models.errors import DeadlinePassed, Fault, InputError, Overloaded
from models.outputs import Outputs
from tests.app.inference.greenlets import Killed, Schedule
from tests.conftest import LONG_SECONDS, wait_until

POISON = -1.0


class Model:
    """A model that returns each row's sum, and fails for a call with a poisonous row.

    It records the number of rows of each call.
    """

    def __init__(self, seconds: float = 0.0, pause: Any = None) -> None:
        self.calls: list[int] = []
        self.parameters: list[Mapping[str, Any]] = []
        self._seconds, self._pause = seconds, pause

    def __call__(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        self.calls.append(len(rows))
        self.parameters.append(parameters)
        if self._seconds:
            self._pause(self._seconds)
        if (rows[:, 0] == POISON).any():
            raise InputError([])
        sums = rows.sum(axis=1)
        return Outputs(sums * parameters.get("factor", 1), np.stack([sums, -sums], axis=1))


def rows_of(*firsts: float) -> np.ndarray:
    return np.array([[first, 100.0] for first in firsts])


class Client:
    """A client that sends a request in a greenlet of the schedule, and records the outcome."""

    def __init__(self, schedule: Schedule, batcher: Batcher, rows: np.ndarray, **asked: Any) -> None:
        self.answers: list[Answer] = []
        self.errors: list[BaseException] = []
        self.rows = rows
        self.left = False
        self._ask = lambda: batcher.answer(rows, asked.pop("parameters", {}), lambda: self.left, **asked)
        self.greenlet = schedule.spawn(self._run)

    def _run(self) -> None:
        try:
            self.answers.append(self._ask())
        except (Exception, Killed) as error:
            self.errors.append(error)

    def check(self) -> None:
        """Check that the client got exactly the answer to its own rows, once."""
        (answer,) = self.answers
        assert not self.errors
        assert answer.outputs.values.tolist() == self.rows.sum(axis=1).tolist()
        assert answer.outputs.probabilities is not None
        assert answer.outputs.probabilities[:, 1].tolist() == (-self.rows.sum(axis=1)).tolist()


def test_one_request_alone_is_called_alone_and_at_once() -> None:
    schedule, model = Schedule(), Model()
    batcher = Batcher(model, schedule)
    clients = []
    for i in range(3):
        clients.append(Client(schedule, batcher, rows_of(i)))
        schedule.run()
        clients[-1].check()
    assert model.calls == [1, 1, 1]
    assert schedule.time == 0


def test_what_is_there_at_the_same_time_shares_one_call() -> None:
    schedule, model = Schedule(), Model()
    batcher = Batcher(model, schedule)
    clients = [Client(schedule, batcher, rows_of(*range(i, i + 1 + i % 3))) for i in range(20)]
    schedule.run()
    for client in clients:
        client.check()
    assert model.calls == [sum(len(client.rows) for client in clients)]
    assert {client.answers[0].batch_rows for client in clients} == set(model.calls)


def test_a_batch_has_no_more_rows_than_its_cap() -> None:
    schedule, model = Schedule(), Model()
    batcher = Batcher(model, schedule, BatchRule(max_rows=8))
    clients = [Client(schedule, batcher, rows_of(i, i)) for i in range(20)]
    schedule.run()
    for client in clients:
        client.check()
    assert max(model.calls) <= 8
    assert sum(model.calls) == 40
    assert len(model.calls) <= 8


def test_a_request_larger_than_the_cap_is_answered_in_several_calls() -> None:
    schedule, model = Schedule(), Model()
    client = Client(schedule, Batcher(model, schedule, BatchRule(call_rows=8)), rows_of(*range(20)))
    schedule.run()
    client.check()
    assert model.calls == [8, 8, 4]


def test_a_model_that_may_not_batch_is_asked_request_by_request() -> None:
    schedule, model = Schedule(), Model()
    batcher = Batcher(model, schedule, BatchRule(merge=False, max_rows=1))
    clients = [Client(schedule, batcher, rows_of(*range(n))) for n in (1, 2, 3, 20)]
    schedule.run()
    for client in clients:
        client.check()
    assert sorted(model.calls) == [1, 2, 3, 20]
    assert schedule.on_threads == 0


@pytest.mark.parametrize("merge", [True, False])
def test_a_background_request_runs_on_a_thread_and_alone(merge: bool) -> None:
    schedule, model = Schedule(), Model()
    batcher = Batcher(model, schedule, BatchRule(merge=merge))
    aside = [Client(schedule, batcher, rows_of(i), background=True) for i in range(3)]
    schedule.run()
    assert (model.calls, schedule.on_threads) == ([1, 1, 1], 3)
    mixed = [Client(schedule, batcher, rows_of(i), background=i == 1) for i in range(4)]
    schedule.run()
    for client in (*aside, *mixed):
        client.check()
    assert schedule.on_threads == 4


@pytest.mark.parametrize("merge", [True, False])
def test_calls_of_one_version_never_overlap(merge: bool) -> None:
    """A model that talks to a process through a pipe would mix up the answers of two calls."""
    schedule = Schedule()
    calls: list[str] = []

    def pause(seconds: float) -> None:
        calls.append("begins")
        schedule.pause(seconds)
        calls.append("ends")

    batcher = Batcher(Model(0.05, pause), schedule, BatchRule(merge=merge, max_rows=4, call_rows=4))
    clients = [
        Client(schedule, batcher, rows_of(*range(5 if i % 3 else 1)), background=i % 5 == 0)
        for i in range(20)
    ]
    schedule.run()
    for client in clients:
        client.check()
    assert schedule.on_threads > 0
    assert calls == ["begins", "ends"] * (len(calls) // 2)


def test_a_fault_in_a_later_part_of_a_large_request_is_at_its_own_row() -> None:
    def refuse(rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        bad = [Fault((i, "a"), "bad") for i, row in enumerate(rows) if row[0] == POISON]
        if bad:
            raise InputError([*bad, Fault(("parameters", "k"), "bad too")])
        return Outputs(rows.sum(axis=1))

    schedule = Schedule()
    rows = rows_of(*range(20))
    rows[13, 0] = POISON
    client = Client(schedule, Batcher(refuse, schedule, BatchRule(call_rows=8)), rows)
    schedule.run()
    (error,) = client.errors
    assert isinstance(error, InputError)
    assert [fault.loc for fault in error.faults] == [(13, "a"), ("parameters", "k")]


def test_requests_with_other_parameters_do_not_share_a_call() -> None:
    schedule, model = Schedule(), Model()
    batcher = Batcher(model, schedule)
    factors = [1, 2, 1, 2, 2]
    clients = [Client(schedule, batcher, rows_of(1.0), parameters={"factor": f}) for f in factors]
    schedule.run()
    assert [client.answers[0].outputs.values.tolist() for client in clients] == [[101.0 * f] for f in factors]
    assert sorted(model.calls) == [2, 3]


def test_it_waits_for_company_only_when_told_to() -> None:
    schedule, model = Schedule(), Model()
    batcher = Batcher(model, schedule, BatchRule(wait_seconds=0.002))
    first = Client(schedule, batcher, rows_of(1))
    later: list[Client] = []
    schedule.at(0.001, lambda: later.append(Client(schedule, batcher, rows_of(2))))
    schedule.run()
    first.check()
    later[0].check()
    assert model.calls == [2]
    assert first.answers[0].queue_seconds == pytest.approx(0.002)


def test_a_full_batch_waits_no_longer() -> None:
    schedule, model = Schedule(), Model()
    batcher = Batcher(model, schedule, BatchRule(wait_seconds=1.0, max_rows=4))
    clients = [Client(schedule, batcher, rows_of(i)) for i in range(4)]
    schedule.run()
    assert model.calls == [4]
    assert clients[0].answers[0].queue_seconds < 0.1


def test_a_poisonous_request_fails_alone() -> None:
    schedule, model = Schedule(), Model()
    batcher = Batcher(model, schedule)
    good = [Client(schedule, batcher, rows_of(i)) for i in range(15)]
    bad = Client(schedule, batcher, rows_of(1, POISON))
    schedule.run()
    for client in good:
        client.check()
    assert [type(error) for error in bad.errors] == [InputError]
    assert not bad.answers


def test_who_gave_up_is_not_computed() -> None:
    """The requests of a killed greenlet and of a client that has left are not computed."""
    schedule = Schedule()
    model = Model(0.05, schedule.pause)
    batcher = Batcher(model, schedule, BatchRule(lane="thread"))
    busy = Client(schedule, batcher, rows_of(0))
    waiting: list[Client] = []

    def come() -> None:
        waiting.extend(Client(schedule, batcher, rows_of(i)) for i in (1, 2, 3))
        waiting[2].left = True

    schedule.at(0.001, come)
    schedule.at(0.01, lambda: waiting[1].greenlet.throw(Killed))
    schedule.run()
    busy.check()
    fine, killed, left = waiting
    fine.check()
    assert [type(error) for error in killed.errors] == [Killed]
    assert [type(error) for error in left.errors] == [DeadlinePassed]
    assert model.calls == [1, 1]


def test_what_cannot_be_queued_is_refused_at_once() -> None:
    schedule = Schedule()
    model = Model(0.05, schedule.pause)
    batcher = Batcher(model, schedule, BatchRule(max_rows=1, queue_rows=3))
    clients = [Client(schedule, batcher, rows_of(i)) for i in range(10)]
    schedule.run()
    refused = [client for client in clients if client.errors]
    assert all(isinstance(client.errors[0], Overloaded) for client in refused)
    assert 6 <= len(refused) <= 7
    for client in clients:
        if client not in refused:
            client.check()


def test_a_threaded_batch_goes_on_when_its_first_client_gives_up() -> None:
    schedule = Schedule()
    model = Model()
    batcher = Batcher(model, schedule, BatchRule(lane="thread"))
    first = Client(schedule, batcher, rows_of(1))
    schedule.ready.pop()()
    second = Client(schedule, batcher, rows_of(2))
    schedule.ready.pop()()
    first.greenlet.throw(Killed)
    schedule.run()
    second.check()
    assert schedule.on_threads >= 1


ACTIONS = st.tuples(
    st.integers(0, 40),  # when, in half milliseconds
    st.lists(st.sampled_from([1.0, 2.0, 3.0, POISON]), min_size=1, max_size=5),
    st.sampled_from(["stays", "stays", "stays", "is killed", "leaves"]),
    st.integers(0, 40),
    st.sampled_from([1, 1, 2]),
)


@given(
    st.lists(ACTIONS, min_size=1, max_size=25),
    st.integers(0, 1000),
    st.sampled_from([0.0, 0.001, 0.03]),
    st.sampled_from(["hub", "thread"]),
    st.booleans(),
    st.sampled_from([1, 4, 256]),
    st.sampled_from([0.0, 0.002]),
)
@settings(max_examples=300)
def test_everybody_gets_exactly_their_own_answer_once(
    actions: list[Any], seed: int, seconds: float, lane: str, merge: bool, max_rows: int, wait: float
) -> None:
    schedule = Schedule(seed)
    # A call on the event loop's thread blocks the loop: time passes, but no other greenlet runs.
    model = Model(seconds if lane == "thread" else 0.0, schedule.pause)
    batcher = Batcher(model, schedule, BatchRule(merge, max_rows, 7, wait, 10_000, lane))
    clients: list[tuple[Client, str, int]] = []

    def ask(rows: list[float], fate: str, later: int, factor: int) -> None:
        client = Client(schedule, batcher, rows_of(*rows), parameters={"factor": factor})
        clients.append((client, fate, factor))
        if fate == "is killed":
            schedule.at(schedule.time + later / 2000, lambda: kill(client))
        client.left = fate == "leaves"

    def kill(client: Client) -> None:
        if not client.answers and not client.errors:
            client.greenlet.throw(Killed)

    for when, rows, fate, later, factor in actions:
        schedule.at(when / 2000, lambda a=(rows, fate, later, factor): ask(*a))
    schedule.run()

    for client, fate, factor in clients:
        assert len(client.answers) + len(client.errors) == 1, "exactly one answer or error each"
        poisoned = POISON in client.rows[:, 0]
        if client.answers:
            assert not poisoned
            found = client.answers[0].outputs.values.tolist()
            assert found == [(first + 100.0) * factor for first in client.rows[:, 0]]
            assert client.answers[0].batch_rows <= max(max_rows, len(client.rows))
        else:
            kind = type(client.errors[0])
            allowed = {"is killed": Killed, "leaves": DeadlinePassed}
            assert (kind is InputError and poisoned) or kind is allowed.get(fate)
    assert not batcher._queue and not batcher._busy and batcher._queued_rows == 0


def test_native_threads_share_calls_too() -> None:
    """All requests but the first arrive while that one is computed."""
    model = Model(1, lambda _: wait_until(lambda: sum(model.calls) + len(batcher._queue) == 100))
    batcher = Batcher(model, Threads())
    found: dict[int, Answer] = {}

    def ask(i: int) -> None:
        found[i] = batcher.answer(rows_of(float(i)), {})

    ask_many(ask, 100)
    assert {i: answer.outputs.values.tolist() for i, answer in found.items()} == {
        i: [i + 100.0] for i in range(100)
    }
    assert sum(model.calls) == 100
    assert len(model.calls) == 2


def ask_many(ask: Any, count: int) -> None:
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_SECONDS)
        assert not thread.is_alive()


GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, socket, sys, time
sys.path.insert(0, {root!r})
from app.inference.batcher import Batcher, BatchRule
from app.concurrency.forms import Greenlets, concurrency_of_this_process
from tests.app.inference.test_batcher import Model, rows_of
assert isinstance(concurrency_of_this_process(), Greenlets)
for lane in ("hub", "thread"):
    model = Model()
    batcher = Batcher(model, Greenlets(), BatchRule(lane=lane))
    pairs, waiting = [socket.socketpair() for _ in range(300)], []
    def ask(i):
        waiting.append(i)
        pairs[i][0].recv(1)
        return batcher.answer(rows_of(float(i)), {{}})
    jobs = [gevent.spawn(ask, i) for i in range(300)]
    while len(waiting) < 300:
        gevent.sleep(0.01)
    for _, other in pairs:
        other.send(b"x")
    def poisoned():
        try:
            batcher.answer(rows_of(-1.0), {{}})
        except Exception as error:
            return type(error).__name__
    assert poisoned() == "InputError"
    victims = [gevent.spawn(batcher.answer, rows_of(float(i)), {{}}) for i in range(20)]
    gevent.sleep(0); [victim.kill(block=False) for victim in victims]
    gevent.joinall(jobs + victims, timeout=100, raise_error=False)
    [end.close() for pair in pairs for end in pair]
    assert [job.value.outputs.values.tolist() for job in jobs] == [[i + 100.0] for i in range(300)]
    assert sum(model.calls) >= 300 and len(model.calls) < 150, model.calls
print("fine")
"""


def test_greenlets_share_calls_too() -> None:
    """It runs in a process of its own, because gevent's patches cannot be undone."""
    from tests.end_to_end.server import ROOT

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", GEVENT.format(root=str(ROOT))],
        capture_output=True,
        text=True,
        timeout=LONG_SECONDS,
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_the_forms_of_the_seam_are_interchangeable() -> None:
    forms: list[Concurrency] = [Threads(), Schedule()]
    for form in forms:
        with form.mutex():
            waiter = form.waiter()
        waiter.wake()
        assert waiter.wait()
        waiter.settle(1.0)
    assert STALE_SECONDS == 0.020
