"""Pickling and unpickling of models. A version's own code takes precedence, and errors name the remedy."""

from __future__ import annotations

import _compat_pickle
import importlib
import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import util
from typing import Any, BinaryIO

import joblib
from joblib.numpy_pickle import NumpyUnpickler
from joblib.numpy_pickle_utils import _validate_fileobject_and_memmap

from models.errors import CodeMissing, LoadError, PlumblineError, PublishError
from models.libraries import versions_of
from models.runtimes.frameworks import PICKLE, Visit
from models.runtimes.sklearn_import import import_sklearn
from models.runtimes.user_code import UserCode

ARTIFACT = PICKLE.file

#: Modules without a package that old pickles name -> the library that they belong to.
MOVED = {"_loss": "sklearn"}


class Unpickler(NumpyUnpickler):  # type: ignore[misc]  # joblib has no types
    """joblib's unpickler, which looks for classes in the version's own code first."""

    def __init__(self, file: BinaryIO, code: UserCode, visit: Visit = lambda package: None) -> None:
        super().__init__("", file, ensure_native_byte_order=True)
        self.code, self.visit = code, visit

    def find_class(self, module: str, name: str) -> Any:
        if self.proto < 3:  # protocols below 3 use the names of Python 2
            module, name = _compat_pickle.NAME_MAPPING.get(
                (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
            )
        self.visit(module.split(".")[0])
        try:
            value: Any = self._module(module, name)
            for part in name.split("."):
                value = getattr(value, part)
            return value
        except (ImportError, AttributeError) as error:
            raise self._missing(module, name, error) from error

    def _module(self, module: str, name: str) -> Any:
        if module == "__main__":
            # A class defined in the training script. The script is among the code under its file name.
            for candidate in self.code.top_level:
                imported = self.code.import_module(candidate)
                if hasattr(imported, name.split(".")[0]):
                    return imported
        if module.split(".")[0] in self.code.top_level:
            return self.code.import_module(module)
        if module.startswith("sklearn"):
            import_sklearn()
        return importlib.import_module(module)

    def _missing(self, module: str, name: str, error: Exception) -> LoadError:
        """Return the error for a missing name. It blames the version of an installed library, or else missing
        code.
        """
        what, package = f"{name!r} of module {module!r}", module.split(".")[0]
        package = MOVED.get(package, package)
        if package not in self.code.top_level and (library := _library(package)):
            return LoadError(
                f"the model needs {what}, which {library} does not have; another version of it wrote the "
                "file: train the model again, or publish it from an environment that has that version "
                "(if the module is your own, --code PATH)",
                str(error),
            )
        missing_module = error.name if isinstance(error, ModuleNotFoundError) and error.name else module
        return CodeMissing(what, missing_module, str(error))


def pack(model: Any) -> bytes:
    """Return the object as a joblib file; raises PublishError."""
    buffer = io.BytesIO()
    try:
        joblib.dump(model, buffer)
    except Exception as error:  # a class may do anything in __reduce__
        raise PublishError(f"the model cannot be pickled: {type(error).__name__}: {error}") from error
    return buffer.getvalue()


def unpack(
    data: bytes, code_files: Mapping[str, bytes], visit: Visit = lambda package: None, *, alone: bool = False
) -> Any:
    """Return the object in a joblib file or plain pickle of any protocol, compressed or not.

    Raises CodeMissing if a class cannot be found, and LoadError for any other failure. ``alone`` also refuses
    a second object after the first.
    """
    code = UserCode(code_files)
    code.install()
    try:
        with opened(data) as file:
            model = Unpickler(file, code, visit).load()
            if alone and file.read(1):
                raise LoadError(
                    "the file contains more than one object; save one object with all parts, such as a "
                    "pipeline"
                )
            return model
    except PlumblineError:
        raise
    except (Exception, SystemExit) as error:  # a pickle runs any code, so it may raise anything
        raise LoadError(f"the artifact cannot be unpickled: {type(error).__name__}", str(error)) from error


@contextmanager
def opened(data: bytes) -> Iterator[BinaryIO]:
    """Open the bytes as a file, decompressed if they are compressed: zlib, gzip, bz2, lzma, xz, lz4."""
    with _validate_fileobject_and_memmap(io.BytesIO(data), "", None) as (file, _):
        yield file


def _library(package: str) -> str:
    """Return the installed library that provides the package, with its version; empty without one."""
    spec = None
    if package not in sys.stdlib_module_names:
        try:
            spec = util.find_spec(package)
        except (ImportError, ValueError):
            return ""
    versions = versions_of({package: spec.origin}) if spec and spec.origin else {}
    return ", ".join(f"{name} {version}" for name, version in versions.items())
