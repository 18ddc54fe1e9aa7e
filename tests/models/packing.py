"""Tools that unpack archives and pack them again, correctly or not."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from models.errors import ArchiveRefused
from models.store import Store
from models.store.archive import MAX_UNPACKED_BYTES, export_version, import_version
from tests.toys import summing_draft

#: Name -> contents, or the header of something else than a file.
Members = list[tuple[str | tarfile.TarInfo, bytes]]


def packed_toy(store: Store, file: Path) -> Path:
    """Return a valid archive of toy:1."""
    draft = summing_draft()
    store.add(draft.manifest, draft.files)
    export_version(store, "toy", 1, file)
    return file


def members_of(file: Path) -> Members:
    with tarfile.open(file) as tar:
        return [(m.name, tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]


def pack(file: Path, members: Members, format: int = tarfile.USTAR_FORMAT) -> Path:
    with tarfile.open(file, "w:gz", format=format) as tar:
        for member, data in members:
            header = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return file


def refused(store: Store, file: Path, *, max_bytes: int = MAX_UNPACKED_BYTES) -> str:
    """Return why an import was refused, after checking that the store is unchanged."""
    with pytest.raises(ArchiveRefused) as error:
        import_version(store, file, max_bytes=max_bytes)
    assert not store.path.exists()
    assert "\n" not in str(error.value)
    assert str(file) in str(error.value)
    return str(error.value)
