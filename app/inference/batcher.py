"""How concurrent requests for one version share a call of the model.

A request that finds the model idle runs immediately. Requests that arrive while it runs form the next batch. Nobody waits
for a batch to fill up: on the event loop nothing can arrive during a call, so pending sockets are read first, and what
they bring shares the call. A request alone is called alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from app.concurrency.forms import Concurrency, Waiter
from app.inference.lane import Lane, Lanes
from app.inference.messages import Answer
from models.errors import DeadlinePassed, Fault, InputError, Overloaded
from models.outputs import Outputs

#: A request that waited longer than this is checked before it is computed: its client may have left.
STALE_SECONDS = 0.020
#: The longest that reading pending sockets may delay a batch.
SETTLE_SECONDS = 0.005
#: Between two calls for one large request.
PAUSE_SECONDS = 0.0005

Call = Callable[[np.ndarray, Mapping[str, Any]], Outputs]


def still_connected() -> bool:
    """Used when there is no client connection to check: the client has not left."""
    return False


@dataclass(frozen=True, slots=True)
class BatchRule:
    """How a version's requests are batched and where its calls run."""

    #: Off for a model whose batched answers differ from single ones: its requests are called one by one.
    merge: bool = True
    #: Rows of several requests that share a call.
    max_rows: int = 4096
    #: Rows of one large request in a call. Without ``merge`` a request of more rows runs on a native thread.
    call_rows: int = 4096
    #: A deliberate wait for further requests.
    wait_seconds: float = 0.0
    #: Rows that may wait; further requests are refused.
    queue_rows: int = 65_536
    #: The lane of its calls.
    lane: Literal["hub", "thread"] = "hub"


DEFAULT_RULE = BatchRule()


@dataclass(slots=True, eq=False)
class _Entry:
    """A request in the queue."""

    rows: np.ndarray
    parameters: Mapping[str, Any]
    waiter: Waiter
    arrived: float
    is_gone: Callable[[], bool]
    #: The lane of its call, which it then shares with no other request; None for the version's own.
    lane: Lane | None = None
    answer: Answer | None = None
    error: BaseException | None = None
    #: Its caller computes the next batch.
    is_leader: bool = False
    #: Its caller no longer waits.
    abandoned: bool = False


class Batcher:
    """The queue and the lane of one version."""

    def __init__(self, call: Call, concurrency: Concurrency, rule: BatchRule = DEFAULT_RULE) -> None:
        self.rule = rule
        self._call = call
        self._concurrency = concurrency
        self._lanes = Lanes.of(concurrency)
        self._mutex = concurrency.mutex()
        self._queue: deque[_Entry] = deque()
        self._queued_rows = 0
        self._busy = False
        self._settling: Waiter | None = None

    def answer(
        self,
        rows: np.ndarray,
        parameters: Mapping[str, Any],
        is_gone: Callable[[], bool] = still_connected,
        *,
        background: bool = False,
    ) -> Answer:
        """Answer rows of shape (n_rows, n_columns).

        ``is_gone`` tells whether the client has left. With ``background`` the call never holds up the event loop, however
        short the model's calls were when they were measured.
        Raises what the model raises, Overloaded when too much waits already, or DeadlinePassed when the client has left.
        """
        concurrency = self._concurrency
        lane = self._lanes.background if background else None
        if not self.rule.merge and lane is None and self._lane_of(len(rows)).holds_hub:
            # Calls are not shared, so the request only waits while another call runs.
            with self._mutex:
                free, self._busy = not self._busy, True
            if free:
                return self._alone(rows, parameters)
        entry = _Entry(rows, parameters, concurrency.waiter(), concurrency.now(), is_gone, lane)
        with self._mutex:
            if self._queued_rows + len(rows) > self.rule.queue_rows and self._queue:
                raise Overloaded(f"{self._queued_rows} rows are waiting for this model already")
            self._queue.append(entry)
            self._queued_rows += len(rows)
            entry.is_leader, self._busy = not self._busy, True
            settling = self._settling if self._queued_rows >= self.rule.max_rows else None
        if settling is not None:
            settling.wake()
        try:
            if not entry.is_leader:
                entry.waiter.wait()
            if entry.is_leader:
                self._lead(entry)
        except BaseException:
            self._leave(entry)
            raise
        if entry.error is not None:
            raise entry.error
        assert entry.answer is not None
        return entry.answer

    def _alone(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Answer:
        """Call the model here and now; the lane is the caller's."""
        began = self._concurrency.now()
        try:
            outputs = self._lanes.hub.call(partial(self._call, rows, parameters))
            return Answer(outputs, 0.0, self._concurrency.now() - began, len(rows))
        finally:
            self._pass_on()

    def _lane_of(self, n_rows: int) -> Lane:
        """The lane of a request of ``n_rows`` rows. Merged requests are cut at ``call_rows`` instead of changing lanes."""
        rule = self.rule
        if rule.lane == "thread" or (not rule.merge and n_rows > rule.call_rows):
            return self._lanes.thread
        return self._lanes.hub

    def _lead(self, entry: _Entry) -> None:
        """Compute the batch that begins with the entry, and pass the lane on."""
        if not (entry.lane or self._lane_of(len(entry.rows))).holds_hub:
            # The batch does not belong to its leader: it goes on when the leader gives up.
            entry.is_leader, entry.waiter = False, self._concurrency.waiter()
            self._concurrency.spawn(self._compute)
            entry.waiter.wait()
            return
        if self.rule.merge:
            waiter = self._settling = self._concurrency.waiter()
            try:
                if self.rule.wait_seconds and self._queued_rows < self.rule.max_rows:
                    waiter.wait(self.rule.wait_seconds)
                waiter.settle(SETTLE_SECONDS)
            finally:
                self._settling = None
        entry.is_leader = False
        self._compute()

    def _compute(self) -> None:
        """One batch, and the lane goes to who is next."""
        try:
            batch = self._take()
            if batch:
                self._run(batch)
        finally:
            self._pass_on()

    def _take(self) -> list[_Entry]:
        """The entries of the next call: the first one, and those behind it that can share its call."""
        with self._mutex:
            taken: list[_Entry] = []
            kept: list[_Entry] = []
            rows, now = 0, self._concurrency.now()
            while self._queue:
                entry = self._queue.popleft()
                if self._is_dropped(entry, now):
                    self._queued_rows -= len(entry.rows)
                    continue
                if taken and not self._fits(taken[0], entry, rows):
                    kept.append(entry)
                    if not self.rule.merge or rows + len(entry.rows) > self.rule.max_rows:
                        break
                    continue
                taken.append(entry)
                rows += len(entry.rows)
            self._queue.extendleft(reversed(kept))
            self._queued_rows -= rows
            return taken

    def _fits(self, first: _Entry, entry: _Entry, rows: int) -> bool:
        if not self.rule.merge or first.lane or entry.lane or rows + len(entry.rows) > self.rule.max_rows:
            return False
        return entry.parameters == first.parameters

    def _is_dropped(self, entry: _Entry, now: float) -> bool:
        """Whether nobody waits for the entry any more: then it is not computed."""
        if entry.abandoned:
            return True
        if now - entry.arrived <= STALE_SECONDS or not entry.is_gone():
            return False
        entry.error = DeadlinePassed("the client has left")
        entry.waiter.wake()
        return True

    def _run(self, entries: Sequence[_Entry]) -> None:
        """Call the model for the entries. When that fails each half is tried alone, down to the one that is to blame."""
        first = entries[0]
        began = self._concurrency.now()
        try:
            rows = first.rows if len(entries) == 1 else np.concatenate([entry.rows for entry in entries])
            outputs = self._outputs(rows, first.parameters, first.lane or self._lane_of(len(rows)))
        except BaseException as error:
            if len(entries) == 1:
                first.error = error
                first.waiter.wake()
                return
            half = len(entries) // 2
            self._run(entries[:half])
            self._run(entries[half:])
            return
        seconds = self._concurrency.now() - began
        start = 0
        for entry in entries:
            stop = start + len(entry.rows)
            own = outputs if len(entries) == 1 else outputs.rows(start, stop)
            entry.answer = Answer(own, began - entry.arrived, seconds, len(rows))
            start = stop
        self._concurrency.wake([entry.waiter for entry in entries])

    def _outputs(self, rows: np.ndarray, parameters: Mapping[str, Any], lane: Lane) -> Outputs:
        """One request may have more rows than a call takes: then others have their turn between its calls."""
        step = self.rule.call_rows if self.rule.merge else len(rows)
        parts = []
        for start in range(0, len(rows), step or 1):
            if start:
                self._concurrency.pause(PAUSE_SECONDS)
            part = rows[start : start + step]
            try:
                parts.append(lane.call(partial(self._call, part, parameters)))
            except InputError as error:
                raise InputError([_moved(fault, start) for fault in error.faults]) from error
        return parts[0] if len(parts) == 1 else Outputs.joined(parts)

    def _leave(self, entry: _Entry) -> None:
        """The caller has stopped waiting. A lane that was its own, or was just passed to it, goes on."""
        with self._mutex:
            entry.abandoned = True
            was_leader, entry.is_leader = entry.is_leader, False
        if was_leader:
            self._pass_on()

    def _pass_on(self) -> None:
        """Let the first one that waits compute the next batch."""
        with self._mutex:
            while self._queue and self._queue[0].abandoned:
                self._queued_rows -= len(self._queue.popleft().rows)
            successor = self._queue[0] if self._queue else None
            self._busy = successor is not None
            if successor is not None:
                successor.is_leader = True
        if successor is not None:
            successor.waiter.wake()


def _moved(fault: Fault, rows: int) -> Fault:
    """A fault of a part of the rows, as it is in all of them."""
    if not rows or not fault.loc or not isinstance(fault.loc[0], int):
        return fault
    return replace(fault, loc=(fault.loc[0] + rows, *fault.loc[1:]))
