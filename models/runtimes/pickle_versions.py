"""Which versions of scikit-learn wrote a pickle, also one that the installed version cannot load.

An estimator's state carries the version (``_sklearn_version``). Loading checks it, but only once it has come
so far: what was renamed since, or built otherwise, fails before. So the pickle is gone through with
placeholders for all that fails.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from models.runtimes.pickled import Unpickler, opened
from models.runtimes.user_code import UserCode


def versions_in(data: bytes, code_files: Mapping[str, bytes]) -> set[str]:
    """Every version of scikit-learn that the states of the pickled estimators name."""
    with suppress(Exception), opened(data) as file:  # as far as it can be read
        reader = _Reader(file, UserCode(code_files))
        with suppress(Exception):
            reader.load()
        return reader.versions
    return set()


class _Anything:
    """Stands for an object that cannot be made."""

    def __new__(cls, *_: Any, **__: Any) -> _Anything:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Not kept."""

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
