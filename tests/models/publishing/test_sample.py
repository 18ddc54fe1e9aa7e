"""The signature that publishing infers from a fitted estimator and a sample of its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from models.errors import PublishError
from models.publishing.sample import Sample, declared_rows
from models.signature import Column, Output, Signature

LABELS = [0, 1, 0, 1]


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "amount": [1.5, 2.5, 4.0, -1.0],
            "items": [1, 2, 3, 2],
            "gift": [True, False, True, False],
            "note": ["a", "b", "c", "d"],
            "channel": pd.Categorical(["web", "web", "shop", "web"], categories=["shop", "web", "phone"]),
            "day": pd.to_datetime(["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02"]),
        }
    )


def fitted(X: Any) -> DummyClassifier:
    """Return an estimator that accepts anything, and records its columns like every estimator."""
    model = DummyClassifier().fit(X, [0, 1] * (len(X) // 2))
    model.n_features_in_ = np.shape(X)[1]
    if hasattr(X, "columns"):
        model.feature_names_in_ = np.asarray(X.columns, dtype=object)
    return model


def columns(model: Any, X: Any) -> dict[str, Column]:
    return {c.name: c for c in Sample.of(model, X).columns}


def encoding(selected: Any, **options: Any) -> Pipeline:
    encoder = ColumnTransformer([("encode", OneHotEncoder(**options), selected)], remainder="drop")
    return make_pipeline(encoder, LogisticRegression())


def test_each_column_has_the_type_that_it_has_in_the_frame() -> None:
    found = columns(fitted(frame()), frame())
    assert {name: c.dtype for name, c in found.items()} == {
        "amount": "float",
        "items": "int",
        "gift": "bool",
        "note": "string",
        "channel": "category",
        "day": "date",
    }
    assert found["amount"].observed == (-1.0, 4.0)
    assert found["items"].observed == (1, 3)
    assert found["channel"].values == ("shop", "web", "phone")
    assert [name for name, c in found.items() if c.observed is not None] == ["amount", "items", "day"]
    assert all(c.required and not c.nullable for c in found.values())


def test_rows_are_python_values_with_dates_as_text() -> None:
    sample = Sample.of(fitted(frame()), frame())
    assert sample.rows.dtype == object
    assert sample.rows[0].tolist() == [1.5, 1, True, "a", "web", "2024-01-30"]


def test_rows_of_numbers_and_booleans_are_one_matrix() -> None:
    X = frame()[["amount", "items", "gift"]]
    sample = Sample.of(fitted(X), X)
    assert sample.rows.dtype == np.float64
    assert sample.rows[0].tolist() == [1.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        (np.array([1, 2], dtype="uint8"), "int"),
        (np.array([1, 2], dtype="float32"), "float"),
        (pd.array([1, None], dtype="Int64"), "int"),
        (pd.array([1.5, None], dtype="Float64"), "float"),
        (pd.array([True, None], dtype="boolean"), "bool"),
        (pd.array(["a", None], dtype="string"), "string"),
        (pd.array(["a", None], dtype="str"), "string"),
        (pd.Series(["a", None], dtype="object"), "string"),
        (pd.Series(["a", np.nan], dtype="object"), "string"),
        (pd.Series([1, None], dtype="object"), "int"),
        (pd.Series([1, 2.5], dtype="object"), "float"),
        (pd.Series([True, None], dtype="object"), "bool"),
        (pd.Series([1.5, np.nan]), "float"),
        (pd.Series(pd.to_datetime(["2024-01-31", None])), "date"),
        (pd.Series(["a", None], dtype="category"), "category"),
    ],
)
def test_missing_values_make_a_column_nullable_whatever_pandas_calls_them(cells: Any, dtype: str) -> None:
    X = pd.DataFrame({"x": cells})
    sample = Sample.of(fitted(X), X)
    missing = bool(X["x"].isna().any())
    assert (sample.columns[0].dtype, sample.columns[0].nullable) == (dtype, missing)
    last = sample.rows[1, 0]
    assert bool(last is None or last != last) is missing


@pytest.mark.parametrize("dtype", ["complex128", "period[D]", "interval[int64, right]"])
def test_types_that_json_cannot_carry_are_refused_by_name(dtype: str) -> None:
    cells: dict[str, Any] = {
        "complex128": np.array([1j, 2j]),
        "period[D]": pd.period_range("2024-01-01", periods=2),
        "interval[int64, right]": pd.interval_range(0, 2),
    }
    X = pd.DataFrame({"x": cells[dtype]})
    with pytest.raises(PublishError, match=f"column 'x' has dtype {dtype.partition('[')[0]}"):
        Sample.of(fitted(X), X)


@pytest.mark.parametrize(
    ("cells", "found"), [([{}, {}], "dict"), ([None, None], "nothing but"), ([1, "a"], "int, str")]
)
def test_a_column_of_objects_needs_one_type(cells: list[Any], found: str) -> None:
    X = pd.DataFrame({"x": pd.Series(cells, dtype=object)})
    with pytest.raises(PublishError, match=f"column 'x' holds {found}"):
        Sample.of(fitted(X), X)


def test_an_array_has_no_names_and_one_type() -> None:
    X = np.arange(8.0).reshape(4, 2)
    sample = Sample.of(fitted(X), X)
    assert not sample.named
    assert [(c.name, c.dtype, c.observed) for c in sample.columns] == [
        ("x0", "float", (0.0, 6.0)),
        ("x1", "float", (1.0, 7.0)),
    ]
    assert {c.dtype for c in columns(fitted(X), X.astype(int)).values()} == {"int"}
    assert {c.dtype for c in columns(fitted(X), X > 3).values()} == {"bool"}


def test_unnamed_columns_are_numbered_so_that_their_text_order_is_their_order() -> None:
    X = np.zeros((2, 11))
    names = list(columns(fitted(X), X))
    assert names == sorted(names)
    assert names[0] == "x00"


def test_lists_of_rows_keep_the_type_of_each_column() -> None:
    """NumPy alone would turn the numbers into text."""
    rows = [[1, 0.5, "a", True], [2, 1.5, "b", False]]
    assert [c.dtype for c in columns(fitted(rows), rows).values()] == ["int", "float", "string", "bool"]
    assert [c.dtype for c in columns(fitted([[1, 2.5]] * 2), [[1, 2.5]] * 2).values()] == ["float", "float"]


def test_an_array_of_objects_may_hold_missing_values() -> None:
    X = np.array([[1.0, "a"], [None, "b"]], dtype=object)
    assert [(c.dtype, c.nullable) for c in columns(fitted(X), X).values()] == [
        ("float", True),
        ("string", False),
    ]


def test_columns_are_taken_in_the_order_of_the_fit() -> None:
    X = frame()
    sample = Sample.of(fitted(X), X[["day", "channel", "amount", "items", "gift", "note"]].assign(more=1))
    assert [c.name for c in sample.columns] == list(X.columns)
    assert sample.rows[0, 0] == 1.5


def test_rows_without_names_are_given_those_of_the_fit() -> None:
    X = frame()[["amount", "note"]]
    found = columns(fitted(X), [[0.5, "a"], [1.5, "b"]])
    assert [(c.name, c.dtype) for c in found.values()] == [("amount", "float"), ("note", "string")]


def test_a_frame_names_the_columns_of_an_estimator_that_recorded_none() -> None:
    X = frame()[["items", "amount"]]
    sample = Sample.of(LinearRegression().fit(X.to_numpy(), LABELS), X)
    assert sample.named
    assert [c.name for c in sample.columns] == ["items", "amount"]


def test_the_numbers_that_pandas_gives_columns_without_names_are_no_names() -> None:
    X = pd.DataFrame(np.zeros((4, 2)))
    sample = Sample.of(LinearRegression().fit(X.to_numpy(), LABELS), X)
    assert not sample.named
    assert [c.name for c in sample.columns] == ["x0", "x1"]


def test_missing_columns_and_wrong_widths_are_refused() -> None:
    with pytest.raises(
        PublishError, match=r"lacks columns that the model was fitted on: items, gift; it has amount, note"
    ):
        Sample.of(fitted(frame()), frame().drop(columns=["items", "gift"]))
    three, two = np.zeros((4, 3)), np.zeros((4, 2))
    with pytest.raises(PublishError, match="the sample has 2 columns, the model was fitted on 3"):
        Sample.of(fitted(three), two)
    with pytest.raises(PublishError, match="the sample has 2 columns, the model was fitted on 6"):
        Sample.of(fitted(frame()), two)


@pytest.mark.parametrize("X", [[], [[]], [[[1.0]]], np.zeros(3), np.zeros((0, 2))])
def test_a_sample_is_rows_of_values(X: Any) -> None:
    with pytest.raises(PublishError, match=r"rows of values, of shape \(n_rows, n_columns\)"):
        Sample.of(DummyClassifier().fit([[0]], [0]), X)


def test_a_sample_has_rows() -> None:
    with pytest.raises(PublishError, match="the sample has no rows"):
        Sample.of(fitted(frame()), frame()[:0])


@pytest.mark.parametrize(
    "X", [np.array([[1.0], [np.inf]]), pd.DataFrame({"x": [1.0, -np.inf]}), [[1.0], [np.inf]]]
)
def test_infinity_is_no_value_of_a_sample(X: Any) -> None:
    """JSON has no such number, so no client could send it."""
    with pytest.raises(PublishError, match="Infinity"):
        Sample.of(fitted(X), X)


@pytest.mark.parametrize(
    "X", [np.array([[1.0], [1e300]]), pd.DataFrame({"x": [1.0, -1e39], "y": [np.nan, 0.0]})]
)
def test_what_no_request_may_hold_is_no_value_of_a_sample(X: Any) -> None:
    with pytest.raises(PublishError, match="float32 can hold"):
        Sample.of(fitted(X), X)


def test_a_single_row_is_an_example_and_shows_no_range() -> None:
    found = columns(fitted(frame()), frame()[:1])
    assert [c.observed for c in found.values()] == [None] * 6


@pytest.mark.parametrize(
    "selected",
    [
        ["note", "items"],
        [3, 1],
        [False, True, False, True, False, False],
        slice(1, 4, 2),
        make_column_selector("note|items"),
        lambda X: ["note", "items"],
    ],
)
def test_an_encoder_that_refuses_unknown_values_makes_them_part_of_the_signature(selected: Any) -> None:
    found = columns(encoding(selected).fit(frame(), LABELS), frame())
    assert (found["note"].dtype, found["note"].values) == ("category", ("a", "b", "c", "d"))
    assert (found["items"].dtype, found["items"].values) == ("int", (1, 2, 3))
    assert found["amount"].values is None


def test_an_encoder_inside_a_pipeline_inside_a_column_transformer_is_found() -> None:
    inner = make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder())
    model = make_pipeline(
        ColumnTransformer([("text", inner, ["note"]), ("rest", StandardScaler(), ["amount"])]),
        LogisticRegression(),
    ).fit(frame(), LABELS)
    assert columns(model, frame())["note"].values == ("a", "b", "c", "d")


def test_an_encoder_over_an_array_is_found() -> None:
    X = np.array([["a", 1], ["b", 2], ["a", 1], ["b", 2]], dtype=object)
    found = columns(encoding([0]).fit(X, LABELS), X)
    assert (found["x0"].values, found["x1"].values) == (("a", "b"), None)
    found = columns(make_pipeline(OneHotEncoder(), LogisticRegression()).fit(X, LABELS), X)
    assert (found["x0"].values, found["x1"].values) == (("a", "b"), (1, 2))


@pytest.mark.parametrize("handling", ["ignore", "infrequent_if_exist", "warn"])
def test_an_encoder_that_takes_unknown_values_leaves_the_column_open(handling: str) -> None:
    found = columns(encoding(["note"], handle_unknown=handling).fit(frame(), LABELS), frame())
    assert (found["note"].dtype, found["note"].values) == ("string", None)


def test_an_encoder_behind_another_one_does_not_name_the_column_s_values() -> None:
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    X = frame()[["note"]]
    model = make_pipeline(ordinal, OneHotEncoder(), LogisticRegression()).fit(X, LABELS)
    assert columns(model, X)["note"].values is None


def test_declared_columns_are_taken_from_a_frame_by_name() -> None:
    signature = Signature((Column("b"), Column("a", "string")), Output("number"))
    X = pd.DataFrame({"a": ["x", None], "unused": [0, 0], "b": [0.5, 1.5]})
    assert declared_rows(signature, X).tolist() == [[0.5, "x"], [1.5, None]]
    assert declared_rows(signature, [[0.5, "x"]]).tolist() == [[0.5, "x"]]
    with pytest.raises(PublishError, match="the sample has 1 columns, the signature 2"):
        declared_rows(signature, [[0.5]])
    with pytest.raises(PublishError, match="lacks columns that the signature names: b"):
        declared_rows(signature, X.drop(columns=["b"]))
