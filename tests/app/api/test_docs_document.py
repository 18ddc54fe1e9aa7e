"""Tests of /openapi.json: the document agrees with the server that it describes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate

from app.api.context import context_of
from app.api.documented import operation_of
from app.api.openapi import build_document
from app.api.predict import predict, predict_batch
from app.catalog.routing import as_stored
from app.catalog.snapshot import ModelVersions
from models.store import Store
from tests.app.api.document_parts import Document, body_of, check, operations, predictions, reply_of, resolve
from tests.app.api.documented_models import COLLIDING, DAMAGED, WIDTH, publish_documented

KINDS = ("iris", "unnamed", "shop", "forecast", "odd", "moody", "doubled", "optional", "ranked")


@pytest.fixture(scope="module")
def app(toy_store: Store, make_app: Any, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """An application with every kind of model, and a damaged version."""
    store = publish_documented(toy_store.path, tmp_path_factory.mktemp("documented") / "store")
    made: Flask = make_app(store)
    return made


@pytest.fixture(scope="module")
def document(app: Flask) -> Document:
    """The document as a client receives it."""
    reply = app.test_client().get("/openapi.json")
    assert reply.status_code == 200
    assert reply.content_type == "application/json"
    found: Document = reply.json
    return found


def test_is_valid_openapi(document: Document) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "Plumbline"


def test_refers_to_nothing_outside_itself(app: Flask) -> None:
    text = app.test_client().get("/openapi.json").text
    assert "#/definitions/" not in text
    assert not re.findall(r"https?://", text)
    assert set(re.findall(r'"\$ref":"(#/components/)?', text)) == {"#/components/"}


def test_every_view_is_documented_but_redirects_and_assets(app: Flask) -> None:
    views = {app.view_functions[rule.endpoint]: rule.endpoint for rule in app.url_map.iter_rules()}
    silent = {endpoint for view, endpoint in views.items() if operation_of(view) is None}
    predictions = {views[predict], views[predict_batch]}
    assert silent - predictions == {"flasgger.to_page", "flasgger.static"}


def test_aliases_say_what_they_are_the_same_as(document: Document) -> None:
    aliases = {path: document["paths"][path]["get"] for path in ("/healthz", "/livez", "/readyz")}
    assert [(o["operationId"], o["summary"]) for o in aliases.values()] == [
        ("healthz", "The same as /health"),
        ("livez", "The same as /health"),
        ("readyz", "The same as /ready"),
    ]
    assert aliases["/livez"]["responses"] == document["paths"]["/health"]["get"]["responses"]


def test_has_the_operations_of_each_version_under_the_tag_of_its_model(document: Document) -> None:
    assert {path for path, _ in predictions(document, "iris")} == {
        f"{prefix}/predict{batch}"
        for prefix in ("", "/v1", "/v2", "/models/iris", "/models/iris/versions/1", "/models/iris/versions/2")
        for batch in ("", "/batch")
    }


def test_the_administration_is_documented_where_there_is_one(
    make_app: Any, tmp_path: Any, document: Document
) -> None:
    administered = make_app(tmp_path, admin_token="t" * 32)
    with_it = administered.test_client().get("/openapi.json").json
    validate(with_it)
    found = {(p, m): o for p, m, o in operations(with_it) if p.startswith("/admin")}
    assert {("/admin/models/{name}/traffic", method) for method in ("put", "delete")} < set(found)
    (scheme,) = with_it["components"]["securitySchemes"]
    assert all(o["security"] == [{scheme: []}] and "401" in o["responses"] for o in found.values())
    assert "securitySchemes" not in document["components"]


def test_operations_have_names_of_their_own(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert {"predict", "v2.predict_batch", "models.iris.predict", "models.iris.v1.predict"} <= set(names)


def test_tags_are_the_models_with_the_default_one_first(document: Document) -> None:
    tags = [tag["name"] for tag in document["tags"]]
    assert len(set(tags)) == len(tags)
    assert tags[0] == "iris"
    assert set(tags) == {*KINDS, *COLLIDING, DAMAGED, "Catalog", "Service"}
    assert {tag for _, _, operation in operations(document) for tag in operation["tags"]} == set(tags)


@pytest.mark.parametrize("name", KINDS)
def test_its_examples_are_answered_as_it_says(app: Flask, document: Document, name: str) -> None:
    client, asked = app.test_client(), 0
    for path, operation in predictions(document, name):
        body, reply = body_of(document, operation), reply_of(document, operation)
        for form, example in body["examples"].items():
            value = resolve(document, example)["value"]
            check(document, body["schema"], value)
            answered = client.post(path, json=value)
            assert answered.status_code == 200, (path, form, answered.text)
            check(document, reply["schema"], answered.json)
            headers = resolve(document, operation["responses"]["200"])["headers"]
            always = {name for name, header in headers.items() if resolve(document, header)["required"]}
            assert len(always) == 4
            assert always <= set(answered.headers.keys())
            asked += 1
        check(document, reply["schema"], reply["example"])
    assert asked >= 4


@pytest.mark.parametrize("name", KINDS)
def test_the_first_example_is_the_recorded_one_with_its_answer(
    app: Flask, document: Document, name: str
) -> None:
    manifest = context_of(app).engine.snapshot.models[name].versions[1].manifest
    operation = document["paths"][f"/models/{name}/versions/1/predict"]["post"]
    first = next(iter(body_of(document, operation)["examples"].values()))
    assert resolve(document, first)["value"] == manifest.example["request"]
    answered = app.test_client().post(f"/models/{name}/versions/1/predict", json=manifest.example["request"])
    documented = reply_of(document, operation)["example"]
    changing = {"prediction_id"}
    if isinstance(documented, dict):
        assert {k: v for k, v in answered.json.items() if k not in changing} == {
            k: v for k, v in documented.items() if k not in changing
        }
    else:
        assert answered.json == documented


@pytest.mark.parametrize("name", KINDS)
def test_every_form_of_the_example_is_the_same_row(app: Flask, document: Document, name: str) -> None:
    """Without recorded names the values are read in sorted order of the names: x10 is before x2."""
    answers = []
    for example in body_of(document, document["paths"][f"/models/{name}/predict"]["post"])[
        "examples"
    ].values():
        value = resolve(document, example)["value"]
        answers.append(app.test_client().post(f"/models/{name}/predict", json=value).json)
    predictions = [a["prediction"] if isinstance(a, dict) else a for a in answers]
    assert len(predictions) >= 2 and all(p == predictions[0] for p in predictions)


def test_every_form_of_a_body_is_among_the_examples(document: Document) -> None:
    examples = body_of(document, document["paths"]["/predict"]["post"])["examples"]
    assert list(examples) == ["list", "named", "bare"]
    assert resolve(document, examples["bare"])["value"].keys() == {
        "sepal_length",
        "sepal_width",
        "petal_length",
        "petal_width",
    }


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict", {"features": [1, 2]}, 422),
        ("/predict", b"{", 400),
        ("/models/moody/predict", {"mood": "raise"}, 500),
        (f"/models/{DAMAGED}/versions/1/predict", {"features": [1]}, 503),
    ],
)
def test_problems_are_as_it_says(app: Flask, document: Document, path: str, body: Any, status: int) -> None:
    raw = {"data": body, "content_type": "application/json"} if isinstance(body, bytes) else {"json": body}
    answered = app.test_client().post(path, **raw)
    assert answered.status_code == status
    media = reply_of(document, document["paths"][path]["post"], status)
    check(document, media["schema"], answered.json)
    check(document, media["schema"], media["example"])


def test_a_missing_model_is_the_problem_that_it_says(app: Flask, document: Document) -> None:
    answered = app.test_client().get("/models/nothing")
    media = reply_of(document, document["paths"]["/models/{name}"]["get"], 404)
    check(document, media["schema"], answered.json)


@pytest.mark.parametrize(
    "path",
    [
        "/models",
        "/models/iris",
        "/models/damaged",
        *(f"/models/{name}/versions/latest" for name in KINDS),
        "/models/shop/ready",
        "/models/damaged/ready",
        "/health",
        "/healthz",
        "/livez",
        "/ready",
        "/readyz",
        "/version",
        "/",
    ],
)
def test_the_catalog_and_service_routes_answer_as_it_says(app: Flask, document: Document, path: str) -> None:
    answered = app.test_client().get(path)
    template = re.sub(r"versions/\w+", "versions/{version}", re.sub(r"^/models/\w+", "/models/{name}", path))
    response = document["paths"][template]["get"]["responses"][str(answered.status_code)]
    check(document, response["content"]["application/json"]["schema"], answered.json)


def test_declared_ranges_are_constraints_and_observed_ones_are_told(document: Document) -> None:
    row = document["components"]["schemas"]["optional.v1.Row"]
    properties = next(form for form in row["oneOf"] if form["type"] == "object")["properties"]
    assert (properties["age"]["minimum"], properties["age"]["maximum"]) == (0, 130)
    assert "18 to 90.5" in properties["age"]["description"]
    assert properties["pay"]["type"] == ["number", "null"]
    assert properties["age"]["type"] == "integer"
    text = document["paths"]["/models/optional/predict"]["post"]["description"]
    assert "an integer from 0 to 130 | 18 to 90.5" in text


def test_parameters_are_in_the_schema_and_take_null_only_if_declared(document: Document) -> None:
    forms = document["components"]["schemas"]["forecast.v1.Request"]["anyOf"]
    parameters = forms[0]["properties"]["parameters"]
    assert parameters["properties"]["days"] == {
        "type": "integer",
        "default": 1,
        "minimum": 1,
        "maximum": 30,
        "examples": [2],
    }
    assert parameters["required"] == ["unit"]


def test_classes_are_listed_in_the_order_of_their_probabilities(document: Document) -> None:
    reply = document["components"]["schemas"]["shop.v1.Reply"]["properties"]
    assert reply["prediction"] == {"type": "string", "enum": ["keep", "return"]}
    assert (reply["probability"]["minItems"], reply["probability"]["maxItems"]) == (2, 2)
    assert "keep, return" in reply["probability"]["description"]
    assert "`keep`, `return`" in document["paths"]["/models/shop/predict"]["post"]["description"]


def test_a_routed_call_takes_the_version_header_and_a_fixed_one_does_not(document: Document) -> None:
    routed = document["paths"]["/models/iris/predict/batch"]["post"]
    assert [resolve(document, p)["name"] for p in routed["parameters"]] == [
        "X-Model-Version",
        "X-Routing-Key",
    ]
    assert "parameters" not in document["paths"]["/v1/predict"]["post"]
    text = document["paths"]["/predict"]["post"]["description"]
    assert "`stable` (version 1 when" in text
    assert all(f"`{choice}`" in text for choice in ("1", "2", "1.0.0", "2.0.0", "latest"))


def test_what_a_publisher_wrote_is_shown_as_text(document: Document) -> None:
    text = document["paths"]["/models/ranked/predict"]["post"]["description"]
    assert r"Sorted \# by \| \*\*nothing\*\* \<script\>" in text
    tag = next(tag for tag in document["tags"] if tag["name"] == "ranked")
    assert tag["description"] == r"Sorted \# by \| \*\*nothing\*\* \<script\>"
    assert r"a\|b\`\*\<img src\=x onerror\=alert\(1\)\>\\" in text


def test_a_wide_table_is_cut_and_says_so(document: Document) -> None:
    text = document["paths"]["/models/doubled/predict"]["post"]["description"]
    assert "**x59**" in text
    assert "**x60**" not in text
    assert f".. and {WIDTH - 60} more" in text


def test_a_damaged_version_is_listed_and_says_that_it_cannot_answer(document: Document) -> None:
    for path in (f"/models/{DAMAGED}/predict", f"/models/{DAMAGED}/versions/1/predict"):
        assert "answers 503" in document["paths"][path]["post"]["description"]


def test_a_model_that_cannot_be_read_from_the_store_is_documented_all_the_same(app: Flask) -> None:
    snapshot = context_of(app).engine.snapshot
    gone = ModelVersions("gone", {}, {}, fault="gone cannot be read from the store")
    document = build_document(app, as_stored(replace(snapshot, models={**snapshot.models, "gone": gone})))
    assert "answers 503" in document["paths"]["/models/gone/predict"]["post"]["description"]


def test_an_empty_store_has_a_valid_document(make_app: Any, tmp_path: Any) -> None:
    document = make_app(tmp_path).test_client().get("/openapi.json").json
    validate(document)
    assert [tag["name"] for tag in document["tags"]] == ["Catalog", "Service"]


def test_metrics_are_documented_if_they_are_served(make_app: Any, tmp_path: Any, document: Document) -> None:
    assert "/metrics" in document["paths"]
    assert (
        "/metrics" not in make_app(tmp_path, metrics=False).test_client().get("/openapi.json").json["paths"]
    )


def test_applications_have_documents_of_their_own(make_app: Any, tmp_path: Any, document: Document) -> None:
    other = make_app(tmp_path).test_client().get("/openapi.json").json
    assert "/predict" in document["paths"]
    assert "/predict" not in other["paths"]


def test_is_made_in_slices(app: Flask) -> None:
    pauses: list[float] = []
    build_document(app, context_of(app).engine.routing, pauses.append)
    assert len(pauses) > 3
    assert all(pause > 0 for pause in pauses)
