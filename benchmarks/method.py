"""What was measured, how, and what is missing, in sentences that both pages share? Code stands between backticks."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import crosscheck, summary
from benchmarks.arms import ARMS
from benchmarks.results import BUSY_LIMIT, Results
from benchmarks.summary import OWN
from benchmarks.wording import MARK_DOUBTFUL, MARK_LABEL_ONLY, percent

LEGEND = (
    f"{MARK_LABEL_ONLY} answers the label only, no probabilities: less work than the others do. "
    f"{MARK_DOUBTFUL} doubtful: see the remark. Floors answer without any model. Ratios are the arm's requests/s for each "
    f"request of {OWN}; in brackets the 95 % bootstrap interval, which with three repeats is nearly their range."
)


@dataclass(frozen=True, slots=True)
class Caution:
    """What a reader must know before any number. A grave one makes figures doubtful; the others say what is not there."""

    what: str
    why: str
    grave: bool


def warnings(results: Results) -> list[Caution]:
    """The grave ones first."""
    found = []
    if summary.cores_shared(results):
        found.append(
            Caution("Do not rank by these figures.", "The generator and the servers shared one core.", True)
        )
    busy = summary.busy_cells(results)
    if busy:
        cells = ", ".join(f"`{key}` ({percent(share)})" for key, share in busy[:6])
        more = f" and {len(busy) - 6} more" if len(busy) > 6 else ""
        why = f"In {len(busy)} cells it, not the server, may have been the limit: {cells}{more}."
        found.append(Caution(f"The generator was over {BUSY_LIMIT:.0%} busy.", why, True))
    gaps = summary.missing(results)
    if gaps:
        gone = {arm for arm, _, _ in summary.unranked(results)}
        count = sum(map(len, gaps.values()))
        absent = sum(len(loads) for arm, loads in gaps.items() if arm in gone)
        planned = summary.planned_cells(results)
        if summary.is_whole(results):
            why = (
                f"In {count} of {planned} cells nothing was answered while the load lasted, or the rate is more than the "
                "generator can drive; all are listed at the end."
            )
            if not results.plan.get("settled"):
                why += " A slow server is then still busy with what the load of 1,000 connections before had left."
            found.append(Caution("Without a figure.", why, False))
            return found
        why = f"{count} of {planned} planned cells have no figure or too few repeats"
        why += f", {absent} of them because their arm is wrong or was not measured" if absent else ""
        found.append(Caution("Partial.", f"{why}; all are listed at the end.", False))
    return found


def method(results: Results) -> list[str]:
    """How the figures came about."""
    machine, plan = results.machine, results.plan
    parts = [
        f"{p['started']} to {p.get('ended') or 'an end that was not recorded'}, commit `{p.get('commit') or 'unknown'}`"
        + (" with changes that are not committed" if p.get("dirty") else "")
        for p in results.parts
    ]
    shared = summary.cores_shared(results)
    pinned = (
        "on the core that the generator uses too"
        if shared
        else "pinned to one core, the generator on another"
    )
    lasting = ", ".join(f"{seconds:g} s ({kind})" for kind, seconds in plan.get("seconds", {}).items())
    return [
        f"Machine: {machine.get('cpu', 'unknown')}, {machine.get('cores', '?')} cores, {machine.get('memory_gib', '?')} GiB, "
        f"Linux {machine.get('kernel', '?')}, Python {machine.get('python', '?')}, wrk {machine.get('wrk', '?')}.",
        f"Measured in {len(parts)} part{'s' if len(parts) != 1 else ''}: {'; '.join(parts) or 'none recorded'}.",
        f"The same model files and the same rows for every server; one worker, {pinned}. "
        "Before it is timed an arm answers 200 fixed rows: labels must equal and probabilities agree to 1e-6 with the "
        "estimator itself, or the arm is wrong and not ranked.",
        f"Planned: {plan.get('repeats', '?')} repeats of each cell, interleaved over the arms, lasting {lasting or '?'}. "
        "Every figure is the median of its repeats.",
        "Closed loops are driven by wrk (gRPC by its own client): there a slow server slows its clients. Open loops are "
        "driven at a fixed rate, and latency counts from the moment a request was due (no coordinated omission).",
        _asked(int(plan.get("requests", 1))),
        "This project computes linear models, forests and boostings without the checks around them, with the same bits; the "
        "others call scikit-learn's own predict and predict_proba, as their documentation shows.",
        *crosscheck.told(),
        f"The busiest generator used {percent(summary.busiest(results))} of its core.",
    ]


def _asked(requests: int) -> str:
    """What a load sends, and whom that spares work."""
    if requests == 1:
        return (
            "A load sends one and the same request over and over. This project's worker keeps the heads that it has read, and "
            "is spared reading them again; clients whose heads differ in each request have less of that."
        )
    return (
        f"A load sends {requests} requests of other rows in turn. Their heads are alike but for the length, and this project's "
        "worker keeps the heads that it has read; what a header of its own in each request costs is measured by itself."
    )


def gaps(results: Results) -> list[tuple[str, str]]:
    """(arm, its missing cells) for the arms that are neither wrong nor unmeasured, shortened where all are missing."""
    gone = {arm for arm, _, _ in summary.unranked(results)}
    planned = [*results.plan.get("cells", ()), *results.cells]
    found = []
    for arm, loads in summary.missing(results).items():
        if arm in gone:
            continue
        by_model: dict[str, list[str]] = {}
        for load in loads:
            model, _, rest = load.partition(" ")
            by_model.setdefault(model, []).append(rest.replace(" 1w", ""))
        told = []
        for model, rests in by_model.items():
            every = len({key for key in planned if key.startswith(f"{arm} {model} ")})
            begun = sum("repeats)" in rest for rest in rests)
            if len(rests) == every and begun in (0, every):
                told.append(f"{model}: all {every}" + (" have too few repeats" if begun else ""))
            else:
                told.append(f"{model}: {', '.join(rests)}")
        found.append((arm, "; ".join(told)))
    return found


def about_arm(results: Results, arm: str) -> dict[str, str]:
    """What is known of an arm, from the file or else from the table of arms."""
    about = results.arms.get(arm)
    if about is not None:
        digest = about.get("digest") or ""
        return {
            "form": about["form"],
            "note": about["note"],
            "digest": digest[:12],
            "versions": _versions(about),
        }
    row = ARMS[arm]
    return {"form": row.form, "note": row.note, "digest": "", "versions": ""}


def _versions(about: dict[str, object]) -> str:
    versions = about.get("versions")
    return ", ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, dict) else ""
