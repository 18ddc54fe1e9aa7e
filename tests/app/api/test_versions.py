"""Tests of selecting a version by path and by header, and of versions that do not exist."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from models.store import Store
from tests.app.api.asking import FLOWER, answer, problem
from tests.conftest import MakeApp
from tests.toys import summing_draft

ONE = {"features": FLOWER}
EXIST = ["1", "2", "1.0.0", "2.0.0", "stable", "latest"]


def served(client: FlaskClient, path: str, header: str | None = None) -> str:
    """Return the version that answered."""
    headers = {} if header is None else {"X-Model-Version": header}
    reply = client.post(path, json=ONE, headers=headers)
    version: str = answer(reply)["model_version"]
    assert reply.headers["X-Model-Version"] == version
    return version


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/predict", "1"),
        ("/v1/predict", "1"),
        ("/v2/predict", "2"),
        ("/models/iris/predict", "1"),
        ("/models/iris/versions/1/predict", "1"),
        ("/models/iris/versions/2/predict", "2"),
        ("/models/iris/versions/1.0.0/predict", "1"),
        ("/models/iris/versions/2.0.0/predict", "2"),
        ("/models/iris/versions/stable/predict", "1"),
        ("/models/iris/versions/latest/predict", "2"),
    ],
)
def test_the_path_chooses(client: FlaskClient, path: str, version: str) -> None:
    assert served(client, path) == version


@pytest.mark.parametrize("path", ["/predict", "/models/iris/predict"])
@pytest.mark.parametrize(
    ("header", "version"),
    [
        ("1", "1"),
        ("2", "2"),
        ("1.0.0", "1"),
        ("2.0.0", "2"),
        ("latest", "2"),
        ("stable", "1"),
        (" 2 ", "2"),
        ("", "1"),
    ],
)
def test_the_header_chooses(client: FlaskClient, path: str, header: str, version: str) -> None:
    assert served(client, path, header) == version


@pytest.mark.parametrize(
    "path", ["/v2/predict", "/models/iris/versions/2/predict", "/models/iris/versions/2.0.0/predict"]
)
def test_a_header_that_names_the_same_version_as_the_path_is_no_contradiction(
    client: FlaskClient, path: str
) -> None:
    for header in ("2", "2.0.0", "latest"):
        assert served(client, path, header) == "2"


@pytest.mark.parametrize(
    "path", ["/v2/predict", "/models/iris/versions/2/predict", "/models/iris/versions/2.0.0/predict"]
)
@pytest.mark.parametrize("header", ["1", "1.0.0", "stable", "3", "nonsense"])
def test_a_header_that_contradicts_the_path_is_refused(client: FlaskClient, path: str, header: str) -> None:
    for route in (path, f"{path}/batch"):
        payload = problem(client.post(route, json=ONE, headers={"X-Model-Version": header}), 400)
        assert "X-Model-Version" in payload["detail"]
        assert repr(header) in payload["detail"]


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/predict", "3"),
        ("/predict", "nonsense"),
        ("/predict", "1, 2"),
        ("/v3/predict", None),
        ("/v0/predict", None),
        ("/v01/predict", None),
        ("/v99999999999999999999/predict", None),
        ("/models/iris/predict", "0"),
        ("/models/iris/versions/3/predict", None),
        ("/models/iris/versions/3/predict/batch", None),
        ("/models/iris/versions/3.0.0/predict", None),
        ("/models/iris/versions/canary/predict", None),
        ("/models/iris/versions/01/predict", None),
        ("/models/iris/versions/%2e%2e/predict", None),
    ],
)
def test_a_version_that_is_not_there_is_404_with_those_that_are(
    client: FlaskClient, path: str, header: str | None
) -> None:
    reply = client.post(path, json=ONE, headers={"X-Model-Version": header} if header else {})
    payload = problem(reply, 404)
    assert payload["available"] == EXIST
    assert all(version in payload["detail"] for version in EXIST)


@pytest.mark.parametrize(
    "path",
    [
        "/models/iriss/predict",
        "/models/iriss/predict/batch",
        "/models/iriss/versions/1/predict",
        "/models/IRIS/predict",
        "/models/iris%20/predict",
        "/models/%00/predict",
    ],
)
def test_a_model_that_is_not_there_is_404_with_those_that_are(client: FlaskClient, path: str) -> None:
    payload = problem(client.post(path, json=ONE), 404)
    assert payload["available"] == ["forecast", "iris", "moody", "odd", "shop", "unnamed"]
    assert "iris, moody" in payload["detail"]


def test_a_very_long_name_is_not_repeated_whole(client: FlaskClient) -> None:
    for path in (f"/models/{'x' * 2000}/predict", f"/models/iris/versions/{'x' * 2000}/predict"):
        assert len(client.post(path, json=ONE).get_data()) < 700


def test_without_the_default_model_the_short_routes_list_the_others(
    make_app: MakeApp, toy_store: Store
) -> None:
    client = make_app(toy_store, default_model="pricing").test_client()
    for path in ("/predict", "/predict/batch", "/v1/predict", "/v2/predict/batch"):
        payload = problem(client.post(path, json=ONE), 404)
        assert "PLUMBLINE_DEFAULT_MODEL is 'pricing'" in payload["detail"]
        assert payload["available"] == ["forecast", "iris", "moody", "odd", "shop", "unnamed"]
    assert answer(client.post("/models/iris/predict", json=ONE))["prediction"] == 0


def test_the_only_model_is_the_default_whatever_it_is_called(make_app: MakeApp, tmp_path: Path) -> None:
    store = Store(tmp_path)
    draft = summing_draft("lonely")
    for _ in range(2):
        store.add(draft.manifest, draft.files)
    client = make_app(store, default_model="iris").test_client()
    for path, version in (("/predict", "1"), ("/v1/predict", "1"), ("/v2/predict", "2")):
        body = answer(client.post(path, json={"features": [1, 2]}))
        assert (body["model"], body["model_version"], body["prediction"]) == ("lonely", version, 3.0)


def test_an_empty_store_says_so(make_app: MakeApp, tmp_path: Path) -> None:
    for store in (tmp_path, tmp_path / "missing"):
        client = make_app(store).test_client()
        for path in ("/predict", "/v1/predict", "/models/iris/predict"):
            payload = problem(client.post(path, json=ONE), 404)
            assert "the store is empty" in payload["detail"]
            assert payload["available"] == []
        assert answer(client.get("/models")) == {"models": []}


def test_a_version_that_was_deleted_leaves_the_others_where_they_were(
    make_app: MakeApp, toy_store: Store, tmp_path: Path
) -> None:
    shutil.copytree(toy_store.path, tmp_path / "store")
    store = Store(tmp_path / "store")
    store.delete("iris", 2)
    client = make_app(store).test_client()
    problem(client.post("/v2/predict", json=ONE), 404)
    assert served(client, "/v1/predict") == "1"
    assert served(client, "/models/iris/versions/latest/predict") == "1"


def test_versions_of_models_with_similar_names_stay_apart(make_app: MakeApp, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("a", "a-1", "a_1", "routed", "catalog", "health"):
        draft = summing_draft(name)
        for _ in range(2):
            store.add(draft.manifest, draft.files)
    client = make_app(store, default_model="a").test_client()
    for name in ("a", "a-1", "a_1", "routed", "catalog", "health"):
        for version in ("1", "2"):
            body = answer(
                client.post(f"/models/{name}/versions/{version}/predict", json={"features": [1, 2]})
            )
            assert (body["model"], body["model_version"]) == (name, version)
