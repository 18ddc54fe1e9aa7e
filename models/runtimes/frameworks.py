"""The table of frameworks: one row holds all that differs between them, so that another framework is a row
and its module.

Rows name modules and import them when a model needs them: a process has the libraries of its own models only.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import LoadError
from models.record import Record
from models.runtimes.methods import method_of
from models.runtimes.user_code import PREFIX
from models.signature import Signature
from models.talk import RUNNING_VERSION

#: A function that is called with the package of every name in a file before its import. It may raise
#: LoadError.
Visit = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Packing:
    """The way in which a model is kept in one file of its version."""

    #: The name of the file in a version.
    file: str
    #: The module with ``pack(model) -> bytes``, which raises PublishError, and ``unpack(data, code_files,
    #: visit, *, alone)``, which raises CodeMissing or LoadError. ``alone`` refuses bytes after the model.
    module: str
    #: Whether the first bytes of a publisher's file are those of this kind. None for a kind without typical
    #: first bytes, which is used if no other kind matches.
    begins: Callable[[bytes], bool] | None = None

    def pack(self, model: Any) -> bytes:
        """Return the bytes to store for an object in memory."""
        data: bytes = importlib.import_module(self.module).pack(model)
        return data

    def unpack(
        self,
        data: bytes,
        code_files: Mapping[str, bytes],
        visit: Visit = lambda package: None,
        *,
        alone: bool = False,
    ) -> Any:
        """Return the object in the bytes; ``code_files`` are the modules that come with it."""
        return importlib.import_module(self.module).unpack(data, code_files, visit, alone=alone)


@dataclass(frozen=True, slots=True)
class Framework:
    """A kind of models: how they are kept, recognised and served."""

    #: ``module:attribute`` of what serves. For a framework it is a class of runtimes, constructed with a
    #: record and, if it was unpacked already, the model; ``read(record, visit)`` unpacks and prepares a
    #: model, and ``prepare(model, manifest)`` prepares one for serving. For a compiled form it is the
    #: function that opens the form for a CompiledRuntime.
    opens: str
    #: The distributions that answers depend on; a manifest records their versions.
    libraries: tuple[str, ...] = ()
    #: The kinds of files that hold its models, the one for objects in memory first.
    packings: tuple[Packing, ...] = ()
    #: Whether an object, with the signature that the publisher gave, is one of its models; raises
    #: PublishError for an object that cannot answer. An object belongs to the first row that claims it.
    claims: Callable[[Any, Signature | None], bool] = lambda model, given: False
    #: The signature that an object declares; None if it is inferred from answers to a sample.
    signature: Callable[[Any], Signature | None] = lambda model: None
    #: The packages that a file may name if a parent process loads it for its workers. Empty for a framework
    #: whose loading starts threads or runs unknown code.
    shareable: frozenset[str] = frozenset()

    def imported(self) -> Any:
        """Return what ``opens`` names; raises ImportError if a library is not installed."""
        module, _, attribute = self.opens.partition(":")
        return getattr(importlib.import_module(module), attribute)


def declared_signature(model: Any) -> Signature | None:
    """Return the signature that an object declares; None without one."""
    signature = getattr(model, "signature", None)
    return signature if isinstance(signature, Signature) else None


def _has_signature(model: Any, given: Signature | None) -> bool:
    """Return whether an object declares a signature or was given one. An estimator is not meant by a given
    one.
    """
    method_of(model)
    is_estimator = callable(getattr(model, "get_params", None))
    return declared_signature(model) is not None or (given is not None and not is_estimator)


def _has_method(model: Any, given: Signature | None) -> bool:
    return bool(method_of(model))


PICKLE = Packing("model.joblib", "models.runtimes.pickled")

#: Name of a framework in manifests -> its row.
FRAMEWORKS: dict[str, Framework] = {
    "python": Framework(
        opens="models.runtimes.python_runtime:PythonRuntime",
        libraries=("numpy", "joblib"),
        packings=(PICKLE,),
        claims=_has_signature,
        signature=declared_signature,
    ),
    "scikit-learn": Framework(
        opens="models.runtimes.sklearn_runtime:SklearnRuntime",
        libraries=("scikit-learn", "numpy", "scipy", "joblib"),
        packings=(PICKLE,),
        claims=_has_method,
        signature=declared_signature,
        shareable=frozenset(
            {"_codecs", "builtins", "collections", "copyreg", "datetime", "functools", "operator"}
            | {"joblib", "numpy", "pandas", "scipy", "sklearn"}
        ),
    ),
}

#: Name of a compiled form in manifests -> its row. A version with a form also has its original, of a
#: framework.
FORMS: dict[str, Framework] = {
    "treelite": Framework(opens="models.runtimes.compiled_runtime:open_library"),
    "onnx": Framework(opens="models.runtimes.compiled_runtime:open_graph", libraries=("onnxruntime",)),
}


def framework(name: str) -> Framework:
    """Return the row of a manifest's framework; raises LoadError for one that this release does not have."""
    if name not in FRAMEWORKS:
        raise LoadError(f"unknown framework {name!r}; this release serves: {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[name]


def framework_of(model: Any, given: Signature | None = None) -> str:
    """Return the name of an object's framework; raises PublishError if no runtime can call it.

    ``given`` is the signature that the publisher gave, which an object of any class then counts as declaring.
    """
    return next(name for name, row in FRAMEWORKS.items() if row.claims(model, given))


def packing_of(head: bytes) -> Packing:
    """Return the kind of a publisher's file by its first bytes."""
    return next((kind for kind in _packings() if kind.begins is not None and kind.begins(head)), PICKLE)


def load_object(record: Record, visit: Visit = lambda package: None) -> Any:
    """Return the model of a version, unpacked from bytes that match their digests.

    Raises ArtifactDamaged, CodeMissing or LoadError.
    """
    files = record.manifest.files
    kind = next((kind for kind in _packings() if kind.file in files), PICKLE)
    code = {path: record.read(path) for path in files if path.startswith(PREFIX)}
    token = RUNNING_VERSION.set(record.manifest)
    try:
        return kind.unpack(record.read(kind.file), code, visit)
    finally:
        RUNNING_VERSION.reset(token)


def _packings() -> list[Packing]:
    return list(dict.fromkeys(kind for row in FRAMEWORKS.values() for kind in row.packings))
