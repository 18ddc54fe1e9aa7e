"""Whether a version may be loaded here: proved once on each host in a process of its own, and remembered if it did harm.

Verdicts lie in the run directory. Whoever needs one first proves, the others wait for that.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import orjson

from app.concurrency.forms import Concurrency
from app.host.marks import DIRECTORY, left_by_the_dead, marked
from app.host.memory import available_mib
from app.host.slots import try_lock
from app.host.trial import START_SECONDS, try_out
from models.errors import LoadError
from models.names import Version
from models.record import Record
from models.store import Store

POLL_SECONDS = 0.05
#: A version that ends processes again and again although it passes its proof is not loaded any more.
MOST_DEATHS = 3
#: Loading may hold up a worker for this part of its time-out: it says that it lives once a second, and the process that proves
#: a version may be faster.
STALL_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Proof:
    """``why`` : what speaks against serving it, or nothing. ``seconds`` and ``mib`` : what proving it took. ``lasting`` :
    whether it would be the same if it were proved again; ``deaths`` : how many times processes died while they loaded it, since
    it was last loaded."""

    why: str = ""
    seconds: float = 0.0
    mib: float = 0.0
    lasting: bool = True
    deaths: int = 0


class Prover(Protocol):
    """Judges versions before they are loaded."""

    def prove(self, target: Version, record: Record) -> Proof:
        """Load it somewhere else, and see whether it gives its recorded answers."""

    def loading(self, target: Version, record: Record) -> AbstractContextManager[Any]:
        """Around loading it in this process; raises LoadError for what was refused, also after it ended a process."""

    def vouch(self, target: Version, record: Record) -> None:
        """It serves already, so it needs no proof when it is loaded again."""

    def forget_refusals(self) -> None:
        """Let versions that failed be tried again."""


class NullProver:
    """Believes everything."""

    def prove(self, target: Version, record: Record) -> Proof:
        """As ``Prover`` says."""
        return Proof()

    def loading(self, target: Version, record: Record) -> AbstractContextManager[Any]:
        """Nothing."""
        return nullcontext()

    def vouch(self, target: Version, record: Record) -> None:
        """Nothing."""

    def forget_refusals(self) -> None:
        """Nothing."""


class HostProver:
    """``run_dir`` : where the processes of a server meet; without one every process proves for itself. ``seconds`` : how long
    loading a version may take; ``worker_timeout_seconds`` : a worker is replaced that can do nothing else for so long."""

    def __init__(
        self,
        store: Store,
        run_dir: Path | None,
        seconds: float,
        concurrency: Concurrency,
        worker_timeout_seconds: float = math.inf,
    ) -> None:
        self._store = store
        self._stall_seconds = STALL_SHARE * worker_timeout_seconds
        self._directory = None if run_dir is None else run_dir / DIRECTORY
        self._seconds = seconds
        self._concurrency = concurrency

    def prove(self, target: Version, record: Record) -> Proof:
        """As ``Prover`` says."""
        if self._directory is None:
            return self._proof(target)
        file = self._file(self._directory, target, record)
        with self._locked(file):
            known = _read(file)
            return known if known is not None else self._judged(target, file)

    @contextmanager
    def loading(self, target: Version, record: Record) -> Iterator[None]:
        """As ``Prover`` says: a mark is left while it is loaded, and found by others when this process dies of it."""
        if self._directory is None:
            yield
            return
        file = self._file(self._directory, target, record)
        proof = _read(file)
        if left_by_the_dead(file):
            with self._locked(file):
                dead, proof = left_by_the_dead(file), _read(file)
                if dead and not (proof and proof.why):
                    proof = self._judged(target, file, 1 + (proof.deaths if proof else 0))
                for mark in dead:
                    mark.unlink(missing_ok=True)
        if proof is not None and proof.why:
            raise LoadError(proof.why)
        with marked(file):
            yield
        if proof is not None and proof.deaths:
            _write(file, replace(proof, deaths=0))

    def vouch(self, target: Version, record: Record) -> None:
        """As ``Prover`` says."""
        if self._directory is not None:
            file = self._file(self._directory, target, record)
            if not file.exists():
                _write(file, Proof())

    def forget_refusals(self) -> None:
        """As ``Prover`` says."""
        for file in self._directory.glob("*.json") if self._directory is not None else ():
            if (known := _read(file)) is None or known.why:
                file.unlink(missing_ok=True)

    def _file(self, directory: Path, target: Version, record: Record) -> Path:
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        digest = hashlib.sha256(record.manifest.to_bytes()).hexdigest()[:16]
        return directory / f"{target.name}-{target.number}-{digest}.json"

    @contextmanager
    def _locked(self, file: Path) -> Iterator[None]:
        """One process proves at a time; but whoever does it may have been stopped."""
        until = self._concurrency.now() + START_SECONDS + self._seconds
        while (lock := try_lock(file.with_suffix(".lock"))) is None and self._concurrency.now() < until:
            self._concurrency.pause(POLL_SECONDS)
        try:
            yield
        finally:
            if lock is not None:
                os.close(lock)

    def _judged(self, target: Version, file: Path, deaths: int = 0) -> Proof:
        """Prove it, and remember the verdict."""
        if deaths >= MOST_DEATHS:
            proof = Proof(
                f"loading it ended {deaths} processes one after the other, although it passed its proof"
            )
        else:
            proof = replace(self._proof(target), deaths=deaths)
        if proof.lasting:
            _write(file, proof)
        return proof

    def _proof(self, target: Version) -> Proof:
        began = self._concurrency.now()
        # Read to its end, so that the process is waited for here and not when the generator is collected.
        verdicts = list(
            try_out(
                self._store,
                [target],
                self._seconds,
                purpose="serving",
                stall_seconds=self._stall_seconds,
                pause=self._concurrency.pause,
            )
        )
        seconds = round(self._concurrency.now() - began, 3)
        if not verdicts:
            return Proof(
                "the process that proves versions could not be started; the log says why", lasting=False
            )
        why, mib, available = verdicts[0].why, verdicts[0].mib, available_mib()
        if not why and available is not None and mib > available:
            why = f"it takes {mib:,.0f} MiB, and this machine has {available:,.0f} MiB left"
            return Proof(why, seconds, mib, lasting=False)
        return Proof(why, seconds, mib)


def _write(file: Path, proof: Proof) -> None:
    """As a whole, also when two do it at once."""
    staged = file.with_suffix(f".tmp{os.getpid()}")
    staged.write_bytes(orjson.dumps(asdict(proof)))
    staged.replace(file)


def _read(file: Path) -> Proof | None:
    try:
        return Proof(**orjson.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
