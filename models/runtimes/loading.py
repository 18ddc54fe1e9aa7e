"""Loading of a version, and the verification that it still answers. Servers, proofs and commands all use it.

A version may answer if its bytes are complete, and if either the libraries are the recorded ones or the
golden rows still give the recorded answers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from models.compiled import ORIGINAL
from models.errors import ArtifactDamaged, LibraryMismatch, LoadError, PlumblineError
from models.libraries import installed_versions
from models.record import Record
from models.runtime import Runtime
from models.runtimes import runtime_for
from models.runtimes.compiled_runtime import CompiledRuntime

log = logging.getLogger("plumbline.models")

#: The fault of a version that loads but answers differently than when it was published.
OTHER_ANSWERS = "its golden rows do not give the recorded answers"


def load_version(
    record: Record, model: Any = None, *, verify: bool = False, original: bool = False
) -> Runtime:
    """Return a loaded and warmed-up runtime of the version. Every byte that is used matches its digest.

    The compiled form serves if one was recorded, works on this machine and gives the recorded answers within
    its tolerance. Otherwise the original serves, which is always in the version, and a warning gives the
    reason.

    model: the original's object, if ``models.runtimes.shareable`` has unpickled it already.
    verify: replay all golden rows. Without it, the original replays them only if library versions differ
        from the recorded ones; a compiled form always does. All rows are in one call, as recorded:
        a model may answer a single row differently.
    original: load the original even if a compiled form serves.

    Raises LoadError, or PredictError if the model fails on golden rows that are replayed.
    """
    golden = record.golden  # this reference lets the whole load read it once
    if not original and record.manifest.form != ORIGINAL:
        try:
            compiled = CompiledRuntime(record, lambda: load_version(record, model, original=True))
            compiled.load()
            if not golden.holds(compiled, record.manifest.tolerance):
                raise LoadError("its compiled form no longer gives the recorded answers; publish it again")
            return compiled
        except ArtifactDamaged:
            raise
        except PlumblineError as error:
            reason = error.in_full if isinstance(error, LoadError) else str(error)
            log.warning("%s is served by its original: %s", record.key, reason)
    changed = _changed_libraries(record)
    runtime = _warm_original(record, model, changed)
    if verify and not changed and not golden.holds(runtime):
        raise LoadError(OTHER_ANSWERS)
    return runtime


def load_each_form(record: Record) -> Iterator[Runtime]:
    """Yield the original and then the compiled form, if the version has one: each loaded, verified, and
    closed after use.

    The original is the fallback of a server, so a version is proved only if both give the recorded answers.
    Raises LoadError or PredictError.
    """
    for original in (True, False) if record.manifest.form != ORIGINAL else (True,):
        runtime = load_version(record, verify=True, original=original)
        yield runtime
        runtime.close()


def _changed_libraries(record: Record) -> list[str]:
    """Return the libraries whose installed version differs from the recorded one."""
    recorded = record.manifest.libraries
    installed = installed_versions(list(recorded))
    return [
        f"{name} {version} (here {installed.get(name, 'missing')})"
        for name, version in recorded.items()
        if installed.get(name) != version
    ]


def _warm_original(record: Record, model: Any, changed: list[str]) -> Runtime:
    """Return the original after it answered one row, so that the first client does not pay for the warm-up.

    If libraries changed, it must first give the recorded answers; raises LibraryMismatch, which names the
    libraries.
    """
    golden = record.golden
    what = f"{record.key} was published with {', '.join(changed)}"
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
