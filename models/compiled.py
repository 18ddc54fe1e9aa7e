"""What a version records about its compiled form, and whether that form may be used on this machine.

The original estimator always stays in the version. A form of it that answers faster may be stored with it:
its trees as a native library, or a graph for ONNX Runtime. The record holds what was measured when the
version was published.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from models.errors import LoadError
from models.libraries import installed_versions

#: The form of a version whose publisher asked for a compiled one and whose original serves all the same.
ORIGINAL = "original"

#: What a publisher may ask for: nothing, whatever is fastest among those that answer the same, or one kind.
CHOICES = ("none", "auto", "treelite", "onnx")


@dataclass(frozen=True, slots=True)
class CompiledRecord:
    """Which form serves; all but the first two fields describe a compiled form that was kept.

    form: the form that serves, ORIGINAL or a compiled one.
    why: the reason, as a clause.
    file: the file of the compiled form.
    dtype: the dtype of the rows that the form takes.
    tolerance: floats may differ by this, and by this part of their size; labels never do.
    max_abs_difference: the largest difference over ``rows_compared`` rows.
    bit_exact: no answer can differ in any bit, so equal probabilities need no call of the original.
    speed_up: how many times faster than the original it is, by number of rows as text.
    platform: what the form was built for.
    libraries: the libraries that open it, with their versions.
    """

    form: str
    why: str
    file: str = ""
    dtype: str = "float64"
    tolerance: float = 0.0
    max_abs_difference: float = 0.0
    rows_compared: int = 0
    bit_exact: bool = False
    speed_up: Mapping[str, float] = field(default_factory=dict)
    platform: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, recorded: Mapping[str, Any]) -> CompiledRecord | None:
        """The record of a manifest's member ``compiled``; None when a form was not asked for or not kept.

        Raises LoadError for a record that this release does not understand.
        """
        if recorded.get("form", ORIGINAL) == ORIGINAL:
            return None
        try:
            return cls(**recorded)
        except TypeError as error:
            raise LoadError("the record of its compiled form is of another release") from error

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; of an original, the form and the reason alone."""
        found = asdict(self)
        return {k: found[k] for k in ("form", "why")} if self.form == ORIGINAL else found

    def unfit(self) -> str:
        """Why the form may not be used here, as a clause; empty when it may."""
        there, here = dict(self.platform), platform_here()
        if there != here:
            return f"it was built for {_listed(there)} and this is {_listed(here)}"
        installed = installed_versions(self.libraries)
        for name, version in self.libraries.items():
            if installed.get(name) != version:
                found = installed.get(name, "missing")
                return f"it needs {name} {version} (here {found}): pip install {name}=={version}"
        return ""


def platform_here() -> dict[str, str]:
    """What native code has to be made for: operating system, machine and C library."""
    try:
        libc = (os.confstr("CS_GNU_LIBC_VERSION") or "other").split()[0]
    except (OSError, ValueError):  # a C library that does not tell its name
        libc = "other"
    return {"system": platform.system(), "machine": platform.machine(), "libc": libc}


def compiled_state(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says about a compiled form, and, if one was kept, which form serves here."""
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
