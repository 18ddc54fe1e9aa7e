"""The manifest of a version: what it records about itself, in one JSON file beside its artifact."""

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

#: JSON type -> the fields of a manifest of that type.
_TYPES: dict[type, tuple[str, ...]] = {
    str: (
        *("name", "framework", "estimator", "trained_at", "published_at", "description"),
        *("container", "array_dtype"),
    ),
    int: ("version", "golden_rows"),
    bool: ("golden_synthetic", "exact", "alone"),
    dict: ("libraries", "metrics", "measured_ms", "example", "compiled", "pickled_with"),
}
#: Field -> the type of its values.
_MAPPINGS: dict[str, Any] = {
    "libraries": str,
    "pickled_with": str,
    "metrics": (float, int),
    "measured_ms": (float, int),
}


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The digest and the size of a file of the version."""

    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not isinstance(self.sha256, str) or type(self.size_bytes) is not int or self.size_bytes < 0:
            raise ValueError("not the record of a file")

    @classmethod
    def of(cls, data: bytes) -> FileRecord:
        """Return the record of these bytes."""
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    def check(self, data: bytes, where: str) -> bytes:
        """Return the bytes if they match the record; raises ArtifactDamaged."""
        if len(data) != self.size_bytes:
            raise ArtifactDamaged(
                f"{where} has {len(data)} bytes where {self.size_bytes} were published; publish it again"
            )
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ArtifactDamaged(f"{where} does not match its recorded SHA-256 digest; publish it again")
        return data


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that was recorded when a version was published."""

    name: str
    version: int
    framework: str
    estimator: str
    signature: Signature
    #: Times are UTC in the format of RFC 3339.
    trained_at: str
    published_at: str
    libraries: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    description: str = ""
    #: (column name, pandas dtype) of each column of a DataFrame that the model is called with.
    frame: tuple[tuple[str, str], ...] = ()
    #: Number of rows, as text -> median time of one call in milliseconds.
    measured_ms: Mapping[str, float] = field(default_factory=dict)
    #: The body of a request, and the prediction of its reply.
    example: Mapping[str, Any] = field(default_factory=dict)
    golden_rows: int = 0
    golden_synthetic: bool = False
    #: Every answer has the same bits as a call with its request alone.
    exact: bool = False
    #: Rows change the answers of other rows in a call, so two requests never share one.
    alone: bool = False
    #: A CompiledRecord, if a compiled form was asked for (models/compiled.py).
    compiled: Mapping[str, Any] = field(default_factory=dict)
    #: Libraries that pickled the artifact in another version than the one it was published with.
    pickled_with: Mapping[str, str] = field(default_factory=dict)
    #: The container of the rows that the model is called with (models/runtimes/containers.py).
    container: str = ""
    #: The dtype of an array of rows, if not float64.
    array_dtype: str = ""

    @property
    def key(self) -> Version:
        """The model's name and the version's number."""
        return Version(self.name, self.version)

    @property
    def form(self) -> str:
        """The form that serves: a compiled one, or ORIGINAL."""
        return str(self.compiled.get("form", ORIGINAL))

    @property
    def tolerance(self) -> float:
        """The absolute and relative tolerance of floats against the recorded answers."""
        return max(float(self.compiled.get("tolerance", 0.0)), ABSOLUTE_TOLERANCE)

    def to_bytes(self) -> bytes:
        """Return the manifest as indented JSON, with the digest of all other members as its last member."""
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
        """Read a manifest; raises ArtifactDamaged for bytes that are not a manifest of this format.

        ``where`` names the file in the error.
        """
        try:
            data = orjson.loads(raw)
            if data.pop("sha256") != _digest(data):
                raise ArtifactDamaged(
                    f"{where} does not match its own SHA-256 digest; publish the version again"
                )
            if data.pop("format") != FORMAT:
                raise ArtifactDamaged(f"{where} is not in format {FORMAT}; publish it with this release")
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
    """Return a manifest's members as JSON text, with the digest of all other members as the last one."""
    members = {name: value for name, value in data.items() if name != "sha256"}
    return orjson.dumps({**members, "sha256": _digest(members)}, option=orjson.OPT_INDENT_2)


def _digest(data: Mapping[str, Any]) -> str:
    """Return the SHA-256 digest of the JSON text with sorted names and no blanks, so that layout does not
    matter.
    """
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()


def sign(manifest: bytes, key: bytes) -> bytes:
    """Return the HMAC-SHA256 (RFC 2104) of the manifest's bytes, in hexadecimal.

    The manifest names its model and version, so a signature is not valid for another one.
    """
    return hmac.new(key, manifest, hashlib.sha256).hexdigest().encode()


def check_signature(manifest: bytes, signature: bytes, key: bytes, where: str) -> None:
    """Verify the signature of a manifest with this key; raises ArtifactUnsigned."""
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
    """Validate the types of the fields that readers rely on; raises ValueError."""
    for kind, names in _TYPES.items():
        if not all(isinstance(data[name], kind) for name in names if name in data):
            raise ValueError(f"a field is not of type {kind}")
    for name, kind in _MAPPINGS.items():
        if not all(isinstance(value, kind) for value in data.get(name, {}).values()):
            raise ValueError(f"a value of {name} is not of type {kind}")
