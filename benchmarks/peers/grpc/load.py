"""Load on the gRPC server by its own asyncio client, one channel a connection; it runs in this peer's environment.

One line of standard input says what to do, in JSON: target, requests (hex), connections, seconds, warm_up, rate (or null). One
line of standard output has the latencies in seconds, from the moment each call was due, and the counts.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator

import grpc

METHOD = "/ModelService/Predict"
TIMEOUT_SECONDS = 5.0
DRAIN_SECONDS = 2.0


async def main() -> None:
    """Do what the line says."""
    said = json.loads(sys.stdin.readline())
    requests = itertools.cycle([bytes.fromhex(text) for text in said["requests"]])
    # Without a pool of its own every channel to one target would share one connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [
        grpc.aio.insecure_channel(said["target"], options=options) for _ in range(said["connections"])
    ]
    calls = [channel.unary_unary(METHOD) for channel in channels]
    await closed_loop(calls, requests, said["warm_up"])
    busy, began = time.process_time(), time.perf_counter()
    if said["rate"] is None:
        latencies, errors, sent = await closed_loop(calls, requests, said["seconds"])
        timeouts = 0
    else:
        latencies, errors, sent, timeouts = await open_loop(calls, requests, said["seconds"], said["rate"])
    seconds = min(time.perf_counter() - began, said["seconds"])
    found = {"latencies": latencies, "errors": errors, "sent": sent, "timeouts": timeouts, "seconds": seconds}
    print(json.dumps({**found, "busy_seconds": time.process_time() - busy}), flush=True)
    for channel in channels:
        await channel.close(None)


async def closed_loop(calls: list, requests: Iterator[bytes], seconds: float) -> tuple[list[float], int, int]:
    """Every channel sends its next call as soon as the last is answered."""
    latencies: list[float] = []
    errors = sent = 0
    until = time.perf_counter() + seconds

    async def client(call: object) -> None:
        nonlocal errors, sent
        while (began := time.perf_counter()) < until:
            sent += 1
            try:
                await call(next(requests), timeout=TIMEOUT_SECONDS)
                latencies.append(time.perf_counter() - began)
            except grpc.RpcError:
                errors += 1

    await asyncio.gather(*(client(call) for call in calls))
    return latencies, errors, sent


async def open_loop(
    calls: list, requests: Iterator[bytes], seconds: float, rate: float
) -> tuple[list[float], int, int, int]:
    """Calls are due at fixed moments; each waits for a free channel, and its wait counts."""
    latencies: list[float] = []
    errors = sent = 0
    free: asyncio.Queue = asyncio.Queue()
    for call in calls:
        free.put_nowait(call)
    began, total = time.perf_counter(), int(seconds * rate)

    async def one(due: float) -> None:
        nonlocal errors, sent
        call = await free.get()
        sent += 1
        try:
            await call(next(requests), timeout=TIMEOUT_SECONDS)
            latencies.append(time.perf_counter() - due)
        except grpc.RpcError:
            errors += 1
        finally:
            free.put_nowait(call)

    tasks = []
    for i in range(total):
        due = began + i / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.ensure_future(one(due)))
    _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
    for task in late:
        task.cancel()
    return latencies, errors, sent, len(late)


if __name__ == "__main__":
    asyncio.run(main())
