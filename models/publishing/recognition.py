"""The formats of files that are not pickles, so that a message can name the format and the remedy."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 512

FETCH = "fetch the file itself: git lfs pull"
LIBRARY = (
    "load it with its library, and publish the loaded model from Python: "
    "publish(store, name, model, X_sample)"
)
OBJECT = (
    "publish an object that holds it and has a signature and predict(rows), as docs/publishing.md shows "
    "under 'Models that are not estimators'"
)
SKLEARN_CLASS = "load it into the library's scikit-learn class (load_model), and publish that"
PICKLE = "name the joblib or pickle file of the fitted model"
UNPACK = "unpack it, and name the joblib or pickle file in it"


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file."""

    #: Its name in a message.
    what: str
    #: The remedy.
    to_do: str
    #: Whether the first bytes are those of such a file.
    begins: Callable[[bytes], object]


def _with(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magics)


def _like(pattern: bytes) -> Callable[[bytes], object]:
    return re.compile(pattern, re.DOTALL | re.IGNORECASE).match


#: The first match counts.
FORMATS = (
    Format("an empty file", "save the model again, or copy the whole file", lambda head: not head),
    Format(
        "a pointer of Git LFS, not the file",
        FETCH,
        _with(b"version https://git-lfs", b"version https://hawser"),
    ),
    Format(
        "a pointer of DVC, not the file", "fetch the file itself: dvc pull", _like(rb"(md5: |outs:\s+- )")
    ),
    Format("an HDF5 file, as Keras writes them", OBJECT, _with(b"\x89HDF\r\n\x1a\n")),
    Format("a safetensors file", OBJECT, lambda head: head[8:10] == b'{"' and not any(head[4:8])),
    # An ONNX model begins with its version, a small number in field 1, and another field follows.
    Format("an ONNX model", OBJECT, _like(rb"\x08[\x01-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]")),
    Format("a PyTorch file", OBJECT, _with(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")),
    Format("a CatBoost model file", SKLEARN_CLASS, _with(b"CBM1")),
    Format("a LightGBM model file", SKLEARN_CLASS, _like(rb"tree\s+version=")),
    Format(
        "an XGBoost model file",
        SKLEARN_CLASS,
        _like(rb'(\{L\W{1,8}|binf|bs64|\s*\{\s*"(learner|version)"\s*:)'),
    ),
    Format("a CatBoost model as JSON", SKLEARN_CLASS, _like(rb'\s*\{.*"(oblivious_trees|features_info)"')),
    Format("a LightGBM model as JSON", SKLEARN_CLASS, _like(rb'\s*\{\s*"name"\s*:\s*"tree"')),
    Format(
        "a notebook",
        "run it, and publish the model from a cell of it",
        _like(rb'\s*\{.*"(cells|nbformat)"\s*:'),
    ),
    Format("JSON", PICKLE, _like(rb'\s*[\[{]\s*("|\[|\{|\]|\}|-?\d)')),
    Format("a web page", "the download needs a login, or another address", _like(rb"\s*<(!doctype|html)")),
    Format("a PMML or XML document", OBJECT, _like(rb"\s*<(\?xml|pmml)")),
    Format("an array of NumPy", PICKLE, _with(b"\x93NUMPY")),
    Format("a Parquet or Arrow table", PICKLE, _with(b"PAR1", b"ARROW1", b"FEA1")),
    Format("a model of llama.cpp", "a server for language models serves it", _with(b"GGUF", b"ggjt")),
    Format("an object of R", "train the model in Python", _with(b"RDX", b"RDA", b"X\n\x00\x00", b"A\n3\n")),
    Format("a native library", PICKLE, _with(b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe")),
    Format("a tar archive", UNPACK, lambda head: head[257:262] == b"ustar"),
    Format(
        "a file of a joblib before 0.10",
        "load it with the joblib that wrote it, and dump it again with a present one",
        _with(b"ZF"),
    ),
)

#: (part of a member's name, what a zip archive with such a member is, remedy). The first match counts.
ZIPPED = (
    ("schema.json", "a skops file", LIBRARY),
    ("data.pkl", "a PyTorch file", OBJECT),
    ("constants.pkl", "a PyTorch file", OBJECT),
    ("model.weights.h5", "a Keras model", OBJECT),
    (".npy", "an archive of NumPy arrays", PICKLE),
    ("[Content_Types].xml", "an office document", PICKLE),
    ("", "a zip archive", UNPACK),
)

#: (file in a directory, what the directory is, remedy). The first match counts.
DIRECTORIES = (
    ("MLmodel", "a model of MLflow", "publish the file in it that holds the model, mostly model.pkl"),
    ("saved_model.pb", "a SavedModel of TensorFlow", OBJECT),
    ("config.json", "a model of Hugging Face", OBJECT),
    ("predictor.pkl", "a predictor of AutoGluon", OBJECT),
    ("", "a directory", "name the joblib or pickle file in it"),
)


def foreign_format(head: bytes, whole: bytes = b"") -> str:
    """Return the kind of a file and the remedy, in one line; empty for bytes that may be a pickle.

    ``head`` are the first bytes, uncompressed. ``whole`` are all bytes, which a zip archive needs.
    """
    if head.startswith(b"PK\x03\x04"):
        return _first(ZIPPED, _members(whole))
    descriptions = (f"{known.what}; {known.to_do}" for known in FORMATS if known.begins(head[:HEAD_BYTES]))
    return next(descriptions, "")


def foreign_directory(directory: Path) -> str:
    """Return the kind of a directory and the remedy, in one line."""
    return _first(DIRECTORIES, [path.name for path in directory.iterdir()])


def is_text(head: bytes) -> bool:
    """Return whether all bytes are printable ASCII characters or line ends."""
    return bool(re.fullmatch(rb"[\t\n\r\x20-\x7e]*", head[:HEAD_BYTES]))


def _first(table: Iterable[tuple[str, str, str]], names: Iterable[str]) -> str:
    names = [*names, ""]
    return next(f"{what}; {to_do}" for part, what, to_do in table if any(part in name for name in names))


def _members(archive: bytes) -> list[str]:
    try:
        return zipfile.ZipFile(io.BytesIO(archive)).namelist()
    except zipfile.BadZipFile:
        return []
