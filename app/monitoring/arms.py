"""What the workers of a server counted about the arms of a model, as numbers for who decides about a canary."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.host.slots import held_slots
from app.monitoring.exposition import exposition
from app.operations.rollout import Counts, Tally

ARM, SHADOW = "plumbline_arm_duration_seconds", "plumbline_shadow_requests"


def read_counts(run_dir: Path, name: str, version: int) -> Counts:
    """Everything since the server started: requests of the version in any arm, those of all other versions that a rule
    routed, and how the version did as a shadow."""
    page = exposition(sorted(run_dir.glob("*.db")), held_slots(run_dir), lambda: None)
    found: dict[bool, dict[str, float]] = {True: defaultdict(float), False: defaultdict(float)}
    shadow: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = sample.labels
            if labels.get("model") != name:
                continue
            if sample.name == f"{SHADOW}_total" and labels["shadow"] == str(version):
                shadow[labels["outcome"]] += sample.value
            elif sample.name in (f"{ARM}_count", f"{ARM}_sum"):
                own = found[labels["version"] == str(version)]
                own[sample.name] += sample.value
                if sample.name.endswith("_count") and labels["status"].startswith("5"):
                    own["errors"] += sample.value
    canary, others = (
        Tally(of[f"{ARM}_count"], of["errors"], of[f"{ARM}_sum"]) for of in (found[True], found[False])
    )
    return Counts(canary, others, shadow["agrees"], shadow["differs"] + shadow["error"])
