"""The runtimes that serve versions, one for each framework, whose libraries are imported only when a model
needs them.

A runtime answers rows of one version. Stores, requests and processes do not come in.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any

from models.manifest import Manifest
from models.record import Record
from models.runtime import Runtime
from models.runtimes.frameworks import framework


def runtime_for(record: Record, model: Any = None) -> Runtime:
    """Return the runtime of the record's framework, not loaded; raises LoadError for an unknown framework.

    ``model`` is the version's object if it has been unpickled and prepared already.
    """
    runtime: Runtime = runtime_class(record.manifest.framework)(record, model)
    return runtime


def adopt(record: Record, model: Any) -> Runtime:
    """Return a loaded runtime around an object that was just unpickled from the record's bytes; raises
    LoadError.

    The object is changed as it is for serving, so that a publisher needs no second unpickling.
    """
    manifest = record.manifest
    runtime = runtime_for(record, runtime_class(manifest.framework).prepare(model, manifest))
    runtime.load()
    return runtime


def runtime_class(name: str) -> Any:
    """Return the class of a framework's runtimes, with its libraries imported; raises LoadError if it is
    unknown.
    """
    return framework(name).imported()


def import_libraries(manifest: Manifest) -> Any:
    """Import the libraries of a version, and return its runtime's class.

    They are the framework's libraries, and pandas for a model of DataFrames. Their memory does not count as
    the model's own, and a parent process shares it with its workers. Raises LoadError for an unknown
    framework, ImportError if its library is not installed.
    """
    if manifest.frame:
        with suppress(ImportError):  # loading the model reports it
            importlib.import_module("pandas")
    return runtime_class(manifest.framework)
