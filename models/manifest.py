"""The manifest: what a version records about itself, in one JSON file next to its artifact."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

import orjson

from models.compiled import ORIGINAL
from models.errors import ArtifactDamaged, ArtifactUnsigned
from models.names import Version
from models.sameness import ABSOLUTE_TOLERANCE
from models.signature import Signature

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_SIGNATURE = "manifest.json.hmac"

#: JSON type -> the fields of a manifest that have it.
_TYPES: dict[type, tuple[str, ...]] = {
    str: (
        *("name", "framework", "estimator", "trained_at", "published_at", "description"),
        *("container", "array_dtype"),
    ),
    int: ("version", "golden_rows"),
    bool: ("golden_synthetic", "exact", "alone"),
    dict: ("libraries", "metrics", "measured_ms", "example", "compiled", "pickled_with"),
}
#: Field -> what its values are.
_MAPPINGS: dict[str, Any] = {
    "libraries": str,
    "pickled_with": str,
    "metrics": (float, int),
    "measured_ms": (float, int),
}


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What a file of the version must be, byte for byte."""

    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not isinstance(self.sha256, str) or type(self.size_bytes) is not int or self.size_bytes < 0:
            raise ValueError("not the record of a file")

    @classmethod
    def of(cls, data: bytes) -> FileRecord:
        """The record of these bytes."""
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    def check(self, data: bytes, where: str) -> bytes:
        """The same bytes if they are the recorded ones; raises ArtifactDamaged."""
        if len(data) != self.size_bytes:
            raise ArtifactDamaged(
                f"{where} has {len(data)} bytes where {self.size_bytes} were published; publish it again"
            )
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ArtifactDamaged(f"{where} does not match its recorded SHA-256 digest; publish it again")
        return data


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything recorded when a version was published.

    container: what the model is called with (models/runtimes/containers.py).
    frame: (column name, pandas dtype) of each column of a DataFrame.
    array_dtype: the dtype of an array, where it is not float64.
    measured_ms: the median time of one call in milliseconds, by its number of rows as text.
    exact: every answer has the bits of a call with its request alone.
    alone: a row can change the answers to other rows of its call, so requests never share a call.
    example: a request body and the prediction of its reply.
    pickled_with: libraries that wrote the artifact in another version than it was published with.
    compiled: a CompiledRecord, when a compiled form was requested (models/compiled.py).
    Times are UTC, RFC 3339.
    """

    name: str
    version: int
    framework: str
    estimator: str
    signature: Signature
    trained_at: str
    published_at: str
    libraries: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    description: str = ""
    frame: tuple[tuple[str, str], ...] = ()
    measured_ms: Mapping[str, float] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)
    golden_rows: int = 0
    golden_synthetic: bool = False
    exact: bool = False
    alone: bool = False
    compiled: Mapping[str, Any] = field(default_factory=dict)
    pickled_with: Mapping[str, str] = field(default_factory=dict)
    container: str = ""
    array_dtype: str = ""

    @property
    def key(self) -> Version:
        """The name of its model and its number."""
        return Version(self.name, self.version)

    @property
    def form(self) -> str:
        """The form that serves: a compiled one, or ORIGINAL."""
        return str(self.compiled.get("form", ORIGINAL))

    @property
    def tolerance(self) -> float:
        """By how much floats may differ from the recorded answers, and by which part of their size."""
        return max(float(self.compiled.get("tolerance", 0.0)), ABSOLUTE_TOLERANCE)

    def to_bytes(self) -> bytes:
        """The manifest as indented JSON, with a digest of the rest of it as its last member."""
        data = {
            "format": FORMAT,
            **{k: getattr(self, k) for k in self.__slots__ if k not in ("signature", "files")},
        }
        data["signature"] = self.signature.to_dict()
        data["files"] = {path: asdict(record) for path, record in self.files.items()}
        plain = orjson.loads(orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY))
        return sealed(plain)

    @classmethod
    def from_bytes(cls, raw: bytes, where: str) -> Manifest:
        """Raises ArtifactDamaged, which says ``where``, for bytes that are no manifest of this format."""
        try:
            data = orjson.loads(raw)
            if data.pop("sha256") != _digest(data):
                raise ArtifactDamaged(
                    f"{where} does not match its own SHA-256 digest; publish the version again"
                )
            if data.pop("format") != FORMAT:
                raise ArtifactDamaged(
                    f"{where} is of another format than {FORMAT}; publish it with this release"
                )
            data["signature"] = Signature.from_dict(data["signature"])
            data["files"] = {_safe_path(p): FileRecord(**record) for p, record in data["files"].items()}
            data["frame"] = tuple((name, dtype) for name, dtype in data["frame"])
            _check_types(data)
            return cls(**data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactDamaged(
                f"{where} is damaged ({type(error).__name__}); publish the version again"
            ) from error


def sealed(data: Mapping[str, Any]) -> bytes:
    """The JSON text of a manifest's members, closed by the digest of all others."""
    members = {name: value for name, value in data.items() if name != "sha256"}
    return orjson.dumps({**members, "sha256": _digest(members)}, option=orjson.OPT_INDENT_2)


def _digest(data: Mapping[str, Any]) -> str:
    """SHA-256 over the JSON text with sorted names and no blanks: of what it says, not of its layout."""
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()


def sign(manifest: bytes, key: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) of the manifest's bytes, in hexadecimal. The manifest names its model and
    version, so a signature cannot be moved to another one.
    """
    return hmac.new(key, manifest, hashlib.sha256).hexdigest().encode()


def check_signature(manifest: bytes, signature: bytes, key: bytes, where: str) -> None:
    """Raises ArtifactUnsigned when the signature is not that of the manifest under this key."""
    if not hmac.compare_digest(sign(manifest, key), signature.strip()):
        raise ArtifactUnsigned(
            f"{where} has no valid signature for this store's key; publish it again with the key"
        )


def _safe_path(path: str) -> str:
    parts = PurePosixPath(path).parts
    plain = "/".join(parts) == path and ".." not in parts and not {"\\", "\0"} & set(path)
    if not plain or path in ("", MANIFEST, MANIFEST_SIGNATURE):
        raise ValueError(f"unsafe path {path!r}")
    return path


def _check_types(data: Mapping[str, Any]) -> None:
    """Raises ValueError for a field of another type than every reader of a manifest relies on."""
    for kind, names in _TYPES.items():
        if not all(isinstance(data[name], kind) for name in names if name in data):
            raise ValueError(f"a field is no {kind}")
    for name, kind in _MAPPINGS.items():
        if not all(isinstance(value, kind) for value in data.get(name, {}).values()):
            raise ValueError(f"a value of {name} is no {kind}")
