"""A version that is not in a store yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.manifest import FileRecord, Manifest


@dataclass(frozen=True, slots=True)
class Draft:
    """Its manifest, with version 0, and the bytes of its files."""

    manifest: Manifest
    files: Mapping[str, bytes]

    def read(self, path: str) -> bytes:
        """The bytes of a file, as an Artifact gives them."""
        return self.files[path]


def file_records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    """What the manifest says about each file."""
    return {path: FileRecord.of(content) for path, content in files.items()}
