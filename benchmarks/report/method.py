"""What a reader must know of a run: how its figures came about, and what makes them doubtful or incomplete."""

from __future__ import annotations

from benchmarks import crosscheck
from benchmarks.report.figures import LABEL_ONLY, OWN, Figures
from benchmarks.report.text import DOUBTFUL, percent, written
from benchmarks.results import BUSY_LIMIT


def cautions(figures: Figures) -> list[tuple[str, str, bool]]:
    """(what, why, grave) that a reader must know before any number. Grave ones make figures doubtful."""
    found = []
    if int(figures.results.machine.get("cores") or 0) < 2:
        why = "The generator and the servers shared one core."
        found.append(("Do not rank by these figures.", why, True))
    busy = [f"`{key}` ({percent(share)})" for key, share in figures.busy().items() if share > BUSY_LIMIT]
    if busy:
        why = f"In {len(busy)} cells it, not the server, may have been the limit: {', '.join(busy)}."
        found.append((f"The generator was over {BUSY_LIMIT:.0%} busy.", why, True))
    missing, planned = figures.missing(), len(figures.keys)
    if len(missing) and missing.tried.all():
        why = (
            f"In {len(missing)} of {planned} cells nothing was answered while the load lasted, or the rate "
            "is more than the generator can drive; all are listed at the end."
        )
        found.append(("Without a figure.", why, False))
    elif len(missing):
        why = f"{len(missing)} of {planned} planned cells have no figure or too few repeats; "
        why += "all are listed at the end."
        found.append(("Partial.", why, False))
    return found


def method(figures: Figures) -> list[str]:
    """How the figures came about, a sentence each. Code stands between backticks."""
    text = written(
        "method.txt",
        results=figures.results,
        crosscheck=crosscheck.told(),
        busiest=percent(next(iter(figures.busy().values()), 0.0)),
        signs=(LABEL_ONLY, DOUBTFUL),
        own=OWN,
    )
    return [line for line in text.splitlines() if line.strip()]
