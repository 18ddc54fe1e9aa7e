"""Damaged and malicious archives change nothing in a store."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from models.errors import InvalidName
from models.manifest import MANIFEST, FileRecord, sealed
from models.store import Store
from models.store.archive import import_version
from tests.models.packing import Members, members_of, pack, packed_toy, refused


@pytest.fixture
def whole(store: Store, tmp_path: Path) -> Path:
    return packed_toy(store, tmp_path / "toy.tar.gz")


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


def manifest_with(members: Members, **records: FileRecord) -> Members:
    """Return the members with more files in their manifest."""
    manifest = orjson.loads(members[0][1])
    for path, record in records.items():
        manifest["files"][path] = {"sha256": record.sha256, "size_bytes": record.size_bytes}
    return [(MANIFEST, sealed(manifest)), *members[1:]]


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header


def not_utf8() -> bytes:
    header = tarfile.TarInfo("\udcff")
    return header.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m[1:], "it does not begin with manifest.json"),
        (lambda m: [*m[1:], m[0]], "it does not begin with manifest.json"),
        (lambda m: [], "it does not begin with manifest.json"),
        (lambda m: m[:-1], "it lacks reference.json"),
        (lambda m: [*m, m[1]], "'golden.json' is in it twice"),
        (lambda m: [*m, m[0]], "'manifest.json' is not in its manifest"),
        (lambda m: [*m, ("more.txt", b"")], "'more.txt' is not in its manifest"),
        (lambda m: [*m, ("../evil.py", b"")], "'../evil.py' is not in its manifest"),
        (lambda m: [*m, ("/tmp/evil.py", b"")], "'/tmp/evil.py' is not in its manifest"),
        (lambda m: [m[0], ("golden.json", b"{}"), *m[2:]], "golden.json has 2 bytes where"),
        (
            lambda m: [m[0], (m[1][0], m[1][1][:-1] + b" "), *m[2:]],
            "golden.json does not match its recorded SHA-256",
        ),
        (lambda m: [m[0], (m[1][0], m[1][1][:-1]), *m[2:]], "golden.json has "),
        (lambda m: [(MANIFEST, b"{}"), *m[1:]], "manifest.json is damaged"),
        (lambda m: [(MANIFEST, m[0][1] + b" " * 9 * 2**20), *m[1:]], "'manifest.json' has"),
        (lambda m: [*m, (special("code", tarfile.SYMTYPE, "/etc"), b"")], "'code' is not a plain file"),
        (lambda m: [*m, (special("code", tarfile.LNKTYPE, MANIFEST), b"")], "'code' is not a plain file"),
        (lambda m: [*m, (special("code", tarfile.CHRTYPE), b"")], "'code' is not a plain file"),
        (lambda m: [*m, (special("code", tarfile.BLKTYPE), b"")], "'code' is not a plain file"),
        (lambda m: [*m, (special("code", tarfile.FIFOTYPE), b"")], "'code' is not a plain file"),
        (lambda m: [*m, (special("code", tarfile.DIRTYPE), b"")], "'code' is not a plain file"),
        (lambda m: [(special(MANIFEST, tarfile.SYMTYPE, "/etc/passwd"), b""), *m[1:]], "is not a plain file"),
    ],
)
def test_an_archive_is_exactly_what_its_manifest_says(
    whole: Path, other: Store, tmp_path: Path, change: Callable[[Members], Members], why: str
) -> None:
    file = pack(tmp_path / "changed.tar.gz", change(members_of(whole)))
    assert why in refused(other, file)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["changed.tar.gz", "store", "toy.tar.gz"]


@pytest.mark.parametrize(
    "path", ["../evil.py", "/tmp/evil.py", "code/../../evil.py", "a\\b", "a//b", MANIFEST, ""]
)
def test_a_manifest_cannot_name_a_file_outside_of_its_version(
    whole: Path, other: Store, tmp_path: Path, path: str
) -> None:
    members = manifest_with(members_of(whole), **{path: FileRecord.of(b"evil")})
    file = pack(tmp_path / "evil.tar.gz", [*members, (path, b"evil")])
    assert "manifest.json is damaged" in refused(other, file)


def test_extended_headers_are_not_understood_so_they_cannot_allocate(
    whole: Path, other: Store, tmp_path: Path
) -> None:
    header = tarfile.TarInfo("a")
    header.pax_headers = {"comment": "x" * 10_000}
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        name = header if format == tarfile.PAX_FORMAT else "n" * 200
        assert "is not a plain file" in refused(
            other, pack(tmp_path / "x.gz", [*members_of(whole), (name, b"")], format)
        )


def test_more_files_than_allowed(whole: Path, other: Store, tmp_path: Path) -> None:
    members = manifest_with(members_of(whole), **{f"code/{i}.py": FileRecord.of(b"") for i in range(998)})
    assert "it has 1001 files, more than 1000" in refused(other, pack(tmp_path / "many.tar.gz", members))


def test_more_bytes_than_allowed(whole: Path, other: Store) -> None:
    total = sum(len(data) for name, data in members_of(whole) if name != MANIFEST)
    assert f"it unpacks to {total} bytes, more than the limit of {total - 1}" in refused(
        other, whole, max_bytes=total - 1
    )
    assert import_version(other, whole, max_bytes=total).manifest.version == 1


def test_a_bomb_is_left_unread(whole: Path, other: Store, tmp_path: Path) -> None:
    """Half a gigabyte of zeros in half a megabyte is read only up to the first header that exceeds its
    limit.
    """
    _, manifest = members_of(whole)[0]
    size = 2**29
    bomb = tarfile.TarInfo("golden.json")
    bomb.size = size
    head = io.BytesIO()
    with tarfile.open(fileobj=head, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        first = tarfile.TarInfo(MANIFEST)
        first.size = len(manifest)
        tar.addfile(first, io.BytesIO(manifest))
        start = head.tell()
    file = tmp_path / "bomb.tar.gz"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        packed.write(head.getvalue()[:start] + bomb.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(size // 2**24):
            packed.write(bytes(2**24))
    tracemalloc.start()
    assert f"'golden.json' has {size} bytes where" in refused(other, file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: gzip.compress(not_utf8()), "is not a complete tar.gz file"),
        (lambda data: data[: len(data) // 2], "is not a complete tar.gz file"),
        (lambda data: data[:5], "is not a complete tar.gz file"),
        (lambda data: b"", "it does not begin with manifest.json"),
        (lambda data: b"PK\x03\x04", "is not a complete tar.gz file"),
        (lambda data: gzip.decompress(data), "is not a complete tar.gz file"),
        (lambda data: gzip.compress(gzip.decompress(data)[:700]), "'manifest.json' is cut short"),
        (lambda data: gzip.compress(b"x" * 5000), "is not a complete tar.gz file"),
        (lambda data: gzip.compress(gzip.decompress(data)[:100]), "is not a complete tar.gz file"),
        (
            lambda data: data[:200] + bytes([data[200] ^ 255]) + data[201:],
            "; export it again with this release",
        ),
    ],
)
def test_a_file_that_is_no_archive(
    whole: Path, other: Store, damage: Callable[[bytes], bytes], why: str
) -> None:
    whole.write_bytes(damage(whole.read_bytes()))
    assert why in refused(other, whole)


def test_a_file_that_cannot_be_read(other: Store, tmp_path: Path) -> None:
    assert "cannot be read: no such file or directory" in refused(other, tmp_path / "none.tar.gz")
    assert "cannot be read: is a directory" in refused(other, tmp_path)


@pytest.mark.parametrize(("name", "tags"), [("Toy", []), ("../toy", []), ("toy", ["latest"]), ("toy", ["7"])])
def test_names_and_tags_are_checked(
    whole: Path, other: Store, tmp_path: Path, name: str, tags: list[str]
) -> None:
    manifest, *files = members_of(whole)
    renamed = sealed({**orjson.loads(manifest[1]), "name": name})
    for file, given in ((whole, name), (pack(tmp_path / "x.gz", [(MANIFEST, renamed), *files]), None)):
        with pytest.raises(InvalidName):
            import_version(other, file, given, tags)
    assert not other.path.exists()
