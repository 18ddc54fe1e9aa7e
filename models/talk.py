"""Where models print to: standard error, with the version's name before each line.

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

#: The version whose code runs here and now.
RUNNING_VERSION: ContextVar[Manifest | None] = ContextVar("RUNNING_VERSION", default=None)


class Talk(io.TextIOBase):
    """What is written while a version runs goes to ``to`` with its name before each line; anything else as it is."""

    def __init__(self, to: TextIO) -> None:
        self._to = to
        self._line_begins = True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream behind it."""
        return self._to.encoding

    @property
    def buffer(self) -> io.BufferedIOBase:
        """For bytes, which carry no name."""
        return self._to.buffer  # type: ignore[return-value]

    def write(self, text: str) -> int:
        """As every text stream does."""
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
        """As every text stream does."""
        self._to.flush()

    def fileno(self) -> int:
        """That of the stream behind it."""
        return self._to.fileno()

    def writable(self) -> bool:
        """It is."""
        return True


def take_standard_output() -> TextIO:
    """Standard output, for whoever asked; from now on all others, C libraries too, write to standard error instead."""
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = Talk(sys.stderr)
    return own


@contextmanager
def aside() -> Iterator[None]:
    """As long as this lasts, what models print goes to standard error."""
    own = None
    with suppress(OSError, ValueError):  # not every process has these descriptors
        sys.stdout.flush()
        own = os.dup(1)
        os.dup2(2, 1)
    try:
        with redirect_stdout(Talk(sys.stderr)):
            yield
    finally:
        if own is not None:
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).fflush(None)  # what C libraries printed and kept
            os.dup2(own, 1)
            os.close(own)
