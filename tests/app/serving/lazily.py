"""A worker's process without its server, in which models are loaded late: prints what that costs, in milliseconds, as JSON.

Times are those that passed less those in which a thread of the process was ready to run and waited for a processor
(proc_pid_schedstat), so that other work on the machine is not taken for ours.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import numpy as np  # noqa: E402

from app.config import Settings  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.serving.concurrency import Threads  # noqa: E402
from app.serving.lanes import BatchWish  # noqa: E402
from app.serving.messages import Target  # noqa: E402
from app.serving.served import open_served  # noqa: E402
from app.wiring import wire  # noqa: E402
from models.runtimes import runtime_class  # noqa: E402
from models.store import Store  # noqa: E402

ROW = {"features": [0.5, 0.5]}
TASKS = Path("/proc/self/task")
HUB = str(threading.get_native_id())


def ready_seconds(thread: str) -> float:
    """How long the thread was ready and did not run."""
    try:
        return int((TASKS / thread / "schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def timed(call: Callable[[], Any], threads: Callable[[], list[str]]) -> float:
    """Milliseconds of the call without those in which one of the threads was ready only."""
    before = {thread: ready_seconds(thread) for thread in threads()}
    began = time.perf_counter()
    call()
    took = time.perf_counter() - began
    return 1000 * (took - sum(ready_seconds(thread) - ready for thread, ready in before.items()))


def main() -> None:
    """The first argument is a store with a model "busy" and copies of another one, "m0" and so on."""
    store = Store(Path(sys.argv[1]))
    copies = [name for name in store.names() if name != "busy"]
    runtime_class("scikit-learn")
    services = wire(Settings(store=store.path, access_log=False, loading="lazy"))
    app = create_app(services=services)
    services.start()

    def ask(name: str) -> None:
        assert app.test_client().post(f"/models/{name}/predict", json=ROW).status_code == 200

    ask("busy")
    ask(copies.pop())
    found: dict[str, list[float]] = {kind: [] for kind in ("plain", "first", "quiet", "awaited", "unawaited")}
    every = lambda: [task.name for task in TASKS.iterdir()]  # noqa: E731
    for name in [copies.pop() for _ in range(7)]:
        stored = store.get(name, 1)
        found["plain"].append(timed(lambda: open_served(stored, Threads(), BatchWish()), every))  # noqa: B023
        found["first"].append(timed(lambda: ask(name), every))  # noqa: B023
        gevent.sleep(0.3)

    window = "quiet"

    def others() -> None:
        while window:
            gevent.sleep(0.002)
            into = found[window]
            into.append(timed(lambda: ask("busy"), lambda: [HUB]))

    asking = gevent.spawn(others)
    for name in [copies.pop() for _ in range(4)]:
        window = "quiet"
        gevent.sleep(0.7)
        window = "awaited"
        ask(name)
        window = "unawaited"
        services.engine.loader.bring_in(Target(copies.pop(), 1))
    window = ""
    asking.join()
    assert all(
        services.engine.loader.model_status(name)[0] == "ready"
        for name in store.names()
        if name not in copies
    )
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
