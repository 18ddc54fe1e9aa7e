"""A worker's process without its server, which loads models while it serves, and prints the costs as JSON.

The costs are the milliseconds of a load and of a first request, and how often other requests had to wait
meanwhile. Time in which a thread of the process was ready to run and waited for a processor is subtracted
(/proc/PID/schedstat), so that other work on the machine does not count.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections import defaultdict  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import numpy as np  # noqa: E402

from app.catalog.loading import open_served  # noqa: E402
from app.concurrency.forms import Threads  # noqa: E402
from app.config import Settings  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.inference.calibration import BatchSettings  # noqa: E402
from app.wiring import wire  # noqa: E402
from models.names import Version  # noqa: E402
from models.runtimes import runtime_class  # noqa: E402
from models.store import Store  # noqa: E402

ROW = {"features": [0.5, 0.5]}
TASKS = Path("/proc/self/task")
HUB = str(threading.get_native_id())


def every() -> list[str]:
    """Return the threads of this process."""
    return [task.name for task in TASKS.iterdir()]


def ready_seconds(thread: str) -> float:
    """Return how long the thread was ready to run and waited for a processor."""
    try:
        return int((TASKS / thread / "schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def waits() -> float:
    """Return how often this thread has waited, for example for another thread to release the interpreter."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def timed(
    call: Callable[[], Any], tasks: Sequence[str], cpu: Callable[[], float] = time.process_time
) -> float:
    """Return the milliseconds of the call without the time in which a thread waited for a processor.

    Two threads may wait at the same time, so the result is at least the ``cpu`` time of the call.
    """
    before = {task: ready_seconds(task) for task in tasks}
    began, computed = time.perf_counter(), cpu()
    call()
    computed, took = cpu() - computed, time.perf_counter() - began
    return 1000 * max(computed, took - sum(ready_seconds(task) - ready for task, ready in before.items()))


def main() -> None:
    """Measure a store (the first argument) with a model "busy" and copies "m0", "m1" .. of another one."""
    store = Store(Path(sys.argv[1]))
    copies = [name for name in store.names() if name != "busy"]
    runtime_class("scikit-learn")
    services = wire(
        Settings(
            store=store.path, access_log=False, loading="lazy", loaded_max_mib=1, pinned_models=("busy",)
        )
    )
    app = create_app(services=services)
    services.start()

    def ask(name: str) -> None:
        assert app.test_client().post(f"/models/{name}/predict", json=ROW).status_code == 200

    ask("busy")
    ask(copies.pop())
    found: defaultdict[str, list[float]] = defaultdict(list)
    late = [copies.pop() for _ in range(7)]
    for name in late:
        stored = store.get(name, 1)
        plain = partial(open_served, stored, Threads(), BatchSettings())
        found["plain"].append(timed(plain, every()))
        found["first"].append(timed(partial(ask, name), every()))
        gevent.sleep(0.3)

    for name in [name for name in late if services.engine.residency.model_status(name)[0] == "lazy"]:
        found["returning"].append(timed(partial(ask, name), every()))
        gevent.sleep(0.3)

    window = "quiet"

    def others() -> None:
        while window:
            kind, waited = window, waits()
            found[kind].append(timed(lambda: ask("busy"), [HUB], time.thread_time))
            found[f"{kind} waits"].append(waits() - waited)
            gevent.sleep(0.002)

    asking = gevent.spawn(others)
    for name in [copies.pop() for _ in range(4)]:
        window = "quiet"
        gevent.sleep(0.7)
        window = "awaited"
        ask(name)
        window = "unawaited"
        unawaited = Version(copies.pop(), 1)
        services.engine.residency.load(unawaited)
        assert services.engine.residency.status(unawaited)[0] == "ready"
    window = ""
    asking.join()
    services.close()
    print(
        json.dumps(
            {
                kind: {"n": len(ms), "p50": np.median(ms), "p99": np.percentile(ms, 99)}
                for kind, ms in found.items()
            }
        )
    )


if __name__ == "__main__":
    main()
