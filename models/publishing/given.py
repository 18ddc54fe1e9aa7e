"""The model that a publisher gives, an object in memory or a file, as the bytes to store and the object in
them.
"""

from __future__ import annotations

import lzma
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.errors import CodeMissing, LibraryMismatch, LoadError, PublishError
from models.libraries import installed_versions
from models.publishing.recognition import HEAD_BYTES, foreign_directory, foreign_format, is_text
from models.runtimes.frameworks import PICKLE, Packing, framework, framework_of, packing_of
from models.runtimes.user_code import collect

SKLEARN = "scikit-learn"
#: Errors for a file that ends too early, and words in the messages of other such errors.
CUT_SHORT = (EOFError, zlib.error, lzma.LZMAError)
SAYS_CUT_SHORT = ("truncated", "exhausted", "EOF")


@dataclass(frozen=True, slots=True, eq=False)
class GivenModel:
    """A model as bytes and as the object that was loaded from them."""

    #: The file of the model, and the files of the version's own code.
    files: Mapping[str, bytes]
    loaded: Any
    #: When the object was given, or the file changed.
    since: datetime
    #: The packages that the file names.
    visited: frozenset[str] = frozenset()
    #: Libraries that wrote the file in another version than the installed one.
    pickled_with: Mapping[str, str] = field(default_factory=dict)
    #: The object that was given; None for a file.
    in_memory: Any = None


def read_model(model: Any, code_path: Path | None, accept_version_mismatch: bool = False) -> GivenModel:
    """Pickle an object, or read the file that a Path names, and load it back with the code at ``code_path``.

    Raises PublishError if it cannot be stored, CodeMissing or LoadError if it cannot be loaded, and
    LibraryMismatch if another scikit-learn wrote it and that is not accepted.
    """
    if isinstance(model, GivenModel):
        return model
    code = collect(code_path) if code_path else {}
    if isinstance(model, Path):
        (data, packing), since = _content(model), datetime.fromtimestamp(model.stat().st_mtime, UTC)
    else:
        packing = framework(framework_of(model)).packings[0]
        data, since = packing.pack(model), datetime.now(UTC)
    visited: set[str] = set()
    try:
        loaded, others = _loaded(packing, data, code, visited)
    except CodeMissing:
        raise
    except LoadError as error:
        if isinstance(model, Path) and packing is PICKLE:
            _explain(model, data, error)
        raise _mismatch(data, code, error) or error from error
    if others and not accept_version_mismatch:
        raise LibraryMismatch(
            f"{_written_by(others)}, with which the model may answer differently; train it again, or "
            "publish it from an environment that has that version. --accept-version-mismatch publishes "
            "it as it is"
        )
    pickled_with = {SKLEARN: ", ".join(others)} if others else {}
    in_memory = None if isinstance(model, Path) else model
    files = {packing.file: data, **code}
    return GivenModel(files, loaded, since, frozenset(visited), pickled_with, in_memory)


def _content(file: Path) -> tuple[bytes, Packing]:
    """Return the bytes of the file and its kind; raises PublishError for a file that no framework reads."""
    from models.runtimes.pickled import opened  # imports joblib, which `flask models list` does not need

    try:
        if file.is_dir():
            raise PublishError(f"{file} is {foreign_directory(file)}")
        data = file.read_bytes()
    except OSError as error:
        raise PublishError(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    packing = packing_of(data[:HEAD_BYTES])
    if packing is not PICKLE:
        return data, packing
    known = foreign_format(data[:HEAD_BYTES], data)
    if not known:
        try:
            with opened(data) as unpacked:
                known = foreign_format(unpacked.read(HEAD_BYTES))
        except Exception:  # loading the file reports what is wrong with it
            known = ""
    if known:
        raise PublishError(f"{file} is {known}")
    return data, packing


def _loaded(
    packing: Packing, data: bytes, code: Mapping[str, bytes], visited: set[str]
) -> tuple[Any, list[str]]:
    """Return the object in the file, and the other versions of scikit-learn that wrote it, of which it
    warns.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = packing.unpack(data, code, visited.add, alone=True)
    others = set()
    for warning in caught:
        if version := getattr(warning.message, "original_sklearn_version", None):
            others.add(str(version))
        else:
            warnings.warn(warning.message, warning.category, stacklevel=4)
    return loaded, sorted(others)


def _mismatch(data: bytes, code: Mapping[str, bytes], error: LoadError) -> LibraryMismatch | None:
    """Return the error for a file that cannot be loaded because another scikit-learn wrote it; None
    otherwise.
    """
    from models.runtimes.pickle_versions import versions_in

    others = versions_in(data, code) - set(installed_versions([SKLEARN]).values())
    if not others:
        return None
    return LibraryMismatch(
        f"{_written_by(others)}, which cannot load it; train it again, or publish it from an environment "
        "that has that version",
        LoadError(str(error).partition(";")[0], error.foreign).in_full,
    )


def _written_by(others: Iterable[str]) -> str:
    installed = installed_versions([SKLEARN]).get(SKLEARN, "missing")
    return (
        f"the model was pickled with {SKLEARN} {', '.join(sorted(others))}, and {installed} is installed here"
    )


def _explain(file: Path, data: bytes, error: LoadError) -> None:
    """Raise PublishError for a file that is not a complete pickle."""
    cause = error.__cause__
    if is_text(data) and not data.endswith(b"."):
        raise PublishError(
            f"{file} is text, not a pickle; name the joblib or pickle file of the model"
        ) from error
    if isinstance(cause, CUT_SHORT) or any(word in str(cause) for word in SAYS_CUT_SHORT):
        raise PublishError(
            f"{file} is cut short or damaged at its {len(data):,} bytes; copy it again, and save it again "
            "if that does not help"
        ) from error
