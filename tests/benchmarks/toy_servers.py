"""Servers of a few lines as arms of the comparison: right but for one fault, or badly behaved in one way."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from pathlib import Path

from benchmarks import workload
from benchmarks.arms import Arm

_SERVER = """
import http.server, json, os, subprocess, sys, time

fixed = json.load(open({fixed!r}))
at = {{json.dumps(row): i for i, row in enumerate(fixed["rows"])}}
asked = 0

{before}

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment

    def do_GET(self):
        self.reply(b"ready")

    def do_POST(self):
        global asked
        asked += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = [at[json.dumps(row)] for row in body.get("inputs", [body.get("features")])]
        labels = [fixed["labels"][i] for i in found]
        probabilities = [list(fixed["probabilities"][i]) for i in found]
        {fault}
        if "inputs" in body:
            reply = {{"predictions": labels, "probabilities": probabilities}}
        else:
            reply = {{"prediction": labels[0], "probability": probabilities[0]}}
        self.reply(json.dumps(reply).encode())

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer.request_queue_size = 64
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["BENCH_PORT"])), Handler).serve_forever()
"""


def toy(directory: Path, *, fault: str = "pass", before: str = "") -> Arm:
    """A server that knows the right answers for the model ``lr``.

    ``before`` runs at its start; ``fault`` is one statement that may change ``found``, ``labels`` and ``probabilities``.
    """
    fixed = directory / "fixed.json"
    fixed.write_text(json.dumps(asdict(workload.parity("lr"))), encoding="utf-8")
    script = directory / "toy_server.py"
    code = _SERVER.format(fixed=str(fixed), before=textwrap.dedent(before), fault=fault)
    script.write_text(code, encoding="utf-8")
    return Arm(name="toy", form="tutorial", note="a toy", argv=f"{{python}} {script}", processes=1)
