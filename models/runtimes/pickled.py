"""How a pickled model comes into memory: verified bytes, its own code first, errors that say what to do."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any

from joblib.numpy_pickle import NumpyUnpickler
from joblib.numpy_pickle_utils import _validate_fileobject_and_memmap

from models.errors import CodeMissing, LoadError, PlumblineError
from models.manifest import Artifact
from models.user_code import UserCode

ARTIFACT = "model.joblib"

#: Told the package of everything that a pickle names, before it is imported; may raise LoadError.
Visit = Callable[[str], None]


class _Unpickler(NumpyUnpickler):  # type: ignore[misc]  # joblib has no types
    """joblib's own unpickler, looking for classes in the version's code before anywhere else."""

    code: UserCode
    visit: Visit

    def find_class(self, module: str, name: str) -> Any:
        self.visit(module.split(".")[0])
        try:
            found: Any = self._module(module, name)
            for part in name.split("."):
                found = getattr(found, part)
            return found
        except (ImportError, AttributeError) as error:
            lacking = error.name if isinstance(error, ModuleNotFoundError) and error.name else module
            raise CodeMissing(f"{name!r} of module {module!r}", lacking, str(error)) from error

    def _module(self, module: str, name: str) -> Any:
        if module == "__main__":
            # A class defined in the training script: the script itself is among the code, under its file name.
            for candidate in self.code.top_level:
                imported = self.code.import_module(candidate)
                if hasattr(imported, name.split(".")[0]):
                    return imported
        if module.split(".")[0] in self.code.top_level:
            return self.code.import_module(module)
        return importlib.import_module(module)


def unpickle(data: bytes, code_files: dict[str, bytes], visit: Visit = lambda package: None) -> Any:
    """The object in a joblib file or plain pickle.

    Raises CodeMissing when a class cannot be found, LoadError for anything else that goes wrong on the way.
    """
    code = UserCode(code_files)
    code.install()
    try:
        with _validate_fileobject_and_memmap(io.BytesIO(data), "", None) as (file, _):
            unpickler = _Unpickler("", file, ensure_native_byte_order=True)
            unpickler.code, unpickler.visit = code, visit
            return unpickler.load()
    except PlumblineError:
        raise
    except (Exception, SystemExit) as error:  # a pickle runs any code, so anything can come out of it
        raise LoadError(f"the artifact cannot be unpickled: {type(error).__name__}", str(error)) from error


def load_object(artifact: Artifact, visit: Visit = lambda package: None) -> Any:
    """The pickled object of a version, from bytes that match their digests."""
    code = {path: artifact.read(path) for path in artifact.manifest.files if path.startswith("code/")}
    return unpickle(artifact.read(ARTIFACT), code, visit)
