"""One row for each framework, with all that differs between them: another framework is a row and its module.

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

#: Told the package of everything that a file names, before it is imported; may raise LoadError.
Visit = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Packing:
    """How a model is kept in one file of its version.

    file: the name of the file in a version.
    module: has ``pack(model) -> bytes``, which raises PublishError, and ``unpack(data, code_files, visit, *,
        alone)``, which raises CodeMissing or LoadError; ``alone`` refuses bytes behind the model.
    begins: tells from the first bytes of a publisher's file whether it is one; None for what may begin in any
        way, which is then whatever no other packing is.
    """

    file: str
    module: str
    begins: Callable[[bytes], bool] | None = None

    def pack(self, model: Any) -> bytes:
        """The bytes that are kept of an object in memory."""
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
        """The object that the bytes hold; ``code_files`` are the modules that come with it."""
        return importlib.import_module(self.module).unpack(data, code_files, visit, alone=alone)


@dataclass(frozen=True, slots=True)
class Framework:
    """One way in which models are kept and answer.

    opens: ``module:attribute`` of what serves. Of a framework it is a class of runtimes, made of a record
        and, where it was unpacked already, the model; ``read(record, visit)`` unpacks and prepares a model,
        ``prepare(model, manifest)`` fits one for serving. Of a compiled form it is the function that opens it
        for a CompiledRuntime.
    libraries: the distributions that its answers depend on; a manifest records their versions.
    packings: the kinds of files that hold its models, the one for objects in memory first.
    claims: tells whether an object, for which the publisher may have given a signature, is one of its models;
        raises PublishError for an object that cannot answer. An object belongs to the first row that claims
        it.
    signature: what an object declares itself; None where the signature is inferred from its answers to a
        sample.
    shareable: the packages that a file may name where a parent process loads it for its workers. It is empty
        for a framework whose loading starts threads, or runs code of which nothing is known.
    """

    opens: str
    libraries: tuple[str, ...] = ()
    packings: tuple[Packing, ...] = ()
    claims: Callable[[Any, Signature | None], bool] = lambda model, given: False
    signature: Callable[[Any], Signature | None] = lambda model: None
    shareable: frozenset[str] = frozenset()

    def imported(self) -> Any:
        """What ``opens`` names; raises ImportError where a library is not installed."""
        module, _, attribute = self.opens.partition(":")
        return getattr(importlib.import_module(module), attribute)


def declared_signature(model: Any) -> Signature | None:
    """The signature that an object carries itself."""
    signature = getattr(model, "signature", None)
    return signature if isinstance(signature, Signature) else None


def _has_signature(model: Any, given: Signature | None) -> bool:
    """An object of any class declares its signature, or has been given one; an estimator keeps its own."""
    method_of(model)
    is_estimator = callable(getattr(model, "get_params", None))
    return declared_signature(model) is not None or (given is not None and not is_estimator)


def _has_method(model: Any, given: Signature | None) -> bool:
    return bool(method_of(model))


PICKLE = Packing("model.joblib", "models.runtimes.pickled")

#: Framework, as manifests name it -> its row.
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

#: Compiled form, as manifests name it -> its row. Its original, which has a framework, is in the version too.
FORMS: dict[str, Framework] = {
    "treelite": Framework(opens="models.runtimes.compiled_runtime:open_library"),
    "onnx": Framework(opens="models.runtimes.compiled_runtime:open_graph", libraries=("onnxruntime",)),
}


def framework(name: str) -> Framework:
    """The row of a manifest's framework; raises LoadError for one of another release."""
    if name not in FRAMEWORKS:
        raise LoadError(f"unknown framework {name!r}; this release serves: {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[name]


def framework_of(model: Any, given: Signature | None = None) -> str:
    """The framework that an object in memory belongs to; raises PublishError when no runtime can call it.

    given: the signature that the publisher gave, which makes an object of any class one that declares it.
    """
    return next(name for name, row in FRAMEWORKS.items() if row.claims(model, given))


def packing_of(head: bytes) -> Packing:
    """The kind of a publisher's file, by its first bytes."""
    return next((kind for kind in _packings() if kind.begins is not None and kind.begins(head)), PICKLE)


def load_object(record: Record, visit: Visit = lambda package: None) -> Any:
    """The model of a version, unpacked from bytes that match their digests.

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
