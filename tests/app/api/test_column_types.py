"""Tests of every type of column over HTTP: requests, metadata and document agree with the declaration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from models.publishing import publish
from models.signature import Column, Output, Signature
from models.store import Store
from tests.app.api.asking import answer, fault_places, problem
from tests.conftest import MakeApp

GOOD = {"count": 7, "day": "2026-01-31", "at": "2026-01-31T10:00:00+02:00", "took": 1.5}
SAMPLE = [
    [7, "2026-01-31", "2026-01-31T10:00:00+02:00", 1.5, None],
    [1, "2026-02-01", "2026-02-01T00:00:00Z", 0, "x"],
]


class Visits:
    """A model that answers 1 for each row whose cells have the declared types."""

    signature = Signature(
        (
            Column("count", "int", minimum=0, maximum=255, limit_of="uint8"),
            Column("day", "date", minimum="1677-09-22", maximum="2262-04-11", limit_of="datetime64[ns]"),
            Column(
                "at",
                "datetime",
                timezone="Europe/Berlin",
                observed=("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ),
            Column("took", "duration", minimum=0),
            Column("note", "string", nullable=True, optional=True),
        ),
        Output("number"),
    )

    def predict(self, rows: np.ndarray) -> np.ndarray:
        kinds = [(type(count), len(day), at[10], type(note)) for count, day, at, _, note in rows.tolist()]
        assert all(k[:3] in ((int, 10, "T"), (float, 10, "T")) for k in kinds), kinds
        return np.array([float(count) + took for count, _, _, took, _ in rows.tolist()])


class Texts:
    """A model that answers the length of a text."""

    signature = Signature((Column("text", "string"),), Output("number"))

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.array([float(len(text)) for (text,) in rows.tolist()])


class Forms:
    """A model that answers a sum and accepts numbers as text."""

    signature = Signature((Column("a"), Column("n", "int")), Output("number"), coerce=True)

    def predict(self, rows: np.ndarray) -> Any:
        return rows.sum(axis=1)


@pytest.fixture(scope="module")
def client(make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    store = Store(tmp_path_factory.mktemp("columns"))
    publish(store, "visits", Visits(), SAMPLE)
    publish(store, "texts", Texts(), [["good film"], ["bad"]])
    publish(store, "forms", Forms(), [[1.5, 2.0], [0.5, 3.0]])
    return make_app(store).test_client()


def test_moments_durations_and_what_was_left_out_reach_the_model(client: FlaskClient) -> None:
    row = [*GOOD.values(), None]
    for body in (GOOD, {"features": GOOD}, {"features": row}, {**GOOD, "note": "x"}):
        assert answer(client.post("/models/visits/predict", json=body))["prediction"] == 8.5
    batch = {"inputs": [GOOD, row, {**GOOD, "count": 0}]}
    assert answer(client.post("/models/visits/predict/batch", json=batch))["predictions"] == [8.5, 8.5, 1.5]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 300),
        ("count", -200),
        ("count", 2**53),
        ("day", "9999-12-31"),
        ("day", "1677-09-21"),
        ("at", "2026-01-31T10:00:00"),
        ("at", "2026-01-31"),
        ("took", -1),
        ("took", 1e39),
        ("took", "PT1H"),
        ("note", 5),
    ],
)
def test_what_a_column_cannot_hold_is_refused_in_its_place(
    client: FlaskClient, name: str, value: Any
) -> None:
    body = {**GOOD, name: value}
    assert fault_places(client.post("/models/visits/predict", json=body)) == [[name]]
    reply = client.post("/models/visits/predict/batch", json={"inputs": [GOOD, body]})
    assert fault_places(reply) == [["inputs", 1, name]]


def test_the_limit_is_in_the_answer(client: FlaskClient) -> None:
    for name, value, expected in (
        ("count", 300, "an integer from 0 to 255 (uint8)"),
        ("day", "9999-12-31", "a date YYYY-MM-DD from 1677-09-22 to 2262-04-11 (datetime64[ns])"),
    ):
        (fault,) = problem(client.post("/models/visits/predict", json={**GOOD, name: value}), 422)["errors"]
        assert (fault["msg"], fault["expected"], fault["got"]) == ("out of range", expected, value)


def test_the_metadata_and_the_document_say_the_same(client: FlaskClient) -> None:
    shown = answer(client.get("/models/visits/versions/1"))
    features = {feature["name"]: feature for feature in shown["features"]}
    assert features["at"]["timezone"] == "Europe/Berlin"
    assert features["at"]["observed"] == ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]
    assert (features["day"]["maximum"], features["day"]["limit_of"]) == ("2262-04-11", "datetime64[ns]")
    assert (features["note"]["required"], features["note"]["optional"]) == (False, True)
    assert shown["coerce"] is False
    document = client.get("/openapi.json").get_json()
    row = document["components"]["schemas"]["visits.v1.Row"]["oneOf"][1]
    assert row["required"] == list(GOOD)
    assert row["properties"]["at"]["format"] == "date-time"
    assert "2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z" in row["properties"]["at"]["description"]
    assert "From 1677-09-22 to 2262-04-11." in row["properties"]["day"]["description"]
    assert row["properties"]["took"]["type"] == "number"
    assert document["components"]["schemas"]["texts.v1.Row"]["oneOf"][2]["type"] == "string"
    number = document["components"]["schemas"]["forms.v1.Row"]["oneOf"][1]["properties"]["n"]
    assert [form["type"] for form in number["anyOf"]] == ["integer", "string"]


def test_a_text_alone_is_a_row_of_a_model_that_takes_one_text(client: FlaskClient) -> None:
    for body in ({"features": "good film"}, {"features": ["good film"]}, {"text": "good film"}):
        assert answer(client.post("/models/texts/predict", json=body))["prediction"] == 9.0
    batch = {"inputs": ["a", ["bb"], {"text": "ccc"}]}
    assert answer(client.post("/models/texts/predict/batch", json=batch))["predictions"] == [1.0, 2.0, 3.0]
    assert fault_places(client.post("/models/texts/predict/batch", json={"inputs": ["a", 5]})) == [
        ["inputs", 1]
    ]


def test_numbers_may_come_as_text_where_the_model_says_so(client: FlaskClient) -> None:
    for body in ({"a": "1.5", "n": "2"}, {"features": ["1.5", 2]}, {"features": [1.5, 2]}):
        assert answer(client.post("/models/forms/predict", json=body))["prediction"] == 3.5
    reply = client.post("/models/forms/predict/batch", json={"inputs": [["1", "2"], ["x", "2.5"]]})
    assert fault_places(reply) == [["inputs", 1, "a"], ["inputs", 1, "n"]]
    assert fault_places(client.post("/models/visits/predict", json={**GOOD, "count": "7"})) == [["count"]]
