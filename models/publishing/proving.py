"""The proof that a fresh server can serve a version: before it is published, a separate process loads it.

In the publisher's process, a class of the training script is found because it is in memory, and a module next
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

#: Time limits of importing the libraries, and of loading a version and replaying its golden rows.
START_SECONDS, PROOF_SECONDS = 60.0, 900.0
#: Modules that most models need; they are imported once for all proofs.
PRELOADED = (
    *("models.runtimes.sklearn_runtime", "models.runtimes.compiled_runtime"),
    *("pandas", "sklearn.ensemble", "sklearn.linear_model", "sklearn.neural_network", "sklearn.pipeline"),
)

#: The project's own packages, which do not count as libraries of a model.
OWN_PACKAGES = ("app", "models", "schemas")

#: The interpreter starts with the first publish, and exits a minute after the last one or with this process.
INTERPRETER = ForkServer("from models.publishing import proving; proving.main()")


@dataclass(frozen=True, slots=True)
class Finding:
    """The report of the process that tried a version."""

    #: Name -> file of the modules that the version imported.
    imported: Mapping[str, str]
    #: The failure in words; empty for a version that passed.
    why: str = ""
    #: The text of other code about the failure.
    foreign: str = ""
    #: The missing module and what the model needs of it, as in CodeMissing.
    module: str = ""
    what: str = ""


def prove(draft: Record, visited: Iterable[str] = (), code: Path | None = None) -> Record:
    """Return the draft with all libraries that it uses recorded.

    ``visited`` are the packages that its file names; what it imports in the other process is added. ``code``
    is the path of the version's own code. Raises CodeMissing or PublishError if a process with nothing but a
    server's modules cannot serve it.
    """
    finding = _finding(draft)
    if finding.module:
        raise CodeMissing(finding.what, finding.module, finding.foreign, _where(finding.module, code))
    if finding.why:
        foreign = f" ({finding.foreign})" if finding.foreign else ""
        raise PublishError(
            f"a server could not serve it, tried in a process of its own: {finding.why}{foreign}"
        )
    libraries = {**draft.manifest.libraries, **_libraries(visited, finding.imported)}
    return replace(draft, manifest=replace(draft.manifest, libraries=libraries))


def _libraries(visited: Iterable[str], imported: Mapping[str, str]) -> dict[str, str]:
    """Return the libraries that the pickle names or that were imported while it was loaded.

    Libraries import much that only happens to be installed, so only their declared requirements count. Code
    that belongs to no library declares nothing, and may need everything that was imported.
    """
    known = {*sys.stdlib_module_names, *OWN_PACKAGES}
    files = {n: getattr(sys.modules.get(n), "__file__", None) for n in visited if n not in known}
    named, imported_versions = (
        versions_of({n: file for n, file in files.items() if file}),
        versions_of(imported),
    )
    if all(file and versions_of({n: file}) for n, file in files.items()):
        required = requirements_of(named)
        imported_versions = {
            library: version
            for library, version in imported_versions.items()
            if canonical(library) in required
        }
    return {**imported_versions, **named}


def _finding(draft: Record) -> Finding:
    """Return the report about a draft.

    The draft is sent a second time if the interpreter exits before it begins, which it does after a long idle
    time.
    """
    try:
        return _try(draft) or _try(draft) or Finding({}, "the process did not start")
    except TimeoutError:
        return Finding(
            {}, f"it took longer than {PROOF_SECONDS:g} seconds to load and answer its golden rows"
        )
    except OSError as error:
        return Finding({}, f"no process could be started: {error.strerror or error}")


def _try(draft: Record) -> Finding | None:
    with INTERPRETER.fork() as connection, connection.makefile("rb") as answers:
        connection.settimeout(START_SECONDS)
        if not answers.readline():  # the fork writes a line when it begins
            return None
        connection.settimeout(PROOF_SECONDS)
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(pickle.dumps((draft.manifest, dict(draft.files))))
        report = answers.readline().decode()
    return Finding(**orjson.loads(report)) if report.startswith("{") else Finding({}, _ended(report))


def _ended(status: str) -> str:
    return f"loading it ended its process ({status.strip() or 'without a message'})"


def _where(module: str, code: Path | None) -> str:
    """Return the file or directory to give as code, as far as this process knows: it has the module."""
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
    """Serve proofs in the fresh interpreter."""
    serve(PRELOADED, _answer)


def _answer(connection: socket.socket) -> None:
    """Read a draft, try it, and report the finding. It runs in a fork of the fresh interpreter."""
    connection.sendall(b"begun\n")
    with connection.makefile("rb") as request:
        manifest, files = pickle.load(request)
    draft = Record(manifest, InMemory(files))
    before = set(sys.modules)
    imported: dict[str, str] = {}
    try:
        for _ in load_each_form(draft):
            # The original comes first. A compiled form's libraries are in its own record.
            imported = imported or _imported_since(before)
        finding = Finding(imported)
    except PlumblineError as error:
        finding = _failure(error)
    connection.sendall(orjson.dumps(finding) + b"\n")


def _failure(error: PlumblineError) -> Finding:
    """Return the finding about a failed load or call.

    A module that is imported only during a call counts as missing code too.
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
    """Return the modules that are new in this process and not Python's own, with their files."""
    files = {name: getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - before}
    return {n: file for n, file in files.items() if file and n.split(".")[0] not in sys.stdlib_module_names}
