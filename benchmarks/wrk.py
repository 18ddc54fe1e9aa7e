"""Closed-loop load by wrk (Debian's package): of all generators it takes the least processor time for a request.

wrk corrects nothing for coordinated omission: these are figures of a closed loop, in which a slow server slows its clients.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.driver import CURVE, QUANTILES, Load

SCRIPT = """
local bodies = {%(bodies)s}
local headers = {["Content-Type"] = %(content_type)s}
local made, next = {}, 0
function init(args)
  for i, body in ipairs(bodies) do made[i] = wrk.format("POST", %(path)s, headers, body) end
end
%(request)s
function done(summary, latency, requests)
  local points = {}
  for _, q in ipairs({%(quantiles)s}) do
    points[#points + 1] = string.format("[%%g,%%.4f]", q, (q >= 100 and latency.max or latency:percentile(q)) / 1000)
  end
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests":%%d,"seconds":%%.6f,"connect":%%d,"read":%%d,"write":%%d,"status":%%d,"timeout":%%d,"mean":%%.4f,"points":[%%s]}',
    summary.requests, summary.duration / 1e6, e.connect, e.read, e.write, e.status, e.timeout, latency.mean / 1000,
    table.concat(points, ",")))
end
"""


#: Requests in turn, made before the load begins.
IN_TURN = """
function request()
  next = next %% #made + 1
  return made[next]
end
"""

#: The same with a header whose value was never sent before.
OWN_HEADER = """
function request()
  next = next + 1
  headers["X-Request-Id"] = string.format("%%032x", next)
  return wrk.format("POST", %(path)s, headers, bodies[next %% #bodies + 1])
end
"""


class WrkMissing(Exception):
    """wrk is not installed; the message has the command that installs it."""


def closed_loop(
    port: int,
    path: str,
    bodies: Sequence[bytes],
    content_type: str,
    *,
    connections: int,
    seconds: float,
    core: int | None,
    own_header: bool = False,
) -> Load:
    """Load ``POST path`` on the loopback port with these bodies in turn, from one thread, pinned to ``core`` if given;
    ``own_header`` : each request has a header that no other has.

    Raises WrkMissing, or RuntimeError with what wrk said.
    """
    if shutil.which("wrk") is None:
        raise WrkMissing("wrk is not installed: apt-get install wrk")
    quantiles = sorted({*CURVE, *QUANTILES.values()} - {0.0})
    said = {"path": _lua(path.encode())}
    text = SCRIPT % {
        **said,
        "bodies": ",".join(map(_lua, bodies)),
        "request": (OWN_HEADER if own_header else IN_TURN) % said,
        "content_type": _lua(content_type.encode()),
        "quantiles": ",".join(f"{q:g}" for q in quantiles),
    }
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "request.lua"
        script.write_text(text)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "5s"]
        pin = [] if core is None else ["taskset", "-c", str(core)]
        before = os.times()
        done = subprocess.run(
            [*pin, *command, "-s", str(script), f"http://127.0.0.1:{port}{path}"],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
        )
        after = os.times()
    if done.returncode != 0 or "{" not in done.stderr:
        raise RuntimeError(f"wrk failed: {(done.stderr or done.stdout).strip()[:300]}")
    said = json.loads(done.stderr[done.stderr.index("{") :])
    busy = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    points = {q: ms for q, ms in said["points"]}
    # wrk counts a reply that is not 2xx or 3xx as a request and as an error.
    answered = said["requests"] - said["status"]
    return Load(
        sent=said["requests"] + said["timeout"],
        answered=answered,
        errors=said["status"] + said["connect"] + said["read"] + said["write"],
        timeouts=said["timeout"],
        seconds=said["seconds"],
        rate=answered / said["seconds"],
        latency_ms={name: points[q] for name, q in QUANTILES.items()}
        | {"max": points[100.0], "mean": said["mean"]},
        curve_ms=sorted(points.items()),
        generator_busy=busy / said["seconds"],
    )


def _lua(data: bytes) -> str:
    """A Lua string literal of any bytes."""
    return '"' + "".join(f"\\{byte:03d}" for byte in data) + '"'
