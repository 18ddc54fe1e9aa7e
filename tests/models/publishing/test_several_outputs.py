"""Models with several labels or numbers per row: published, stored, loaded and called like on a server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from models.comparison import compare
from models.conformity import misfit
from models.errors import PublishError
from models.outputs import Outputs, members
from models.publishing import publish
from models.runtimes.loading import load_version
from models.signature import Output
from models.store import Store

X, SPECIES = load_iris(return_X_y=True)
KINDS = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
SIZES = np.array(["small", "large"])[(X[:, 0] > 5.8).astype(int)]
NAMED = pd.DataFrame({"kind": KINDS, "size": SIZES})
NUMBERS = np.column_stack([SPECIES, np.where(X[:, 1] > 3, 7, 2)])
#: For each of two labels whether a row has it.
MARKS = np.column_stack([SPECIES == 0, X[:, 0] > 5.8]).astype(int)

LINE = LogisticRegression(max_iter=2000)
FEW = {"n_estimators": 5, "random_state": 0}


def chances(model: Any, rows: np.ndarray) -> list[np.ndarray]:
    """Return each output's probabilities from the estimator; an indicator's include those of a missing
    mark.
    """
    found = model.predict_proba(rows)
    return found if isinstance(found, list) else [np.stack([1 - p, p], axis=1) for p in found.T]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("model", "y"),
    [
        (MultiOutputClassifier(LINE), NAMED),
        (MultiOutputClassifier(LINE), NUMBERS),
        (RandomForestClassifier(**FEW), NAMED),
        (RandomForestClassifier(**FEW), NUMBERS),
        (make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)), NUMBERS),
        (KNeighborsClassifier(), NAMED),
        (KNeighborsClassifier(), MARKS),
        (DummyClassifier(), NUMBERS),
        (OneVsRestClassifier(LINE), MARKS),
        (MLPClassifier((4,), max_iter=30, random_state=0), MARKS),
        (ClassifierChain(LINE), MARKS),
        (RandomForestClassifier(**FEW), MARKS.astype(bool)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_output_has_its_label_and_its_probabilities(store: Store, model: Any, y: Any) -> None:
    model.fit(X, y)
    stored = publish(store, "flower", model, X, y)
    output, names = stored.manifest.signature.output, list(getattr(y, "columns", ["y0", "y1"]))
    assert (output.kind, output.probability) == ("several", True)
    assert [one.name for one in output.outputs] == names
    runtime = load_version(stored)
    expected, probabilities = model.predict(X), chances(model, X)
    for rows in (slice(0, 150), slice(70, 71), slice(140, 147)):
        outputs = runtime.predict(X[rows], {})
        assert misfit(output, outputs, len(X[rows])) == ""
        found = members(output, outputs)
        for i, (name, one) in enumerate(zip(names, output.outputs, strict=True)):
            assert [answer[name] for answer in found["prediction"]] == expected[rows, i].tolist()
            own = np.array([answer[name] for answer in found["probability"]])
            assert own.shape == (len(X[rows]), len(one.classes))
            np.testing.assert_allclose(own, probabilities[i][rows], rtol=1e-9, atol=1e-12)
    right = (expected == np.asarray(y)).mean(axis=0)
    assert [stored.manifest.metrics[f"sample_accuracy_{name}"] for name in names] == right.tolist()
    assert stored.manifest.metrics["sample_accuracy"] == (expected == np.asarray(y)).all(axis=1).mean()


def test_labels_without_probabilities_and_a_column_of_one_output(store: Store) -> None:
    without = MultiOutputClassifier(LinearSVC()).fit(X, NAMED)
    output = publish(store, "a", without, X).manifest.signature.output
    assert (output.probability, [one.name for one in output.outputs]) == (False, ["y0", "y1"])
    alone = MultiOutputClassifier(LINE).fit(X, NAMED[["kind"]])
    stored = publish(store, "b", alone, X, NAMED[["kind"]])
    prediction = stored.manifest.example["response"]["prediction"]
    assert prediction == {"kind": alone.predict(X[:1])[0, 0]}


@pytest.mark.filterwarnings("always")
def test_probabilities_that_the_model_cannot_give_are_left_out_with_a_warning(store: Store) -> None:
    """scikit-learn's chain of more than two classes has the method, but it fails."""
    chain = ClassifierChain(LINE).fit(X, NUMBERS)
    with pytest.warns(UserWarning, match=r"predict_proba\(\) fails \(ValueError: .*so replies have no prob"):
        stored = publish(store, "chain", chain, X)
    assert not stored.manifest.signature.output.probability
    values = load_version(stored).predict(X, {}).values
    assert values.tolist() == chain.predict(X).astype(int).tolist()
    assert values.dtype.kind == "i"


def test_numbers_are_a_vector_whose_components_are_the_targets(store: Store) -> None:
    y = pd.DataFrame({"length": X[:, 2], "width": X[:, 3]})
    model = RandomForestRegressor(**FEW).fit(X[:, :2], y)
    stored = publish(store, "petal", model, X[:, :2], y)
    assert stored.manifest.signature.output == Output("vector", size=2, components=("length", "width"))
    assert load_version(stored).predict(X[:3, :2], {}).values.tolist() == model.predict(X[:3, :2]).tolist()


def test_names_for_more_outputs_than_the_model_has_are_refused(store: Store) -> None:
    model = LinearRegression().fit(X[:, :2], X[:, 2:])
    with pytest.raises(PublishError, match=r"3 outputs are named \(a, b, c\), the model answers 2 a row"):
        publish(store, "petal", model, X[:, :2], pd.DataFrame(X[:, 1:], columns=["a", "b", "c"]))


def test_golden_rows_of_labels_of_several_types_survive_json(store: Store) -> None:
    """NumPy would turn 2 into text next to "red"."""
    several = Output(
        "several", outputs=(Output("class", name="a", classes=("red", 7)), Output("number", name="b"))
    )
    values = np.empty((2, 2), dtype=object)
    values[:] = [["red", 1.5], [7, 2.0]]
    outputs = Outputs(values, np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([[1.0], [2.0]]))
    again = Outputs.of_lists(outputs.to_lists(), several)
    assert [a.tolist() for a in again.arrays if a is not None] == [
        a.tolist() for a in outputs.arrays if a is not None
    ]
    assert [type(v) for v in again.values.ravel().tolist()] == [str, float, int, float]
    assert Outputs.joined([again.rows(0, 1), again.rows(1, 2)]).to_lists() == outputs.to_lists()
    assert Output.from_dict(several.to_dict()) == several


def test_two_versions_are_compared_output_by_output(store: Store) -> None:
    deep = publish(store, "flower", RandomForestClassifier(**FEW).fit(X, NAMED), X, NAMED)
    flat = publish(store, "flower", RandomForestClassifier(**FEW, max_depth=1).fit(X, NAMED), X, NAMED)
    answers = load_version(deep).predict(X, {}), load_version(flat).predict(X, {})
    found = compare(deep.manifest, flat.manifest, X, answers, NAMED.to_numpy()).to_json()
    same = answers[0].values == answers[1].values
    assert found["answers"]["changed"] == int((~same.all(axis=1)).sum()) > 0
    assert found["answers"]["outputs"] == {
        name: {"changed": int((~same[:, i]).sum()), "changed_share": float((~same[:, i]).mean())}
        for i, name in enumerate(NAMED)
    }
    right = [(a.values == NAMED.to_numpy()).all(axis=1).mean() for a in answers]
    assert [score["value"] for score in found["truth"]["scores"]] == pytest.approx(right)
    assert found["answers"]["rows_that_differ_most"][0]["answers"][0]["prediction"].keys() == {"kind", "size"}


def test_golden_rows_are_held_in_every_output(store: Store) -> None:
    stored = publish(store, "flower", MultiOutputClassifier(LINE).fit(X, NAMED), X)
    golden = stored.golden
    assert golden.holds(load_version(stored))
    assert golden.outputs.probabilities is not None
    golden.outputs.probabilities[3, 4] += 1e-6
    assert not golden.holds(load_version(stored))
