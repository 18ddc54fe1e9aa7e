"""Published models of CatBoost, XGBoost, LightGBM and imbalanced-learn give their own answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from imblearn.ensemble import BalancedRandomForestClassifier
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as imbalanced_pipeline
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.conformity import misfit
from models.errors import PublishError
from models.outputs import Outputs
from models.publishing import publish
from models.publishing.publication import Description, draft_version
from models.runtimes.loading import load_version
from models.signature import Output
from models.store import Store

X, SPECIES = load_iris(return_X_y=True)
TEXT = np.array(["red", "green", "blue"])[SPECIES]
TWO = SPECIES == 1
MARKS = np.column_stack([SPECIES == 0, X[:, 0] > 5.8]).astype(int)
FEATURES, TARGET = load_diabetes(return_X_y=True)
PAIR = np.column_stack([TARGET, -TARGET])

CAT = {"iterations": 5, "verbose": 0, "allow_writing_files": False, "random_seed": 0}
LIGHT = {"n_estimators": 5, "verbose": -1}
XG = {"n_estimators": 5}


def classes(*labels: Any) -> Output:
    return Output("class", classes=labels, probability=True)


def light_booster(objective: str, y: np.ndarray, **more: Any) -> Any:
    return lightgbm.train({"objective": objective, "verbose": -1, **more}, lightgbm.Dataset(X, y), 5)


def xg_booster(objective: str, y: np.ndarray, names: list[str] | None = None, **more: Any) -> Any:
    matrix = xgboost.DMatrix(X, y, feature_names=names)
    return xgboost.train({"objective": objective, **more}, matrix, 5)


def of_matrix(model: Any, rows: np.ndarray) -> Any:
    return model.predict(xgboost.DMatrix(rows, feature_names=model.feature_names))


NUMBER, PAIRED, THREE = Output("number"), Output("vector", size=2), Output("vector", size=3)

MODELS: dict[str, tuple[Callable[[], Any], np.ndarray, Output]] = {
    "catboost": (
        lambda: catboost.CatBoostClassifier(**CAT).fit(X, TEXT),
        X,
        classes("blue", "green", "red"),
    ),
    "catboost of numbers": (lambda: catboost.CatBoostClassifier(**CAT).fit(X, SPECIES), X, classes(0, 1, 2)),
    "catboost of booleans": (lambda: catboost.CatBoostClassifier(**CAT).fit(X, TWO), X, classes(False, True)),
    "catboost of floats": (
        lambda: catboost.CatBoostClassifier(**CAT).fit(X, SPECIES + 0.5),
        X,
        classes(0.5, 1.5, 2.5),
    ),
    "catboost in a pipeline": (
        lambda: make_pipeline(StandardScaler(), catboost.CatBoostClassifier(**CAT)).fit(X, TEXT),
        X,
        classes("blue", "green", "red"),
    ),
    "catboost regression": (
        lambda: catboost.CatBoostRegressor(**CAT).fit(FEATURES, TARGET),
        FEATURES,
        NUMBER,
    ),
    "catboost of two numbers": (
        lambda: catboost.CatBoostRegressor(**CAT, loss_function="MultiRMSE").fit(FEATURES, PAIR),
        FEATURES,
        PAIRED,
    ),
    "catboost without classes": (
        lambda: catboost.CatBoost({**CAT, "loss_function": "Logloss"}).fit(X, TWO.astype(int)),
        X,
        NUMBER,
    ),
    "lightgbm": (
        lambda: lightgbm.LGBMClassifier(**LIGHT).fit(X, TEXT),
        X,
        classes("blue", "green", "red"),
    ),
    "lightgbm of booleans": (lambda: lightgbm.LGBMClassifier(**LIGHT).fit(X, TWO), X, classes(False, True)),
    "lightgbm regression": (lambda: lightgbm.LGBMRegressor(**LIGHT).fit(FEATURES, TARGET), FEATURES, NUMBER),
    "lightgbm ranking": (
        lambda: lightgbm.LGBMRanker(**LIGHT).fit(X, SPECIES, group=[100, 50]),
        X,
        NUMBER,
    ),
    "lightgbm booster": (lambda: light_booster("binary", TWO), X, NUMBER),
    "lightgbm booster of three": (lambda: light_booster("multiclass", SPECIES, num_class=3), X, THREE),
    "xgboost": (lambda: xgboost.XGBClassifier(**XG).fit(X, SPECIES), X, classes(0, 1, 2)),
    "xgboost of two": (lambda: xgboost.XGBClassifier(**XG).fit(X, TWO.astype(int)), X, classes(0, 1)),
    "xgboost regression": (lambda: xgboost.XGBRegressor(**XG).fit(FEATURES, TARGET), FEATURES, NUMBER),
    "xgboost of two numbers": (lambda: xgboost.XGBRegressor(**XG).fit(FEATURES, PAIR), FEATURES, PAIRED),
    "xgboost quantiles": (
        lambda: xgboost.XGBRegressor(**XG, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9]).fit(
            FEATURES, TARGET
        ),
        FEATURES,
        THREE,
    ),
    "xgboost booster": (lambda: xg_booster("binary:logistic", TWO), X, NUMBER),
    "xgboost booster of three": (lambda: xg_booster("multi:softprob", SPECIES, num_class=3), X, THREE),
    "imbalanced-learn": (
        lambda: imbalanced_pipeline(RandomOverSampler(random_state=0), LogisticRegression(max_iter=1000)).fit(
            X, TEXT
        ),
        X,
        classes("blue", "green", "red"),
    ),
    "balanced forest": (
        lambda: BalancedRandomForestClassifier(5, random_state=0).fit(X, SPECIES),
        X,
        classes(0, 1, 2),
    ),
    "a vote": (
        lambda: VotingClassifier(
            [("l", lightgbm.LGBMClassifier(**LIGHT)), ("x", xgboost.XGBClassifier(**XG))], voting="soft"
        ).fit(X, SPECIES),
        X,
        classes(0, 1, 2),
    ),
}


def opened(store: Store, model: Any, sample: Any, **said: Any) -> tuple[Output, Any]:
    """Publish without the proof in another process, which has its own tests."""
    draft = draft_version("toy", model, sample, None, Description(**said))
    version = store.add(draft.manifest, draft.files)
    return version.manifest.signature.output, load_version(version)


def as_is(model: Any, rows: Any, output: Output) -> tuple[list[Any], Any]:
    """Return the answers of the object itself."""
    values = of_matrix(model, rows) if isinstance(model, xgboost.Booster) else model.predict(rows)
    return (
        np.asarray(values).reshape(len(rows), -1).tolist()
        if output.kind == "vector"
        else np.ravel(values).tolist(),
        model.predict_proba(rows) if output.probability else None,
    )


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", MODELS)
def test_it_answers_as_the_object_itself(store: Store, name: str) -> None:
    train, sample, declared = MODELS[name]
    model = train()
    output, runtime = opened(store, model, sample)
    assert output == declared
    for rows in (sample, sample[70:71], sample[140:147]):
        outputs: Outputs = runtime.predict(rows, {})
        assert misfit(output, outputs, len(rows)) == ""
        values, probabilities = as_is(model, rows, output)
        if output.kind == "class":
            assert outputs.values.tolist() == values
        else:
            np.testing.assert_allclose(outputs.values, values, rtol=1e-9)
        if probabilities is not None:
            np.testing.assert_allclose(outputs.probabilities, probabilities, rtol=1e-9)


@pytest.mark.parametrize("kind", ["catboost", "xgboost"])
def test_marks_of_libraries_that_keep_no_list_of_classes_are_several_outputs(store: Store, kind: str) -> None:
    model = (
        catboost.CatBoostClassifier(**CAT, loss_function="MultiLogloss")
        if kind == "catboost"
        else xgboost.XGBClassifier(**XG)
    ).fit(X, MARKS)
    output, runtime = opened(store, model, X)
    assert output.outputs == tuple(Output("class", name=name, classes=(0, 1)) for name in ("y0", "y1"))
    outputs = runtime.predict(X, {})
    assert outputs.values.tolist() == model.predict(X).tolist()
    np.testing.assert_allclose(outputs.probabilities[:, [1, 3]], model.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(outputs.probabilities.sum(axis=1), 2.0)


def test_a_booster_that_knows_names_is_asked_by_them(store: Store) -> None:
    names = ["sepal", "width", "petal", "depth"]
    model = xg_booster("binary:logistic", TWO, names)
    output, runtime = opened(store, model, pd.DataFrame(X, columns=names))
    assert output == Output("number")
    assert runtime.predict(X, {}).values.tolist() == of_matrix(model, X).tolist()


@pytest.mark.parametrize("kind", ["estimator", "booster"])
def test_columns_keep_their_names_where_lightgbm_records_others(store: Store, kind: str) -> None:
    """LightGBM records underscores for spaces and uses positions alone, so the names decide which column is
    which.
    """
    frame = pd.DataFrame(X, columns=["sepal length", "sepal width", "petal_length", "petal  width"])
    model: Any = lightgbm.LGBMRegressor(**LIGHT).fit(frame, TARGET[: len(X)])
    model = model if kind == "estimator" else model.booster_
    version = publish(store, "toy", model, frame[frame.columns[::-1]])
    assert [c.name for c in version.manifest.signature.columns] == [*frame.columns]
    runtime = load_version(version)
    runtime.load()
    np.testing.assert_allclose(runtime.predict(X, {}).values, model.predict(frame), rtol=1e-9)
    with pytest.raises(
        PublishError, match="lacks columns that the model was fitted on: sepal_width; it has sepal length"
    ):
        publish(store, "toy", model, frame.rename(columns={"sepal width": "width"}))


@pytest.mark.parametrize(
    "name", ["catboost", "catboost in a pipeline", "lightgbm booster", "xgboost", "lightgbm"]
)
def test_a_call_starts_no_threads_of_its_own(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each library gets its own setting for one thread, if it has one."""
    train, sample, _ = MODELS[name]
    _, runtime = opened(store, train(), sample)
    model = getattr(runtime.model, "steps", [(None, runtime.model)])[-1][1]
    told: list[Any] = []
    if name.startswith("catboost"):
        real = type(model)._base_predict

        def spy(self: Any, pool: Any, kind: Any, start: Any, end: Any, threads: int, *rest: Any) -> Any:
            told.append(threads)
            return real(self, pool, kind, start, end, threads, *rest)

        monkeypatch.setattr(catboost.CatBoost, "_base_predict", spy)
    elif name == "lightgbm booster":
        predict = lightgbm.Booster.predict
        monkeypatch.setattr(
            lightgbm.Booster,
            "predict",
            lambda s, X, **k: (told.append(k["num_threads"]), predict(s, X, **k))[1],
        )
    else:
        assert model.n_jobs == 1
        if name == "xgboost":
            assert json.loads(model.get_booster().save_config())["learner"]["generic_param"]["nthread"] == "1"
        return
    draft = draft_version("again", runtime.model, sample, None, Description())
    load_version(store.add(draft.manifest, draft.files)).predict(sample, {})
    assert set(told) == {1}
