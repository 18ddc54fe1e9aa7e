"""Counts of a model's arms over all workers of a server, for the canary's decision."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.host.workers import held_slots
from app.monitoring.exposition import exposition
from app.operations.rollout import Counts, Tally

ARM, SHADOW = "plumbline_arm_duration_seconds", "plumbline_shadow_requests"


def read_counts(run_dir: Path, name: str, version: int) -> Counts:
    """Return the counts since the server started.

    They are the requests of the version in any arm, the requests that a rule routed to other versions, and
    the version's outcomes as a shadow.
    """
    page = exposition(sorted(run_dir.glob("*.db")), held_slots(run_dir), lambda: None)
    # The sums of the version itself (True) and of all other versions (False).
    sums: dict[bool, dict[str, float]] = {True: defaultdict(float), False: defaultdict(float)}
    shadow: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = sample.labels
            if labels.get("model") != name:
                continue
            if sample.name == f"{SHADOW}_total" and labels["shadow"] == str(version):
                shadow[labels["outcome"]] += sample.value
            elif sample.name in (f"{ARM}_count", f"{ARM}_sum"):
                counts = sums[labels["version"] == str(version)]
                counts[sample.name] += sample.value
                if sample.name.endswith("_count") and labels["status"].startswith("5"):
                    counts["errors"] += sample.value
    canary, others = (
        Tally(counts[f"{ARM}_count"], counts["errors"], counts[f"{ARM}_sum"])
        for counts in (sums[True], sums[False])
    )
    return Counts(canary, others, shadow["agrees"], shadow["differs"] + shadow["error"])
