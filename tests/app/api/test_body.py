"""Tests of reading a body: media type, completeness, limit, encodings, and a 400 for malformed text."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zlib
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.app.api.asking import FLOWER, JSON, answer, problem
from tests.conftest import MakeApp

GOOD = json.dumps({"features": FLOWER}).encode()
ROUTES = [
    "/predict",
    "/v1/predict/batch",
    "/models/iris/predict",
    "/models/iris/versions/1.0.0/predict/batch",
]


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "Application/JSON",
        "application/vnd.example+json",
        "application/json; profile=x",
    ],
)
def test_json_is_known_by_its_media_type(client: FlaskClient, media_type: str) -> None:
    assert answer(client.post("/predict", data=GOOD, content_type=media_type))["prediction"] == 0


@pytest.mark.parametrize("path", ROUTES)
def test_plain_curl_sends_a_form_and_is_told_the_header_to_add(client: FlaskClient, path: str) -> None:
    payload = problem(client.post(path, data=GOOD, content_type="application/x-www-form-urlencoded"), 415)
    assert "-H 'Content-Type: application/json'" in payload["detail"]
    assert "application/x-www-form-urlencoded" in payload["detail"]


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "json",
        "application/xml+jsonx",
        "x" * 2000,
    ],
)
def test_anything_else_is_415(client: FlaskClient, media_type: str) -> None:
    payload = problem(client.post("/predict", data=GOOD, content_type=media_type), 415)
    assert len(payload["detail"]) < 300


def test_a_missing_media_type_is_415(client: FlaskClient) -> None:
    assert "no Content-Type" in problem(client.post("/predict", data=GOOD), 415)["detail"]


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "nonsense", "us-ascii"])
def test_json_is_utf_8(client: FlaskClient, charset: str) -> None:
    reply = client.post("/predict", data=GOOD, content_type=f"application/json; charset={charset}")
    assert "UTF-8" in problem(reply, 415)["detail"]


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "gzip, br", "gzip, gzip", "x" * 2000])
def test_another_coding_than_gzip_is_415_and_says_what_is_taken(client: FlaskClient, coding: str) -> None:
    reply = client.post("/predict", data=GOOD, headers={**JSON, "Content-Encoding": coding})
    assert "'Content-Encoding: gzip'" in problem(reply, 415)["detail"]
    assert reply.headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "gzip, identity"])
def test_a_gzipped_body_is_what_it_holds(client: FlaskClient, path: str, coding: str) -> None:
    body = {"inputs": [FLOWER]} if path.endswith("batch") else {"features": FLOWER}
    headers = {**JSON, "Content-Encoding": coding}
    reply = answer(client.post(path, data=gzip.compress(json.dumps(body).encode()), headers=headers))
    assert reply.get("predictions", [reply.get("prediction")]) == [0]


def test_a_gzipped_body_of_unannounced_size_is_taken(client: FlaskClient) -> None:
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    stream = io.BytesIO(gzip.compress(GOOD))
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert answer(client.post("/predict", input_stream=stream, headers=headers, environ_overrides=chunked))


#: Without the time of day, because the bytes are part of the tests' names, which every process must give alike.
WHOLE = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (GOOD, "not a gzip stream"),
        (b"", "ends early"),
        (WHOLE[:2], "ends early"),
        (WHOLE[:-9], "ends early"),
        (WHOLE[:-1], "ends early"),
        (WHOLE[:-8] + bytes(8), "damaged"),
        (WHOLE[:10] + b"\xff" * 20 + WHOLE[30:], "damaged"),
        (zlib.compress(GOOD), "not a gzip stream"),
        (WHOLE + b"x", "after the end"),
        (WHOLE + WHOLE, "after the end"),
        (gzip.compress(WHOLE, mtime=0), "not valid"),
        (gzip.compress(b"{", mtime=0), "not valid JSON"),
    ],
)
def test_a_broken_gzip_stream_is_400_and_says_how(client: FlaskClient, body: bytes, says: str) -> None:
    reply = client.post("/predict", data=body, headers={**JSON, "Content-Encoding": "gzip"})
    assert says in problem(reply, 400)["detail"]


def test_a_gzipped_body_may_hold_what_a_plain_one_may_and_not_a_byte_more(app_with: MakeApp) -> None:
    client = app_with(max_body_bytes=2000).test_client()
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert answer(client.post("/predict", data=gzip.compress(padded(2000)), headers=headers))
    for size in (2001, 4000, 1_000_000):
        problem(client.post("/predict", data=gzip.compress(padded(size)), headers=headers), 413)


def test_a_bomb_is_refused_without_being_inflated(app_with: MakeApp) -> None:
    client = app_with(max_body_bytes=300_000).test_client()
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    bomb = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(64)), packer.flush()])
    assert len(bomb) < 300_000
    tracemalloc.start()
    try:
        problem(client.post("/predict", data=bomb, headers={**JSON, "Content-Encoding": "gzip"}), 413)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20, "64 MiB would be the whole of it"
    finally:
        tracemalloc.stop()


def test_a_body_that_says_it_is_not_encoded_is_taken(client: FlaskClient) -> None:
    assert answer(client.post("/predict", data=GOOD, headers={**JSON, "Content-Encoding": "identity"}))


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'features': [1]}",
        b'{"features": [5.1, 3.5, 1.4, NaN]}',
        b'{"features": [5.1, 3.5, 1.4, Infinity]}',
        b'{"features": [5.1, 3.5, 1.4, 1e999]}',
        b'{"features": [5.1, 3.5, 1.4, 0.2], "features": [5.1, 3.5, 1.4, 0.2]}',
        b'{"features": {"sepal_length": 1, "sepal_length": 1}}',
        b'{"inputs": [[1, 2, 3, 4]], "x\\u0061": 1, "xa": 2}',
        b'{"features": ' + b"[" * 32 + b"]" * 32 + b"}",
        b"[" * 100_000,
        b'\xef\xbb\xbf{"features": [1, 2, 3, 4]}',
        b'{"features": ["\xff"]}',
        b"features=5.1",
    ],
)
def test_malformed_json_is_400(client: FlaskClient, path: str, body: bytes) -> None:
    problem(client.post(path, data=body, headers=JSON), 400)


@pytest.mark.parametrize(
    "body", [b"null", b"1", b'"features"', b"[5.1, 3.5, 1.4, 0.2]", b"[]", b"true", b"{}"]
)
@pytest.mark.parametrize("path", ROUTES)
def test_json_that_is_no_request_is_422(client: FlaskClient, path: str, body: bytes) -> None:
    problem(client.post(path, data=body, headers=JSON), 422)


def padded(size: int) -> bytes:
    """Return a valid request of exactly ``size`` bytes."""
    return GOOD + b" " * (size - len(GOOD))


@pytest.mark.parametrize("path", ["/predict", "/models/iris/predict", "/v2/predict"])
def test_a_body_may_have_the_size_of_the_limit_and_not_a_byte_more(app_with: MakeApp, path: str) -> None:
    client = app_with(max_body_bytes=2000).test_client()
    assert answer(client.post(path, data=padded(2000), headers=JSON))
    for size in (2001, 2002, 100_000):
        assert "larger" in problem(client.post(path, data=padded(size), headers=JSON), 413)["detail"]
    assert answer(client.post(path, data=GOOD, headers=JSON))


@pytest.mark.parametrize("size", [2001, 4000, 1_000_000])
def test_a_body_of_unannounced_size_has_the_same_limit(app_with: MakeApp, size: int) -> None:
    """In a chunked request the server marks the stream as terminated, but its size is unknown."""
    client = app_with(max_body_bytes=2000).test_client()
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

    def post(body: bytes) -> object:
        return client.post("/predict", input_stream=io.BytesIO(body), headers=JSON, environ_overrides=chunked)

    assert answer(post(padded(2000)))  # type: ignore[arg-type]
    problem(post(padded(size)), 413)  # type: ignore[arg-type]
    assert answer(post(GOOD))  # type: ignore[arg-type]


class Broken(io.RawIOBase):
    """A connection that fails in the middle of a body with the error of some server."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.rest = GOOD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.rest:
            raise self.error
        buffer[: len(self.rest)] = self.rest
        sent, self.rest = len(self.rest), b""
        return sent


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "reset"), ValueError("chunk size zz"), EOFError()]
)
def test_a_body_that_breaks_off_is_400_and_no_fault_of_ours(client: FlaskClient, error: Exception) -> None:
    stream = {"wsgi.input": Broken(error), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    payload = problem(client.post("/predict", headers=JSON, environ_overrides=stream), 400)
    assert "is incomplete" in payload["detail"]


@pytest.mark.parametrize("terminated", [True, False])
def test_a_body_that_is_shorter_than_announced_is_400_even_if_what_came_is_json(
    client: FlaskClient, terminated: bool
) -> None:
    announced = {"CONTENT_LENGTH": str(len(GOOD) + 10), "wsgi.input_terminated": terminated}
    reply = client.post("/predict", input_stream=io.BytesIO(GOOD), headers=JSON, environ_overrides=announced)
    assert "is incomplete" in problem(reply, 400)["detail"]


def test_the_limit_comes_before_the_parser(app_with: MakeApp) -> None:
    client = app_with(max_body_bytes=2000).test_client()
    problem(client.post("/predict", data=b"[" * 3000, headers=JSON), 413)


def test_a_form_is_never_parsed(app_with: MakeApp) -> None:
    client = app_with().test_client()
    problem(client.post("/predict", data={"file": (io.BytesIO(b"x" * 1000), "x.csv")}), 415)


def test_the_model_is_looked_up_before_the_body(client: FlaskClient) -> None:
    problem(client.post("/models/nothing/predict", data=b"{", headers=JSON), 404)


@pytest.mark.parametrize("bracket", ["[]", "[1]", "{}", '{"a": 1}', "[" * 20 + "]" * 20])
def test_more_lists_and_objects_than_rows_can_be_are_400_and_told_so(app_with: MakeApp, bracket: str) -> None:
    client = app_with(max_rows=10).test_client()
    body = f'{{"inputs": [{", ".join([bracket] * 200)}]}}'
    payload = problem(client.post("/predict/batch", data=body, headers=JSON), 400)
    assert "more than 120 lists and objects" in payload["detail"]


def test_brackets_in_text_are_text(app_with: MakeApp) -> None:
    client = app_with(max_rows=10).test_client()
    payload = problem(client.post("/models/shop/predict", json={"channel": '[{\\"' * 1000}), 422)
    assert {fault["loc"][0] for fault in payload["errors"]} == {"amount", "channel", "items", "gift"}
