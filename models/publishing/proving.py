"""The proof that a fresh server can serve a version, before it is published: a process of its own loads it.

In the publisher's process a class of the training script is found because it is in memory, and a module next
to the script because its directory is on ``sys.path``. A server has neither, and would answer 503 for ever.
"""

from __future__ import annotations

import importlib.util
import pickle
import socket
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from models.errors import CodeMissing, LoadError, PlumblineError, PublishError
from models.libraries import canonical, requirements_of, versions_of
from models.publishing.fork_server import ForkServer, serve
from models.record import InMemory, Record
from models.runtimes.loading import load_each_form

#: The most that importing the libraries may take, and loading a version and replaying its golden rows.
START_SECONDS, PROOF_SECONDS = 60.0, 900.0
#: Modules that most models need, imported once for all proofs.
PRELOADED = (
    *("models.runtimes.sklearn_runtime", "models.runtimes.compiled_runtime"),
    *("pandas", "sklearn.ensemble", "sklearn.linear_model", "sklearn.neural_network", "sklearn.pipeline"),
)

#: The project's own packages, which are no libraries of a model.
OWN_PACKAGES = ("app", "models", "schemas")

#: The interpreter starts with the first publish, and ends a minute after the last one or with this process.
INTERPRETER = ForkServer("from models.publishing import proving; proving.main()")


@dataclass(frozen=True, slots=True)
class Finding:
    """What the proving process reports.

    imported: the modules that the version imported there, with their files.
    why: what went wrong, in words; empty for a version that passed.
    foreign: what other code said about it.
    module, what: the code that is missing, as in CodeMissing.
    """

    imported: Mapping[str, str]
    why: str = ""
    foreign: str = ""
    module: str = ""
    what: str = ""


def prove(draft: Record, visited: Iterable[str] = (), code: Path | None = None) -> Record:
    """The draft, with every library recorded that it uses.

    visited: the packages that its file names; what it imports in the other process is added.
    code: the path that was given as the version's own code.
    Raises CodeMissing or PublishError when a process with nothing but a server's modules cannot serve it.
    """
    found = _finding(draft)
    if found.module:
        raise CodeMissing(found.what, found.module, found.foreign, _where(found.module, code))
    if found.why:
        said = f" ({found.foreign})" if found.foreign else ""
        raise PublishError(f"a server could not serve it, tried in a process of its own: {found.why}{said}")
    libraries = {**draft.manifest.libraries, **_libraries(visited, found.imported)}
    return replace(draft, manifest=replace(draft.manifest, libraries=libraries))


def _libraries(visited: Iterable[str], imported: Mapping[str, str]) -> dict[str, str]:
    """Those that the pickle names, and those imported on the way: libraries import much that only happens to
    be installed, so of theirs only what they declare to need counts. Code that no library brought declares
    nothing, and may need all.
    """
    known = {*sys.stdlib_module_names, *OWN_PACKAGES}
    files = {n: getattr(sys.modules.get(n), "__file__", None) for n in visited if n not in known}
    named, also = versions_of({n: file for n, file in files.items() if file}), versions_of(imported)
    if all(file and versions_of({n: file}) for n, file in files.items()):
        needed = requirements_of(named)
        also = {library: version for library, version in also.items() if canonical(library) in needed}
    return {**also, **named}


def _finding(draft: Record) -> Finding:
    """Asked once more when the interpreter ended before it could begin: it does that when it was idle for
    long.
    """
    try:
        return _asked(draft) or _asked(draft) or Finding({}, "the process did not start")
    except TimeoutError:
        return Finding(
            {}, f"it took longer than {PROOF_SECONDS:g} seconds to load and answer its golden rows"
        )
    except OSError as error:
        return Finding({}, f"no process could be started: {error.strerror or error}")


def _asked(draft: Record) -> Finding | None:
    with INTERPRETER.fork() as connection, connection.makefile("rb") as answers:
        connection.settimeout(START_SECONDS)
        if not answers.readline():  # a word when it begins
            return None
        connection.settimeout(PROOF_SECONDS)
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(pickle.dumps((draft.manifest, dict(draft.files))))
        said = answers.readline().decode()
    return Finding(**orjson.loads(said)) if said.startswith("{") else Finding({}, _ended(said))


def _ended(said: str) -> str:
    return f"loading it ended its process ({said.strip() or 'without a word'})"


def _where(module: str, code: Path | None) -> str:
    """The file or directory to give as code, as far as this process can tell; it has the module."""
    top = module.split(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None and top != "__main__":
        with suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(top)
            file = spec and spec.origin
    if top == "__main__" and (file is None or not Path(file).is_file()):
        return (
            "FILE.py, after moving it from the notebook or prompt into that file and importing it from there"
        )
    if not file:
        return ""
    path = Path(file).resolve()
    path = path.parent if path.name == "__init__.py" else path
    if code is not None and path.parent == code.resolve().parent:
        return f"{path.parent}, the directory that holds both it and {code.name}"
    return str(path)


def main() -> None:
    """In the fresh interpreter."""
    serve(PRELOADED, _answer)


def _answer(connection: socket.socket) -> None:
    """In a fork of it: read a draft, try it, and say what was found."""
    connection.sendall(b"begun\n")
    with connection.makefile("rb") as asked:
        manifest, files = pickle.load(asked)
    draft = Record(manifest, InMemory(files))
    before = set(sys.modules)
    imported: dict[str, str] = {}
    try:
        for _ in load_each_form(draft):
            # The original comes first. What a compiled form needs is in its own record.
            imported = imported or _imported_since(before)
        found = Finding(imported)
    except PlumblineError as error:
        found = _failure(error)
    connection.sendall(orjson.dumps(found) + b"\n")


def _failure(error: PlumblineError) -> Finding:
    """What came of loading and asking it; a module that it imports only when it is called counts as missing
    code too.
    """
    if isinstance(error, CodeMissing):
        return Finding({}, "", error.foreign, error.module, error.what)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return Finding({}, "", str(cause), cause.name, f"the module {cause.name!r}")
        cause = cause.__cause__
    return Finding({}, str(error), error.foreign if isinstance(error, LoadError) else "")


def _imported_since(before: set[str]) -> dict[str, str]:
    """Modules that are new in this process and not Python's own, with their files."""
    files = {name: getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - before}
    return {n: file for n, file in files.items() if file and n.split(".")[0] not in sys.stdlib_module_names}
