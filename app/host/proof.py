"""The proof of a version: one load per host in a subprocess, before a server loads the version itself.

The verdicts are files in the run directory, which the processes of a server share. The first process that
needs a verdict makes the proof, and the others wait for it.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from app.concurrency.forms import Concurrency
from app.host.marks import DIRECTORY, crashed_loads, marked
from app.host.memory import available_mib
from app.host.trial import START_SECONDS, try_out
from app.host.workers import try_lock
from models.errors import LoadError
from models.names import Version
from models.record import Record
from models.store import Store

POLL_SECONDS = 0.05
#: A version that crashes this many processes in a row is refused, although it passes its proof.
MOST_DEATHS = 3
#: The part of a worker's time-out for which a load may block the worker. It leaves a margin: a worker reports
#: once a second that it lives, and the process of the proof may run faster than the worker.
STALL_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Proof:
    """The verdict on a version."""

    #: Why the version must not be served; empty for a version that passed.
    reason: str = ""
    #: How long the proof took.
    seconds: float = 0.0
    #: How much memory the load took.
    mib: float = 0.0
    #: Whether another proof would give the same verdict. Only such a verdict is stored.
    lasting: bool = True
    #: How many processes died while they loaded the version, since it was last loaded.
    deaths: int = 0


class Prover:
    """A judge of versions before they are loaded. This base class accepts every version and does nothing."""

    def prove(self, target: Version, record: Record) -> Proof:
        """Return the verdict on a version, which is loaded and verified elsewhere where it is new."""
        return Proof()

    def loading(self, target: Version, record: Record) -> AbstractContextManager[None]:
        """Return the context in which this process loads the version.

        Entering it raises LoadError for a version that was refused, or that crashed a process and fails its
        new proof.
        """
        return nullcontext()

    def vouch(self, target: Version, record: Record) -> None:
        """Record that the version serves already, so that it needs no proof to be loaded again."""

    def forget_refusals(self) -> None:
        """Delete the verdicts against versions, so that these are tried again."""


class HostProver(Prover):
    """A prover that tries versions in subprocesses and shares its verdicts on this host."""

    def __init__(
        self,
        store: Store,
        run_dir: Path | None,
        seconds: float,
        concurrency: Concurrency,
        worker_timeout_seconds: float = math.inf,
    ) -> None:
        """Store the limits of a proof.

        ``run_dir`` is where the verdicts are shared; with None each process makes its own proofs. ``seconds``
        limits the load of one version. A worker that is blocked for ``worker_timeout_seconds`` is replaced,
        so a version whose load blocks nearly as long is refused.
        """
        self._store = store
        self._stall_seconds = STALL_SHARE * worker_timeout_seconds
        self._directory = None if run_dir is None else run_dir / DIRECTORY
        self._seconds = seconds
        self._concurrency = concurrency

    def prove(self, target: Version, record: Record) -> Proof:
        """Return the stored verdict of this host, or load the version in a subprocess to get one."""
        if self._directory is None:
            return self._try(target)
        file = self._file(self._directory, target, record)
        with self._locked(file):
            known = _read(file)
            return known if known is not None else self._judge(target, file)

    @contextmanager
    def loading(self, target: Version, record: Record) -> Iterator[None]:
        """Keep a mark while this process loads the version, so that others see if it crashes the process.

        A version that crashed a process is proved again first. Raises LoadError for one that is refused.
        """
        if self._directory is None:
            yield
            return
        file = self._file(self._directory, target, record)
        proof = _read(file)
        if crashed_loads(file):
            with self._locked(file):
                crashed, proof = crashed_loads(file), _read(file)
                if crashed and not (proof and proof.reason):
                    proof = self._judge(target, file, 1 + (proof.deaths if proof else 0))
                for mark in crashed:
                    mark.unlink(missing_ok=True)
        if proof is not None and proof.reason:
            raise LoadError(proof.reason)
        with marked(file):
            yield
        if proof is not None and proof.deaths:
            _write(file, replace(proof, deaths=0))

    def vouch(self, target: Version, record: Record) -> None:
        """Store a passed proof for a version without a verdict."""
        if self._directory is not None:
            file = self._file(self._directory, target, record)
            if not file.exists():
                _write(file, Proof())

    def forget_refusals(self) -> None:
        """Delete every stored verdict that refuses a version or cannot be read."""
        for file in self._directory.glob("*.json") if self._directory is not None else ():
            if (known := _read(file)) is None or known.reason:
                file.unlink(missing_ok=True)

    def _file(self, directory: Path, target: Version, record: Record) -> Path:
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        digest = hashlib.sha256(record.manifest.to_bytes()).hexdigest()[:16]
        return directory / f"{target.name}-{target.number}-{digest}.json"

    @contextmanager
    def _locked(self, file: Path) -> Iterator[None]:
        """Let one process at a time make the proof.

        The wait is limited, because the process that holds the lock may have been stopped.
        """
        until = self._concurrency.now() + START_SECONDS + self._seconds
        while (lock := try_lock(file.with_suffix(".lock"))) is None and self._concurrency.now() < until:
            self._concurrency.pause(POLL_SECONDS)
        try:
            yield
        finally:
            if lock is not None:
                os.close(lock)

    def _judge(self, target: Version, file: Path, deaths: int = 0) -> Proof:
        """Make the proof, and store its verdict if that is lasting."""
        if deaths >= MOST_DEATHS:
            proof = Proof(f"loading it ended {deaths} processes in a row, although it passed its proof")
        else:
            proof = replace(self._try(target), deaths=deaths)
        if proof.lasting:
            _write(file, proof)
        return proof

    def _try(self, target: Version) -> Proof:
        start = self._concurrency.now()
        # The generator is read to its end, so that the process is waited for in this function and not when
        # the generator is collected.
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
        seconds = round(self._concurrency.now() - start, 3)
        if not verdicts:
            return Proof("the process of the proof could not be started; the log says why", lasting=False)
        reason, mib, available = verdicts[0].reason, verdicts[0].mib, available_mib()
        if not reason and available is not None and mib > available:
            reason = f"it takes {mib:,.0f} MiB, and this machine has {available:,.0f} MiB left"
            return Proof(reason, seconds, mib, lasting=False)
        return Proof(reason, seconds, mib)


def _write(file: Path, proof: Proof) -> None:
    """Replace the file as a whole, so that two processes may write it at once."""
    staged = file.with_suffix(f".tmp{os.getpid()}")
    staged.write_bytes(orjson.dumps(asdict(proof)))
    staged.replace(file)


def _read(file: Path) -> Proof | None:
    try:
        return Proof(**orjson.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
