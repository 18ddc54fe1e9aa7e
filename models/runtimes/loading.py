"""What has to hold before a stored version may answer: whole bytes, and the libraries or the answers recorded."""

from __future__ import annotations

import logging
from typing import Any

from models.compiled import ORIGINAL
from models.errors import ArtifactDamaged, LibraryMismatch, LoadError, PlumblineError
from models.libraries import installed_versions
from models.record import Record
from models.runtime import Runtime
from models.runtimes import runtime_for
from models.runtimes.compiled_runtime import CompiledRuntime

log = logging.getLogger("plumbline.models")


def open_runtime(record: Record, model: Any = None) -> Runtime:
    """A loaded, warmed runtime. Raises LoadError; nothing is loaded unless its digest matches.

    It is that of the compiled form if one was recorded, works here, and still answers the golden rows within its
    tolerance; else, with a warning, that of the original, which never left the version.

    ``model`` : what was unpickled of the original already (``models.runtimes.shareable``), if anything.
    """
    manifest = record.manifest
    if manifest.form == ORIGINAL:
        return open_original(record, model)
    try:
        return _open_compiled(record, model)
    except ArtifactDamaged:
        raise
    except PlumblineError as error:
        why = error.in_full if isinstance(error, LoadError) else str(error)
        log.warning("%s is served by its original: %s", manifest.key, why)
    return open_original(record, model)


def _open_compiled(record: Record, model: Any) -> Runtime:
    """The compiled form, once it gave the recorded answers; raises LoadError or PredictError."""
    golden = record.golden
    runtime = CompiledRuntime(record, lambda: open_original(record, model))
    runtime.load()
    if runtime.record is None or not golden.holds(runtime, runtime.record.tolerance):
        raise LoadError("its compiled form no longer gives the recorded answers; publish it again")
    return runtime


def open_original(record: Record, model: Any = None) -> Runtime:
    """The estimator or object itself, loaded and warmed. Raises LoadError.

    ``model`` : what was unpickled of this record already (``models.runtimes.shareable``), if anything.

    With other library versions than recorded the golden rows are replayed, and the version is served only if they
    still give the recorded answers. Otherwise one row is answered, so that the first client does not pay for it.
    """
    manifest = record.manifest
    golden = record.golden
    here = installed_versions(list(manifest.libraries))
    changed = [
        f"{name} {recorded} (here {here.get(name, 'missing')})"
        for name, recorded in manifest.libraries.items()
        if here.get(name) != recorded
    ]
    what = f"{manifest.key} was published with {', '.join(changed)}"
    fix = "install the recorded versions, or train and publish it again"
    try:
        runtime = runtime_for(record, model)
        runtime.load()
        if changed and not golden.holds(runtime):
            raise LibraryMismatch(f"{what} and its golden rows no longer give the recorded answers; {fix}")
        runtime.predict(golden.rows[:1], golden.parameters)
    except (LibraryMismatch, ArtifactDamaged):
        raise
    except (PlumblineError, ImportError) as error:
        if changed:
            own = f" ({error})" if isinstance(error, LoadError) else ""
            foreign = error.foreign if isinstance(error, LoadError) else str(error)
            raise LibraryMismatch(f"{what} and does not work with them{own}; {fix}", foreign) from error
        if isinstance(error, LoadError):
            raise
        raise LoadError("the model fails on its own first golden row", str(error)) from error
    if changed:
        log.warning("%s; its golden rows still give the recorded answers", what)
    return runtime


def replay(record: Record) -> None:
    """Load the version as a server does and ask its golden rows, of the original too where a compiled form serves: it is
    what is fallen back to.

    Raises LoadError or PredictError unless both give the recorded answers.
    """
    replay_original(record)
    replay_compiled(record)


def replay_original(record: Record) -> None:
    """As ``replay``, of the original alone."""
    _check(record.golden.holds(open_original(record)))


def replay_compiled(record: Record) -> None:
    """As ``replay``, of the compiled form alone, if there is one."""
    if record.manifest.form != ORIGINAL:
        _check(record.golden.holds(open_runtime(record), record.manifest.tolerance))


def _check(holds: bool) -> None:
    if not holds:
        raise LoadError("its golden rows do not give the recorded answers")
