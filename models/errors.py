"""Which things can go wrong, as one tree without any HTTP in it.

    PlumblineError
    ├── InputError              the rows or parameters of a request do not fit the signature (a list of faults)
    ├── NotFound                what was named does not exist; says what does
    │   ├── ModelNotFound
    │   ├── NoDefaultModel      the short routes have no model behind them
    │   └── VersionNotFound
    ├── InvalidName             a model name, tag or version that the rules do not allow
    ├── InvalidRule             a traffic rule that says what no rule can say
    ├── Conflict                the store's state forbids it (a version that an alias names, a taken tag)
    ├── PublishError            what was given cannot become a version
    │   └── WrongCount          the number of answers is not the number of rows that were asked
    ├── CompileError            a model has no compiled form of some kind; the original serves
    ├── StoreUnavailable        the store cannot be read or written
    ├── ArchiveRefused          an archive cannot be written, or is damaged, hostile or too large
    ├── LoadError               a stored version cannot be served
    │   ├── ArtifactDamaged     bytes do not match their digest, or the manifest is not whole
    │   ├── ArtifactUnsigned    the store has a key and the manifest no valid signature
    │   ├── CodeMissing         a pickled class whose module or name cannot be found
    │   └── LibraryMismatch     other library versions than recorded, and other answers
    ├── NotReady                a version that exists cannot answer now
    ├── Overloaded              too much waits for the version already
    ├── DeadlinePassed          the answer did not come in the time that it may take
    └── PredictError            the model itself failed on rows that fit its signature

Every message is one line, names the thing, and says how to put it right where there is a way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class PlumblineError(Exception):
    """The root of every error that this project raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where it is, what is wrong, what was expected and what came."""

    loc: tuple[str | int, ...]
    msg: str
    expected: str = ""
    got: Any = None

    def under(self, *prefix: str | int) -> Fault:
        """The same fault seen from further out, for example below ``("inputs", 3)``."""
        return Fault((*prefix, *self.loc), self.msg, self.expected, self.got)


class InputError(PlumblineError):
    """The rows or parameters of a request do not fit the model; carries every fault found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{'.'.join(map(str, f.loc))}: {f.msg}" for f in self.faults))


class NotFound(PlumblineError):
    """What was named does not exist; ``available`` lists what does."""

    def __init__(self, message: str, available: Iterable[str] = ()) -> None:
        self.available = tuple(available)
        super().__init__(message)


class ModelNotFound(NotFound):
    """No model of that name has a version in the store."""

    def __init__(self, name: str, available: Iterable[str] = ()) -> None:
        available = tuple(available)
        listed = f"the store has: {', '.join(available)}" if available else "the store is empty"
        super().__init__(f"no model called {name!r}; {listed}", available)


class NoDefaultModel(NotFound):
    """The short routes have no model behind them."""

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
    """A traffic rule that is none."""


class Conflict(PlumblineError):
    """The present state of the store forbids the change."""


class PublishError(PlumblineError):
    """What was given to publish cannot become a version."""


class PublishWarning(UserWarning):
    """What a publisher should look at although the version is published: a warning of Python, and no error of the tree."""


class WrongCount(PublishError):
    """The number of answers is not the number of rows: in another container the same model may answer row by row."""


class CompileError(PlumblineError):
    """A compiled form cannot be built, or is not as good as the original; the message says why."""


class StoreUnavailable(PlumblineError):
    """The store cannot be read or written."""


class ArchiveRefused(PlumblineError):
    """An archive cannot be written, or one to import is damaged, hostile or too large."""


class LoadError(PlumblineError):
    """A stored version cannot be served; the message says why and what to do.

    ``foreign`` is what other code said, such as the text of an exception in a pickle: for logs and commands, not for
    clients, since it may hold paths and data.
    """

    def __init__(self, message: str, foreign: str = "") -> None:
        self.foreign = " ".join(foreign.split())[:300]
        super().__init__(message)

    @property
    def in_full(self) -> str:
        """The message, with what other code said."""
        return f"{self} ({self.foreign})" if self.foreign else str(self)


class ArtifactDamaged(LoadError):
    """Bytes do not match the digest that was recorded for them, or the manifest is not whole."""


class ArtifactUnsigned(LoadError):
    """The store is used with a key and this version carries no valid signature."""


class CodeMissing(LoadError):
    """The model needs a module, or a class or function of one, that cannot be found.

    module: the one that is missing, which may be another than the one that was asked for. ``path`` : where the
    publisher has it, if that is known.
    """

    def __init__(self, what: str, module: str, foreign: str = "", path: str = "") -> None:
        self.what, self.module, self.path = what, module, path
        code = path or "PATH of the file or package that defines it"
        super().__init__(
            f"the model needs {what}, which cannot be imported here; publish it with --code {code}", foreign
        )


class LibraryMismatch(LoadError):
    """The version was made with other library versions, and its answers are no longer the recorded ones."""


class NotReady(PlumblineError):
    """A version that exists cannot answer now, because loading it failed."""


class Overloaded(PlumblineError):
    """More rows wait for a version than may."""


class DeadlinePassed(PlumblineError):
    """A request was given up because its answer did not come in time."""


class PredictError(PlumblineError):
    """The model failed on rows that fit its signature."""
