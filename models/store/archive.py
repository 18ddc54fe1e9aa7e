"""Export and import of one version as a file: a tar.gz that is written reproducibly and read with limits.

The manifest is the first member, so a reader knows the names, sizes and digests of all other members before
it meets them. Headers are read one block at a time, and only plain files are understood (no links, devices,
directories or extended headers). An archive therefore cannot make the reader write elsewhere or hold more
than the manifest says. An import validates and copies bytes; it never unpickles them.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from models.errors import ArchiveRefused, ArtifactDamaged, ArtifactUnsigned
from models.manifest import MANIFEST, MANIFEST_SIGNATURE, Manifest, check_signature
from models.names import check_model_name, check_tags
from models.record import Record
from models.store import Store
from models.store.artifacts import MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES

MAX_MEMBERS = 1000
MAX_UNPACKED_BYTES = 2 * 2**30


def export_version(store: Store, name: str, version: int, file: Path) -> None:
    """Write a version to ``file`` after verifying all of its files. The same version gives the same bytes.

    Raises VersionNotFound, LoadError, or ArchiveRefused if the file cannot be written.
    """
    record = store.get(name, version)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as raw:
            with (
                gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT, encoding="utf-8") as tar,
            ):
                for path, data in _contents(store, record):
                    header = tarfile.TarInfo(path)
                    header.size = len(data)
                    tar.addfile(header, io.BytesIO(data))
            os.fsync(raw.fileno())
        os.replace(temporary, file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ArchiveRefused(f"{file} cannot be written: {reason}; choose another place for it") from error
    except ValueError as error:  # a plain header of tar holds 255 bytes of a path, and sizes below 8 GiB
        raise ArchiveRefused(
            f"{record.key} does not fit into an archive: {error}; "
            "publish it again with shorter names and smaller files"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def import_version(
    store: Store,
    file: Path,
    name: str | None = None,
    tags: Sequence[str] = (),
    *,
    max_bytes: int = MAX_UNPACKED_BYTES,
) -> Record:
    """Add the archived version under the next free number of ``name``, by default the archived name.

    ``max_bytes`` limits the unpacked files. A store with a key accepts only a version that was signed with
    the same key, and signs it again under its new number. Raises ArchiveRefused, InvalidName or
    StoreUnavailable.
    """
    check_tags(tags)
    with _refusing(file), gzip.open(file) as stream:
        manifest, files = _unpack(stream, store.key, max_bytes)
    manifest = replace(manifest, name=check_model_name(name or manifest.name))
    return store.add(manifest, files, tags=tags, what="import")


def _contents(store: Store, record: Record) -> Iterator[tuple[str, bytes]]:
    """Yield every file of the version, the manifest first."""
    yield from store.sealed_manifest(record.key).items()
    for path in sorted(record.manifest.files):
        yield path, record.read(path)


def _unpack(stream: gzip.GzipFile, key: bytes | None, max_bytes: int) -> tuple[Manifest, dict[str, bytes]]:
    header = _next_header(stream)
    if header is None or header.name != MANIFEST:
        raise ArchiveRefused(f"it does not begin with {MANIFEST}")
    raw = _body(stream, header, MAX_MANIFEST_BYTES)
    manifest = Manifest.from_bytes(raw, MANIFEST)
    if len(manifest.files) > MAX_MEMBERS:
        raise ArchiveRefused(f"it has {len(manifest.files)} files, more than {MAX_MEMBERS}")
    total = sum(record.size_bytes for record in manifest.files.values())
    if total > max_bytes:
        raise ArchiveRefused(f"it unpacks to {total} bytes, more than the limit of {max_bytes}")

    header, signature = _next_header(stream), b""
    if header is not None and header.name == MANIFEST_SIGNATURE:
        signature = _body(stream, header, MAX_SIGNATURE_BYTES)
        header = _next_header(stream)
    if key is not None:
        check_signature(raw, signature, key, MANIFEST)

    missing, files = dict(manifest.files), {}
    while header is not None:
        record = missing.pop(header.name, None)
        if record is None:
            fault = "is in it twice" if header.name in files else "is not in its manifest"
            raise ArchiveRefused(f"{header.name!r} {fault}")
        files[header.name] = record.check(_body(stream, header, record.size_bytes), header.name)
        header = _next_header(stream)
    if missing:
        raise ArchiveRefused(f"it lacks {', '.join(sorted(missing)[:5])}")
    return manifest, files


def _next_header(stream: gzip.GzipFile) -> tarfile.TarInfo | None:
    """Return the header of the next member, None at the end; raises ArchiveRefused unless it is a plain
    file.
    """
    block = stream.read(tarfile.BLOCKSIZE)
    if not block.strip(tarfile.NUL):
        return None
    header = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise ArchiveRefused(f"{header.name!r} is not a plain file")
    return header


def _body(stream: gzip.GzipFile, header: tarfile.TarInfo, limit: int) -> bytes:
    """Read the bytes of a member and skip the padding after them."""
    if not 0 <= header.size <= limit:
        raise ArchiveRefused(f"{header.name!r} has {header.size} bytes where {limit} are allowed")
    data = stream.read(header.size)
    stream.read(-header.size % tarfile.BLOCKSIZE)
    if len(data) != header.size:
        raise ArchiveRefused(f"{header.name!r} is cut short")
    return data


@contextmanager
def _refusing(file: Path) -> Iterator[None]:
    """Turn every error of reading an archive into one line about the file."""
    fix = "export it again with this release"
    try:
        yield
    except ArtifactUnsigned as error:
        raise ArchiveRefused(
            f"{file} is not signed with this store's key; export it from a store with that key"
        ) from error
    except ArchiveRefused as error:
        raise ArchiveRefused(f"{file} is not imported: {error}; {fix}") from error
    except ArtifactDamaged as error:
        raise ArchiveRefused(f"{file} is not imported: {str(error).partition(';')[0]}; {fix}") from error
    except (EOFError, zlib.error, tarfile.HeaderError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise ArchiveRefused(f"{file} is not a complete tar.gz file; {fix}") from error
    except OSError as error:
        raise ArchiveRefused(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from error
