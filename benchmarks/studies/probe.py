"""One client that asks again and again and prints how long each answer took.

``python -m benchmarks.studies.probe PORT`` prints a line for each request: when it was sent
(time.monotonic), seconds until the answer was read, status, version.
"""

from __future__ import annotations

import http.client
import json
import sys
import time

from benchmarks.studies.shadow_model import COLUMNS, LOAD_VALUE

PAUSE_SECONDS = 0.001


def main() -> None:
    """Until the process is ended, or nobody reads any more."""
    body = json.dumps({"features": [LOAD_VALUE] * COLUMNS})
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
    while True:
        sent, status, version = time.monotonic(), 0, ""
        try:
            connection.request("POST", "/models/model/predict", body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            reply.read()
            status, version = reply.status, reply.headers["X-Model-Version"] or ""
        except (OSError, http.client.HTTPException):
            connection.close()
        print(f"{sent},{time.monotonic() - sent},{status},{version}", flush=True)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
