"""Tests that model files of every kind answer like their estimators, published from Python or a command."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cloudpickle
import dill
import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from models.publishing import publish
from models.store import Store
from tests.end_to_end.server import ROOT, Server
from tests.models.pickles import OLD, older

X = np.random.default_rng(6).normal(size=(50, 2))

#: A training script with a step of its own; it writes model.joblib.
TRAIN = """
import joblib
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

class Shift(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X + 1.0

if __name__ == "__main__":
    X = np.random.default_rng(6).normal(size=(50, 2))
    joblib.dump(make_pipeline(Shift(), LinearRegression()).fit(X, X.sum(axis=1) ** 2), "model.joblib")
    np.savetxt("sample.csv", X, delimiter=",", header="a,b", comments="")
"""


def linear() -> Any:
    return make_pipeline(StandardScaler(), LinearRegression()).fit(X, X.sum(axis=1) ** 2)


def local() -> Any:
    """Return an estimator with a local function."""
    return make_pipeline(FunctionTransformer(lambda rows: rows**2), LinearRegression()).fit(
        X, X.sum(axis=1) ** 2
    )


#: Model -> how its file is written, and what it holds.
FILES: dict[str, tuple[Any, Any]] = {
    "old": (lambda model, file: file.write_bytes(older(model)), linear),
    "protocol-0": (lambda model, file: file.write_bytes(pickle.dumps(model, protocol=0)), linear),
    "packed": (lambda model, file: joblib.dump(model, file, compress=("xz", 3)), linear),
    "cloud": (lambda model, file: file.write_bytes(cloudpickle.dumps(model)), local),
    "dilled": (lambda model, file: file.write_bytes(dill.dumps(model, recurse=True)), local),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    work = tmp_path_factory.mktemp("files")
    store = Store(work / "store")
    for name, (write, make) in FILES.items():
        write(make(), work / name)
        publish(store, name, work / name, X, accept_version_mismatch=name == "old")
    (work / "train.py").write_text(TRAIN)
    subprocess.run([sys.executable, "train.py"], cwd=work, check=True)
    flask = [sys.executable, "-m", "flask", "--app", "wsgi", "models", "publish", "script"]
    given = [work / "model.joblib", "--data", work / "sample.csv", "--code", work / "train.py"]
    environment = {**os.environ, "PLUMBLINE_STORE": str(store.path)}
    subprocess.run([*flask, *given], cwd=ROOT, env=environment, check=True, capture_output=True)
    with Server(store.path) as running:
        yield running


@pytest.mark.parametrize("name", [*FILES, "script"])
def test_it_answers_as_its_estimator_does_alone_together_and_beside_others(server: Server, name: str) -> None:
    if name == "script":
        expected = LinearRegression().fit(X, X.sum(axis=1) ** 2).predict(X)
    else:
        expected = FILES[name][1]().predict(X)

    def ask(i: int) -> float:
        reply = server.post(f"/models/{name}/predict", {"features": X[i].tolist()})
        assert reply.status == 200, reply.body
        value: float = reply.json()["prediction"]
        return value

    assert ask(0) == pytest.approx(expected[0], rel=1e-9)
    batch = server.post(f"/models/{name}/predict/batch", {"inputs": X.tolist()}).json()["predictions"]
    assert batch == pytest.approx(expected.tolist(), rel=1e-9)
    with ThreadPoolExecutor(16) as clients:
        assert [*clients.map(ask, range(32))] == pytest.approx(expected[:32].tolist(), rel=1e-9)


def test_the_catalog_says_which_scikit_learn_wrote_a_file_that_was_accepted(server: Server) -> None:
    (summary,) = server.get("/models/old").json()["versions"]
    assert summary["pickled_with"] == {"scikit-learn": OLD}
    assert server.get("/models/old/versions/1").json()["pickled_with"] == {"scikit-learn": OLD}
    assert "pickled_with" not in server.get("/models/packed/versions/1").json()
