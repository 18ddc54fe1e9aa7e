"""How values become JSON in every reply: orjson as Flask's own provider."""

from __future__ import annotations

import numpy as np
import pytest
from flask import Flask, json, jsonify

from app.api.json_provider import OrjsonProvider


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
    with app.app_context(), pytest.raises(TypeError):
        jsonify(1, a=2)


def test_what_is_no_json_is_an_error(app: Flask) -> None:
    with app.app_context():
        with pytest.raises(TypeError):
            json.dumps({"a": object()})
        with pytest.raises(ValueError, match="unexpected"):
            json.loads("{'a': 1}")
