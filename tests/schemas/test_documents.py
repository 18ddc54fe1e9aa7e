"""Tests of the documents of models and versions: all recorded members, and only those that apply."""

from __future__ import annotations

import orjson

from models.manifest import FileRecord, Manifest
from models.signature import Column, Output, Signature
from schemas.documents import column_document, signature_document, version_document, version_summary

MANIFEST = Manifest(
    name="toy",
    version=3,
    framework="python",
    estimator="toys.Toy",
    signature=Signature(
        (
            Column("a", observed=(0.0, 2.5), example=1.0),
            Column("c", "category", values=("x", "y"), default="x"),
        ),
        Output("class", classes=("no", "yes"), probability=True),
        (Column("k", "int", default=10, minimum=1, maximum=50),),
    ),
    trained_at="2026-01-01T00:00:00Z",
    published_at="2026-01-02T00:00:00Z",
    libraries={"numpy": "2.0"},
    files={"model.joblib": FileRecord("ab" * 32, 12)},
    metrics={"accuracy": 0.9},
    description="A toy",
    measured_ms={"1": 0.1, "8": 0.2, "64": 0.3},
    example={"request": {"features": [1.0]}, "response": {"prediction": "no"}},
    golden_rows=32,
    golden_synthetic=True,
)


def test_everything_recorded_about_a_version_is_shown() -> None:
    summary = version_summary(3, ["stable", "latest", "1.0"], MANIFEST, {"state": "ready"})
    shown = version_document(summary, MANIFEST)
    assert orjson.loads(orjson.dumps(shown)) == {
        "name": "toy",
        "version": "3",
        "state": "ready",
        "names": ["1.0", "latest", "stable"],
        "published_at": "2026-01-02T00:00:00Z",
        "trained_at": "2026-01-01T00:00:00Z",
        "framework": "python",
        "metrics": {"accuracy": 0.9},
        "description": "A toy",
        "estimator": "toys.Toy",
        "features": [
            {"name": "a", "dtype": "float", "required": True, "observed": [0.0, 2.5], "example": 1.0},
            {"name": "c", "dtype": "category", "required": False, "default": "x", "values": ["x", "y"]},
        ],
        "feature_names_recorded": True,
        "coerce": False,
        "parameters": [
            {"name": "k", "dtype": "int", "required": False, "default": 10, "minimum": 1, "maximum": 50}
        ],
        "output": {"kind": "class", "classes": ["no", "yes"], "probability": True},
        "example": {"request": {"features": [1.0]}, "response": {"prediction": "no"}},
        "measured_ms": {"1": 0.1, "8": 0.2, "64": 0.3},
        "exact": False,
        "compiled": {},
        "golden_rows": {"rows": 32, "synthetic": True},
        "libraries": {"numpy": "2.0"},
        "files": {"model.joblib": {"sha256": "ab" * 32, "bytes": 12}},
    }


def test_a_version_whose_manifest_cannot_be_trusted_shows_its_state_and_why() -> None:
    assert version_summary(3, [], None, {"state": "failed", "reason": "digest"}) == {
        "version": "3",
        "state": "failed",
        "names": [],
        "reason": "digest",
    }


def test_each_kind_of_output_shows_what_it_has() -> None:
    column = (Column("a"),)
    vector = signature_document(Signature(column, Output("vector", size=3)))
    assert vector["output"] == {"kind": "vector", "size": 3}
    assert signature_document(Signature(column, Output("number")))["output"] == {"kind": "number"}
    records = signature_document(Signature(column, Output("records", columns=(Column("day", "date"),))))
    assert records["output"]["columns"] == [{"name": "day", "dtype": "date", "required": True}]


def test_values_that_are_false_or_zero_are_shown() -> None:
    shown = column_document(Column("n", "int", default=0, minimum=0, min_length=0, example=0))
    assert shown == {
        "name": "n",
        "dtype": "int",
        "required": False,
        "default": 0,
        "minimum": 0,
        "min_length": 0,
        "example": 0,
    }
    assert column_document(Column("b", "bool", default=False, example=False)) == {
        "name": "b",
        "dtype": "bool",
        "required": False,
        "default": False,
        "example": False,
    }


def test_what_a_publisher_said_about_a_moment_is_shown() -> None:
    column = Column(
        "at",
        "datetime",
        nullable=True,
        optional=True,
        timezone="UTC",
        maximum="2262-04-11T23:47:16.854775807Z",
        limit_of="datetime64[ns]",
        observed=("2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"),
    )
    assert column_document(column) == {
        "name": "at",
        "dtype": "datetime",
        "required": False,
        "nullable": True,
        "optional": True,
        "timezone": "UTC",
        "maximum": "2262-04-11T23:47:16.854775807Z",
        "limit_of": "datetime64[ns]",
        "observed": ["2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"],
    }
