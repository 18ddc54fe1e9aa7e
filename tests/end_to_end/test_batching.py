"""Tests that requests of many clients share calls of the model without a change of their answers."""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from models.errors import PublishWarning
from models.publishing import publish
from models.store import Store
from tests.conftest import LONG_SECONDS, wait_until
from tests.end_to_end.server import Server

X, Y = load_iris(return_X_y=True)
MODELS = {
    "forest": RandomForestClassifier(n_estimators=20, random_state=0).fit(X, Y),
    "linear": LogisticRegression(max_iter=500).fit(X, Y),
}
CLIENTS, REQUESTS = 32, 30
#: Each row is answered with the largest of those before it. In order, as nearly all of the sample is, that is itself.
RISING = np.append(np.arange(300.0), -5.0)[:, np.newaxis]
FITTED = RISING[:-1]
LARGEST_SO_FAR = make_pipeline(FunctionTransformer(np.maximum.accumulate), LinearRegression()).fit(
    FITTED, FITTED[:, 0]
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one worker and two models."""
    store = Store(tmp_path_factory.mktemp("store"))
    for name, model in MODELS.items():
        publish(store, name, model, X)
    publish(store, "strict", MODELS["linear"], X, exact=True)
    with pytest.warns(
        PublishWarning, match="differently when other rows are in the call; .* never those of two requests"
    ):
        publish(store, "largest", LARGEST_SO_FAR, RISING)
    with Server(store.path, PLUMBLINE_MODEL_BATCHING="forest=rows:16") as started:
        yield started


def ask(client: http.client.HTTPConnection, path: str, body: Any) -> tuple[int, Any]:
    client.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    reply = client.getresponse()
    return reply.status, json.loads(reply.read())


def check_one(server: Server, name: str, seed: int) -> None:
    """Send a client's requests, and assert that each answer is the estimator's for exactly its rows."""
    rng = np.random.default_rng(seed)
    model = MODELS["linear" if name == "strict" else name]
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONG_SECONDS)
    for i in range(REQUESTS):
        rows = (X[rng.integers(len(X), size=1 + i % 3)] * rng.uniform(0.9, 1.1)).round(3)
        if len(rows) == 1:
            status, reply = ask(client, f"/models/{name}/predict", {"features": rows[0].tolist()})
            labels, probabilities = [reply["prediction"]], [reply["probability"]]
        else:
            status, reply = ask(client, f"/models/{name}/predict/batch", {"inputs": rows.tolist()})
            labels, probabilities = reply["predictions"], reply["probabilities"]
        assert status == 200
        assert labels == model.predict(rows).tolist()
        np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=1e-9, atol=1e-9)
    client.close()


@pytest.mark.parametrize("name", [*MODELS, "strict"])
def test_everybody_gets_their_own_answers(server: Server, name: str) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(check_one, server, name, seed) for seed in range(CLIENTS)]:
            done.result(timeout=LONG_SECONDS)


def test_calls_were_shared_and_stayed_within_their_cap(server: Server) -> None:
    def ask_many(name: str) -> None:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONG_SECONDS)
        for _ in range(50):
            assert ask(client, f"/models/{name}/predict", {"features": X[0].tolist()})[0] == 200
        client.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask_many, ["forest", "linear"] * (CLIENTS // 2)))

    def requests(name: str, rows: str) -> float:
        page = server.get("/metrics").body.decode()
        found = re.search(
            rf'plumbline_batch_rows_bucket{{model="{name}",version="1",le="{re.escape(rows)}"}} (\S+)', page
        )
        return float(found[1]) if found else 0.0

    for name in MODELS:
        wait_until(lambda name=name: requests(name, "+Inf") >= 50 * CLIENTS / 2)
        assert requests(name, "+Inf") > requests(name, "1.0"), "some calls answered more than one request"
    assert requests("forest", "16.0") == requests("forest", "+Inf")


def test_the_catalog_says_how_a_version_is_batched(server: Server) -> None:
    forest = server.get("/models/forest/versions/1").json()["batching"]
    assert forest["on"] and forest["bit_exact"] and forest["max_rows"] == 16
    assert forest["base_ms"] > 0 and forest["max_abs_difference"] == 0
    linear = server.get("/models/linear/versions/1").json()
    assert linear["batching"]["on"] and linear["batching"]["same_answers"] and not linear["exact"]
    strict = server.get("/models/strict/versions/1").json()
    assert strict["exact"] and strict["batching"]["on"] == strict["batching"]["bit_exact"]


def test_requests_share_no_call_of_a_model_whose_rows_change_each_other_s_answers(server: Server) -> None:
    """Publishing predicts more rows than a load does, whose rows do not show the difference."""
    batching = server.get("/models/largest/versions/1").json()["batching"]
    assert batching["same_answers"] and not batching["on"]

    def descend(first: int) -> list[float]:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONG_SECONDS)
        asked = [ask(client, "/models/largest/predict", {"features": [row]}) for row in range(first, 0, -1)]
        client.close()
        return [reply["prediction"] for _, reply in asked]

    with ThreadPoolExecutor(CLIENTS) as pool:
        for first, answers in enumerate(pool.map(descend, range(CLIENTS))):
            assert answers == pytest.approx(range(first, 0, -1), abs=1e-6)
    batch = server.post("/models/largest/predict/batch", {"inputs": [[3], [1]]}).json()
    assert batch["predictions"] == pytest.approx([3, 3]), (
        "rows of one request are asked together, as the estimator is"
    )


def test_one_request_alone_has_the_bits_of_the_estimator(server: Server) -> None:
    for name, model in MODELS.items():
        for row in X[::10]:
            reply = server.post(f"/models/{name}/predict", {"features": row.tolist()}).json()
            assert reply["probability"] == model.predict_proba([row])[0].tolist()


def test_clients_that_leave_do_not_disturb_the_others(server: Server) -> None:
    """Half of the clients reset their connection while their requests wait."""
    stop = threading.Event()

    def leave() -> None:
        body = json.dumps({"features": X[0].tolist()}).encode()
        head = f"POST /models/forest/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        while not stop.is_set():
            with socket.create_connection(("127.0.0.1", server.port), timeout=LONG_SECONDS) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(head.encode() + body)

    leavers = [threading.Thread(target=leave, daemon=True) for _ in range(8)]
    for thread in leavers:
        thread.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(check_one, server, "forest", seed) for seed in range(8)]:
                done.result(timeout=LONG_SECONDS)
    finally:
        stop.set()
        for thread in leavers:
            thread.join(LONG_SECONDS)
    assert "Traceback" not in server.errors


def test_gunicorns_own_worker_batches_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "linear", MODELS["linear"], X)
    with Server(store.path, PLUMBLINE_WORKER_CLASS="gevent") as stock:
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(check_one, stock, "linear", seed) for seed in range(8)]:
                done.result(timeout=LONG_SECONDS)
        assert stock.get("/models/linear/versions/1").json()["batching"]["on"]
