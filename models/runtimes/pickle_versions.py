"""The versions of scikit-learn that wrote a pickle, even if the installed version cannot load it.

An estimator's state carries the version (``_sklearn_version``). Loading checks it, but late: a class that was
renamed or built differently since fails before that. The pickle is therefore read with placeholders for
everything that fails.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from models.runtimes.pickled import Unpickler, opened
from models.runtimes.user_code import UserCode


def versions_in(data: bytes, code_files: Mapping[str, bytes]) -> set[str]:
    """Return every version of scikit-learn that the states of the pickled estimators name."""
    with suppress(Exception), opened(data) as file:  # a damaged pickle is read as far as possible
        reader = _Reader(file, UserCode(code_files))
        with suppress(Exception):
            reader.load()
        return reader.versions
    return set()


class _Anything:
    """A placeholder for an object that cannot be created."""

    def __new__(cls, *_: Any, **__: Any) -> _Anything:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Ignore the state."""

    def __call__(self, *_: Any, **__: Any) -> _Anything:
        return self

    append = extend = __setitem__ = __call__


class _Reader(Unpickler):
    dispatch = Unpickler.dispatch.copy()

    def __init__(self, file: BinaryIO, code: UserCode) -> None:
        super().__init__(file, code)
        self.versions: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except Exception:
            return _Anything

    def load_build(self) -> None:
        state = self.stack[-1]
        if isinstance(state, dict) and isinstance(version := state.get("_sklearn_version"), str):
            self.versions.add(version)
        with suppress(Exception):
            super().load_build()

    def load_reduce(self) -> None:
        try:
            super().load_reduce()
        except Exception:
            self.stack[-1] = _Anything()

    def load_newobj(self) -> None:
        try:
            super().load_newobj()
        except Exception:
            self.stack.append(_Anything())

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
