"""The errors of this project, as one tree that knows nothing of HTTP.

    PlumblineError
    ├── InputError              rows or parameters do not fit the signature; lists the faults
    ├── NotFound                a name does not exist; the error lists the names that do
    │   ├── ModelNotFound
    │   ├── NoDefaultModel      the short routes have no model behind them
    │   └── VersionNotFound
    ├── InvalidName             a model name, tag or version breaks the naming rules
    ├── InvalidRule             a traffic rule is not valid
    ├── Conflict                the state of the store forbids the change (an alias names the version)
    ├── PublishError            a model, sample or signature cannot become a version
    │   └── WrongCount          the number of answers differs from the number of rows
    ├── CompileError            a model has no compiled form of some kind; the original serves
    ├── StoreUnavailable        the store cannot be read or written
    ├── ArchiveRefused          an archive cannot be written, or is damaged, hostile or too large
    ├── LoadError               a stored version cannot be served
    │   ├── ArtifactDamaged     bytes do not match their digest, or the manifest is incomplete
    │   ├── ArtifactUnsigned    the store has a key, and the manifest has no valid signature
    │   ├── CodeMissing         a pickled class whose module or name cannot be found
    │   └── LibraryMismatch     library versions and answers differ from the recorded ones
    ├── NotReady                a version exists but cannot answer now
    ├── Overloaded              too many rows wait for the version
    ├── DeadlinePassed          the time limit passed before the answer came
    └── PredictError            the model itself failed on rows that fit its signature

Every message is one line, names its subject, and says how to fix the problem if there is a way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class PlumblineError(Exception):
    """The root of all errors that this project raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of an input."""

    #: Where the fault is, from the outside in.
    loc: tuple[str | int, ...]
    #: What is wrong.
    msg: str
    expected: str = ""
    got: Any = None

    def under(self, *prefix: str | int) -> Fault:
        """Return the same fault with its location below a prefix, for example ``("inputs", 3)``."""
        return Fault((*prefix, *self.loc), self.msg, self.expected, self.got)


class InputError(PlumblineError):
    """The rows or parameters of a request do not fit the signature. ``faults`` lists every fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{'.'.join(map(str, f.loc))}: {f.msg}" for f in self.faults))


class NotFound(PlumblineError):
    """A name that does not exist. ``available`` lists the names that do."""

    def __init__(self, message: str, available: Iterable[str] = ()) -> None:
        self.available = tuple(available)
        super().__init__(message)


class ModelNotFound(NotFound):
    """The store has no version of a model with that name."""

    def __init__(self, name: str, available: Iterable[str] = ()) -> None:
        available = tuple(available)
        listed = f"the store has: {', '.join(available)}" if available else "the store is empty"
        super().__init__(f"no model called {name!r}; {listed}", available)


class NoDefaultModel(NotFound):
    """The short routes have no model, because the default model does not exist."""

    def __init__(self, name: str, available: Iterable[str] = ()) -> None:
        available = tuple(available)
        listed = f"the store has: {', '.join(available)}" if available else "the store is empty"
        super().__init__(
            f"there is no default model: PLUMBLINE_DEFAULT_MODEL is {name!r}, and {listed}; "
            "set it to one of them, or ask /models/NAME/predict",
            available,
        )


class VersionNotFound(NotFound):
    """The model has no such version, tag or alias."""

    def __init__(self, name: str, version: str, available: Iterable[str] = ()) -> None:
        available = tuple(available)
        super().__init__(
            f"model {name!r} has no version or tag {version!r}; it has: {', '.join(available)}", available
        )


class InvalidName(PlumblineError):
    """A model name, tag or version reference that the naming rules do not allow."""


class InvalidRule(PlumblineError):
    """The traffic rule is not valid."""


class Conflict(PlumblineError):
    """The current state of the store forbids the change."""


class PublishError(PlumblineError):
    """The given model, sample or signature cannot become a version."""


class PublishWarning(UserWarning):
    """A published version that its publisher should look at: a warning of Python, not an error of the
    tree.
    """


class WrongCount(PublishError):
    """The number of answers differs from the number of rows.

    The same model may answer row by row when it is given another container.
    """


class CompileError(PlumblineError):
    """A compiled form cannot be built, or is not as good as the original; the message gives the reason."""


class StoreUnavailable(PlumblineError):
    """The store cannot be read or written."""


class ArchiveRefused(PlumblineError):
    """An archive cannot be written, or one to import is damaged, hostile or too large."""


class LoadError(PlumblineError):
    """A stored version cannot be served. The message gives the reason and the remedy.

    ``foreign`` holds the text of other code, such as an exception in a pickle. It is for logs and commands,
    not for clients, since it may contain paths and data.
    """

    def __init__(self, message: str, foreign: str = "") -> None:
        self.foreign = " ".join(foreign.split())[:300]
        super().__init__(message)

    @property
    def in_full(self) -> str:
        """The message with the text of other code."""
        return f"{self} ({self.foreign})" if self.foreign else str(self)


class ArtifactDamaged(LoadError):
    """Bytes do not match their recorded digest, or the manifest is incomplete."""


class ArtifactUnsigned(LoadError):
    """The store is used with a key, and the version has no valid signature."""


class CodeMissing(LoadError):
    """The model needs a module, class or function that cannot be found.

    ``module`` is the missing one, which may differ from the one that was imported. ``path`` is where the
    publisher has it, if known.
    """

    def __init__(self, what: str, module: str, foreign: str = "", path: str = "") -> None:
        self.what, self.module, self.path = what, module, path
        code = path or "PATH of the file or package that defines it"
        super().__init__(
            f"the model needs {what}, which cannot be imported here; publish it with --code {code}", foreign
        )


class LibraryMismatch(LoadError):
    """The installed libraries differ from the recorded ones, and the answers differ from the recorded ones
    too.
    """


class NotReady(PlumblineError):
    """The version exists but cannot answer now, because loading it failed."""


class Overloaded(PlumblineError):
    """More rows wait for the version than its limit allows."""


class DeadlinePassed(PlumblineError):
    """The request's time limit passed before its answer came."""


class PredictError(PlumblineError):
    """The model failed on rows that fit its signature."""
