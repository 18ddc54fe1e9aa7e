"""Batching: concurrent requests for one version share calls of its model.

A request that finds the model idle runs immediately. Requests that arrive while it runs form the next batch.
No request waits for a batch to fill up. On the event loop nothing can arrive during a call, so pending
sockets are read before one, and the requests read from them share the call.
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

#: After this wait a request is computed only if its client is still connected.
STALE_SECONDS = 0.020
#: The longest that reading pending sockets may delay a batch.
SETTLE_SECONDS = 0.005
#: The pause between two calls for one large request, in which other requests run.
PAUSE_SECONDS = 0.0005

Call = Callable[[np.ndarray, Mapping[str, Any]], Outputs]


def still_connected() -> bool:
    """Return False: without a connection to check, the client counts as connected."""
    return False


@dataclass(frozen=True, slots=True)
class BatchRule:
    """How a version's requests are batched and where its calls run."""

    #: Whether requests share calls; off for a model whose batched answers differ from single ones.
    merge: bool = True
    #: The most rows of a call that several requests share.
    max_rows: int = 4096
    #: The most rows of a call for one large request. Without ``merge`` a larger request runs whole on a
    #: native thread.
    call_rows: int = 4096
    #: A deliberate wait for further requests.
    wait_seconds: float = 0.0
    #: The most rows that may wait; further requests are refused.
    queue_rows: int = 65_536
    #: The lane of the model's calls.
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
    #: A lane that differs from the version's; such an entry shares its call with no other. None for the
    #: version's lane.
    lane: Lane | None = None
    answer: Answer | None = None
    error: BaseException | None = None
    #: The caller of this entry computes the next batch.
    is_leader: bool = False
    #: The caller of this entry no longer waits.
    abandoned: bool = False


class Batcher:
    """The request queue of one version, and the calls of its model."""

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
        """Answer rows of shape (n_rows, n_columns), dtype float64 or object as the signature says.

        ``is_gone`` tells whether the client has left. With ``background`` the call runs on a background
        thread, even if the model's calls were measured to be short.

        Raises what the model raises, Overloaded when ``queue_rows`` rows wait already, or DeadlinePassed when
        the client has left.
        """
        concurrency = self._concurrency
        lane = self._lanes.background if background else None
        if not self.rule.merge and lane is None and self._lane_of(len(rows)).holds_hub:
            # Requests do not share calls here, so one that finds the model idle needs no queue.
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
        """Call the model for one request without the queue. The caller has set ``_busy``."""
        began = self._concurrency.now()
        try:
            outputs = self._lanes.hub.call(partial(self._call, rows, parameters))
            return Answer(outputs, 0.0, self._concurrency.now() - began, len(rows))
        finally:
            self._pass_on()

    def _lane_of(self, n_rows: int) -> Lane:
        """Return the lane for ``n_rows`` rows.

        With ``merge`` a large request is split instead of changing lanes.
        """
        rule = self.rule
        if rule.lane == "thread" or (not rule.merge and n_rows > rule.call_rows):
            return self._lanes.thread
        return self._lanes.hub

    def _lead(self, entry: _Entry) -> None:
        """Compute the batch that begins with the entry, and make the next waiting entry the leader."""
        if not (entry.lane or self._lane_of(len(entry.rows))).holds_hub:
            # The batch runs in a greenlet of its own, so that it continues when its leader is killed.
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
        """Compute one batch, and make the next waiting entry the leader."""
        try:
            batch = self._take()
            if batch:
                self._run(batch)
        finally:
            self._pass_on()

    def _take(self) -> list[_Entry]:
        """Take the next call's entries from the queue: the first one, and those that can share its call."""
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
        """Return whether the entry need not be computed, because its caller or its client has left."""
        if entry.abandoned:
            return True
        if now - entry.arrived <= STALE_SECONDS or not entry.is_gone():
            return False
        entry.error = DeadlinePassed("the client has left")
        entry.waiter.wake()
        return True

    def _run(self, entries: Sequence[_Entry]) -> None:
        """Call the model for the entries.

        If the call fails, run each half alone, down to the entries that fail.
        """
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
        """Call the model in parts of at most ``call_rows`` rows, between which other requests run."""
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
        """Abandon an entry whose caller stops waiting.

        If it was the leader, the next waiting entry becomes it.
        """
        with self._mutex:
            entry.abandoned = True
            was_leader, entry.is_leader = entry.is_leader, False
        if was_leader:
            self._pass_on()

    def _pass_on(self) -> None:
        """Make the first waiting entry the leader, whose caller computes the next batch."""
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
    """Return the fault of a part of the rows with its row number counted from the first part."""
    if not rows or not fault.loc or not isinstance(fault.loc[0], int):
        return fault
    return replace(fault, loc=(fault.loc[0] + rows, *fault.loc[1:]))
