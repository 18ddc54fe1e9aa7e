"""Tests of the demo models over HTTP, with the requests of older clients."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.store import Store
from tests.app.api.asking import answer, fault_places, problem
from tests.conftest import MakeApp


@pytest.fixture(scope="module")
def demo(make_app: MakeApp, demo_store: Store) -> Flask:
    """An application with the demo models, of which iris is the default."""
    return make_app(demo_store)


@pytest.fixture
def demo_client(demo: Flask) -> FlaskClient:
    return demo.test_client()


@pytest.fixture(scope="module")
def stock_app(make_app: MakeApp, demo_store: Store) -> Flask:
    """An application with the stock forecaster as the default model."""
    return make_app(demo_store, default_model="stock")


@pytest.fixture
def stock(stock_app: Flask) -> FlaskClient:
    return stock_app.test_client()


def test_a_row_of_numbers_is_a_species_with_its_probabilities(demo_client: FlaskClient) -> None:
    body = answer(demo_client.post("/predict", json={"features": [5.1, 3.5, 1.4, 0.2]}))
    assert body["prediction"] == 0
    assert len(body["probability"]) == 3
    assert sum(body["probability"]) == pytest.approx(1)
    assert body["model_version"] == "1"


def test_a_batch_is_a_species_for_each_row(demo_client: FlaskClient) -> None:
    rows = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
    assert answer(demo_client.post("/predict/batch", json={"inputs": rows}))["predictions"] == [0, 2]


@pytest.mark.parametrize(
    ("path", "header", "version"),
    [
        ("/v1/predict", None, "1"),
        ("/v2/predict", None, "2"),
        ("/predict", "2", "2"),
        ("/predict", "1.0.0", "1"),
        ("/predict", "2.0.0", "2"),
        ("/models/iris/predict", None, "1"),
        ("/models/iris/versions/2/predict", None, "2"),
        ("/models/iris/versions/2.0.0/predict", None, "2"),
    ],
)
def test_versions_are_chosen_by_url_header_and_path(
    demo_client: FlaskClient, path: str, header: str | None, version: str
) -> None:
    headers = {} if header is None else {"X-Model-Version": header}
    reply = demo_client.post(path, json={"features": [5.1, 3.5, 1.4, 0.2]}, headers=headers)
    assert answer(reply)["model_version"] == version


def test_every_demo_model_answers_the_example_of_its_metadata(demo_client: FlaskClient) -> None:
    for model in answer(demo_client.get("/models"))["models"]:
        name = model["name"]
        example = answer(demo_client.get(f"/models/{name}/versions/stable"))["example"]
        assert answer(demo_client.post(f"/models/{name}/predict", json=example["request"])), name


# -- the stock forecaster ---------------------------------------------------------------------------------------

MEMBERS = ["ticker", "date", "predicted_price", "confidence_lower", "confidence_upper", "model_version"]


def test_a_forecast_is_a_bare_list_of_one_object_a_day(stock: FlaskClient) -> None:
    asked = {"ticker": "AAPL", "days_ahead": 5, "confidence_interval": 0.95}
    days = answer(stock.post("/predict", json=asked))
    assert len(days) == 5
    for day in days:
        assert list(day) == MEMBERS
        assert (day["ticker"], day["model_version"]) == ("AAPL", "1")
        assert day["confidence_lower"] < day["predicted_price"] < day["confidence_upper"]
    dates = [date.fromisoformat(day["date"]) for day in days]
    assert dates == sorted(set(dates))
    assert all(found.weekday() < 5 for found in dates)
    assert answer(stock.post("/predict", json=asked)) == days


def test_one_day_at_95_percent_is_what_a_ticker_alone_asks_for(stock: FlaskClient) -> None:
    alone = answer(stock.post("/predict", json={"ticker": "AAPL"}))
    full = {"ticker": "AAPL", "days_ahead": 1, "confidence_interval": 0.95}
    assert alone == answer(stock.post("/predict", json=full))
    assert len(alone) == 1


def test_more_confidence_needs_a_wider_interval(stock: FlaskClient) -> None:
    widths = []
    for confidence in (0.8, 0.9, 0.95, 0.99):
        (day,) = answer(stock.post("/predict", json={"ticker": "AAPL", "confidence_interval": confidence}))
        widths.append(day["confidence_upper"] - day["confidence_lower"])
    assert widths == sorted(set(widths))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"days_ahead": 0}, "days_ahead"),
        ({"days_ahead": 31}, "days_ahead"),
        ({"days_ahead": 2.5}, "days_ahead"),
        ({"days_ahead": "5"}, "days_ahead"),
        ({"days_ahead": True}, "days_ahead"),
        ({"days_ahead": None}, "days_ahead"),
        ({"confidence_interval": 0.79}, "confidence_interval"),
        ({"confidence_interval": 0.999}, "confidence_interval"),
        ({"confidence_interval": "0.9"}, "confidence_interval"),
        ({"confidence_interval": None}, "confidence_interval"),
        ({"ticker": ""}, "ticker"),
        ({"ticker": "TOOLONGTICKER"}, "ticker"),
        ({"ticker": "aapl"}, "ticker"),
        ({"ticker": 5}, "ticker"),
        ({"ticker": None}, "ticker"),
        ({"days": 5}, "days"),
    ],
)
def test_bad_input_is_422_at_its_place(stock: FlaskClient, change: dict[str, Any], place: str) -> None:
    assert fault_places(stock.post("/predict", json={"ticker": "AAPL", **change})) == [[place]]


def test_an_unknown_ticker_is_told_the_known_ones(stock: FlaskClient) -> None:
    (fault,) = problem(stock.post("/predict", json={"ticker": "MSFT"}), 422)["errors"]
    assert fault["got"] == "MSFT"
    assert fault["expected"].startswith("one of: AAPL, ")
    assert fault["expected"].count(",") == 9


def test_the_whole_range_of_days_is_answered(stock: FlaskClient) -> None:
    assert len(answer(stock.post("/predict", json={"ticker": "AAPL", "days_ahead": 30}))) == 30
    batch = {"inputs": [["AAPL"], {"ticker": "AAPL"}], "parameters": {"days_ahead": 3}}
    one, other = answer(stock.post("/predict/batch", json=batch))
    assert one == other and len(one) == 3
