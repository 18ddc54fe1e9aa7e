"""Tests of answers on a real server: several outputs, vectors, scores, and invalid predictions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from catboost import CatBoostClassifier
from flask import Flask
from openapi_spec_validator import validate
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.svm import SVC

from app.cli.commands import predict_command
from models.publishing import publish
from models.publishing.publication import Description, draft_version
from models.signature import Output
from models.store import Store
from tests.app.api.document_parts import body_of, check, predictions, reply_of
from tests.end_to_end.server import Server
from tests.toys import Faulty

X, SPECIES = load_iris(return_X_y=True)
LABELS = pd.DataFrame(
    {"kind": np.array(["setosa", "versicolor", "virginica"])[SPECIES], "large": X[:, 0] > 5.8}, dtype=object
)
MODELS: dict[str, Any] = {
    "several": MultiOutputClassifier(LogisticRegression(max_iter=2000)).fit(X, LABELS.astype(str)),
    "vector": PCA(2).fit(X),
    "scored": SVC().fit(X, SPECIES),
    "cat": CatBoostClassifier(iterations=5, verbose=0, allow_writing_files=False).fit(X, LABELS["kind"]),
    "booster": xgboost.train({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(X, SPECIES), 5),
}
CHANCES = Output("class", classes=("no", "yes"), probability=True)
FAULTY: dict[str, tuple[Faulty, Any]] = {
    "null": (Faulty(Output("number"), 1.5, None), 1.5),
    "short": (Faulty(Output("vector", size=2), [1.0, 2.0], [1.0]), [1.0, 2.0]),
    "stranger": (Faulty(Output("class", classes=("no", "yes")), "yes", "maybe"), "yes"),
    "number": (Faulty(Output("class", classes=(1, 2)), 1, True), 1),
    "chances": (Faulty(CHANCES, ("no", [0.75, 0.25]), ("no", [1.0])), "no"),
    "missing": (Faulty(Output("number"), 2.5, ...), 2.5),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one worker and all models."""
    store = Store(tmp_path_factory.mktemp("store"))
    publish(store, "several", MODELS["several"], X, LABELS.astype(str))
    for name, said in (
        ("vector", {}),
        ("scored", {"scores": ["decision_function"]}),
        ("cat", {}),
        ("booster", {}),
    ):
        publish(store, name, MODELS[name], X, **said)
    for name, (model, _) in FAULTY.items():
        draft = draft_version(name, model, [[1.0], [2.0], [3.0]], None, Description())
        store.add(draft.manifest, draft.files)
    with Server(store.path, PLUMBLINE_DEFAULT_MODEL="several") as started:
        yield started


def expected(name: str, rows: np.ndarray) -> dict[str, list[Any]]:
    """Return the members of a reply to many rows, computed with the object itself."""
    model = MODELS[name]
    if name == "several":
        labels = [dict(zip(LABELS, row, strict=True)) for row in model.predict(rows).tolist()]
        kind, large = model.predict_proba(rows)
        return {
            "predictions": labels,
            "probabilities": [
                {"kind": k, "large": g} for k, g in zip(kind.tolist(), large.tolist(), strict=True)
            ],
        }
    if name == "vector":
        return {"predictions": model.transform(rows).tolist()}
    if name == "booster":
        return {"predictions": model.predict(xgboost.DMatrix(rows)).tolist()}
    found = {"predictions": model.predict(rows).ravel().tolist()}
    if name == "cat":
        return {**found, "probabilities": model.predict_proba(rows).tolist()}
    return {**found, "scores": [{"decision_function": row} for row in model.decision_function(rows).tolist()]}


def assert_same(one: Any, other: Any) -> None:
    """Assert that labels are identical and floats are the same answer."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, list) and one and not isinstance(one[0], str):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert type(one) is type(other)
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9) if isinstance(one, float) else one == other


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_the_object(server: Server, name: str) -> None:
    members = {"predictions": "prediction", "probabilities": "probability", "scores": "scores"}

    def ask(seed: int) -> None:
        rows = X[np.random.default_rng(seed).integers(len(X), size=1 + seed % 3)]
        right = expected(name, rows)
        reply = server.post(f"/models/{name}/predict/batch", {"inputs": rows.tolist()})
        assert reply.status == 200, reply.body
        assert_same({key: reply.json()[key] for key in right}, right)
        assert not (members.keys() & reply.json().keys()) - right.keys()
        one = server.post(f"/models/{name}/predict", {"features": rows[0].tolist()})
        assert_same(
            {members[key]: one.json()[members[key]] for key in right},
            {members[k]: v[0] for k, v in right.items()},
        )

    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(ask, seed) for seed in range(48)]:
            done.result(timeout=120)


@pytest.mark.parametrize("name", [*MODELS, *FAULTY])
def test_the_document_says_what_is_answered(server: Server, name: str) -> None:
    document = server.get("/openapi.json").json()
    validate(document)
    for path, operation in predictions(document, name):
        schema = reply_of(document, operation)["schema"]
        for example in body_of(document, operation)["examples"].values():
            place = example["$ref"].rsplit("/", 1)[1]
            value = document["components"]["examples"][place.replace("~1", "/").replace("~0", "~")]["value"]
            reply = server.post(path, value)
            assert reply.status == 200, reply.body
            check(document, schema, reply.json())


def test_the_metadata_names_outputs_components_and_scores(server: Server) -> None:
    outputs = {name: server.get(f"/models/{name}/versions/1").json()["output"] for name in MODELS}
    assert outputs["several"] == {
        "kind": "several",
        "probability": True,
        "outputs": [
            {"name": "kind", "kind": "class", "classes": ["setosa", "versicolor", "virginica"]},
            {"name": "large", "kind": "class", "classes": ["False", "True"]},
        ],
    }
    assert outputs["vector"] == {
        "kind": "vector",
        "size": 2,
        "components": ["pca0", "pca1"],
        "method": "transform",
    }
    assert outputs["scored"]["scores"] == [
        {"name": "decision_function", "kind": "vector", "size": 3, "components": ["0", "1", "2"]}
    ]


@pytest.mark.parametrize("name", FAULTY)
def test_an_answer_that_is_none_is_the_model_s_fault_and_spoils_no_neighbour(
    server: Server, name: str
) -> None:
    """It was "prediction": null with 200, or passed alone and failed in a batch."""
    right = FAULTY[name][1]

    def ask(x: float) -> None:
        one = server.post(f"/models/{name}/predict", {"features": [x]})
        many = server.post(f"/models/{name}/predict/batch", {"inputs": [[1.0], [x], [2.0]]})
        if x < 0:
            assert (one.status, many.status) == (500, 500)
        else:
            assert (one.json()["prediction"], many.json()["predictions"]) == (right, [right] * 3)

    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(ask, -1.0 if i % 4 == 0 else float(i)) for i in range(64)]:
            done.result(timeout=120)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("several", ["kind", "large", "p(kind=virginica)", "p(large=True)"]),
        ("vector", ["pca0", "pca1"]),
        ("scored", ["prediction", "decision_function"]),
    ],
)
def test_the_command_line_prints_every_answer_under_its_name(
    server: Server, name: str, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMBLINE_STORE", str(server.store))
    app = Flask("cli")
    app.cli.add_command(predict_command)
    said = app.test_cli_runner().invoke(args=["predict", name, "--example"])
    printed = {line.split("  ")[0].strip() for line in said.stdout.splitlines()}
    assert set(shown) <= printed, said.output
    as_json = app.test_cli_runner().invoke(args=["predict", name, "--example", "--json"])
    assert_same(json.loads(as_json.stdout)["prediction"], expected(name, X[:1])["predictions"][0])
