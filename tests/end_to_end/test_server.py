"""Tests of a real gunicorn: its workers, logs, signals and limits."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from models.runtimes.pickled import ARTIFACT
from models.store import Store
from tests.conftest import LONG_SECONDS, wait_until
from tests.end_to_end.server import Server, free_port
from tests.toys import toy_store

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
PAIR = {"features": [1, 2]}


@pytest.fixture(scope="module")
def store(demo_store: Store) -> Path:
    """A store with the demo models. It is shared: copy it before you change it."""
    return demo_store.path


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared store with two versions of a cheap model, for servers that are stopped in a test."""
    return toy_store(tmp_path_factory.mktemp("light"), 2).path


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[Server]:
    """A server with two workers and the demo models."""
    with Server(store, workers=2, PLUMBLINE_BANNER="1", PLUMBLINE_BODY_TIMEOUT_SECONDS="3") as running:
        yield running


def raw(port: int, sent: bytes) -> bytes:
    """Return all bytes of one connection until the server closes it."""
    with socket.create_connection(("127.0.0.1", port), timeout=LONG_SECONDS) as connection:
        received = b""
        with suppress(ConnectionError):  # what it said before it closed with bytes unread has come
            connection.sendall(sent)
            while data := connection.recv(65536):
                received += data
        return received


def test_the_banner_has_a_curl_line_that_works_when_pasted(server: Server) -> None:
    banner = server.wait_for_output("  try ")
    line = next(line for line in banner.splitlines() if "curl" in line).split("try", 1)[1].strip()
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=True, timeout=LONG_SECONDS
    )
    assert '"prediction":0' in done.stdout


def test_every_demo_model_answers_its_own_example(server: Server) -> None:
    """The route of every version gives the recorded answer too."""
    names = [m["name"] for m in server.get("/models").json()["models"]]
    assert len(names) == 5
    for name in names:
        for version in server.get(f"/models/{name}").json()["versions"]:
            number = version["version"]
            recorded = server.get(f"/models/{name}/versions/{number}").json()["example"]
            reply = server.post(f"/models/{name}/versions/{number}/predict", recorded["request"])
            assert reply.status == 200, (name, reply.body)
            body = reply.json()
            prediction = body["prediction"] if isinstance(body, dict) else body
            without = (
                [{k: v for k, v in r.items() if k != "model_version"} for r in prediction]
                if isinstance(prediction, list)
                else prediction
            )
            assert without == recorded["response"]["prediction"]


def test_what_was_measured_of_a_model_is_what_its_calls_take(server: Server) -> None:
    """The cap on rows follows from it. Other work on the machine may lengthen any call, but neither all nor none of them."""
    for model in server.get("/models").json()["models"]:
        for version in server.get(f"/models/{model['name']}").json()["versions"]:
            path = f"/models/{model['name']}/versions/{version['version']}"
            about = server.get(path).json()
            measured = about["batching"]["base_ms"] + about["batching"]["row_ms"]
            took = []
            for _ in range(15):
                timing = server.post(f"{path}/predict", about["example"]["request"]).headers["server-timing"]
                took.append(float(re.search(r"predict;dur=([\d.]+)", timing)[1]))  # type: ignore[index]
            # A call of less than a fifth of a millisecond takes less than the way to it.
            assert min(took) / 2 <= max(measured, 0.2) and measured <= 2 * max(took), (path, measured, took)


def test_metrics_are_right_across_workers(server: Server) -> None:
    """Two workers count, one is read: the sum is the number of requests, shortly after the replies."""

    def page() -> str:
        return server.get("/metrics").body.decode()

    def count() -> float:
        # What no other test sends.
        found = re.search(r'plumbline_requests_total{model="iris",status="422",version="2"} (\S+)', page())
        return float(found.group(1)) if found else 0.0

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: server.post("/v2/predict", {"features": []}).status, range(200)))
    assert replies == [422] * 200
    wait_until(lambda: count() >= 200)
    wait_until(lambda: 'plumbline_model_ready{model="iris",version="1"} 2.0' in page())
    wait_until(lambda: "plumbline_requests_in_flight 1.0" in page())  # the scrape itself
    assert count() == 200


def test_the_access_log_is_json_without_feature_values(server: Server) -> None:
    server.post("/v2/predict?note=77.125", {"features": [77.125, 3.5, 1.4, 0.2]}, {"X-Request-Id": "find-me"})
    lines = server.access_log(lambda lines: any(line["request_id"] == "find-me" for line in lines))
    line = next(line for line in lines if line["request_id"] == "find-me")
    assert (line["path"], line["status"], line["model"], line["version"]) == ("/v2/predict", 200, "iris", "2")
    assert line["duration_ms"] > 0
    assert set(line["timing_ms"]) == {"parse", "queue", "predict", "encode"}
    assert "77.125" not in server.output


def test_no_reply_tells_the_versions_of_the_software(server: Server) -> None:
    headers = server.get("/health").headers
    assert headers["server"] == "gunicorn"
    assert not re.search(r"\d+\.\d+", headers["server"])


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(80)) + b"\r\n",
            b"431",
        ),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\nHost: x\n\n", b"400"),
        (b"GET /  HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"400",
        ),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello", b"400"),
    ],
)
def test_what_is_not_strict_http_is_refused_by_the_parser(
    server: Server, request_bytes: bytes, status: bytes
) -> None:
    """The application gets no part of it, and the client gets one reply only."""
    reply = raw(server.port, request_bytes)
    assert reply.startswith(b"HTTP/1.1 " + status), reply
    assert reply.count(b"HTTP/1.1 ") == 1


def test_no_header_moves_the_application(server: Server) -> None:
    """This holds even for an address that gunicorn trusts by default, such as loopback."""
    for name in (b"SCRIPT_NAME", b"PATH_INFO", b"Script-Name"):
        reply = raw(
            server.port,
            b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + name + b": /foo\r\n\r\n",
        )
        assert reply.startswith(b"HTTP/1.1 200"), reply


def test_a_body_that_does_not_arrive_is_a_408(server: Server) -> None:
    head = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    )
    reply = raw(server.port, head + b'{"features"')
    assert reply.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in reply


def test_a_slow_body_does_not_hold_up_other_clients(server: Server) -> None:
    head = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    )
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(head)
        assert server.post("/predict", ROW).status == 200
    finally:
        for connection in slow:
            connection.close()


def test_a_chunked_body_over_the_limit_is_a_413(server: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    reply = raw(server.port, head + chunk * 20 + b"0\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 413"), reply[:200]


def test_a_killed_worker_is_replaced_and_its_slot_taken_again(light: Path) -> None:
    with Server(light, workers=2) as server:
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in server.workers() and len(server.workers()) == 2)
        ready = 'plumbline_model_ready{model="toy",version="1"} 2.0'
        wait_until(lambda: ready in server.get("/metrics").body.decode())
        assert sorted(p.name for p in server.run_dir.glob("slot-*.lock")) == ["slot-0.lock", "slot-1.lock"]


def test_a_reload_serves_what_was_published_meanwhile_and_loses_no_request(
    light: Path, tmp_path: Path
) -> None:
    """After SIGHUP the listener stays open, and new workers read the store again."""
    copy = tmp_path / "store"
    shutil.copytree(light, copy)
    with Server(copy, workers=2) as server:
        assert server.get("/models/toy/versions/3").status == 404
        target = Store(copy).get("toy", 1)
        Store(copy).add(target.manifest, {path: target.read(path) for path in target.manifest.files})
        old = set(server.workers())
        server.signal(signal.SIGHUP)
        statuses = []

        def replaced() -> bool:
            statuses.append(server.post("/models/toy/predict", PAIR).status)
            return not set(server.workers()) & old and len(server.workers()) == 2

        wait_until(replaced)
        assert set(statuses) == {200}
        assert server.get("/models/toy/versions/3").status == 200


def test_sigterm_ends_the_server_cleanly(light: Path) -> None:
    with Server(light) as server:
        assert server.post("/models/toy/predict", PAIR).status == 200
        assert server.stop() == 0
        assert "Traceback" not in server.errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_ctrl_c_ends_the_server_without_a_traceback_and_leaves_nothing(
    light: Path, number: signal.Signals
) -> None:
    """A terminal sends SIGINT to the workers too."""
    with Server(light, workers=2) as server:
        for pid in server.workers():
            os.kill(pid, number)
        server.signal(number)
        assert server.process is not None
        assert server.process.wait(LONG_SECONDS) == 0
        assert "Traceback" not in server.errors
        assert not server.run_dir.exists()


def test_an_empty_store_starts_and_says_so(tmp_path: Path) -> None:
    with Server(tmp_path / "nothing") as server:
        assert server.get("/health").json() == {"status": "healthy"}
        ready = server.get("/ready")
        assert (ready.status, ready.json()["reason"]) == (503, "the store is empty")
        assert server.post("/predict", ROW).status == 404
        assert not (tmp_path / "nothing").exists(), "serving writes nothing into the store"


def test_a_damaged_artifact_is_reported_and_everything_else_serves(light: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(light, copy)
    artifact = copy / "toy" / "2" / ARTIFACT
    data = bytearray(artifact.read_bytes())
    data[len(data) // 2] ^= 1
    artifact.chmod(0o644)
    artifact.write_bytes(data)
    with Server(copy, PLUMBLINE_DEFAULT_MODEL="toy") as server:
        ready = server.get("/ready")
        assert ready.status == 200
        assert "digest" in ready.json()["models"]["toy"]["versions"]["2"]["reason"]
        assert server.post("/v1/predict", PAIR).status == 200
        refused = server.post("/v2/predict", PAIR)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")


def test_lazy_loading_begins_with_the_first_request(store: Path) -> None:
    with Server(store, PLUMBLINE_LOADING="lazy", PLUMBLINE_MODEL_LOADING="stock=startup") as server:
        models = server.get("/ready").json()["models"]
        assert {name: m["state"] for name, m in models.items()} == {
            "demand": "lazy",
            "fraud": "lazy",
            "iris": "lazy",
            "recommend": "lazy",
            "stock": "ready",
        }
        with ThreadPoolExecutor(16) as pool:
            assert {r.status for r in pool.map(lambda _: server.post("/predict", ROW), range(32))} == {200}
        assert server.get("/models/iris/ready").json()["state"] == "ready"


def test_a_taken_port_is_said(light: Path) -> None:
    """gunicorn tries five times, then stops with an error that names the address."""
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(RuntimeError, match=f"in use.*{port}"),
        Server(light, PORT=str(port)),
    ):
        pass
