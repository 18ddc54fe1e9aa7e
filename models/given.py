"""What a publisher gives as the model: an object in memory or a file, as the bytes that are kept and as what they hold."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.errors import PublishError
from models.user_code import collect


@dataclass(frozen=True, slots=True, eq=False)
class GivenModel:
    """``data`` : the pickle that is kept, ``code`` : the files of the version's own code, ``loaded`` : what the pickle holds,
    loaded from these bytes. ``since`` : when the object was given, or the file changed. ``visited`` : the packages that the
    pickle names. ``pickled_with`` : libraries of other versions than here that wrote it."""

    data: bytes
    code: Mapping[str, bytes]
    loaded: Any
    since: datetime
    visited: frozenset[str] = frozenset()
    pickled_with: Mapping[str, str] = field(default_factory=dict)


def read_model(model: Any, code_path: Path | None, accept_version_mismatch: bool = False) -> GivenModel:
    """Pickle an object, or read the file that a Path names, and load it back with the code at ``code_path``.

    Raises PublishError when there is nothing to keep, LoadError when it cannot be loaded.
    """
    from models.runtimes.pickled import unpickle  # joblib: needed here, not by `flask models list`

    if isinstance(model, GivenModel):
        return model
    if isinstance(model, Path):
        data, since = _content(model), datetime.fromtimestamp(model.stat().st_mtime, UTC)
    else:
        data, since = _pickled(model), datetime.now(UTC)
    code, visited = collect(code_path) if code_path else {}, set[str]()
    return GivenModel(data, code, unpickle(data, code, visited.add), since, frozenset(visited))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PublishError(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error


def _pickled(model: Any) -> bytes:
    import joblib

    buffer = io.BytesIO()
    try:
        joblib.dump(model, buffer)
    except Exception as error:  # a class may do anything in __reduce__
        raise PublishError(f"the model cannot be pickled: {type(error).__name__}: {error}") from error
    return buffer.getvalue()
