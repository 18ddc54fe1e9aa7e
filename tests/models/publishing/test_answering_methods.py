"""Models without ``predict``, additional scores, and answers in the containers that libraries return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, RadiusNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from models.conformity import misfit
from models.errors import PublishError, PublishWarning
from models.outputs import members
from models.publishing.publication import Description, draft_version
from models.runtimes.loading import load_version
from models.signature import Output
from models.store import Store
from tests.toys import Local

X = np.random.default_rng(3).normal(size=(60, 3)).round(3)
SIDE = (X[:, 0] > 0).astype(int)
THIRD = np.digitize(X[:, 1], [-0.5, 0.5])
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])


def opened(store: Store, model: Any, sample: Any = X, **said: Any) -> tuple[Output, Any]:
    """Publish without the proof in another process, which has its own tests, and load what was stored."""
    draft = draft_version("toy", model, sample, None, Description(**said))
    version = store.add(draft.manifest, draft.files)
    runtime = load_version(version)
    assert version.golden.holds(runtime)
    return version.manifest.signature.output, runtime


@pytest.mark.parametrize(
    ("model", "said", "kind", "components"),
    [
        (PCA(2), {}, "vector", ("pca0", "pca1")),
        (make_pipeline(StandardScaler(), PCA(2)), {}, "vector", ("pca0", "pca1")),
        (StandardScaler(), {}, "vector", ("x0", "x1", "x2")),
        (KBinsDiscretizer(3, encode="onehot", quantile_method="averaged_inverted_cdf"), {}, "vector", None),
        (KernelDensity(), {}, "number", ()),
        (LocalOutlierFactor(novelty=True), {}, "number", ()),
        (LocalOutlierFactor(novelty=True), {"method": "score_samples"}, "number", ()),
        (IsolationForest(n_estimators=5, random_state=0), {"method": "decision_function"}, "number", ()),
        (KMeans(3, n_init=1, random_state=0), {}, "number", ()),
        (
            KMeans(3, n_init=1, random_state=0),
            {"method": "transform"},
            "vector",
            ("kmeans0", "kmeans1", "kmeans2"),
        ),
        (GaussianMixture(2, random_state=0), {"method": "predict_proba"}, "vector", ()),
        (LogisticRegression(), {"method": "predict_proba"}, "vector", ("0", "1", "2")),
        (SVC(), {"method": "decision_function"}, "vector", ("0", "1", "2")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else None,
)
def test_what_answers_is_the_method_that_was_said_or_the_first_that_there_is(
    store: Store, model: Any, said: dict[str, Any], kind: str, components: tuple[str, ...] | None
) -> None:
    model.fit(X, THIRD)
    output, runtime = opened(store, model, **said)
    assert (output.kind, output.probability) == (kind, False)
    assert components is None or output.components == components
    for rows in (X, X[:1], X[7:9]):
        outputs = runtime.predict(rows, {})
        assert misfit(output, outputs, len(rows)) == ""
        own = getattr(model, output.method)(rows)
        own = own.toarray() if sparse.issparse(own) else own
        np.testing.assert_allclose(outputs.values, own, rtol=1e-9, atol=1e-12)


def test_a_sparse_transformer_of_texts_answers_dense_vectors_with_the_words_as_names(store: Store) -> None:
    texts = ["good film", "bad film", "good plot", "dull plot"] * 10
    model = TfidfVectorizer().fit(texts)
    output, runtime = opened(store, model, texts)
    assert output == Output(
        "vector", size=5, components=("bad", "dull", "film", "good", "plot"), method="transform"
    )
    rows = np.array([["good good film"]], dtype=object)
    assert runtime.predict(rows, {}).values.tolist() == model.transform(["good good film"]).toarray().tolist()


def test_a_transformer_of_a_frame_names_what_it_makes(store: Store) -> None:
    frame = FRAME.assign(colour=["red", "blue"] * 30)
    model = ColumnTransformer([("n", StandardScaler(), ["a"]), ("c", OneHotEncoder(), ["colour"])]).fit(frame)
    output, runtime = opened(store, model, frame)
    assert output.components == ("n__a", "c__colour_blue", "c__colour_red")
    rows = frame.to_numpy(dtype=object)[:2]
    np.testing.assert_allclose(runtime.predict(rows, {}).values, model.transform(frame[:2]))


@pytest.mark.parametrize(
    ("model", "y", "scores"),
    [
        (LogisticRegression(), SIDE, ["decision_function"]),
        (SVC(), THIRD, ["decision_function"]),
        (IsolationForest(n_estimators=5, random_state=0), SIDE, ["decision_function", "score_samples"]),
        (make_pipeline(StandardScaler(), KMeans(3, n_init=1, random_state=0)), SIDE, ["transform"]),
    ],
)
def test_scores_stand_beside_the_prediction(store: Store, model: Any, y: Any, scores: list[str]) -> None:
    model.fit(X, y)
    output, runtime = opened(store, model, scores=scores)
    for rows in (X, X[5:6]):
        outputs = runtime.predict(rows, {})
        assert misfit(output, outputs, len(rows)) == ""
        found = members(output, outputs)
        assert found["prediction"] == model.predict(rows).tolist()
        assert [row.keys() for row in found["scores"]] == [dict.fromkeys(scores).keys()] * len(rows)
        for name in scores:
            own = [row[name] for row in found["scores"]]
            np.testing.assert_allclose(own, getattr(model, name)(rows), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "model", [GaussianProcessRegressor(alpha=0.1), make_pipeline(StandardScaler(), BayesianRidge())]
)
def test_a_regressor_that_knows_how_far_it_may_be_off_says_so(store: Store, model: Any) -> None:
    model.fit(X, X[:, 0] * 2)
    output, runtime = opened(store, model, scores=["std"])
    found = members(output, runtime.predict(X[:4], {}))
    mean, std = model.predict(X[:4], return_std=True)
    np.testing.assert_allclose(found["prediction"], mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose([row["std"] for row in found["scores"]], std, rtol=1e-6, atol=1e-9)


class Quantiles(BaseEstimator):
    """A model like those of libraries of quantile forests: each call selects its quantiles."""

    def fit(self, X: Any, y: Any) -> Quantiles:
        self.models_ = {
            q: HistGradientBoostingRegressor(loss="quantile", quantile=q, max_iter=5).fit(X, y)
            for q in (0.1, 0.5, 0.9)
        }
        return self

    def predict(self, X: Any, quantiles: Any = (0.5,)) -> Any:
        found = np.column_stack([self.models_[q].predict(X) for q in quantiles])
        return found if len(quantiles) > 1 else found[:, 0]


def test_arguments_beside_the_rows_are_recorded_and_used(store: Store) -> None:
    model = Quantiles().fit(X, X[:, 0])
    assert opened(store, model)[0] == Output("number")
    output, runtime = opened(store, model, arguments={"quantiles": [0.1, 0.9]})
    assert output == Output("vector", size=2, arguments={"quantiles": [0.1, 0.9]})
    assert runtime.predict(X[:5], {}).values.tolist() == model.predict(X[:5], [0.1, 0.9]).tolist()


class Wrapped(BaseEstimator):
    """A model that answers in another container."""

    def __init__(self, wrap: Any = None) -> None:
        self.wrap = wrap

    def fit(self, X: Any, y: Any = None) -> Wrapped:
        self.fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        return self.wrap(np.asarray(X) * 2)


@pytest.mark.parametrize(
    ("wrap", "width"),
    [
        (lambda x: pd.DataFrame(x, columns=["p", "q", "r"]), 3),
        (lambda x: pd.DataFrame(x).convert_dtypes(), 3),
        (lambda x: polars.DataFrame(x), 3),
        (lambda x: pyarrow.table({"p": x[:, 0], "q": x[:, 1], "r": x[:, 2]}), 3),
        (lambda x: sparse.csr_matrix(x), 3),
        (lambda x: sparse.coo_array(x), 3),
        (lambda x: x.tolist(), 3),
        (lambda x: x.astype(np.longdouble), 3),
        (lambda x: x.astype(object), 3),
        (lambda x: pd.Series(x[:, 0], index=range(5, 5 + len(x))), 1),
        (lambda x: pd.Series(x[:, 0], dtype="Float64"), 1),
        (lambda x: pd.Series(x[:, 0], dtype="double[pyarrow]"), 1),
        (lambda x: polars.Series(x[:, 0]), 1),
        (lambda x: pyarrow.array(x[:, 0]), 1),
        (lambda x: pyarrow.chunked_array([x[:, 0]]), 1),
        (lambda x: list(x[:, 0]), 1),
        (lambda x: tuple(x[:, 0]), 1),
        (lambda x: [float(v) for v in x[:, 0]], 1),
    ],
)
def test_an_answer_in_any_container_is_the_array_that_it_stands_for(
    store: Store, wrap: Any, width: int
) -> None:
    output, runtime = opened(store, Wrapped(Local(wrap)).fit(X))
    assert output == (Output("number") if width == 1 else Output("vector", size=3))
    for rows in (X, X[:1]):
        outputs = runtime.predict(rows, {})
        assert outputs.values.dtype == np.float64
        assert outputs.values.tolist() == (rows * 2 if width > 1 else rows[:, 0] * 2).tolist()


@pytest.mark.parametrize(
    ("labels", "wrap"),
    [
        (["no", "yes"], lambda y: pd.Series(y)),
        (["no", "yes"], lambda y: pd.Categorical(y)),
        (["no", "yes"], lambda y: polars.Series(y)),
        (["no", "yes"], lambda y: pyarrow.array(y)),
        (["no", "yes"], lambda y: y[:, None]),
        (["no", "yes"], lambda y: y.astype(object)),
        ([1, 2], lambda y: y.astype(float)),
        ([1, 2], lambda y: y.astype(np.uint8)),
        ([1.5, 2.5], lambda y: y[:, None]),
        ([False, True], lambda y: y.tolist()),
        ([1, "two"], lambda y: y),
        ([1, "two"], lambda y: y.tolist()),
    ],
)
def test_labels_of_every_type_are_those_that_the_classifier_knows(
    store: Store, labels: list[Any], wrap: Any
) -> None:
    known = np.array(labels, dtype=object if len({type(v) for v in labels}) > 1 else None)
    model = Labelling(Local(wrap), known).fit(X)
    output, runtime = opened(store, model)
    assert output == Output("class", classes=tuple(labels))
    values = runtime.predict(X, {}).values.tolist()
    expected = [labels[i] for i in SIDE]
    assert values == expected
    assert [type(v) for v in values] == [type(v) for v in expected]


class Labelling(BaseEstimator):
    def __init__(self, wrap: Any = None, labels: Any = None) -> None:
        self.wrap = wrap
        self.labels = labels

    def fit(self, X: Any, y: Any = None) -> Labelling:
        self.classes_ = self.labels
        return self

    def predict(self, X: Any) -> Any:
        return self.wrap(self.classes_[(np.asarray(X)[:, 0] > 0).astype(int)])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"method": "fit_predict"}, "--method 'fit_predict': use one of predict, transform"),
        (
            {"method": "transform"},
            r"LogisticRegression has no transform\(\); it has predict, decision_function",
        ),
        ({"scores": ["std"]}, "return_std"),
        ({"scores": ["score_samples"]}, r"LogisticRegression has no score_samples\(\)"),
        ({"scores": ["loss"]}, "--with 'loss': use one of decision_function"),
        ({"arguments": {"quantiles": [0.5]}}, "unexpected keyword argument 'quantiles'"),
    ],
)
def test_what_the_model_cannot_do_is_refused_with_what_it_can(
    store: Store, said: dict[str, Any], why: str
) -> None:
    with pytest.raises(PublishError, match=why):
        opened(store, LogisticRegression().fit(X, SIDE), **said)


def test_probabilities_of_several_outputs_are_no_answer_of_their_own(store: Store) -> None:
    model = DecisionTreeClassifier().fit(X, np.column_stack([SIDE, THIRD]))
    with pytest.raises(PublishError, match=r"one array for each output; predict\(\) answers all"):
        opened(store, model, method="predict_proba")


@pytest.mark.filterwarnings("ignore:Outlier label")
@pytest.mark.parametrize("steps", [(), (StandardScaler(),)])
def test_the_label_of_outliers_is_one_that_may_be_answered(store: Store, steps: tuple[Any, ...]) -> None:
    """scikit-learn does not count it among the classes, and gives it no probability."""
    model = make_pipeline(*steps, RadiusNeighborsClassifier(2.0, outlier_label=-1)).fit(X, SIDE)
    with pytest.warns(
        PublishWarning, match="gives 2 numbers a row for 3 labels, so replies have no probability"
    ):
        output, runtime = opened(store, model)
    assert output == Output("class", classes=(0, 1, -1))
    far = np.array([[50.0, 50.0, 50.0], X[0]])
    outputs = runtime.predict(far, {})
    assert outputs.values.tolist() == [-1, SIDE[0]]
    assert misfit(output, outputs, 2) == ""


class Holder(BaseEstimator):
    """An estimator with a class, a function and a module as parameters."""

    def __init__(self, maker: Any = None, how: Any = None, inner: Any = None) -> None:
        self.maker = maker
        self.how = how
        self.inner = inner

    def fit(self, X: Any, y: Any) -> Holder:
        self.inner_ = self.inner.fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        return self.inner_.predict(X)


def test_classes_and_functions_as_parameters_stay_as_they_are(store: Store) -> None:
    """Publishing must not remove names from scikit-learn's own Pipeline, which the whole process uses."""
    before = {kind: dict(vars(kind)) for kind in (Pipeline, LogisticRegression, PCA)}
    model = Holder(Pipeline, np.mean, make_pipeline(PCA(2), LogisticRegression())).fit(FRAME, SIDE)
    nested = Holder([Pipeline, {"kind": PCA}], LogisticRegression, model).fit(FRAME, SIDE)
    _, runtime = opened(store, nested, FRAME)
    assert {kind: dict(vars(kind)) for kind in before} == before
    assert runtime.model.maker[0] is Pipeline
    assert runtime.predict(X, {}).values.tolist() == nested.predict(FRAME).tolist()
