"""Tests of a version with a compiled form over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from flask.testing import FlaskClient
from sklearn.ensemble import HistGradientBoostingClassifier

from models.publishing import publish
from models.publishing.compiling import choice
from models.store import Store
from tests.conftest import MakeApp, app_maker

pytestmark = pytest.mark.usefixtures("compiler")

X = np.random.default_rng(0).normal(size=(80, 3)).round(3)
MODEL = HistGradientBoostingClassifier(max_iter=4).fit(X, np.where(X[:, 0] > 0, "yes", "no"))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    store = Store(tmp_path_factory.mktemp("compiled"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "WORTHWHILE", 0.0)  # speed on a busy machine is not what is tested
        publish(store, "toy", MODEL, X, compile="treelite")
    make: MakeApp
    with app_maker() as make:
        yield make(store).test_client()


def test_it_answers_as_the_estimator_does(asked: FlaskClient) -> None:
    reply = asked.post("/models/toy/predict/batch", json={"inputs": X.tolist()})
    assert reply.status_code == 200, reply.json
    assert reply.json["predictions"] == MODEL.predict(X).tolist()
    assert reply.json["probabilities"] == pytest.approx(MODEL.predict_proba(X), abs=1e-12)


def test_its_metadata_says_which_form_serves_and_why(asked: FlaskClient) -> None:
    found = asked.get("/models/toy/versions/1").json
    assert found["compiled"]["form"] == "treelite"
    assert found["compiled"]["here"] == {"form": "treelite"}
    assert "x as fast as the original" in found["compiled"]["why"]
    assert found["batching"]["bit_exact"] is True
    assert set(found["files"]) >= {"model.joblib", "compiled/model.so"}
