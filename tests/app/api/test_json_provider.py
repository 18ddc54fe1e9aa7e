"""Tests of orjson as Flask's JSON provider."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
from flask import Flask, Response, json, jsonify
from werkzeug.datastructures import Headers
from werkzeug.test import create_environ

from app.api.json_provider import OrjsonProvider, json_reply

Change = Callable[[Response], None]


@pytest.fixture
def app() -> Flask:
    made = Flask(__name__)
    made.json = OrjsonProvider(made)
    return made


def test_flask_writes_and_reads_with_it(app: Flask) -> None:
    with app.app_context():
        assert json.dumps({"a": [1, 2.5, None, True, "é"]}) == '{"a":[1,2.5,null,true,"é"]}'
        assert json.loads('{"a": [1]}') == json.loads(b'{"a": [1]}') == {"a": [1]}


def test_floats_keep_every_bit(app: Flask) -> None:
    floats = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 2.0**53 + 2]
    with app.app_context():
        assert json.loads(json.dumps(floats)) == floats
        assert json.loads(json.dumps(np.array(floats))) == floats


def test_the_order_of_names_is_kept_and_numbers_may_be_names(app: Flask) -> None:
    with app.app_context():
        assert json.dumps({"b": 1, "a": 2, 3: 4}) == '{"b":1,"a":2,"3":4}'


def test_views_may_return_plain_values(app: Flask) -> None:
    app.add_url_rule("/object", view_func=lambda: {"a": np.float64(1.5)}, endpoint="object")
    app.add_url_rule("/list", view_func=lambda: [1, 2], endpoint="list")
    app.add_url_rule("/made", view_func=lambda: jsonify(a=1, b=[2]), endpoint="made")
    client = app.test_client()
    for path, body in (("/object", b'{"a":1.5}'), ("/list", b"[1,2]"), ("/made", b'{"a":1,"b":[2]}')):
        reply = client.get(path)
        assert (reply.content_type, reply.get_data()) == ("application/json", body)
    with app.app_context():
        for args, names in (
            ((), {}),
            ((1,), {}),
            ((1, 2), {}),
            (({"a": 1},), {}),
            ((), {"a": 1}),
            (([],), {}),
        ):
            assert (
                jsonify(*args, **names).get_json() == Flask("usual").json.response(*args, **names).get_json()
            )
        with pytest.raises(TypeError):
            jsonify(1, a=2)


def test_what_is_no_json_is_an_error(app: Flask) -> None:
    with app.app_context():
        with pytest.raises(TypeError):
            json.dumps({"a": object()})
        with pytest.raises(ValueError, match="unexpected"):
            json.loads("{'a': 1}")


def _status(reply: Response) -> None:
    reply.status = "202 Taken"


def _status_code(reply: Response) -> None:
    reply.status_code = 201


def _headers(reply: Response) -> None:
    reply.headers = Headers({"X-Other": "1"})


def _header(reply: Response) -> None:
    reply.headers["X-Added"] = "1"


def _cookie(reply: Response) -> None:
    reply.set_cookie("a", "b")


def _data(reply: Response) -> None:
    reply.data = b"{}"


def _body(reply: Response) -> None:
    reply.response = [b'{"b"', b":2}"]


def _passthrough(reply: Response) -> None:
    reply.direct_passthrough = True


def _stream(reply: Response) -> None:
    reply.stream.write(b"\n")


def _etag(reply: Response) -> None:
    reply.add_etag()
    reply.make_conditional({"REQUEST_METHOD": "GET", "HTTP_IF_NONE_MATCH": reply.headers["ETag"]})


def _frozen(reply: Response) -> None:
    reply.freeze()


def _closed(reply: Response) -> None:
    reply.call_on_close(lambda: reply.headers.add("X-Closed", "1"))


def _own(reply: Response) -> None:
    reply.note = "mine"  # type: ignore[attr-defined]


CHANGES = [
    _status,
    _status_code,
    _headers,
    _header,
    _cookie,
    _data,
    _body,
    _passthrough,
    _stream,
    _etag,
    _frozen,
]
CHANGES += [_closed, _own]


def _sent(reply: Response, method: str) -> tuple[object, ...]:
    """Return what a server receives, and the attributes of the reply afterwards."""
    started: list[object] = []
    body = reply(create_environ(method=method), lambda *given: started.extend(given))  # type: ignore[arg-type, return-value]
    data = b"".join(body)
    getattr(body, "close", reply.close)()
    about = (reply.status, reply.status_code, reply.mimetype, reply.is_json, getattr(reply, "note", None))
    return started, data, about, sorted(reply.headers.items())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("first", CHANGES)
def test_a_reply_changes_as_any_response_does(first: Change, method: str) -> None:
    """The order of changes has no effect, although the constructor runs late."""
    for then in CHANGES:
        headers = {"Content-Type": "application/json", "Content-Length": "7"}
        replies = [Response([b'{"a":1}'], "200 OK", headers), json_reply({"a": 1})]
        for reply in replies:
            first(reply)
            then(reply)
        assert _sent(replies[1], method) == _sent(replies[0], method), then.__name__


def test_a_reply_that_nobody_changed_is_sent_as_it_was_made() -> None:
    for method, body in (("GET", b'{"a":1}'), ("HEAD", b"")):
        reply = json_reply({"a": 1}, 404, "application/problem+json")
        assert reply.is_plain
        headers = [("Content-Type", "application/problem+json"), ("Content-Length", "7")]
        started, data, about, _ = _sent(reply, method)
        assert (started, data) == (["404 Not Found", headers], body)
        assert about[:2] == ("404 Not Found", 404) and not reply.is_plain


def test_a_reply_has_no_attributes_but_those_of_a_response() -> None:
    reply = json_reply({"a": 1})
    with pytest.raises(AttributeError, match="'JsonReply' object has no attribute 'nothing'"):
        _ = reply.nothing
    assert copy.copy(reply).get_data() == b'{"a":1}'
