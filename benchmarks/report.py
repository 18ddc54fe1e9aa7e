"""How does the comparison read as one page to hand on? ``report.html``: self-contained, offline, light and dark."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from benchmarks import summary
from benchmarks.charts import environment
from benchmarks.findings import findings
from benchmarks.method import LEGEND, about_arm, gaps, method, warnings
from benchmarks.report_drawings import Table
from benchmarks.report_sections import sections
from benchmarks.results import Results
from benchmarks.wording import ABSENT, percent

TITLE = "One model, many servers"
BADGES = {"ahead": "ahead", "behind": "loses", "level": "level", "note": "note"}


def write_report(results: Results, path: Path) -> None:
    """Replace ``path`` in one step by the page of these results."""
    text = report(results)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".html.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def report(results: Results) -> str:
    """The page's text."""
    environment.filters["code"] = code
    css, _, _ = environment.loader.get_source(environment, "report.css")  # type: ignore[union-attr]
    return environment.get_template("report.html").render(
        title=f"{TITLE}: {summary.OWN} and its peers",
        subtitle=_subtitle(results),
        css=Markup(css),
        warnings=warnings(results),
        facts=_facts(results),
        badges=BADGES,
        findings=findings(results),
        sections=sections(results),
        method=method(results),
        legend=LEGEND,
        absent=Table(("arm", "standing", "why"), summary.unranked(results), words=(0, 1, 2)),
        gaps=gaps(results),
        arms=_arms(results),
        tables=environment.get_template("tables.html").module,
    )


def code(text: str) -> Markup:
    """Escaped, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _subtitle(results: Results) -> str:
    measured = [
        arm for arm in summary.arm_names(results) if summary.standing(results, arm) in ("ranked", "floor")
    ]
    days = sorted({p["started"][:10] for p in results.parts})
    when = f"{days[0]} to {days[-1]}" if len(days) > 1 else days[0] if days else "at an unknown time"
    return (
        f"{len(measured)} of {len(summary.arm_names(results))} servers measured side by side on "
        f"{len(summary.models(results))} model{'s' if len(summary.models(results)) != 1 else ''}, {when}."
    )


def _facts(results: Results) -> list[tuple[str, str]]:
    """The header's small table: enough to judge the figures by."""
    machine = results.machine
    commits = dict.fromkeys(
        f"`{p.get('commit') or 'unknown'}`" + (" (with changes)" if p.get("dirty") else "")
        for p in results.parts
    )
    parts = ", ".join(f"{p['started']} – {p.get('ended') or '?'}" for p in results.parts)
    shared = summary.cores_shared(results)
    return [
        (
            "Machine",
            f"{machine.get('cpu', '?')}, {machine.get('cores', '?')} cores, {machine.get('memory_gib', '?')} GiB",
        ),
        (
            "Versions",
            f"Linux {machine.get('kernel', '?')}, Python {machine.get('python', '?')}, wrk {machine.get('wrk', '?')}",
        ),
        ("Commit", ", ".join(commits) or ABSENT),
        (f"Measured in {len(results.parts)} part{'s' if len(results.parts) != 1 else ''}", parts or ABSENT),
        ("Generator, at its busiest", f"{percent(summary.busiest(results))} of its core"),
        (
            "Cores",
            "shared by server and generator" if shared else "one for the server, another for the generator",
        ),
        ("Repeats of a cell", f"{results.plan.get('repeats', '?')}, interleaved"),
        ("Not ranked", _not_ranked(results)),
        ("Raw figures", f"`{results.path.name}`"),
    ]


def _not_ranked(results: Results) -> str:
    """The arms by standing; by number where their names would fill the header."""
    told = []
    for place in ("wrong", "not measured"):
        arms = [arm for arm, found, _ in summary.unranked(results) if found == place]
        if arms:
            told.append(
                f"{place}: {', '.join(arms) if len(arms) <= 6 else f'{len(arms)} arms, listed at the end'}"
            )
    return "; ".join(told) or "none"


def _arms(results: Results) -> Table:
    rows: list[tuple[Any, ...]] = []
    for arm in summary.arm_names(results):
        about = about_arm(results, arm)
        rows.append(
            (arm, about["form"], about["note"], about["versions"] or ABSENT, about["digest"] or ABSENT)
        )
    return Table(("arm", "form", "what it is", "versions", "files' digest"), rows, words=(0, 1, 2, 3, 4))
