"""The output of models: it goes to standard error, with the version's name before each line.

Standard output belongs to the access log of a server and to the results of a command.
"""

from __future__ import annotations

import ctypes
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from models.manifest import Manifest

#: The version whose code runs in this context.
RUNNING_VERSION: ContextVar[Manifest | None] = ContextVar("RUNNING_VERSION", default=None)


class Talk(io.TextIOBase):
    """A text stream that puts the name of the running version before each line. Without one, text passes
    unchanged.
    """

    def __init__(self, to: TextIO) -> None:
        self._to = to
        self._line_begins = True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the underlying stream."""
        return self._to.encoding

    @property
    def buffer(self) -> io.BufferedIOBase:
        """The binary stream underneath. Bytes get no name."""
        return self._to.buffer  # type: ignore[return-value]

    def write(self, text: str) -> int:
        """Write text, and return the number of its characters."""
        manifest = RUNNING_VERSION.get()
        if manifest is None:
            self._to.write(text)
        else:
            name = f"{manifest.key} says: "
            for line in text.splitlines(keepends=True):
                self._to.write(f"{name}{line}" if self._line_begins else line)
                self._line_begins = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        """Flush the underlying stream."""
        self._to.flush()

    def fileno(self) -> int:
        """Return the descriptor of the underlying stream."""
        return self._to.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True


def take_standard_output() -> TextIO:
    """Return standard output for the caller's own use, and point everything else, C libraries too, at
    standard error.
    """
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = Talk(sys.stderr)
    return own


@contextmanager
def aside() -> Iterator[None]:
    """Send what models print to standard error while this context is open."""
    own = None
    with suppress(OSError, ValueError):  # a process may lack these descriptors
        sys.stdout.flush()
        own = os.dup(1)
        os.dup2(2, 1)
    try:
        with redirect_stdout(Talk(sys.stderr)):
            yield
    finally:
        if own is not None:
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).fflush(None)  # the buffers of C libraries
            os.dup2(own, 1)
            os.close(own)
