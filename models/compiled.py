"""The record of a version's compiled form, and whether that form may be used on this machine.

A version always keeps its original estimator. A second form may answer faster: its trees as a native library,
or a graph for ONNX Runtime. The record holds what was measured when the version was published.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from models.errors import LoadError
from models.libraries import installed_versions

#: The form of a version that is served by its original although a compiled form was asked for.
ORIGINAL = "original"

#: The choices of a publisher: no form, the fastest one that gives the same answers, or one kind.
CHOICES = ("none", "auto", "treelite", "onnx")


@dataclass(frozen=True, slots=True)
class CompiledRecord:
    """The form that serves, and the facts about a compiled form that was kept."""

    form: str
    #: Why this form was chosen.
    why: str
    #: The path of the form in the version; empty for the original.
    file: str = ""
    #: The dtype of the rows that the form takes.
    dtype: str = "float64"
    #: Absolute and relative tolerance of floats. Labels never differ.
    tolerance: float = 0.0
    #: The largest difference between two floats over ``rows_compared`` rows.
    max_abs_difference: float = 0.0
    rows_compared: int = 0
    #: No bit of an answer differs, by construction. Equal probabilities then need no second opinion.
    bit_exact: bool = False
    #: Number of rows, as text -> how many times faster than the original.
    speed_up: Mapping[str, float] = field(default_factory=dict)
    #: The platform that the form was built for.
    platform: Mapping[str, str] = field(default_factory=dict)
    #: The libraries that open the form, with their exact versions.
    libraries: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, recorded: Mapping[str, Any]) -> CompiledRecord | None:
        """Return the record in a manifest's member ``compiled``; None if no form was asked for or kept.

        Raises LoadError for a record that this release cannot read.
        """
        if recorded.get("form", ORIGINAL) == ORIGINAL:
            return None
        try:
            return cls(**recorded)
        except TypeError as error:
            raise LoadError("the record of its compiled form was written by another release") from error

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data: for an original only the form and the reason."""
        data = asdict(self)
        return {k: data[k] for k in ("form", "why")} if self.form == ORIGINAL else data

    def unfit(self) -> str:
        """Return why the form cannot be used on this machine, as a clause; empty if it can."""
        required, present = dict(self.platform), platform_here()
        if required != present:
            return f"it was built for {_listed(required)} and this is {_listed(present)}"
        installed = installed_versions(self.libraries)
        for name, version in self.libraries.items():
            if installed.get(name) != version:
                installed_version = installed.get(name, "missing")
                return f"it needs {name} {version} (here {installed_version}): pip install {name}=={version}"
        return ""


def platform_here() -> dict[str, str]:
    """Return what native code depends on: operating system, machine and C library."""
    try:
        libc = (os.confstr("CS_GNU_LIBC_VERSION") or "other").split()[0]
    except (OSError, ValueError):  # a C library that does not report its name
        libc = "other"
    return {"system": platform.system(), "machine": platform.machine(), "libc": libc}


def compiled_state(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest's record of a compiled form, and which form serves on this machine if one was
    kept.
    """
    try:
        record = CompiledRecord.of(recorded)
        why = "" if record is None else record.unfit()
    except LoadError as error:
        record, why = None, str(error)
    if record is None and not why:
        return dict(recorded)
    here = {"form": ORIGINAL, "why": why} if record is None or why else {"form": record.form}
    return {**recorded, "here": here}


def _listed(facts: Mapping[str, str]) -> str:
    return " ".join(facts.values()) or "another machine"
