"""Tests of the catalog routes: models, versions and their metadata."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from models.store import Store
from tests.app.api.asking import answer, problem
from tests.conftest import MakeApp
from tests.toy_store import IRIS, iris_data


def test_the_catalog_lists_every_model_with_its_versions_and_names(client: FlaskClient) -> None:
    models = {model["name"]: model for model in answer(client.get("/models"))["models"]}
    assert list(models) == ["forecast", "iris", "moody", "odd", "shop", "unnamed"]
    assert models["iris"] == {
        "name": "iris",
        "default": True,
        "state": "ready",
        "description": "Iris",
        "versions": ["1", "2"],
        "latest": "2",
        "aliases": {"stable": "1"},
        "tags": {"1.0.0": "1", "2.0.0": "2"},
    }
    assert [name for name, model in models.items() if model["default"]] == ["iris"]


def test_a_model_lists_its_versions(client: FlaskClient) -> None:
    body = answer(client.get("/models/iris"))
    assert (body["name"], body["latest"], body["aliases"]) == ("iris", "2", {"stable": "1"})
    first, second = body["versions"]
    assert (first["version"], first["state"], first["names"]) == ("1", "ready", ["1.0.0", "stable"])
    assert (second["version"], second["names"]) == ("2", ["2.0.0", "latest"])
    assert first["metrics"] == {"accuracy": 0.95}
    assert first["framework"] == "scikit-learn"


@pytest.mark.parametrize("selector", ["2", "2.0.0", "latest"])
def test_a_version_tells_all_that_was_recorded(client: FlaskClient, selector: str) -> None:
    body = answer(client.get(f"/models/iris/versions/{selector}"))
    assert (body["name"], body["version"], body["state"]) == ("iris", "2", "ready")
    assert [feature["name"] for feature in body["features"]] == list(IRIS)
    X = iris_data()[0]
    for feature in body["features"]:
        assert (feature["dtype"], feature["required"]) == ("float", True)
        column = X[feature["name"]]
        assert feature["observed"] == [column.min(), column.max()]
    assert body["output"] == {"kind": "class", "classes": [0, 1, 2], "probability": True}
    assert body["trained_at"].endswith("Z") and body["published_at"].endswith("Z")
    assert set(body["measured_ms"]) == {"1", "8", "64"}
    assert body["golden_rows"]["rows"] >= 32
    assert "scikit-learn" in body["libraries"]
    assert all(len(file["sha256"]) == 64 for file in body["files"].values())


@pytest.mark.parametrize("name", ["iris", "unnamed", "shop", "forecast", "odd"])
def test_the_example_of_every_model_gets_the_recorded_answer_when_it_is_sent(
    client: FlaskClient, name: str
) -> None:
    example = answer(client.get(f"/models/{name}/versions/1"))["example"]
    body = answer(client.post(f"/models/{name}/predict", json=example["request"]))
    if name == "forecast":
        recorded = example["response"]["prediction"]
        assert [{k: v for k, v in record.items() if k != "model_version"} for record in body] == [
            {k: v for k, v in record.items() if k != "model_version"} for record in recorded
        ]
    else:
        assert {key: body[key] for key in example["response"]} == example["response"]


def test_parameters_and_records_are_described(client: FlaskClient) -> None:
    body = answer(client.get("/models/forecast/versions/1"))
    days, unit = body["parameters"]
    assert (days["name"], days["required"], days["default"], days["minimum"], days["maximum"]) == (
        "days",
        False,
        1,
        1,
        30,
    )
    assert (unit["name"], unit["required"], unit["values"]) == ("unit", True, ["C", "F"])
    assert [column["name"] for column in body["output"]["columns"]] == ["day", "degrees", "model_version"]


def test_a_model_without_recorded_names_says_so(client: FlaskClient) -> None:
    assert answer(client.get("/models/unnamed/versions/1"))["feature_names_recorded"] is False
    assert answer(client.get("/models/iris/versions/1"))["feature_names_recorded"] is True


@pytest.mark.parametrize("path", ["/models/nothing", "/models/nothing/versions/1", "/models/nothing/ready"])
def test_a_model_that_is_not_there_is_404_with_those_that_are(client: FlaskClient, path: str) -> None:
    assert problem(client.get(path), 404)["available"] == [
        "forecast",
        "iris",
        "moody",
        "odd",
        "shop",
        "unnamed",
    ]


@pytest.mark.parametrize("selector", ["3", "0", "3.0.0", "canary", "x" * 500])
def test_a_version_that_is_not_there_is_404_with_those_that_are(client: FlaskClient, selector: str) -> None:
    payload = problem(client.get(f"/models/iris/versions/{selector}"), 404)
    assert payload["available"] == ["1", "2", "1.0.0", "2.0.0", "stable", "latest"]


def test_a_version_whose_manifest_is_damaged_is_listed_with_its_reason(
    make_app: MakeApp, toy_store: Store, tmp_path: Path
) -> None:
    shutil.copytree(toy_store.path, tmp_path / "store")
    manifest = tmp_path / "store/iris/2/manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes()[:100])
    client = make_app(tmp_path / "store").test_client()
    model = answer(client.get("/models/iris"))
    assert [version["state"] for version in model["versions"]] == ["ready", "failed"]
    assert "iris/2/manifest.json is damaged" in model["versions"][1]["reason"]
    assert str(tmp_path) not in client.get("/models/iris").get_data(as_text=True)
    payload = problem(client.get("/models/iris/versions/2"), 503)
    assert "publish the version again" in payload["detail"]
    assert answer(client.get("/models/iris/versions/1"))["version"] == "1"
    assert len(answer(client.get("/models"))["models"]) == 6
