"""Tests of predictions over HTTP: every route, every form of a body, bit-identical floats."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.store import Store
from tests.app.api.asking import FLOWER, JSON, answer, fault_places, problem
from tests.conftest import MakeApp
from tests.toy_store import IRIS, OddNames, iris_data, iris_models, shop_data, shop_model, unnamed_model

PREFIXES = ["", "/v1", "/models/iris", "/models/iris/versions/1", "/models/iris/versions/1.0.0"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_route_answers_one_row(client: FlaskClient, prefix: str) -> None:
    reply = client.post(f"{prefix}/predict", json={"features": FLOWER})
    body = answer(reply)
    assert list(body) == ["prediction", "probability", "model", "model_version", "prediction_id"]
    assert (body["prediction"], body["model"], body["model_version"]) == (0, "iris", "1")
    assert reply.headers["X-Model-Version"] == "1"
    assert reply.headers["X-Prediction-Id"] == body["prediction_id"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_route_answers_many_rows(client: FlaskClient, prefix: str) -> None:
    reply = client.post(f"{prefix}/predict/batch", json={"inputs": [FLOWER, [6.7, 3.0, 5.2, 2.3]]})
    body = answer(reply)
    assert list(body) == ["predictions", "probabilities", "model", "model_version", "prediction_id"]
    assert body["predictions"] == [0, 2]
    assert [len(row) for row in body["probabilities"]] == [3, 3]
    assert (body["model"], body["model_version"]) == ("iris", "1")
    assert reply.headers["X-Prediction-Id"] == body["prediction_id"]


def test_the_three_forms_of_one_row_are_answered_alike(client: FlaskClient) -> None:
    by_name = dict(zip(IRIS, FLOWER, strict=True))
    bodies = [{"features": FLOWER}, {"features": by_name}, dict(reversed(by_name.items()))]
    replies = [answer(client.post("/predict", json=body)) for body in bodies]
    assert len({str((reply["prediction"], reply["probability"])) for reply in replies}) == 1


def test_the_oldest_clients_get_their_numbers_taken_in_text_order(
    make_app: MakeApp, toy_store: Store
) -> None:
    client = make_app(toy_store, default_model="unnamed").test_client()
    for body, row in (
        ({"f1": 1, "f2": 2, "f3": 3}, [1.0, 2.0, 3.0]),
        ({"f10": 3, "f2": 5, "f1": 4}, [4.0, 3.0, 5.0]),
    ):
        expected = unnamed_model().predict([row])[0]
        assert answer(client.post("/predict", json=body))["prediction"] == expected


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("which", [0, 7, 60, 149])
def test_one_row_is_answered_bit_for_bit_as_by_the_estimator(
    client: FlaskClient, version: int, which: int
) -> None:
    row = iris_data()[0].iloc[[which]]
    estimator = iris_models()[version - 1]
    body = answer(client.post(f"/v{version}/predict", json={"features": row.iloc[0].tolist()}))
    assert body["prediction"] == estimator.predict(row)[0]
    assert body["probability"] == estimator.predict_proba(row)[0].tolist()


@pytest.mark.parametrize("version", [1, 2])
def test_a_batch_is_answered_bit_for_bit_as_by_the_estimator(client: FlaskClient, version: int) -> None:
    rows = iris_data()[0]
    estimator = iris_models()[version - 1]
    body = answer(client.post(f"/v{version}/predict/batch", json={"inputs": rows.to_numpy().tolist()}))
    assert body["predictions"] == estimator.predict(rows).tolist()
    assert body["probabilities"] == estimator.predict_proba(rows).tolist()


def test_a_pipeline_over_named_columns_of_several_types_is_answered_as_by_itself(client: FlaskClient) -> None:
    rows = shop_data().head(40)
    records = rows.to_dict("records")
    body = answer(client.post("/models/shop/predict/batch", json={"inputs": records}))
    assert body["predictions"] == shop_model().predict(rows).tolist()
    assert body["probabilities"] == shop_model().predict_proba(rows).tolist()
    one = answer(client.post("/models/shop/predict", json=records[3]))
    assert one["probability"] == shop_model().predict_proba(rows.iloc[[3]])[0].tolist()
    listed = answer(client.post("/models/shop/predict", json={"features": list(records[3].values())}))
    assert listed["probability"] == one["probability"]


def test_a_pipeline_over_named_columns_refuses_what_it_never_saw(client: FlaskClient) -> None:
    good = {"amount": 10.0, "channel": "web", "items": 2, "gift": True}
    assert answer(client.post("/models/shop/predict", json=good))
    bad = [{**good, "channel": "fax"}, {**good, "items": 2.5}, {**good, "gift": 1}, {**good, "amount": "10"}]
    reply = client.post("/models/shop/predict/batch", json={"inputs": [good, *bad]})
    assert fault_places(reply) == [
        ["inputs", 1, "channel"],
        ["inputs", 2, "items"],
        ["inputs", 3, "gift"],
        ["inputs", 4, "amount"],
    ]


def test_a_value_outside_of_the_training_range_is_answered(client: FlaskClient) -> None:
    assert answer(client.post("/predict", json={"features": [100, -5, 1e6, 0]}))["prediction"] in (0, 1, 2)


def test_columns_may_be_called_like_words_of_the_envelope(client: FlaskClient) -> None:
    row = {name: float(i) for i, name in enumerate(OddNames.names)}
    expected = float(np.arange(7.0) @ np.arange(1.0, 8.0))
    for body in (row, {"features": row}, {"features": list(row.values())}):
        assert answer(client.post("/models/odd/predict", json=body))["prediction"] == expected
    assert answer(client.post("/models/odd/predict/batch", json={"inputs": [row]}))["predictions"] == [
        expected
    ]
    assert fault_places(client.post("/models/odd/predict", json={**row, "class": "x"})) == [["class"]]


def test_a_bare_reply_is_the_prediction_alone(client: FlaskClient) -> None:
    reply = client.post("/models/forecast/predict", json={"place": "here", "unit": "C", "days": 2})
    assert answer(reply) == [
        {"day": 1, "degrees": 0.1, "model_version": "1"},
        {"day": 2, "degrees": 0.2, "model_version": "1"},
    ]
    assert reply.headers["X-Prediction-Id"]
    batch = {"inputs": [["here"], {"place": "there"}], "parameters": {"unit": "F"}}
    day = [{"day": 1, "degrees": 0.1, "model_version": "1"}]
    assert answer(client.post("/models/forecast/predict/batch", json=batch)) == [day, day]


def test_a_parameter_is_required_or_has_its_default(client: FlaskClient) -> None:
    assert fault_places(client.post("/models/forecast/predict", json={"place": "here"})) == [["unit"]]
    enveloped = {"features": ["here"], "parameters": {"days": 0, "unit": "K"}}
    assert fault_places(client.post("/models/forecast/predict", json=enveloped)) == [
        ["parameters", "days"],
        ["parameters", "unit"],
    ]
    assert fault_places(
        client.post("/models/forecast/predict", json={"place": "x", "unit": "C", "days": None})
    ) == [["days"]]


def test_every_fault_of_a_request_is_told_at_once(client: FlaskClient) -> None:
    body = {"inputs": [[5.1, True, "1.4", None], FLOWER, [1, 2], {"sepal_lenght": 1}]}
    payload = problem(client.post("/predict/batch", json=body), 422)
    assert [fault["loc"] for fault in payload["errors"]] == [
        ["inputs", 0, "sepal_width"],
        ["inputs", 0, "petal_length"],
        ["inputs", 0, "petal_width"],
        ["inputs", 2],
        ["inputs", 3, "sepal_lenght"],
        ["inputs", 3, "sepal_length"],
        ["inputs", 3, "sepal_width"],
        ["inputs", 3, "petal_length"],
        ["inputs", 3, "petal_width"],
    ]
    assert payload["detail"] == "the input has 9 faults; see errors"
    assert payload["errors"][0] == {
        "loc": ["inputs", 0, "sepal_width"],
        "msg": "a boolean is not allowed",
        "expected": "a number",
        "got": True,
    }


def test_no_more_rows_than_the_setting_allows(make_app: MakeApp, toy_store: Store) -> None:
    client = make_app(toy_store, max_rows=3).test_client()
    assert len(answer(client.post("/predict/batch", json={"inputs": [FLOWER] * 3}))["predictions"]) == 3
    assert fault_places(client.post("/predict/batch", json={"inputs": [FLOWER] * 4})) == [["inputs"]]


def test_what_the_model_itself_refuses_is_a_fault_of_the_input(client: FlaskClient) -> None:
    assert fault_places(client.post("/models/moody/predict", json={"mood": "refuse"})) == [["mood"]]


@pytest.mark.parametrize("mood", ["raise", "exit", "nan", "short", "object"])
def test_a_model_that_fails_is_a_fault_of_ours_and_says_nothing_of_itself(
    client: FlaskClient, mood: str
) -> None:
    reply = client.post("/models/moody/predict", json={"mood": mood})
    payload = problem(reply, 500)
    assert "customers" not in reply.get_data(as_text=True)
    assert set(payload) == {"type", "title", "status", "detail", "request_id"}
    assert answer(client.post("/models/moody/predict", json={"mood": "fine"}))["prediction"] == 1.0


@pytest.mark.parametrize("place", ["nowhere", "endless", "secret"])
def test_a_record_that_is_not_as_declared_is_never_passed_on(client: FlaskClient, place: str) -> None:
    """JSON would turn NaN and Infinity into null."""
    reply = client.post("/models/forecast/predict", json={"place": place, "unit": "C", "days": 2})
    problem(reply, 500)
    assert "customers" not in reply.get_data(as_text=True)


def test_one_failing_row_fails_its_batch(client: FlaskClient) -> None:
    problem(client.post("/models/moody/predict/batch", json={"inputs": [["fine"], ["nan"]]}), 500)


def test_server_timing_tells_the_stages_in_milliseconds(client: FlaskClient) -> None:
    for path, body in (("/predict", {"features": FLOWER}), ("/predict/batch", {"inputs": [FLOWER] * 100})):
        header = client.post(path, json=body).headers["Server-Timing"]
        stages = re.findall(r"(?:^|, )(\w+);dur=(\d+(?:\.\d+)?)", header)
        assert header == ", ".join(f"{name};dur={ms}" for name, ms in stages)
        assert [name for name, _ in stages] == ["parse", "queue", "predict", "encode"]
        assert 0 < float(dict(stages)["predict"]) < 10_000


def test_no_two_predictions_have_the_same_id(client: FlaskClient) -> None:
    ids = {client.post("/predict", json={"features": FLOWER}).headers["X-Prediction-Id"] for _ in range(20)}
    assert len(ids) == 20


def test_models_are_served_side_by_side(toy_app: Flask) -> None:
    client = toy_app.test_client()
    asked: list[tuple[str, dict[str, Any]]] = [
        ("iris", {"features": FLOWER}),
        ("unnamed", {"features": [1, 2, 3]}),
        ("shop", {"amount": 1, "channel": "web", "items": 1, "gift": False}),
        ("odd", {"features": [0] * 7}),
        ("moody", {"features": ["fine"]}),
    ]
    for name, body in asked * 2:
        assert answer(client.post(f"/models/{name}/predict", json=body))["model"] == name


def test_floats_of_a_request_keep_every_bit(make_app: MakeApp, toy_store: Store) -> None:
    client = make_app(toy_store, default_model="odd").test_client()
    tiny = b'{"features": [0.1, 5e-324, 1e38, 2.2250738585072014e-308, 0.30000000000000004, 1, 0]}'
    row = np.array([0.1, 5e-324, 1e38, 2.2250738585072014e-308, 0.30000000000000004, 1, 0])
    assert answer(client.post("/predict", data=tiny, headers=JSON))["prediction"] == row @ np.arange(1.0, 8.0)


@pytest.mark.parametrize(
    "row",
    [[[], 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, []], [[], [], [], []], [[1.0], 1.0, 1.0, 1.0], [{}, 1.0, 1.0, 1.0]],
)
def test_a_list_in_the_place_of_a_number_is_a_fault_of_the_client(
    client: FlaskClient, row: list[Any]
) -> None:
    assert client.post("/predict", json={"features": row}).status_code == 422
    assert client.post("/predict/batch", json={"inputs": [row, row]}).status_code == 422
    assert client.post("/predict/batch", json={"inputs": [row]}).status_code == 422
