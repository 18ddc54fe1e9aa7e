"""What serves a version: the runtime of its framework, whose libraries are imported only when a model needs
them.
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


def runtime_class(name: str) -> Any:
    """The class of a framework's runtimes, its libraries imported; raises LoadError for an unknown
    framework.
    """
    return framework(name).imported()


def import_libraries(manifest: Manifest) -> Any:
    """The runtime's class, with the libraries that the manifest tells of imported: the framework's, and
    pandas for a model of DataFrames. Raises LoadError for an unknown framework, ImportError where its library
    is not installed.

    What they take is not the model's own memory, and what a parent process imports its workers share.
    """
    if manifest.frame:
        with suppress(ImportError):  # loading the model says so
            importlib.import_module("pandas")
    return runtime_class(manifest.framework)
