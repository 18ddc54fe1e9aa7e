"""A published model gets the container, names and dtypes of its sample, and gives the estimator's own
answers.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from models.errors import InputError, PublishError, PublishWarning
from models.manifest import Manifest
from models.publishing import publish
from models.record import Record
from models.runtimes.loading import load_version
from models.store import Store
from schemas.predict import PredictSchemas

SEED = np.random.default_rng(7)
WORDS = np.array(["good film", "bad film", "good book", "dull bad thing", "a fine film"])
TEXTS = [f"{WORDS[i % 5]} {i % 7}" for i in range(45)]
MOOD = np.array([1, 0, 1, 0, 1] * 9)


class Reads(BaseEstimator, RegressorMixin):
    """An estimator that answers with a function of its input, like custom estimators in practice."""

    def __init__(self, function: Any = None) -> None:
        self.function = function

    def fit(self, X: Any, y: Any = None) -> Reads:
        self.fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        return self.function(X)


def ask(version: Record, *bodies: Any) -> list[Any]:
    """Return the answers of the loaded version to each body on its own, after checking that a batch gives the
    same.
    """
    schemas = PredictSchemas(version.manifest.signature, max_rows=1000)
    runtime = load_version(version)
    rows = [schemas.read_single(body)[0] for body in bodies]
    alone = [runtime.predict(row, {}).values[0] for row in rows]
    together = runtime.predict(np.concatenate(rows), {}).values
    assert [*together] == pytest.approx(alone) if together.dtype.kind == "f" else [*together] == alone
    return alone


def columns(manifest: Manifest) -> list[tuple[str, str]]:
    return [(c.name, c.dtype) for c in manifest.signature.columns]


# -- names ---------------------------------------------------------------------------------------------------------


def area(X: Any) -> Any:
    return np.asarray(X)[:, 0] * 100.0 + np.asarray(X)[:, 1]


FLAT = pd.DataFrame({"width": SEED.integers(1, 9, 40) * 1.0, "age": SEED.integers(1, 9, 40) * 1.0})


@pytest.mark.parametrize(
    "sample",
    [FLAT, FLAT[:1], pl.DataFrame(FLAT.to_dict("list")), FLAT.to_dict("list"), FLAT.to_records(index=False)],
    ids=["frame", "one row", "polars", "dict of columns", "structured array"],
)
def test_names_that_the_sample_gives_are_the_columns_in_its_order(store: Store, sample: Any) -> None:
    """The model was fitted without names; sorted names would swap age and width."""
    model = LinearRegression().fit(FLAT.to_numpy(), area(FLAT))
    version = publish(store, "toy", model, sample)
    assert columns(version.manifest) == [("width", "float"), ("age", "float")]
    assert ask(version, {"width": 1, "age": 5}, {"age": 5, "width": 1}) == pytest.approx([105, 105])


def test_a_booster_s_own_names_are_the_columns(store: Store) -> None:
    import lightgbm

    from models.publishing.recorded import recorded_names

    data = lightgbm.Dataset(FLAT.to_numpy(), area(FLAT), feature_name=["width", "age"])
    booster = lightgbm.train({"verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}, data, 2)
    assert recorded_names(booster) == ("width", "age")
    unnamed = lightgbm.Dataset(FLAT.to_numpy(), area(FLAT))
    booster = lightgbm.train({"verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}, unnamed, 2)
    assert recorded_names(booster) is None


def test_nobody_gave_names(store: Store) -> None:
    version = publish(store, "toy", LinearRegression().fit(FLAT.to_numpy(), area(FLAT)), FLAT.to_numpy())
    assert not version.manifest.signature.named
    assert ask(version, {"f1": 1, "f2": 5}) == pytest.approx([105])


# -- dtypes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "limit"),
    [
        ("uint8", 255),
        ("int8", 127),
        ("int16", 32767),
        ("uint32", 2**32 - 1),
        ("UInt8", 255),
        ("int8[pyarrow]", 127),
    ],
)
def test_what_an_integer_dtype_cannot_hold_is_refused_with_the_limit(
    store: Store, dtype: str, limit: int
) -> None:
    sample = pd.DataFrame({"n": pd.array(range(1, 41), dtype=dtype), "k": np.arange(40.0)})
    model = make_pipeline(FunctionTransformer(double), LinearRegression()).fit(sample, np.arange(40.0))
    version = publish(store, "toy", model, sample)
    assert ask(version, {"n": 3, "k": 2.0}) == pytest.approx([float(model.predict(sample[2:3])[0])])
    schemas = PredictSchemas(version.manifest.signature, max_rows=10)
    for wrong in (limit + 1, -limit - 2):
        with pytest.raises(InputError) as refused:
            schemas.read_batch({"inputs": [{"n": 1, "k": 0}, {"n": wrong, "k": -200}]})
        (fault,) = refused.value.faults
        assert fault.loc == ("inputs", 1, "n")
        assert str(limit) in fault.expected


def double(X: pd.DataFrame) -> pd.DataFrame:
    return X.assign(n=X["n"] * 1)


@pytest.mark.parametrize(
    ("cells", "dtype", "spelled"),
    [
        (pd.array([1.5, 2.5] * 20, dtype="double[pyarrow]"), "float", 2.5),
        (pd.array([1, None] * 20, dtype="int64[pyarrow]"), "int", 1),
        (pd.array([True, None] * 20, dtype="bool[pyarrow]"), "bool", True),
        (pd.array(["a", "b"] * 20, dtype="string[pyarrow]"), "string", "b"),
        (pd.date_range("2024-01-01", periods=40, freq="7h"), "datetime", "2024-01-02T03:04:05"),
        (pd.date_range("2024-01-01", periods=40, freq="7h", tz="Europe/Zurich"), "datetime", "2024-06-02T03:04:05+09:00"),
        (pd.date_range("2024-01-01", periods=40, freq="7h").astype("timestamp[ns][pyarrow]"), "datetime", "2024-01-02T03:04:05"),
        (pd.date_range("2024-01-01", periods=40).astype("date32[day][pyarrow]"), "date", "2024-02-03"),
        (pd.to_timedelta(np.arange(40), "h"), "duration", 5400.0),
        (pd.cut(np.arange(40), [-1, 10, 50]), "category", "(10, 50]"),
        (pd.Categorical(pd.to_datetime(["2024-01-01", "2024-01-02"] * 20)), "category", "2024-01-02 00:00:00"),
        (pd.Categorical(["s", "m"] * 20, categories=["s", "m"], ordered=True), "category", "m"),
        (pd.arrays.SparseArray([0.0, 1.0] * 20, fill_value=0.0), "float", 1.0),
        (np.array([1.5, 2.5] * 20, dtype="float16"), "float", 2.5),
    ],
)  # fmt: skip
def test_every_dtype_of_a_frame_reaches_the_model_as_it_was(
    store: Store, cells: Any, dtype: str, spelled: Any
) -> None:
    """The model reads the dtype itself, and answers differently for any other."""
    sample = pd.DataFrame({"x": cells, "y": np.arange(40.0)})
    expected = f"{sample['x'].dtype} {getattr(sample['x'].dtype, 'ordered', '')}"
    version = publish(store, "toy", Reads(Sees(expected)), sample)
    assert columns(version.manifest) == [("x", dtype), ("y", "float")]
    assert ask(version, {"x": spelled, "y": 0.5}) == [1.5]
    example = version.manifest.example["request"]
    ask(version, example)


class Sees:
    """A model that answers with the second column, plus one if the first column has the dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def __call__(self, X: pd.DataFrame) -> Any:
        same = f"{X['x'].dtype} {getattr(X['x'].dtype, 'ordered', '')}" == self.dtype
        return X["y"].to_numpy() + float(same)


def test_integers_that_json_cannot_hold_say_so(store: Store) -> None:
    sample = pd.DataFrame({"id": [2**60 + i for i in range(40)], "x": np.arange(40.0)})
    model = LinearRegression().fit(sample, np.arange(40.0))
    with pytest.raises(PublishError, match=r"column 'id' holds 1152921504606847015: integers of 2\*\*53"):
        publish(store, "toy", model, sample)


# -- what the server sends is what was tried -----------------------------------------------------------------------


def as_text(X: Any) -> Any:
    return X.astype(str)


CODES = SEED.integers(0, 4, (60, 2))


@pytest.mark.parametrize("sample", [CODES, pd.DataFrame(CODES, columns=["a", "b"]), CODES.astype("int16")])
def test_whole_numbers_that_the_model_turns_into_text_stay_whole(store: Store, sample: Any) -> None:
    """1.0 in place of 1 would be an unknown category, which the encoder ignores: every answer would be the
    same.
    """
    encoder = OneHotEncoder(handle_unknown="ignore")
    model = make_pipeline(FunctionTransformer(as_text), encoder, LinearRegression())
    y = CODES @ [3.0, 5.0]
    version = publish(store, "toy", model.fit(sample, y), sample)
    assert ask(version, {"features": [1, 3]}, {"features": [2.0, 0]}) == pytest.approx([18, 6])


def test_integers_beside_text_in_an_array_stay_whole(store: Store) -> None:
    sample = np.array([["a", 1], ["b", 2], ["a", 3], ["b", 4]] * 10, dtype=object)
    version = publish(store, "toy", Reads(second_as_text), sample)
    assert ask(version, {"features": ["a", 3.0]}, {"features": ["a", 3]}) == [3.0, 3.0]


def second_as_text(X: Any) -> Any:
    return np.array([float(cell) if str(cell).isdigit() else -1.0 for cell in X[:, 1]])


def test_none_and_nan_are_what_they_were_in_training(store: Store) -> None:
    sample = np.array([["a", 1.5], [None, 2.5]] * 20, dtype=object)
    version = publish(store, "toy", Reads(nones), sample)
    assert ask(version, {"features": [None, 1]}, {"features": ["a", 1]}) == [1.0, 0.0]


def nones(X: Any) -> Any:
    return np.array([float(cell is None) for cell in X[:, 0]])


def writes(X: Any) -> Any:
    X[:, 0] = np.log1p(X[:, 0])
    return X[:, 0] + X[:, 1]


def test_a_model_that_writes_into_its_input_gets_its_own(store: Store) -> None:
    sample = np.abs(SEED.normal(size=(40, 2)))
    before = sample.copy()
    version = publish(store, "toy", Reads(writes), sample)
    assert (sample == before).all()
    rows = sample[:3].copy()
    runtime = load_version(version)
    first, second = (runtime.predict(rows, {}).values.tolist() for _ in range(2))
    assert first == second == (np.log1p(before[:3, 0]) + before[:3, 1]).tolist()


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt8, pl.Boolean])
def test_what_is_missing_in_a_polars_frame_makes_no_floats_of_the_rest(store: Store, dtype: Any) -> None:
    sample = pl.DataFrame({"a": pl.Series([i % 2 if i % 7 else None for i in range(40)]).cast(dtype)})
    version = publish(store, "toy", Reads(ones), sample)
    assert columns(version.manifest) == [("a", "bool" if dtype == pl.Boolean else "int")]
    yes, no = (True, False) if dtype == pl.Boolean else (1, 0)
    assert ask(version, {"a": yes}, {"a": None}, {"a": no}) == [1.0, -1.0, 0.0]


def ones(X: pl.DataFrame) -> Any:
    """Compare the text of a cell, which differs between 1 and 1.0."""
    words = {"1": 1.0, "true": 1.0, "0": 0.0, "false": 0.0, None: -1.0}
    return np.array([words.get(word, 9.0) for word in X["a"].cast(pl.String).to_list()])


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("kind", [RuntimeWarning, UserWarning, FutureWarning])
def test_a_model_that_warns_of_its_numbers_is_published(store: Store, kind: type[Warning]) -> None:
    """An estimator's own warnings, such as NumPy's about the logarithm of zero, are no reason to refuse
    it.
    """
    sample = SEED.normal(size=(40, 2))
    version = publish(store, "toy", Reads(Warns(kind)), sample)
    assert ask(version, {"features": [0.5, 3]}) == [0.5]


class Warns:
    """A model that answers with the first column, and warns."""

    def __init__(self, kind: type[Warning]) -> None:
        self.kind = kind

    def __call__(self, X: Any) -> Any:
        warnings.warn("divide by zero", self.kind, stacklevel=1)
        return np.asarray(X)[:, 0]


# -- texts and dicts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sample",
    [
        TEXTS,
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        np.array(TEXTS).reshape(-1, 1),
        [[text] for text in TEXTS],
        pd.Series(TEXTS),
        pd.DataFrame({"text": TEXTS}),
        pl.DataFrame({"text": TEXTS}),
        pl.Series(TEXTS),
        pd.DataFrame({"text": TEXTS[:1]}),
        [["good film"]],
    ],
    ids=["list", "array", "objects", "n by 1", "rows", "Series", "frame", "polars", "polars series", "one", "example"],
)  # fmt: skip
@pytest.mark.parametrize("vectoriser", [TfidfVectorizer(), HashingVectorizer(n_features=64)])
def test_a_text_model_is_asked_by_text(store: Store, sample: Any, vectoriser: Any) -> None:
    model = make_pipeline(vectoriser, LogisticRegression()).fit(TEXTS, MOOD)
    version = publish(store, "mood", model, sample)
    assert columns(version.manifest) == [("text", "string")]
    asked = ["good film 3", "bad dull thing", "fine"]
    bodies = [{"text": asked[0]}, {"features": [asked[1]]}, {"features": {"text": asked[2]}}]
    assert ask(version, *bodies) == model.predict(asked).tolist()


def test_a_text_column_of_a_column_transformer_stays_in_its_frame(store: Store) -> None:
    sample = pd.DataFrame({"title": TEXTS, "length": SEED.normal(size=45)})
    chosen = ColumnTransformer([("t", CountVectorizer(), "title"), ("n", StandardScaler(), ["length"])])
    model = make_pipeline(chosen, LogisticRegression()).fit(sample, MOOD)
    version = publish(store, "mood", model, sample)
    assert ask(version, {"title": "good film", "length": 0.5}) == [
        model.predict(pd.DataFrame({"title": ["good film"], "length": [0.5]}))[0]
    ]


def test_a_series_that_the_model_treats_as_one(store: Store) -> None:
    sample = pd.Series(TEXTS, name="title")
    version = publish(store, "mood", Reads(lengths), sample)
    assert columns(version.manifest) == [("title", "string")]
    assert ask(version, {"title": "four"}, {"title": "seventy"}) == [4.0, 7.0]


def lengths(X: pd.Series) -> Any:
    return X.str.len().to_numpy() * 1.0


def test_a_forgotten_target_beside_the_text_is_named(store: Store) -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, MOOD)
    with pytest.raises(PublishError, match=r"column 'y' has the same values .* is it the target"):
        publish(store, "mood", model, pd.DataFrame({"text": TEXTS, "y": MOOD}))


class Sign(BaseEstimator, ClassifierMixin):
    """A model that reads a single column."""

    def fit(self, X: Any, y: Any) -> Sign:
        self.classes_ = np.array(["down", "up"])
        return self

    def predict(self, X: Any) -> Any:
        return self.classes_[(np.asarray(X["x"]) > 0).astype(int)]


def test_a_forgotten_target_that_the_model_ignores_is_named(store: Store) -> None:
    sample = pd.DataFrame({"x": SEED.normal(size=60)})
    label = np.where(sample["x"] > 0, "up", "down")
    with pytest.warns(PublishWarning, match="column 'y' has the same values as the model's classes"):
        publish(store, "toy", Sign().fit(sample, label), sample.assign(y=label))
    with pytest.raises(PublishError, match=r"3 columns .*fitted on 2.*column 'y' has the same values"):
        model = LogisticRegression().fit(np.c_[sample, sample], label)
        publish(store, "toy", model, sample.assign(x2=sample["x"], y=label))


def test_a_flag_among_the_columns_is_no_target(store: Store) -> None:
    sample = pd.DataFrame({"x": SEED.normal(size=60), "flag": SEED.integers(0, 2, 60)})
    publish(store, "toy", LogisticRegression().fit(sample, (sample["x"] > 0).astype(int)), sample)


FACTS = [
    {"city": ["Bern", "Zug"][i % 2], "size": i % 5, **({"old": True} if i % 3 else {})} for i in range(40)
]


@pytest.mark.parametrize("sample", [FACTS, pd.DataFrame(FACTS)], ids=["dicts", "frame"])
def test_dicts_are_asked_by_name_and_may_lack_one(store: Store, sample: Any) -> None:
    y = [fact["size"] * 2.0 + (fact["city"] == "Zug") + 5.0 * ("old" in fact) for fact in FACTS]
    model = make_pipeline(DictVectorizer(), LinearRegression()).fit(FACTS, y)
    version = publish(store, "toy", model, sample)
    assert ask(version, {"city": "Zug", "size": 3, "old": True}) == pytest.approx([12.0])
    assert ask(version, {"city": "Bern", "size": 3, "old": None}) == pytest.approx([6.0])
    if sample is FACTS:
        assert ask(version, {"city": "Bern", "size": 1}) == pytest.approx([2.0])


# -- polars, sparse ------------------------------------------------------------------------------------------------


def polars_only(X: Any) -> Any:
    return X.select(total=pl.col("a") * 2 + pl.col("b").str.len_chars()).to_numpy()[:, 0] * 1.0


def test_a_model_of_polars_gets_polars(store: Store) -> None:
    sample = pl.DataFrame({"a": list(range(40)), "b": ["x", "yy"] * 20})
    version = publish(store, "toy", Reads(polars_only), sample)
    assert "polars" in version.manifest.libraries
    assert ask(version, {"a": 3, "b": "zzz"}) == [9.0]


def test_sparse_rows(store: Store) -> None:
    dense = (SEED.normal(size=(60, 3)) > 0.5) * 1.5
    version = publish(store, "toy", Reads(sparse_only), csr_matrix(dense))
    assert ask(version, {"features": [1.5, 0, 1.5]}) == [3.0]
    model = LinearRegression().fit(csr_matrix(dense), dense.sum(axis=1))
    assert ask(publish(store, "line", model, csr_matrix(dense)), {"features": [1, 2, 3]}) == pytest.approx(
        [6.0]
    )


def sparse_only(X: Any) -> Any:
    return np.asarray(X.tocsr().sum(axis=1)).ravel()


# -- wishes --------------------------------------------------------------------------------------------------------


def test_columns_take_null_where_the_publisher_says_so(store: Store) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    sample = pd.DataFrame({"a": SEED.integers(0, 9, 60), "b": SEED.normal(size=60)})
    model = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=2).fit(sample, sample["a"] * 1.0)
    version = publish(store, "toy", model, sample, nullable=["a"])
    missing = pd.DataFrame({"a": [np.nan], "b": [0.5]})
    assert ask(version, {"a": None, "b": 0.5}) == model.predict(missing).tolist()
    with pytest.raises(PublishError, match="the model fails when 'a' is missing"):
        publish(store, "toy", LinearRegression().fit(sample, sample["b"]), sample, nullable=["a"])
    with pytest.raises(PublishError, match="no column c"):
        publish(store, "toy", model, sample, nullable=["c"])


def spelled(X: Any) -> Any:
    """Spell numbers as text, in which 1 and 1.0 are two words, like a model that was trained on codes."""
    return X.astype(str)


def flags(X: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of booleans as numbers; a column of objects is not one of them."""
    return X.select_dtypes("bool").reindex(columns=["b"], fill_value=False).astype(float)


@pytest.mark.parametrize(
    ("function", "sample", "name"),
    [
        (spelled, pd.DataFrame({"n": SEED.integers(0, 4, 40)}), "n"),
        (spelled, SEED.integers(0, 4, (40, 2)), "x1"),
        (flags, pd.DataFrame({"b": np.arange(40) % 3 == 0}), "b"),
    ],
    ids=["integers", "array of integers", "booleans"],
)
def test_a_null_that_would_change_the_answers_beside_it_is_refused(
    store: Store, function: Any, sample: Any, name: str
) -> None:
    """A batch, and requests that share a call, would have other answers than each row alone."""
    coded = [OneHotEncoder(handle_unknown="ignore")] if function is spelled else []
    model = make_pipeline(FunctionTransformer(function), *coded, LinearRegression()).fit(
        sample, np.arange(40.0) ** 2
    )
    with pytest.raises(
        PublishError, match=f"differently when '{name}' is missing in another row of the call"
    ):
        publish(store, "toy", model, sample, nullable=[name])


def test_a_null_beside_which_integers_stay_integers_is_taken(store: Store) -> None:
    sample = pd.DataFrame({"n": pd.array(SEED.integers(0, 4, 40), dtype="Int64")})
    model = make_pipeline(
        FunctionTransformer(spelled), OneHotEncoder(handle_unknown="ignore"), LinearRegression()
    ).fit(sample, sample["n"].astype(float))
    version = publish(store, "toy", model, sample, nullable=["n"])
    missing = pd.DataFrame({"n": pd.array([None], dtype="Int64")})
    assert ask(version, {"n": 3}, {"n": None}) == pytest.approx([3.0, float(model.predict(missing)[0])])


def test_numbers_as_text_where_the_publisher_says_so(store: Store) -> None:
    model = LinearRegression().fit(FLAT, area(FLAT))
    version = publish(store, "toy", model, FLAT, coerce=True)
    assert ask(version, {"width": "1", "age": 5}) == pytest.approx([105])


@pytest.mark.parametrize("function", [np.sqrt, np.log])
def test_made_up_golden_rows_stay_where_the_model_answers(store: Store, function: Any) -> None:
    """A variation of 0.0 may be negative, and has no square root."""
    model = make_pipeline(FunctionTransformer(function), LinearRegression())
    fitted = model.fit(np.arange(1.0, 21.0).reshape(10, 2), np.arange(10.0))
    version = publish(store, "toy", fitted, np.array([[0.0 if function is np.sqrt else 1e-3, 4.0]]))
    assert version.manifest.golden_rows >= 32
