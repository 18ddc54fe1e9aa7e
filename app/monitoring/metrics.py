"""Which metrics there are, and how they are counted in many workers and read in one place."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values

from app.host.slots import Slot, held_slots
from app.inference.messages import Observer, Prediction, Reply, Route, Shadowed
from app.monitoring.exposition import CONTENT_TYPE, exposition
from models.names import Version

T = TypeVar("T")

__all__ = ["CONTENT_TYPE", "Metrics", "PrometheusMetrics"]

#: Seconds. The smallest is half a millisecond: that is what a request costs here.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

#: So many notes wait to be counted; that more come in between means that counting fails.
MAX_WAITING = 1_000_000

#: Between two slices of so many requests the hub gets its turn.
SLICE, PAUSE_SECONDS = 500, 0.0005

#: The model and version of a request that was not for one that exists: no client can make up labels.
NO_TARGET = ("none", "none")


class Metrics(Observer):
    """What is counted, and the page that shows it. This one counts nothing."""

    def start(self, slot: Slot | None) -> None:
        """Open what counting needs: files of the worker's slot, or memory without one."""

    def flush(self) -> None:
        """Count what has finished since the last time. Requests themselves only note that they did."""

    def page(self) -> str:
        """Everything counted by all workers, in Prometheus's text format."""
        return ""


class PrometheusMetrics(Metrics):
    """Counts in files that every worker of the server can read, or in memory.

    The constructor opens nothing: metrics exist from ``start`` on, in a registry of their own.
    """

    def __init__(self, pause: Callable[[float], None] = time.sleep) -> None:
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
            # Files are named by the slot, not by the process, so that they do not grow with every restart.
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
            "Requests that another version was asked too, after the reply.",
            (*by_shadow, "outcome"),
            registry=registry,
        )
        self._shadow_seconds = Histogram(
            "plumbline_shadow_duration_seconds",
            "Time of the call of the version that was asked too.",
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
        """Note the reply, to be counted by model, version and status."""
        self._replies.append(reply)

    def left(self) -> None:
        """Count the request as in flight no more."""
        self._present.pop()

    def predicted(self, prediction: Prediction) -> None:
        """Note how it was answered."""
        answer = prediction.answer
        self._answered.append((prediction.target, answer.batch_rows, answer.queue_seconds))

    def shadowed(self, shadowed: Shadowed) -> None:
        """Count it; it is beside the requests anyway."""
        labels = (shadowed.target.name, str(shadowed.target.number), str(shadowed.shadow.number))
        self._shadowed.labels(*labels, shadowed.outcome).inc()
        if shadowed.shadow_seconds is not None:
            self._shadow_seconds.labels(*labels).observe(shadowed.shadow_seconds)

    def flush(self) -> None:
        """Count what was noted, a slice at a time; many threads may call it."""
        self._in_flight.set(len(self._present))
        while self._replies or self._answered:
            times: dict[tuple[Route | None, int], list[float]] = defaultdict(list)
            for reply in _taken(self._replies):
                times[reply.route, reply.status].append(reply.seconds)
            for (route, status), seconds_each in times.items():
                version = (route.target.name, str(route.target.number)) if route else NO_TARGET
                self._requests.labels(*version, str(status)).inc(len(seconds_each))
                _observe(self._seconds.labels(*version, str(status)), seconds_each)
                if route and route.arm:
                    _observe(self._arm_seconds.labels(*version, route.arm, str(status)), seconds_each)
            batches: dict[Version, list[tuple[int, float]]] = defaultdict(list)
            for target, rows, seconds in _taken(self._answered):
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
        """The page of all workers; the hub gets its turn while it is made. Other workers' last tenth of a second may
        be missing."""
        self.flush()
        if self._slot is None:
            return generate_latest(self._registry).decode()
        run_dir = self._slot.run_dir
        return exposition(
            sorted(run_dir.glob("*.db")), held_slots(run_dir), lambda: self._pause(PAUSE_SECONDS)
        )


def _taken(notes: deque[T]) -> Iterator[T]:
    """A slice of what was noted, taken away."""
    for _ in range(SLICE):
        try:
            yield notes.popleft()
        except IndexError:
            return


def _observe(histogram: Histogram, values: Sequence[float]) -> None:
    """Observe many values at the price of a few: each bucket that has any, and the sum, is written once."""
    histogram._sum.inc(sum(values))
    for bucket, count in Tally(bisect_left(histogram._upper_bounds, value) for value in values).items():
        histogram._buckets[bucket].inc(count)
