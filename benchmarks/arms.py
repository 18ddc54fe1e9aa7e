"""Which servers are compared: one row an arm, with how it is started and what it speaks.

A command is one line, cut at blanks before its placeholders are filled:

    {python} {bin}                the interpreter and the scripts of the arm's environment
    {root} {peer} {work}          this repository, the peer's directory, a fresh directory for this run
    {model} {sample}              the joblib file; a CSV file of training rows
    {port} {port_2} {port_3}      free ports of the loopback interface; {port} is where the arm answers
    {workers}                     worker processes, 1 when the arm is pinned to one core
    {processes_beside}            the same for servers where 0 means "in the main process": 0, 2, 3 ..

Placeholders stand in ``env`` too. Telemetry is off in every arm and access logs are off in the peers, and every native thread pool has
one thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from benchmarks import wires
from benchmarks.wires import Wire

Form = Literal["tutorial", "tuned", "floor"]
Protocol = Literal["http", "grpc"]

PROJECT = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One server of the comparison. ``peer`` is its directory under ``peers``, empty for this project itself.

    ``processes`` is what runs with one worker (Ray adds and ends idle ones). ``prepare`` runs once before the start, and is not timed.
    """

    name: str
    form: Form
    note: str
    argv: str
    processes: int
    peer: str = PROJECT
    wire: Wire = wires.NATIVE
    ready_path: str = "/health"
    protocol: Protocol = "http"
    prepare: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def label_only(self) -> bool:
        """Whether the protocol has no place for probabilities."""
        return self.wire.label_only

    @property
    def ranked(self) -> bool:
        """A floor answers no model: it bounds the others."""
        return self.form != "floor"


_GUNICORN = "{bin}/gunicorn %s --bind 127.0.0.1:{port} --workers {workers} --chdir {peer} --log-level warning"
_OWN_WORKER = (
    "{bin}/gunicorn %s --worker-class app.worker.PlumblineWorker --pythonpath {root}"
    " --bind 127.0.0.1:{port} --workers {workers} --log-level warning"
)
_UVICORN = (
    "{bin}/uvicorn %s --app-dir {peer} --host 127.0.0.1 --port {port} --workers {workers}"
    " --loop uvloop --http httptools --no-access-log --log-level warning"
)
_LEAN = " --no-proxy-headers --no-server-header --ws none"
_BENTOML = "{python} -m bentoml serve server:%s --working-dir {peer} --host 127.0.0.1 --port {port}"
_BENTOML_ENV = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "{work}/bentoml"}
_RAY_ENV = {"RAY_USAGE_STATS_ENABLED": "0"}
_RAY_FAST_ENV = {
    **_RAY_ENV,
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "{workers}",
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "{work}/haproxy/haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "{work}/haproxy/admin.sock",
    "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "{work}/haproxy",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "{work}/haproxy/server-state",
}

_PLUMBLINE = Arm(
    name="plumbline",
    form="tuned",
    note="this project as it is checked out, with its own defaults, the access log among them",
    argv="{bin}/gunicorn wsgi:app --config {root}/gunicorn.conf.py --chdir {root}",
    prepare="{bin}/flask models publish bench {model} --data {sample}",
    env={
        "PLUMBLINE_STORE": "{work}/store",
        "PLUMBLINE_DEFAULT_MODEL": "bench",
        "PLUMBLINE_LOG_LEVEL": "warning",
        "PLUMBLINE_RUN_DIR": "{work}/run",
        "HOST": "127.0.0.1",
        "PORT": "{port}",
        "WORKERS": "{workers}",
    },
    ready_path="/ready",
    processes=2,
)

_TABLE = (
    _PLUMBLINE,
    replace(
        _PLUMBLINE,
        name="plumbline-compiled",
        note="the same, with the model published as --compile auto",
        prepare=f"{_PLUMBLINE.prepare} --compile auto",
    ),
    Arm(
        name="flask-tutorial-sync",
        form="tutorial",
        note="gunicorn's default worker: one request at a time, a new connection for each",
        argv=_GUNICORN % "server:app --worker-class sync",
        peer="flask_tutorial",
        processes=2,
    ),
    Arm(
        name="flask-tutorial-gthread",
        form="tutorial",
        note="gunicorn with 4 threads a worker",
        argv=_GUNICORN % "server:app --worker-class gthread --threads 4",
        peer="flask_tutorial",
        processes=2,
    ),
    Arm(
        name="flask-tutorial-gevent",
        form="tutorial",
        note="gunicorn's gevent worker, without any batching",
        argv=_GUNICORN % "server:app --worker-class gevent",
        peer="flask_tutorial",
        processes=2,
    ),
    Arm(
        name="fastapi-tutorial",
        form="tutorial",
        note="def endpoints on the thread pool, predict and predict_proba",
        argv=_UVICORN % "server_tutorial:app",
        peer="fastapi",
        processes=1,
    ),
    Arm(
        name="fastapi-async",
        form="tutorial",
        note="async def, one predict_proba a request",
        argv=_UVICORN % "server_async:app",
        peer="fastapi",
        processes=1,
    ),
    Arm(
        name="fastapi-batched",
        form="tuned",
        note="the strongest typed peer: strict pydantic in and out, asyncio micro-batcher, orjson, uvloop, httptools",
        argv=_UVICORN % "server_batched:app" + _LEAN,
        peer="fastapi",
        processes=1,
    ),
    Arm(
        name="fastapi-expert",
        form="tuned",
        note="raw request, orjson both ways, checks by hand, the same micro-batcher; no schema of it in the docs",
        argv=_UVICORN % "server_expert:app" + _LEAN,
        peer="fastapi",
        processes=1,
    ),
    Arm(
        name="bentoml",
        form="tutorial",
        note="a service as in BentoML's quickstart, batching off",
        argv=_BENTOML % "Plain",
        env=_BENTOML_ENV,
        peer="bentoml",
        wire=wires.BENTOML,
        ready_path="/readyz",
        processes=2,
    ),
    Arm(
        name="bentoml-batched",
        form="tuned",
        note="adaptive batching on, in the event loop, metrics off",
        argv=_BENTOML % "LoadedModel",
        env=_BENTOML_ENV,
        peer="bentoml",
        wire=wires.BENTOML,
        ready_path="/readyz",
        processes=2,
    ),
    Arm(
        name="ray-serve",
        form="tutorial",
        note="one request a call through Ray's own proxy; more than its default of 5 requests at once",
        argv="{python} {peer}/server.py plain",
        env=_RAY_ENV,
        peer="ray_serve",
        wire=wires.RAY,
        ready_path="/-/healthz",
        processes=11,
    ),
    Arm(
        name="ray-serve-batched",
        form="tuned",
        note="@serve.batch behind HAProxy in throughput mode, as Ray's page on high throughput sets it up",
        argv="{python} {peer}/server.py batched",
        env=_RAY_FAST_ENV,
        peer="ray_serve",
        wire=wires.RAY,
        ready_path="/-/healthz",
        processes=13,
    ),
    Arm(
        name="grpc",
        form="tutorial",
        note="gRPC's Python server on a thread pool; one row a call, the label as one float",
        argv="{python} {peer}/server.py",
        prepare="{python} -m grpc_tools.protoc --proto_path={peer} --python_out={work} --grpc_python_out={work} "
        "model_service.proto",
        peer="grpc",
        wire=wires.GRPC,
        protocol="grpc",
        ready_path="",
        processes=1,
    ),
    Arm(
        name="mlflow",
        form="tutorial",
        note="mlflow models serve; the labels alone",
        argv="{bin}/mlflow models serve --model-uri {work}/model --env-manager local"
        " --host 127.0.0.1 --port {port} --workers {workers}",
        prepare="{python} {peer}/save.py {model} {work}/model",
        env={"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "UVICORN_ACCESS_LOG": "false"},
        peer="mlflow",
        wire=wires.MLFLOW,
        ready_path="/ping",
        processes=2,
    ),
    Arm(
        name="litserve",
        form="tuned",
        note="batching on (64 requests or 5 ms), ZeroMQ queue",
        argv="{python} {peer}/server.py",
        peer="litserve",
        wire=wires.LITSERVE,
        processes=5,
    ),
    Arm(
        name="mlserver",
        form="tuned",
        note="its scikit-learn runtime in the main process, adaptive batching on (64 requests or 5 ms), metrics off",
        argv="{bin}/mlserver start {peer}",
        env={
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{port_2}",
            "MLSERVER_METRICS_PORT": "{port_3}",
            "MLSERVER_METRICS_DIR": "{work}",
            "MLSERVER_ENVIRONMENTS_DIR": "{work}",
            "MLSERVER_PARALLEL_WORKERS": "{processes_beside}",
            "MLSERVER_MODEL_URI": "{model}",
        },
        peer="mlserver",
        wire=wires.OPEN_INFERENCE_V2,
        ready_path="/v2/models/bench/ready",
        processes=1,
    ),
    Arm(
        name="kserve",
        form="tutorial",
        note="KServe's Python model server with a model class of its documentation; its batching is a Go sidecar",
        argv="{python} {peer}/server.py --http_port {port} --workers {workers} --model_name bench"
        " --enable_grpc false --enable_latency_logging false",
        peer="kserve",
        wire=wires.KSERVE_V1,
        ready_path="/v1/models/bench",
        processes=1,
    ),
    Arm(
        name="floor-wsgi",
        form="floor",
        note="a bare WSGI callable on gunicorn and gevent: what every Flask server pays on this stack",
        argv=_GUNICORN % "server_wsgi:app --worker-class gevent",
        peer="floor",
        processes=2,
    ),
    Arm(
        name="floor-asgi",
        form="floor",
        note="a bare ASGI callable on uvicorn: what every FastAPI server pays",
        argv=_UVICORN % "server_asgi:app" + _LEAN,
        peer="floor",
        processes=1,
    ),
    Arm(
        name="floor-fast-lane",
        form="floor",
        note="the same bare WSGI callable on this project's worker",
        argv=_OWN_WORKER % "server_wsgi:app" + " --chdir {root}/benchmarks/peers/floor",
        processes=2,
    ),
    Arm(
        name="floor-flask",
        form="floor",
        note="a Flask view that returns a constant, on this project's worker",
        argv=_OWN_WORKER % "benchmarks.floors.flask_constant:app",
        processes=2,
    ),
    Arm(
        name="floor-fastapi",
        form="floor",
        note="a FastAPI async def endpoint that returns a constant response, on uvicorn with uvloop and httptools",
        argv=_UVICORN.replace("{peer}", "{root}/benchmarks/floors") % "fastapi_constant:app" + _LEAN,
        peer="fastapi",
        processes=1,
    ),
)

ARMS: Mapping[str, Arm] = {arm.name: arm for arm in _TABLE}
