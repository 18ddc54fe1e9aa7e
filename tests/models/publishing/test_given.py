"""Files that can be published: pickles of every kind, and only those of the installed scikit-learn."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import dill
import joblib
import numpy as np
import pytest
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from models.errors import CodeMissing, LibraryMismatch, LoadError, PublishError
from models.publishing import publish
from models.runtimes.loading import load_version
from models.store import Store
from tests.models.pickles import OLD, older, renamed

X = np.random.default_rng(3).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


def fitted() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)


def doubled() -> Pipeline:
    """Return a function that no module contains."""
    return make_pipeline(FunctionTransformer(lambda rows: rows * 2), LogisticRegression()).fit(X, Y)


def joblib_bytes(model: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(model, buffer, **how)
    return buffer.getvalue()


WRITERS: dict[str, Callable[[], bytes]] = {
    **{f"protocol {n}": lambda n=n: pickle.dumps(fitted(), protocol=n) for n in range(6)},  # type: ignore[misc]
    **{f"joblib, protocol {n}": lambda n=n: joblib_bytes(fitted(), protocol=n) for n in (0, 2)},  # type: ignore[misc]
    **{
        f"joblib {how}": lambda how=how: joblib_bytes(fitted(), compress=(how, 3))  # type: ignore[misc]
        for how in ("zlib", "gzip", "bz2", "lzma", "xz")
    },
    **{
        f"pickle {pack.__module__}": lambda pack=pack: pack(pickle.dumps(fitted()))  # type: ignore[misc]
        for pack in (zlib.compress, gzip.compress, bz2.compress, lzma.compress)
    },
    "cloudpickle": lambda: cloudpickle.dumps(doubled()),
    "dill": lambda: dill.dumps(doubled(), recurse=True),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_pickle_is_published_however_it_was_written(store: Store, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(WRITERS[kind]())
    version = publish(store, "toy", file, X)
    expected = (doubled() if kind in ("cloudpickle", "dill") else fitted()).predict(X)
    assert load_version(version).predict(X, {}).values.tolist() == expected.tolist()
    assert (kind in version.manifest.libraries) == (kind in ("cloudpickle", "dill"))


def packed(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


def tarred(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        header = tarfile.TarInfo("model.joblib")
        header.size = len(data)
        archive.addfile(header, io.BytesIO(data))
    return buffer.getvalue()


def array_file() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, X)
    return buffer.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
SAFETENSORS = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()

#: What the bytes are -> the bytes.
FOREIGN: dict[str, bytes] = {
    "an empty file; save the model again": b"",
    "a pointer of Git LFS, not the file; fetch the file itself: git lfs pull": LFS,
    "a pointer of DVC": b"outs:\n- md5: a304afb96060aad90176268345e10355\n  path: model.pkl\n",
    "an HDF5 file, as Keras": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "a safetensors file": len(SAFETENSORS).to_bytes(8, "little") + SAFETENSORS + bytes(4),
    "an ONNX model": b"\x08\x0a\x12\x08skl2onnx\x1a\x061.20.0" + bytes(40),
    "a PyTorch file": packed(model__data__pkl=b"", **{"model__data.pkl": pickle.dumps({})}),
    "a Keras model": packed(**{"config.json": b"{}", "model.weights.h5": b""}),
    "a skops file; load it with its library": packed(**{"schema.json": b"{}", "1.npy": b""}),
    "an archive of NumPy arrays": packed(**{"a.npy": b""}),
    "a zip archive; unpack it": packed(**{"model.joblib": b""}),
    "an array of NumPy": array_file(),
    "an XGBoost model file; load it into": b'{"learner":{"attributes":{}},"version":[3,2,0]}',
    "a LightGBM model file": b"tree\nversion=v4\nnum_class=1\n",
    "a CatBoost model file": b"CBM1" + bytes(20),
    "a notebook": b'{\n "cells": [], "nbformat": 4}',
    "JSON; name the joblib": b'{"coef": [1, 2]}',
    "a web page; the download needs a login": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "a tar archive; unpack it": gzip.compress(tarred(b"model")),
    "an object of R": gzip.compress(b"RDX3\nX\n\x00\x00\x00\x03"),
    "text, not a pickle": b"accuracy 0.93, see model.joblib",
    "cut short or damaged": joblib_bytes(fitted())[:700],
    "cut short or damaged at its": gzip.compress(pickle.dumps(fitted()))[:-200],
}


@pytest.mark.parametrize("what", FOREIGN)
def test_any_other_file_is_named_for_what_it_is(store: Store, tmp_path: Path, what: str) -> None:
    file = tmp_path / "model.joblib"
    file.write_bytes(FOREIGN[what])
    with pytest.raises(PublishError) as refused:
        publish(store, "toy", file, X)
    assert str(refused.value).startswith(f"{file} is {what}")
    assert "\n" not in str(refused.value)
    assert not store.path.exists()


def test_the_files_of_boosting_libraries_are_named_with_their_library(store: Store, tmp_path: Path) -> None:
    """The files are written by the installed libraries."""
    import catboost
    import lightgbm
    import xgboost

    booster = xgboost.train({}, xgboost.DMatrix(X, Y), 1)
    for name in ("model.json", "model.ubj"):
        booster.save_model(tmp_path / name)
    lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 1).save_model(tmp_path / "model.txt")
    model = catboost.CatBoostClassifier(iterations=1, verbose=False, allow_writing_files=False).fit(X, Y)
    for format in ("cbm", "json"):
        model.save_model(str(tmp_path / f"cat.{format}"), format=format)
    for file, library in (
        ("model.json", "XGBoost"),
        ("model.ubj", "XGBoost"),
        ("model.txt", "LightGBM"),
        ("cat.cbm", "CatBoost"),
        ("cat.json", "CatBoost"),
    ):
        with pytest.raises(PublishError, match=f"{file} is an? {library} model .*scikit-learn class"):
            publish(store, "toy", tmp_path / file, X)


def test_an_onnx_graph_is_named(store: Store, tmp_path: Path) -> None:
    """The file is written by skl2onnx."""
    import skl2onnx

    graph = skl2onnx.to_onnx(fitted(), X[:1], target_opset=15)
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(PublishError, match=r"model\.onnx is an ONNX model; publish an object that holds it"):
        publish(store, "toy", tmp_path / "model.onnx", X)


def test_a_file_of_two_objects_is_refused_whichever_comes_first(store: Store, tmp_path: Path) -> None:
    """Its publisher would miss the other object."""
    scaler = StandardScaler().fit(X)
    for pair in ((scaler, fitted()), (fitted(), scaler)):
        with gzip.open(tmp_path / "two.pickle.gz", "wb") as file:
            for part in pair:
                pickle.dump(part, file)
        with pytest.raises(LoadError, match="contains more than one object; save one object with all parts"):
            publish(store, "toy", tmp_path / "two.pickle.gz", X)


@pytest.mark.parametrize(
    ("inside", "what"),
    [
        ("", "a directory; name the joblib"),
        ("MLmodel", "a model of MLflow; publish the file"),
        ("saved_model.pb", "a SavedModel of TensorFlow"),
    ],
)
def test_a_directory_is_named_for_what_it_holds(store: Store, tmp_path: Path, inside: str, what: str) -> None:
    (tmp_path / "model").mkdir()
    if inside:
        (tmp_path / "model" / inside).touch()
    with pytest.raises(PublishError, match=f"model is {what}"):
        publish(store, "toy", tmp_path / "model", X)


def test_a_pickle_of_another_scikit_learn_is_refused_with_both_versions(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "old.pickle"
    file.write_bytes(older(fitted()))
    with pytest.raises(LibraryMismatch) as refused:
        publish(store, "toy", file, X)
    assert str(refused.value).startswith(
        f"the model was pickled with scikit-learn {OLD}, and {sklearn.__version__} is installed here"
    )
    assert "train it again, or publish it from an environment that has that version" in str(refused.value)
    assert not store.path.exists()


def test_an_estimator_inside_another_counts_and_so_does_one_inside_a_class_of_one_s_own(
    store: Store, tmp_path: Path
) -> None:
    inside = make_pipeline(make_column_transformer((StandardScaler(), [0])), DecisionTreeClassifier())
    whole = pickle.dumps(fitted())
    nested = {"model": inside.fit(X, Y), "trained": 2024}
    for data in (older(nested), pickle.dumps({"newest": whole, "inner": Wrapped(older(inside))})):
        (tmp_path / "old.pickle").write_bytes(data)
        with pytest.raises(LibraryMismatch, match=f"pickled with scikit-learn {OLD}"):
            publish(store, "toy", tmp_path / "old.pickle", X)


class Wrapped:
    """A pickle inside a pickle."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.data,)


def test_one_that_is_accepted_is_recorded_as_what_it_is(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "old.pickle"
    file.write_bytes(older(fitted()))
    version = publish(store, "toy", file, X, accept_version_mismatch=True)
    assert version.manifest.pickled_with == {"scikit-learn": OLD}
    assert version.manifest.libraries["scikit-learn"] == sklearn.__version__
    assert store.get("toy", 1).manifest.pickled_with == {"scikit-learn": OLD}
    assert publish(store, "toy", fitted(), X, accept_version_mismatch=True).manifest.pickled_with == {}


@pytest.mark.parametrize(
    ("module", "name", "old_module", "old_name"),
    [
        (
            "sklearn.linear_model._logistic",
            "LogisticRegression",
            "sklearn.linear_model.logistic",
            "LogisticRegression",
        ),
        ("sklearn.linear_model._logistic", "LogisticRegression", "sklearn.linear_model._logistic", "_Moved"),
        ("sklearn.linear_model._logistic", "LogisticRegression", "_loss", "CyHalfBinomialLoss"),
    ],
)
def test_what_another_scikit_learn_called_otherwise_is_no_missing_code(
    store: Store, tmp_path: Path, module: str, name: str, old_module: str, old_name: str
) -> None:
    data = renamed(older(fitted()), module, name, old_module=old_module, old_name=old_name)
    (tmp_path / "old.pickle").write_bytes(data)
    with pytest.raises(LibraryMismatch) as refused:
        publish(store, "toy", tmp_path / "old.pickle", X, accept_version_mismatch=True)
    assert f"pickled with scikit-learn {OLD}, and {sklearn.__version__} is installed here" in str(
        refused.value
    )
    assert "which cannot load it; train it again" in str(refused.value)
    assert old_name in refused.value.foreign
    assert "--code" not in refused.value.in_full


def test_a_tree_that_cannot_be_built_any_more_is_a_matter_of_versions(store: Store, tmp_path: Path) -> None:
    """Its nodes had other fields, so unpickling fails before the estimator's own state is reached."""
    data = older(DecisionTreeClassifier().fit(X, Y)).replace(b"missing_go_to_left", b"missing_go_to_what")
    (tmp_path / "old.pickle").write_bytes(data)
    with pytest.raises(LibraryMismatch, match=f"pickled with scikit-learn {OLD}.*which cannot load it"):
        publish(store, "toy", tmp_path / "old.pickle", X)


def test_one_that_is_accepted_and_does_not_answer_says_why(store: Store, tmp_path: Path) -> None:
    imputer = SimpleImputer()
    model = make_pipeline(imputer, LogisticRegression()).fit(X, Y)
    del imputer._fill_dtype
    (tmp_path / "old.pickle").write_bytes(older(model))
    with pytest.raises(PublishError, match=f"_fill_dtype.*pickled with scikit-learn {OLD}: train it again"):
        publish(store, "toy", tmp_path / "old.pickle", X, accept_version_mismatch=True)


def test_a_name_that_another_library_moved_is_named_with_its_installed_version(
    store: Store, tmp_path: Path
) -> None:
    data = pickle.dumps(HistGradientBoostingClassifier(max_iter=2).fit(X, Y), protocol=2)
    old = renamed(data, "numpy", "dtype", old_module="numpy.core.gone", old_name="dtype")
    (tmp_path / "old.pickle").write_bytes(old)
    with pytest.raises(
        LoadError, match=f"'dtype' of module 'numpy.core.gone', which numpy {np.__version__}"
    ) as e:
        publish(store, "toy", tmp_path / "old.pickle", X)
    assert not isinstance(e.value, CodeMissing)
