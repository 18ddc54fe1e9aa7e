"""The metrics: their definitions, how each worker counts them, and the page of all workers."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values

from app.host.workers import Slot, held_slots
from app.inference.messages import Observer, Prediction, Reply, Route, Shadowed
from app.monitoring.exposition import CONTENT_TYPE, exposition
from models.names import Version

T = TypeVar("T")

__all__ = ["CONTENT_TYPE", "Metrics", "PrometheusMetrics"]

#: Upper bounds of the buckets in seconds. The smallest is half a millisecond, about the cost of a small
#: request.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: Upper bounds of the buckets in rows.
ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

#: Events that may wait to be counted. The limit is reached only when counting fails; then the oldest are
#: dropped.
MAX_WAITING = 1_000_000

#: Events that are counted between two pauses, in which requests run.
SLICE, PAUSE_SECONDS = 500, 0.0005

#: The labels model and version of a request that was not routed. Clients must not be able to create new label
#: values.
NO_TARGET = ("none", "none")


class Metrics(Observer):
    """Metrics that count nothing."""

    def start(self, slot: Slot | None) -> None:
        """Create the metrics, in files of the worker's slot, or in memory without a slot."""

    def flush(self) -> None:
        """Count the events since the last flush. Requests only record them, because counting takes longer."""

    def page(self) -> str:
        """Return the metrics of all workers in Prometheus's text format."""
        return ""


class PrometheusMetrics(Metrics):
    """Metrics in files that every worker of the server can read, or in memory.

    The constructor opens nothing: ``start`` creates the metrics, in a registry of their own.
    """

    def __init__(self, pause: Callable[[float], None] = time.sleep) -> None:
        """Store ``pause``, which lets other work run for a number of seconds."""
        self._pause = pause
        self._replies: deque[Reply] = deque(maxlen=MAX_WAITING)
        self._answered: deque[tuple[Version, int, float]] = deque(maxlen=MAX_WAITING)
        self._present: list[None] = []
        self._slot: Slot | None = None
        self._started = False

    def start(self, slot: Slot | None) -> None:
        """Create the metrics. Starting twice does nothing."""
        if self._started:
            return
        self._slot = slot
        if slot is not None:
            # prometheus_client names its files by this number. With the slot's instead of the process's, a
            # restart adds no files.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(slot.run_dir)
            number = slot.number
            values.ValueClass = values.MultiProcessValue(lambda: number)
        else:
            values.ValueClass = values.MutexValue
        self._registry = registry = CollectorRegistry()
        by_status, by_version = ("model", "version", "status"), ("model", "version")
        self._requests = Counter("plumbline_requests", "Requests answered.", by_status, registry=registry)
        self._seconds = Histogram(
            "plumbline_request_duration_seconds",
            "Time from the request's arrival in the application to its reply.",
            by_status,
            buckets=BUCKETS,
            registry=registry,
        )
        self._arm_seconds = Histogram(
            "plumbline_arm_duration_seconds",
            "The same for requests that a traffic rule routed, by arm.",
            ("model", "version", "arm", "status"),
            buckets=BUCKETS,
            registry=registry,
        )
        by_shadow = ("model", "version", "shadow")
        self._shadowed = Counter(
            "plumbline_shadow_requests",
            "Requests that a shadow version was given too, after the reply.",
            (*by_shadow, "outcome"),
            registry=registry,
        )
        self._shadow_seconds = Histogram(
            "plumbline_shadow_duration_seconds",
            "Time of the call of the shadow version.",
            by_shadow,
            buckets=BUCKETS,
            registry=registry,
        )
        self._batch_rows = Histogram(
            "plumbline_batch_rows",
            "Rows of the call of the model that answered a request.",
            by_version,
            buckets=ROWS_BUCKETS,
            registry=registry,
        )
        self._queue_seconds = Histogram(
            "plumbline_queue_duration_seconds",
            "Time that a request waited for the model to be free.",
            by_version,
            buckets=BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "plumbline_requests_in_flight",
            "Requests being answered.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._load_seconds = Gauge(
            "plumbline_model_load_seconds",
            "Time that loading the version took, in the slowest worker.",
            by_version,
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._ready = Gauge(
            "plumbline_model_ready",
            "Workers in which the version can answer.",
            by_version,
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._started = True

    def arrived(self) -> None:
        """Count the request as in flight."""
        self._present.append(None)

    def replied(self, reply: Reply) -> None:
        """Record the reply, to be counted by model, version and status."""
        self._replies.append(reply)

    def left(self) -> None:
        """Stop counting the request as in flight."""
        self._present.pop()

    def predicted(self, prediction: Prediction) -> None:
        """Record the rows of the call and the time in the queue."""
        answer = prediction.answer
        self._answered.append((prediction.target, answer.batch_rows, answer.queue_seconds))

    def shadowed(self, shadowed: Shadowed) -> None:
        """Count the shadow at once: no request waits for it."""
        labels = (shadowed.target.name, str(shadowed.target.number), str(shadowed.shadow.number))
        self._shadowed.labels(*labels, shadowed.outcome).inc()
        if shadowed.shadow_seconds is not None:
            self._shadow_seconds.labels(*labels).observe(shadowed.shadow_seconds)

    def flush(self) -> None:
        """Count the recorded events, a slice at a time. Several threads may call this at once."""
        self._in_flight.set(len(self._present))
        while self._replies or self._answered:
            times: dict[tuple[Route | None, int], list[float]] = defaultdict(list)
            for reply in _take_slice(self._replies):
                times[reply.route, reply.status].append(reply.seconds)
            for (route, status), seconds_each in times.items():
                version = (route.target.name, str(route.target.number)) if route else NO_TARGET
                self._requests.labels(*version, str(status)).inc(len(seconds_each))
                _observe(self._seconds.labels(*version, str(status)), seconds_each)
                if route and route.arm:
                    _observe(self._arm_seconds.labels(*version, route.arm, str(status)), seconds_each)
            batches: dict[Version, list[tuple[int, float]]] = defaultdict(list)
            for target, rows, seconds in _take_slice(self._answered):
                batches[target].append((rows, seconds))
            for target, calls in batches.items():
                version = (target.name, str(target.number))
                rows_each, waits_each = zip(*calls, strict=True)
                _observe(self._batch_rows.labels(*version), rows_each)
                _observe(self._queue_seconds.labels(*version), waits_each)
            if self._replies or self._answered:
                self._pause(PAUSE_SECONDS)

    def loaded(self, target: Version, seconds: float, ready: bool) -> None:
        """Record how long loading took and whether the version can answer."""
        labels = (target.name, str(target.number))
        self._load_seconds.labels(*labels).set(seconds)
        self._ready.labels(*labels).set(1 if ready else 0)

    def page(self) -> str:
        """Return the page of all workers, with pauses in which requests run.

        The last tenth of a second of other workers may be missing.
        """
        self.flush()
        if self._slot is None:
            return generate_latest(self._registry).decode()
        run_dir = self._slot.run_dir
        return exposition(
            sorted(run_dir.glob("*.db")), held_slots(run_dir), lambda: self._pause(PAUSE_SECONDS)
        )


def _take_slice(events: deque[T]) -> Iterator[T]:
    """Remove and yield at most SLICE events."""
    for _ in range(SLICE):
        try:
            yield events.popleft()
        except IndexError:
            return


def _observe(histogram: Histogram, values: Sequence[float]) -> None:
    """Observe many values with one write for the sum and one for each bucket that has any of them."""
    histogram._sum.inc(sum(values))
    for bucket, count in Tally(bisect_left(histogram._upper_bounds, value) for value in values).items():
        histogram._buckets[bucket].inc(count)
