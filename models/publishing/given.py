"""What a publisher gives as the model: an object in memory or a file, as the bytes that are kept and as what they hold."""

from __future__ import annotations

import io
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
from models.runtimes.user_code import collect

SKLEARN = "scikit-learn"
#: What reading a file that ends too early raises, and what other errors say then.
CUT_SHORT = (EOFError, zlib.error, lzma.LZMAError)
SAYS_CUT_SHORT = ("truncated", "exhausted", "EOF")


@dataclass(frozen=True, slots=True, eq=False)
class GivenModel:
    """``data`` : the pickle that is kept, ``code`` : the files of the version's own code, ``loaded`` : what the pickle holds,
    loaded from these bytes. ``since`` : when the object was given, or the file changed. ``visited`` : the packages that the
    pickle names. ``pickled_with`` : libraries of other versions than here that wrote it. ``in_memory`` : the object itself, None
    where a file was given."""

    data: bytes
    code: Mapping[str, bytes]
    loaded: Any
    since: datetime
    visited: frozenset[str] = frozenset()
    pickled_with: Mapping[str, str] = field(default_factory=dict)
    in_memory: Any = None


def read_model(model: Any, code_path: Path | None, accept_version_mismatch: bool = False) -> GivenModel:
    """Pickle an object, or read the file that a Path names, and load it back with the code at ``code_path``.

    Raises PublishError when there is nothing to keep, CodeMissing or LoadError when it cannot be loaded, LibraryMismatch
    when another scikit-learn wrote it, unless that is accepted.
    """
    if isinstance(model, GivenModel):
        return model
    code = collect(code_path) if code_path else {}
    if isinstance(model, Path):
        data, since = _content(model), datetime.fromtimestamp(model.stat().st_mtime, UTC)
    else:
        data, since = _pickled(model), datetime.now(UTC)
    visited: set[str] = set()
    try:
        loaded, others = _loaded(data, code, visited)
    except CodeMissing:
        raise
    except LoadError as error:
        if isinstance(model, Path):
            _explain(model, data, error)
        raise _mismatch(data, code, error) or error from error
    if others and not accept_version_mismatch:
        raise LibraryMismatch(
            f"{_written_by(others)}, and with it the model may answer otherwise; train it again, or publish it from an "
            "environment that has that version. --accept-version-mismatch publishes it as it is"
        )
    pickled_with = {SKLEARN: ", ".join(others)} if others else {}
    in_memory = None if isinstance(model, Path) else model
    return GivenModel(data, code, loaded, since, frozenset(visited), pickled_with, in_memory)


def _content(file: Path) -> bytes:
    """The bytes of the file; raises PublishError for one that is known to be no pickle."""
    from models.runtimes.pickled import opened  # joblib: needed here, not by `flask models list`

    try:
        if file.is_dir():
            raise PublishError(f"{file} is {foreign_directory(file)}")
        data = file.read_bytes()
    except OSError as error:
        raise PublishError(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    known = foreign_format(data[:HEAD_BYTES], data)
    if not known:
        try:
            with opened(data) as unpacked:
                known = foreign_format(unpacked.read(HEAD_BYTES))
        except Exception:  # what is wrong with it is found out when it is loaded
            known = ""
    if known:
        raise PublishError(f"{file} is {known}")
    return data


def _pickled(model: Any) -> bytes:
    import joblib

    buffer = io.BytesIO()
    try:
        joblib.dump(model, buffer)
    except Exception as error:  # a class may do anything in __reduce__
        raise PublishError(f"the model cannot be pickled: {type(error).__name__}: {error}") from error
    return buffer.getvalue()


def _loaded(data: bytes, code: Mapping[str, bytes], visited: set[str]) -> tuple[Any, list[str]]:
    """What the pickle holds, and the other versions of scikit-learn that wrote it: it warns of them."""
    from models.runtimes.pickled import unpickle

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = unpickle(data, code, visited.add, alone=True)
    others = set()
    for warning in caught:
        if version := getattr(warning.message, "original_sklearn_version", None):
            others.add(str(version))
        else:
            warnings.warn(warning.message, warning.category, stacklevel=4)
    return loaded, sorted(others)


def _mismatch(data: bytes, code: Mapping[str, bytes], error: LoadError) -> LibraryMismatch | None:
    """What cannot be loaded because another scikit-learn wrote it."""
    from models.runtimes.pickle_versions import versions_in

    others = versions_in(data, code) - set(installed_versions([SKLEARN]).values())
    if not others:
        return None
    return LibraryMismatch(
        f"{_written_by(others)}, which cannot load it; train it again, or publish it from an environment that has that "
        "version",
        LoadError(str(error).partition(";")[0], error.foreign).in_full,
    )


def _written_by(others: Iterable[str]) -> str:
    here = installed_versions([SKLEARN]).get(SKLEARN, "missing")
    return f"the model was pickled with {SKLEARN} {', '.join(sorted(others))}, and {here} is installed here"


def _explain(file: Path, data: bytes, error: LoadError) -> None:
    """Raises PublishError for a file that is no whole pickle."""
    cause = error.__cause__
    if is_text(data) and not data.endswith(b"."):
        raise PublishError(
            f"{file} is text and no pickle; name the joblib or pickle file of the model"
        ) from error
    if isinstance(cause, CUT_SHORT) or any(word in str(cause) for word in SAYS_CUT_SHORT):
        raise PublishError(
            f"{file} is cut short or damaged at its {len(data):,} bytes; copy it again, and save it again if that does not help"
        ) from error
