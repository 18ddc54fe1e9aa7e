"""A compiled form is kept only if it gives the original's answers, faster; otherwise the manifest has the
reason.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    BaggingRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.tree import DecisionTreeRegressor

from models.compiled import CHOICES, platform_here
from models.errors import PredictError, PublishError
from models.libraries import installed_versions
from models.publishing import publish
from models.publishing.compiling import choice
from models.publishing.compiling.boundaries import boundary_rows
from models.runtimes.compiled_runtime import CompiledRuntime
from models.runtimes.loading import load_version
from models.runtimes.sklearn_runtime import SklearnRuntime
from models.sameness import FLOAT32_TOLERANCE, same_answers
from models.store import Store
from tests.conftest import wait_until
from tests.toys import Summing

pytestmark = pytest.mark.usefixtures("compiler")

RNG = np.random.default_rng(5)
X = RNG.normal(size=(120, 3)).round(2)
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
#: Categories as numbers.
CODES = RNG.integers(0, 4, size=(120, 3)).astype(float)


@pytest.fixture(scope="module", autouse=True)
def however_fast() -> Iterator[None]:
    """Keep forms of small models although they are hardly faster on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "WORTHWHILE", 0.0)
        yield


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(4, random_state=0).fit(X, Y)


def scaled() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)


def record(store: Store, model: Any, compile: str, rows: Any = X) -> dict[str, Any]:
    return dict(publish(store, "toy", model, rows, compile=compile).manifest.compiled)


def reason(store: Store, model: Any, compile: str, rows: Any = X) -> str:
    """Return why the original serves, after checking that nothing else is recorded."""
    found = record(store, model, compile, rows)
    assert found.keys() == {"form", "why"} and found["form"] == "original"
    assert found["why"].startswith("cannot be compiled: ")
    assert found["why"].endswith("; the original serves") and "\n" not in found["why"]
    assert isinstance(load_version(store.get("toy", 1)), SklearnRuntime)
    return str(found["why"])


def test_the_original_is_the_default(store: Store) -> None:
    version = publish(store, "toy", forest(), X)
    assert version.manifest.compiled == {}
    assert isinstance(load_version(version), SklearnRuntime)


def test_what_is_recorded_about_a_form(store: Store) -> None:
    version = publish(store, "toy", forest(), X, compile="auto")
    found = version.manifest.compiled
    assert (found["form"], found["file"], found["dtype"]) == ("treelite", "compiled/model.so", "float64")
    assert found["why"].endswith(" for 64, answers the same")
    assert (found["tolerance"], found["max_abs_difference"]) == (1e-9, 0.0)
    assert found["rows_compared"] > 120 + 64
    assert found["speed_up"].keys() == version.manifest.measured_ms.keys() == {"1", "8", "64"}
    assert min(found["speed_up"].values()) > 0
    assert (found["platform"], found["libraries"]) == (platform_here(), {})
    assert {"model.joblib", "compiled/model.so"} <= version.manifest.files.keys()
    assert store.get("toy", 1).manifest.compiled == found


def test_a_linear_pipeline_becomes_one_graph(store: Store) -> None:
    version = publish(store, "toy", scaled(), X, compile="auto")
    found = version.manifest.compiled
    assert (found["form"], found["dtype"], found["tolerance"]) == ("onnx", "float64", 1e-9)
    assert found["libraries"] == installed_versions(["onnxruntime"])
    runtime, rows = load_version(version), RNG.normal(size=(500, 3))
    assert isinstance(runtime, CompiledRuntime)
    assert same_answers(load_version(version, original=True).predict(rows, {}), runtime.predict(rows, {}))


def test_a_linear_regression_becomes_a_graph_too(store: Store) -> None:
    model = LinearRegression().fit(X, X @ [1.0, 2.0, 3.0])
    version = publish(store, "toy", model, X, compile="onnx")
    assert version.manifest.compiled["form"] == "onnx", version.manifest.compiled
    assert load_version(version).predict(X, {}).values == pytest.approx(model.predict(X), abs=1e-4)


def test_float32_must_be_asked_for_and_says_its_tolerance(store: Store) -> None:
    """A forest as a graph is right only in float32: a graph of float64 compares with rounded thresholds."""
    model = RandomForestClassifier(11, max_depth=4, random_state=0).fit(X, Y)
    version = publish(store, "toy", model, X, compile="onnx")
    found = version.manifest.compiled
    assert (found["form"], found["dtype"]) == ("onnx", "float32"), found["why"]
    assert found["tolerance"] == FLOAT32_TOLERANCE
    assert 0 < found["max_abs_difference"] <= FLOAT32_TOLERANCE
    assert found["why"].endswith("answers within 1e-05")
    rows = RNG.normal(size=(2000, 3))
    expected, answers = (
        load_version(version, original=True).predict(rows, {}),
        load_version(version).predict(rows, {}),
    )
    assert same_answers(expected, answers, FLOAT32_TOLERANCE)
    assert answers.values.tolist() == expected.values.tolist()


def test_auto_never_takes_float32(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    why = reason(store, forest(), "auto")
    assert "no C compiler was found: apt-get install gcc libc6-dev" in why
    assert "ONNX Runtime: it gives another answer for a" in why


@pytest.mark.parametrize(
    ("compile", "module", "model"),
    [
        ("treelite", "treelite", forest),
        ("treelite", "tl2cgen", forest),
        ("onnx", "skl2onnx", scaled),
        ("onnx", "onnxruntime", scaled),
    ],
)
def test_a_missing_library_is_named_with_its_remedy(
    store: Store, monkeypatch: pytest.MonkeyPatch, compile: str, module: str, model: Any
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    why = reason(store, model(), compile)
    assert f"{module} is not installed: pip install -r requirements/compiled.txt" in why


def test_a_compiler_that_fails_is_quoted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cc").write_text("#!/bin/sh\necho 'fatal error: math.h: No such file' >&2\nexit 1\n")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert "cc failed: fatal error: math.h: No such file; is the" in reason(store, forest(), "treelite")


@pytest.mark.parametrize(
    ("model", "compile", "words"),
    [
        (scaled(), "treelite", "LogisticRegression is neither a tree nor an ensemble of trees"),
        (
            HistGradientBoostingClassifier(max_iter=2).fit(X, Y),
            "onnx",
            "skl2onnx cannot convert HistGradientBoostingClassifier",
        ),
        (
            make_pipeline(MinMaxScaler(clip=True), forest()).fit(X, Y),
            "treelite",
            "MinMaxScaler before the trees has no compiled form",
        ),
        (
            GradientBoostingClassifier(n_estimators=2, init=LogisticRegression()).fit(X, Y),
            "treelite",
            "treelite cannot read it: Custom init estimator not supported",
        ),
        (
            GradientBoostingClassifier(n_estimators=3, loss="exponential").fit(X, Y),
            "treelite",
            "it gives another answer for a golden row (difference 0.",
        ),
        (
            make_pipeline(QuantileTransformer(n_quantiles=9), forest()).fit(X, Y),
            "treelite",
            "QuantileTransformer before the trees has no compiled form",
        ),
        (make_pipeline(FunctionTransformer(), LogisticRegression()).fit(X, Y), "treelite", "neither a tree"),
        (
            FixedThresholdClassifier(forest(), threshold=0.9).fit(X, Y),
            "auto",
            "FixedThresholdClassifier is not known to answer the class of the largest probability",
        ),
        (RidgeClassifier().fit(X, Y), "auto", "it has no probabilities"),
        (
            HistGradientBoostingRegressor(max_iter=3, categorical_features=[0]).fit(CODES, CODES.sum(axis=1)),
            "treelite",
            "treelite sends a category that was not seen in training another way",
        ),
        (
            make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression()).fit(CODES, CODES[:, 0]),
            "onnx",
            "differently than OneHotEncoder does",
        ),
        (
            make_pipeline(
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), LogisticRegression()
            ).fit(CODES, CODES[:, 0] > 1),
            "onnx",
            "differently than OrdinalEncoder does",
        ),
        (
            make_pipeline(Binarizer(threshold=0.1), LinearRegression()).fit(X, Y),
            "auto",
            "than Binarizer does",
        ),
        (
            VotingRegressor([("a", RandomForestRegressor(3)), ("b", LinearRegression())]).fit(X, X[:, 0]),
            "onnx",
            "no row at a threshold can be made for the trees inside VotingRegressor",
        ),
        (
            BaggingRegressor(DecisionTreeRegressor(), 3, max_features=2, random_state=1).fit(X, X[:, 0]),
            "onnx",
            "no row at a threshold can be made for the trees inside BaggingRegressor",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:12],
)
def test_what_has_no_compiled_form_says_why(store: Store, model: Any, compile: str, words: str) -> None:
    assert words in reason(store, model, compile)


def test_a_model_of_mixed_columns_is_served_by_its_original(store: Store) -> None:
    table = pd.DataFrame({"size": X[:, 0], "colour": ["red", "blue"] * 60})
    columns = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    model = make_pipeline(columns, RandomForestClassifier(2)).fit(table, Y)
    assert "it takes a table with named or mixed columns" in reason(store, model, "auto", table)


def test_an_object_with_its_own_predict_is_served_by_itself(store: Store) -> None:
    found = record(store, Summing(), "auto", [[1.0, 2.0]])
    assert "only scikit-learn estimators can be" in found["why"]


def test_missing_values_are_not_given_to_a_graph(store: Store) -> None:
    holes = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    model = RandomForestClassifier(3, random_state=0).fit(holes, Y)
    assert "it takes missing values" in reason(store, model, "onnx", holes)


def test_a_form_that_is_not_faster_is_not_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "WORTHWHILE", 1e9)
    assert "it is not faster than the original" in reason(store, scaled(), "onnx")


def test_too_many_nodes_are_not_compiled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.publishing.compiling import trees

    monkeypatch.setattr(trees, "MAX_NODES", 10)
    assert "nodes take too long to compile; up to 10 are taken" in reason(store, forest(), "treelite")


def test_an_unknown_choice_is_refused(store: Store) -> None:
    assert tuple(choice.GROUPS) == CHOICES
    with pytest.raises(PublishError, match="use one of none, auto, treelite, onnx"):
        publish(store, "toy", forest(), X, compile="fast")
    assert store.names() == []


def test_one_large_tree_is_not_compiled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.publishing.compiling import trees

    monkeypatch.setattr(trees, "MAX_NODES_A_TREE", 4)
    assert "nodes takes too long to compile; up to 4 are taken" in reason(store, forest(), "treelite")


def test_a_compiler_that_takes_too_long_leaves_no_process(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.publishing.compiling import trees

    (tmp_path / "cc").write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/pid\nwait\n")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(trees, "COMPILE_SECONDS", 3)
    assert "cc took longer than 3 s" in reason(store, forest(), "treelite")
    child = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    wait_until(lambda: not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z")


def test_rows_at_thresholds_are_found_inside_a_search() -> None:
    search = GridSearchCV(RandomForestRegressor(2, random_state=0), {"max_depth": [3]}, cv=2).fit(X, X[:, 0])
    assert len(boundary_rows(search, X)) == len(boundary_rows(search.best_estimator_, X)) > 0
    behind = make_pipeline(StandardScaler(), search).fit(X, X[:, 0])
    assert len(boundary_rows(behind, X)) > 0


def test_rows_at_thresholds_stand_on_both_sides_of_them() -> None:
    model = RandomForestRegressor(2, random_state=0).fit(X, X[:, 0])
    edges = {t for tree in model.estimators_ for t in tree.tree_.threshold[tree.tree_.feature >= 0]}
    cells = set(boundary_rows(model, X).ravel())
    assert sum(edge in cells for edge in edges) >= min(len(edges), 250)
    assert sum(np.nextafter(edge, -np.inf) in cells for edge in edges) >= min(len(edges), 250)


def test_rows_at_thresholds_are_found_before_a_scaler() -> None:
    model = make_pipeline(StandardScaler(), RandomForestRegressor(2, random_state=0)).fit(X, X[:, 0])
    rows = boundary_rows(model, X)
    inside = model[0].transform(rows)
    edges = np.concatenate([tree.tree_.threshold for tree in model[-1].estimators_])
    nearest = np.abs(inside[:, :, None] - edges).min(axis=(1, 2))
    assert len(rows) and np.median(nearest) < 1e-6
    assert len(boundary_rows(LogisticRegression().fit(X, Y), X)) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_a_graph_refuses_what_no_model_takes(store: Store, value: float) -> None:
    model = RandomForestClassifier(11, max_depth=4, random_state=0).fit(X, Y)
    runtime = load_version(publish(store, "toy", model, X, compile="onnx"))
    assert isinstance(runtime, CompiledRuntime)
    with pytest.raises(PredictError, match="row 2 has a value that is missing, infinite or too large"):
        runtime.predict(np.array([[0.0, 0.0, 0.0], [1e38, 3e38, -3e38], [0.0, value, 0.0]]), {})
    assert len(runtime.predict(np.full((3, 3), 3e38), {})) == 3
