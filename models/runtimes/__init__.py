"""Which runtime serves which framework. A framework's libraries are imported only when a model needs them."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any

from models.errors import LoadError
from models.manifest import Manifest
from models.record import Record
from models.runtime import Runtime
from models.runtimes.methods import method_of
from models.signature import Signature

#: framework -> module and class; the class takes a Record.
RUNTIMES = {
    "scikit-learn": ("models.runtimes.sklearn_runtime", "SklearnRuntime"),
    "python": ("models.runtimes.python_runtime", "PythonRuntime"),
}


def runtime_for(record: Record, model: Any = None) -> Runtime:
    """The runtime that the record's manifest names, not loaded yet; raises LoadError for an unknown one.

    model: the version's object, where it was unpickled and prepared already.
    """
    runtime: Runtime = runtime_class(record.manifest.framework)(record, model)
    return runtime


def adopt(record: Record, model: Any) -> Runtime:
    """A loaded runtime around an object that was just unpickled from the record's bytes; raises LoadError.

    The object is changed as it is for serving. A publisher needs no second unpickling by this.
    """
    manifest = record.manifest
    runtime = runtime_for(record, runtime_class(manifest.framework).prepare(model, manifest))
    runtime.load()
    return runtime


def runtime_class(framework: str) -> Any:
    """The class itself, its libraries imported; raises LoadError for an unknown framework."""
    if framework not in RUNTIMES:
        raise LoadError(f"unknown framework {framework!r}; this release serves: {', '.join(RUNTIMES)}")
    module, name = RUNTIMES[framework]
    return getattr(importlib.import_module(module), name)


def import_libraries(manifest: Manifest) -> Any:
    """The runtime's class, with the libraries that the manifest tells of imported: the framework's, and pandas for a model
    of DataFrames. Raises LoadError for an unknown framework, ImportError where its library is not installed.

    What they take is not the model's own memory, and what a parent process imports its workers share.
    """
    if manifest.frame:
        with suppress(ImportError):  # loading the model says so
            importlib.import_module("pandas")
    return runtime_class(manifest.framework)


def framework_of(model: Any, said: Signature | None = None) -> str:
    """The framework that an object in memory belongs to; raises PublishError when no runtime can call it.

    ``said`` is the signature that the publisher gave, which makes an object of any class one that declares it.
    """
    method_of(model)
    is_estimator = callable(getattr(model, "get_params", None))
    return "python" if declared_signature(model) or (said and not is_estimator) else "scikit-learn"


def declared_signature(model: Any) -> Signature | None:
    """The signature that an object carries itself."""
    signature = getattr(model, "signature", None)
    return signature if isinstance(signature, Signature) else None
