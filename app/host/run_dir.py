"""Where the processes of a server meet: a directory in memory that belongs to one server, which is what listens at its
addresses and serves its store. Commands find it by these."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from app.host.slots import held_slots, keep, let_go

OWNER, LOCK = "server.json", "server.lock"
EVERYWHERE = ("0.0.0.0", "[::]")


class RunDirError(Exception):
    """The run directory cannot be used safely; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Server:
    """``addresses`` : where it listens, each as ``host:port`` or ``unix:/path``. ``store`` : an absolute path."""

    addresses: tuple[str, ...]
    store: str

    @classmethod
    def of(cls, names: Collection[Any], store: Path) -> Server:
        """``names`` : of its listening sockets, as ``socket.getsockname`` gives them."""
        return cls(tuple(sorted(map(_address, names))), str(store.resolve()))

    def __str__(self) -> str:
        return " and ".join(self.addresses)

    def is_at(self, host: str, port: int) -> bool:
        """Whether a client that asks there would reach it."""
        hosts = {host, *_numeric(host)}
        anywhere = not hosts.isdisjoint(("", *EVERYWHERE))
        places = (address.rpartition(":") for address in self.addresses if not address.startswith("unix:"))
        return any(
            at == str(port) and (anywhere or where in (*hosts, *EVERYWHERE)) for where, _, at in places
        )


def default_run_dir(server: Server) -> Path:
    """A directory in memory for this server, and no other of this user."""
    told = hashlib.sha256(" ".join((*server.addresses, server.store)).encode()).hexdigest()[:12]
    return _base() / f"{_prefix()}{told}"


def make_run_dir(path: Path) -> Path:
    """Create the directory for this user alone; raises RunDirError when somebody else's stands there."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise RunDirError(
            f"the run directory {path} cannot be made ({error.strerror}); set PLUMBLINE_RUN_DIR"
        ) from error
    if not _is_ours(path):
        raise RunDirError(
            f"the run directory {path} belongs to somebody else; set PLUMBLINE_RUN_DIR to another"
        )
    return path


@dataclass(slots=True)
class RunDir:
    """The directory of a server, for as long as this process lives or until ``leave``."""

    path: Path
    lock: int

    def release(self) -> None:
        """Let others have the directory as it is."""
        let_go(self.lock)

    def leave(self) -> None:
        """Delete it, unless a worker or another process of the server still lives or somebody else keeps files there."""
        if _locked(self.lock) and not held_slots(self.path):
            for pattern in ("*.db", "slot-*.lock", "workers/*", "proofs/*", OWNER, LOCK):
                for file in self.path.glob(pattern):
                    file.unlink(missing_ok=True)
            for directory in (self.path / "workers", self.path / "proofs", self.path):
                with suppress(OSError):
                    directory.rmdir()
        self.release()


def take_run_dir(path: Path, server: Server) -> RunDir:
    """Make the directory the server's own, and forget the metrics and proofs of an earlier one; raises RunDirError when
    another server lives there.

    Two processes may be the same server: at SIGUSR2 a second parent takes over from the first.
    """
    while True:
        make_run_dir(path)
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        taken = RunDir(path, keep(lock))
        alone = _locked(lock) and not held_slots(path)
        if not alone:
            fcntl.flock(lock, fcntl.LOCK_SH)  # by then whoever was first has said who it is, or has left
        with suppress(OSError):
            if os.path.samestat(os.fstat(lock), (path / LOCK).stat()):
                break
        taken.release()
    owner = _owner(path)
    if not alone and owner not in (None, server):
        taken.release()
        raise RunDirError(
            f"the run directory {path} is that of the server at {owner}, which runs; set PLUMBLINE_RUN_DIR to another"
        )
    if alone:
        for file in (*path.glob("*.db"), *path.glob("proofs/*")):
            file.unlink(missing_ok=True)
    if owner != server:
        staged = path / f"{OWNER}.{os.getpid()}"
        staged.write_bytes(orjson.dumps(asdict(server)))
        staged.replace(path / OWNER)
    fcntl.flock(taken.lock, fcntl.LOCK_SH)
    return taken


def servers_of(store: Path) -> Iterator[tuple[Path, Server]]:
    """The servers of this host and user that serve the store and have workers, each with its run directory, as far as it is
    where it is by default."""
    for path in sorted(_base().glob(f"{_prefix()}*")):
        owner = _owner(path) if _is_ours(path) else None
        if owner is not None and owner.store == str(store.resolve()) and held_slots(path):
            yield path, owner


def _locked(descriptor: int) -> bool:
    """Whether it could be locked for this process alone."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _base() -> Path:
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def _prefix() -> str:
    return f"plumbline-{os.geteuid()}-"


def _is_ours(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _owner(path: Path) -> Server | None:
    try:
        said = orjson.loads((path / OWNER).read_bytes())
        return Server(tuple(said["addresses"]), said["store"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _address(name: Any) -> str:
    """Of a socket, by its name."""
    if isinstance(name, tuple):
        return f"{_bracketed(name[0])}:{name[1]}"
    path = os.fsdecode(name)
    return f"unix:@{path[1:]}" if path.startswith("\0") else f"unix:{Path(path).absolute()}"


def _numeric(host: str) -> Iterator[str]:
    with suppress(OSError):
        for *_, name in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
            yield _bracketed(str(name[0]))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
