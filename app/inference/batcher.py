"""How concurrent requests for one version share a call of the model.

Work-conserving: whoever finds the lane idle computes at once, and those who come meanwhile are the next batch. Nobody
waits for company that is not there; on the hub, where nothing arrives while a model computes, "there" is what lies in the
sockets. One row alone is called alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from app.concurrency.forms import Concurrency, Waiter
from models.errors import DeadlinePassed, Fault, InputError, Overloaded
from models.outputs import Outputs

#: A request that waited longer than this is looked after before it is computed: its client may have left.
STALE_SECONDS = 0.020
#: The longest that reading what lies in the sockets may hold up a batch.
SETTLE_SECONDS = 0.005
#: Between two calls for one large request.
PAUSE_SECONDS = 0.0005

Call = Callable[[np.ndarray, Mapping[str, Any]], Outputs]


def never() -> bool:
    """Every client waits."""
    return False


@dataclass(frozen=True, slots=True)
class BatchRule:
    """How a version is batched.

    ``max_rows`` of several requests share a call, and ``call_rows`` of one large request; ``wait_seconds`` for company on
    purpose; ``queue_rows`` wait at most. ``merge`` is off for a model whose batched answers are not the same answers: its
    requests are called one by one, and those of more than ``call_rows`` on a native thread. With ``threaded`` every call is.
    """

    merge: bool = True
    max_rows: int = 4096
    call_rows: int = 4096
    wait_seconds: float = 0.0
    queue_rows: int = 65_536
    threaded: bool = False


DEFAULT_RULE = BatchRule()


@dataclass(slots=True, eq=False)
class Answer:
    """``batch_rows`` is how many rows the call had that answered. Times are in seconds."""

    outputs: Outputs
    queue_seconds: float
    predict_seconds: float
    batch_rows: int


@dataclass(slots=True, eq=False)
class _Entry:
    """A request in the queue. ``left`` : nobody waits for it. ``leads`` : its caller computes the next batch. ``aside`` : its
    call is made beside the hub, and shared with no other."""

    rows: np.ndarray
    parameters: Mapping[str, Any]
    waiter: Waiter
    arrived: float
    is_gone: Callable[[], bool]
    deadline: float | None
    aside: bool = False
    answer: Answer | None = None
    error: BaseException | None = None
    leads: bool = False
    left: bool = False


class Batcher:
    """The queue and the lane of one version."""

    def __init__(self, call: Call, concurrency: Concurrency, rule: BatchRule = DEFAULT_RULE) -> None:
        self.rule = rule
        self._call = call
        self._concurrency = concurrency
        self._mutex = concurrency.mutex()
        self._queue: deque[_Entry] = deque()
        self._queued_rows = 0
        self._busy = False
        self._settling: Waiter | None = None

    def answer(
        self,
        rows: np.ndarray,
        parameters: Mapping[str, Any],
        is_gone: Callable[[], bool] = never,
        deadline: float | None = None,
        *,
        aside: bool = False,
    ) -> Answer:
        """Answer rows of shape (n_rows, n_columns).

        ``is_gone`` tells whether nobody waits for the answer any more; ``deadline`` is a moment of the clock; with ``aside``
        the hub is not held up, however short the model's calls were when they were measured.
        Raises what the model raises, Overloaded when too much waits already, or DeadlinePassed.
        """
        concurrency = self._concurrency
        if not self.rule.merge and not aside and not self._beside_hub(len(rows)):
            # There is nothing to share, and nobody to wait for unless another call is being made.
            with self._mutex:
                free, self._busy = not self._busy, True
            if free:
                return self._alone(rows, parameters)
        entry = _Entry(rows, parameters, concurrency.waiter(), concurrency.now(), is_gone, deadline, aside)
        with self._mutex:
            if self._queued_rows + len(rows) > self.rule.queue_rows and self._queue:
                raise Overloaded(f"{self._queued_rows} rows are waiting for this model already")
            self._queue.append(entry)
            self._queued_rows += len(rows)
            entry.leads, self._busy = not self._busy, True
            settling = self._settling if self._queued_rows >= self.rule.max_rows else None
        if settling is not None:
            settling.wake()
        try:
            if not entry.leads:
                self._wait(entry)
            if entry.leads:
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
            outputs = self._concurrency.in_place(lambda: self._call(rows, parameters))
            return Answer(outputs, 0.0, self._concurrency.now() - began, len(rows))
        finally:
            self._pass_on()

    def _beside_hub(self, n_rows: int) -> bool:
        """Whether a request of so many rows is called on a native thread. Merged ones are cut at ``call_rows`` instead."""
        rule = self.rule
        return rule.threaded or (not rule.merge and n_rows > rule.call_rows)

    def _wait(self, entry: _Entry) -> None:
        """Until the entry is answered or leads."""
        seconds = None if entry.deadline is None else max(0.0, entry.deadline - self._concurrency.now())
        if not entry.waiter.wait(seconds):
            raise DeadlinePassed("the answer did not come before the deadline")

    def _lead(self, entry: _Entry) -> None:
        """Compute the batch that begins with the entry, and pass the lane on."""
        if entry.aside or self._beside_hub(len(entry.rows)):
            # The batch is not the leader's own: it goes on when the leader gives up.
            entry.leads, entry.waiter = False, self._concurrency.waiter()
            self._concurrency.spawn(self._compute)
            self._wait(entry)
            return
        if self.rule.merge:
            waiter = self._settling = self._concurrency.waiter()
            try:
                if self.rule.wait_seconds and self._queued_rows < self.rule.max_rows:
                    waiter.wait(self.rule.wait_seconds)
                waiter.settle(SETTLE_SECONDS)
            finally:
                self._settling = None
        entry.leads = False
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
        if not self.rule.merge or first.aside or entry.aside or rows + len(entry.rows) > self.rule.max_rows:
            return False
        return entry.parameters == first.parameters

    def _is_dropped(self, entry: _Entry, now: float) -> bool:
        """Whether nobody waits for the entry any more: then it is not computed."""
        if entry.left:
            return True
        if entry.deadline is not None and now >= entry.deadline:
            entry.error = DeadlinePassed("the deadline passed before the model was free")
        elif now - entry.arrived > STALE_SECONDS and entry.is_gone():
            entry.error = DeadlinePassed("the client has left")
        else:
            return False
        entry.waiter.wake()
        return True

    def _run(self, entries: Sequence[_Entry]) -> None:
        """Call the model for the entries. When that fails each half is tried alone, down to the one that is to blame."""
        first = entries[0]
        began = self._concurrency.now()
        try:
            rows = first.rows if len(entries) == 1 else np.concatenate([entry.rows for entry in entries])
            outputs = self._outputs(rows, first.parameters, first.aside)
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

    def _outputs(self, rows: np.ndarray, parameters: Mapping[str, Any], aside: bool) -> Outputs:
        """One request may have more rows than a call takes: then others have their turn between its calls."""
        step = self.rule.call_rows if self.rule.merge else len(rows)
        parts = []
        for start in range(0, len(rows), step or 1):
            if start:
                self._concurrency.pause(PAUSE_SECONDS)
            try:
                parts.append(self._one_call(rows[start : start + step], parameters, aside))
            except InputError as error:
                raise InputError([_moved(fault, start) for fault in error.faults]) from error
        return parts[0] if len(parts) == 1 else Outputs.joined(parts)

    def _one_call(self, rows: np.ndarray, parameters: Mapping[str, Any], aside: bool) -> Outputs:
        if aside:
            return self._concurrency.in_background(lambda: self._call(rows, parameters))
        if self._beside_hub(len(rows)):
            return self._concurrency.on_thread(lambda: self._call(rows, parameters))
        return self._concurrency.in_place(lambda: self._call(rows, parameters))

    def _leave(self, entry: _Entry) -> None:
        """The caller has stopped waiting. A lane that was its own, or was just passed to it, goes on."""
        with self._mutex:
            entry.left = True
            leads, entry.leads = entry.leads, False
        if leads:
            self._pass_on()

    def _pass_on(self) -> None:
        """Let the first one that waits compute the next batch."""
        with self._mutex:
            while self._queue and self._queue[0].left:
                self._queued_rows -= len(self._queue.popleft().rows)
            successor = self._queue[0] if self._queue else None
            self._busy = successor is not None
            if successor is not None:
                successor.leads = True
        if successor is not None:
            successor.waiter.wake()


def _moved(fault: Fault, rows: int) -> Fault:
    """A fault of a part of the rows, as it is in all of them."""
    if not rows or not fault.loc or not isinstance(fault.loc[0], int):
        return fault
    return replace(fault, loc=(fault.loc[0] + rows, *fault.loc[1:]))
