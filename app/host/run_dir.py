"""The run directory of a server, through which its processes share state, and by which commands find it.

It lies in memory and belongs to one server, which its addresses and its store identify.
"""

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

from app.host.workers import held_slots, keep, let_go

#: The files of the server that owns the directory: its addresses and store, and the lock that it holds.
OWNER, LOCK = "server.json", "server.lock"
#: Hosts of an address that is reached through every interface.
EVERYWHERE = ("0.0.0.0", "[::]")


class RunDirError(Exception):
    """The run directory cannot be used safely. The message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Server:
    """The identity of a server."""

    #: The addresses that it listens on, each as ``host:port`` or ``unix:/path``, sorted.
    addresses: tuple[str, ...]
    #: The absolute path of its store.
    store: str

    @classmethod
    def of(cls, names: Collection[Any], store: Path) -> Server:
        """Return the server with these listening sockets, whose names ``socket.getsockname`` gives."""
        return cls(tuple(sorted(map(_address, names))), str(store.resolve()))

    def __str__(self) -> str:
        return " and ".join(self.addresses)

    def is_at(self, host: str, port: int) -> bool:
        """Return whether a client that connects to this host and port reaches the server."""
        hosts = {host, *_numeric(host)}
        anywhere = not hosts.isdisjoint(("", *EVERYWHERE))
        addresses = (address.rpartition(":") for address in self.addresses if not address.startswith("unix:"))
        return any(
            own_port == str(port) and (anywhere or own_host in (*hosts, *EVERYWHERE))
            for own_host, _, own_port in addresses
        )


def default_run_dir(server: Server) -> Path:
    """Return the path of the directory in memory that no other server of this user has."""
    digest = hashlib.sha256(" ".join((*server.addresses, server.store)).encode()).hexdigest()[:12]
    return _base() / f"{_prefix()}{digest}"


def make_run_dir(path: Path) -> Path:
    """Create the directory with access for this user alone, unless it exists.

    Raises RunDirError when it cannot be created or belongs to another user.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise RunDirError(
            f"the run directory {path} cannot be created ({error.strerror}); set PLUMBLINE_RUN_DIR"
        ) from error
    if not _is_ours(path):
        raise RunDirError(
            f"the run directory {path} belongs to another user; set PLUMBLINE_RUN_DIR to another"
        )
    return path


@dataclass(slots=True)
class RunDir:
    """The directory of a server, which this process holds until it ends, releases it or leaves."""

    path: Path
    #: The descriptor that holds the lock.
    lock: int

    def release(self) -> None:
        """Stop holding the directory, and leave it as it is."""
        let_go(self.lock)

    def leave(self) -> None:
        """Stop holding the directory, and delete it unless a process of the server still lives.

        Files that are not the server's are kept, and with them the directory.
        """
        if _locked(self.lock) and not held_slots(self.path):
            for pattern in ("*.db", "slot-*.lock", "workers/*", "proofs/*", OWNER, LOCK):
                for file in self.path.glob(pattern):
                    file.unlink(missing_ok=True)
            for directory in (self.path / "workers", self.path / "proofs", self.path):
                with suppress(OSError):
                    directory.rmdir()
        self.release()


def take_run_dir(path: Path, server: Server) -> RunDir:
    """Take the directory for the server, and delete the metrics and proofs of an earlier one.

    Two processes may be the same server: at SIGUSR2 a second parent takes over from the first. Raises
    RunDirError when another server uses the directory.
    """
    while True:
        make_run_dir(path)
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        taken = RunDir(path, keep(lock))
        alone = _locked(lock) and not held_slots(path)
        if not alone:
            fcntl.flock(lock, fcntl.LOCK_SH)  # waits until the other process has written OWNER or left
        with suppress(OSError):
            if os.path.samestat(os.fstat(lock), (path / LOCK).stat()):
                break
        taken.release()
    owner = _owner(path)
    if not alone and owner not in (None, server):
        taken.release()
        raise RunDirError(
            f"the run directory {path} is in use by the running server at {owner}; "
            f"set PLUMBLINE_RUN_DIR to another"
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
    """Yield each server of this host and user that serves the store and has workers, with its run directory.

    Servers whose run directory is set by PLUMBLINE_RUN_DIR are not found.
    """
    for path in sorted(_base().glob(f"{_prefix()}*")):
        owner = _owner(path) if _is_ours(path) else None
        if owner is not None and owner.store == str(store.resolve()) and held_slots(path):
            yield path, owner


def _locked(descriptor: int) -> bool:
    """Lock an open file for this process alone; return whether that succeeded."""
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
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _owner(path: Path) -> Server | None:
    try:
        document = orjson.loads((path / OWNER).read_bytes())
        return Server(tuple(document["addresses"]), document["store"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _address(name: Any) -> str:
    """Return the address of a socket as text, given its name."""
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
