"""How a version's compiled form is told on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.compiled import compiled_state


def describe_compiled(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Which form serves and why, how far it may be from the original and how far it was; facts for ``print_facts``."""
    state = compiled_state(recorded)
    if "here" not in state:
        return {"compiled": state.get("why", "")}
    here = state["here"]
    return {
        "compiled": f"{state['form']}: {state['why']}",
        "deviation": f"{state['max_abs_difference']:.2g} at most in {state['rows_compared']} rows; "
        f"{state['tolerance']:g} is allowed",
        "served here": f"by the original: {here['why']}" if "why" in here else "",
    }
