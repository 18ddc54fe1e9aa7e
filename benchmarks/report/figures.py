"""A result file as tables: for each cell the medians, their intervals, and the ratio to Plumbline.

Every page is made from these tables, so no two pages can say different things about the same file.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.arms import ARMS
from benchmarks.plan import GOAL_CONNECTIONS, GOAL_RATE, MODELS, REPEATS
from benchmarks.results import BOOTSTRAP_ROUNDS, BUSY_LIMIT, Results, bootstrap

OWN = "plumbline"
#: Behind the name of an arm that answers labels without probabilities.
LABEL_ONLY = "†"
#: Arms of this project. Where one of them is ahead of another, nobody loses.
OURS = (OWN, "plumbline-compiled")
QUANTILES = ("p50", "p95", "p99", "p99.9")
#: Answers a second; latencies in ms; CPU seconds for 1000 answers; MiB; seconds to the first answer.
MEASURES = ("rate", *QUANTILES, "cpu", "memory", "start")
LOAD = ("model", "rows", "connections", "kind", "workers", "share", "fixed")
NOT_YET = "no cell measured yet"
#: A p99 that the service goal allows, and the share of requests that it wants answered.
GOAL_P99_MS, GOAL_SHARE = 100.0, 0.999


class Figures:
    """The figures of one result file.

    arms: a row for each arm: its form, its standing, and why it has no figures.
    cells: a row for each cell with an answer, of the arms that answer correctly. A measure ``m`` is three
        columns: ``m``, the median over the repeats; ``m low`` and ``m high``, its 95 % bootstrap interval.
        ``ratio`` is the arm's rate divided by Plumbline's under the same load.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.planned = int(results.plan.get("repeats", REPEATS))
        self.models = [m for m in MODELS if any(c["model"] == m for c in results.cells.values())]
        self.keys = list(dict.fromkeys([*results.plan.get("cells", ()), *results.cells]))
        names = [*ARMS, *(name for name in results.arms if name not in ARMS)]
        self.arms = pd.DataFrame([self._arm(name) for name in names]).set_index("arm")
        self._samples: dict[str, dict[str, list[float]]] = {}
        self.cells = self._with_ratios(pd.DataFrame(self._cells(), columns=["key", "arm", *_COLUMNS]))

    def load(self, model: str, connections: int = 64, kind: str = "main", **more: Any) -> pd.DataFrame:
        """The cells of one load, by default of one row and one worker: fastest first, floors last."""
        wanted = {"rows": 1, "workers": 1, "share": 0.0, "fixed": 0.0, **more}
        wanted |= {"model": model, "connections": connections, "kind": kind}
        cells = self.cells
        for name, value in wanted.items():
            cells = cells[cells[name] == value]
        return cells.sort_values(["standing", "rate"], ascending=False)  # "ranked" sorts after "floor"

    def ranked(self, model: str, **load: Any) -> pd.DataFrame:
        """``load`` without the floors."""
        cells = self.load(model, **load)
        return cells[cells.standing == "ranked"]

    def goal(self, model: str, rate: float = GOAL_RATE, connections: int = GOAL_CONNECTIONS) -> pd.DataFrame:
        """The cells of a fixed arrival rate by p99, lossy ones last; ``met`` says who meets the goal."""
        cells = self.load(model, connections, "open", fixed=rate)
        met = (cells.answered_share >= GOAL_SHARE) & (cells["p99"] < GOAL_P99_MS)
        late = cells.answered_share < GOAL_SHARE
        return cells.assign(met=met, late=late).sort_values(["late", "p99"])

    def ratio(self, key: str, other: str, measure: str) -> tuple[float, float, float]:
        """Median and 95 % bootstrap interval of a cell's measure divided by another cell's."""
        return quotient(self._samples[key][measure], self._samples[other][measure])

    def curve(self, key: str) -> list[tuple[float, float]]:
        """(percentile, median ms over the repeats), as far as a request was slower in every repeat."""
        repeats = [r for r in self.results.cells[key]["repeats"] if r.get("answered")]
        fewest = min(r["answered"] for r in repeats)
        points = pd.DataFrame([point for r in repeats for point in r["curve_ms"]], columns=["percent", "ms"])
        by_percent = points.groupby("percent").ms
        whole = by_percent.median()[by_percent.count() == len(repeats)]
        return [(float(p), float(ms)) for p, ms in whole.items() if fewest * (1 - float(p) / 100) >= 1]

    def missing(self) -> pd.DataFrame:
        """Planned cells with fewer answered repeats than planned; ``done`` is their number."""
        rows = []
        for key in self.keys:
            repeats = self.results.cells.get(key, {}).get("repeats", ())
            done = sum(bool(r.get("answered")) for r in repeats)
            if done < self.planned:
                arm, model, load = key.split(" ", 2)
                whole = len(repeats) >= self.planned
                rows.append((arm, model, load.removesuffix(" 1w"), done, whole, self.arms.standing[arm]))
        return pd.DataFrame(rows, columns=["arm", "model", "load", "done", "tried", "standing"])

    def failures(self) -> pd.DataFrame:
        """The arms with an error, a time-out or a load that did not finish, the worst first."""
        rows = []
        for key, cell in self.results.cells.items():
            arm, load = key.split(" ", 1)
            answered, errors, timeouts = (
                sum(int(r.get(n, 0)) for r in cell["repeats"]) for n in ("answered", "errors", "timeouts")
            )
            failed = errors + timeouts
            broken = next((f"{load}: {r['failed']}" for r in cell["repeats"] if r.get("failed")), "")
            rows.append((arm, load, answered + failed, errors, timeouts, failed, broken))
        loads = pd.DataFrame(rows, columns=["arm", "load", "sent", "errors", "timeouts", "failed", "broken"])
        arms = loads.groupby("arm", sort=False)[["sent", "errors", "timeouts", "failed"]].sum()
        bad = loads[(loads.failed > 0) | (loads.broken != "")]
        bad = bad.assign(where=bad.broken.where(bad.broken != "", bad.load)).sort_values(
            "failed", ascending=False
        )
        where = bad.groupby("arm").agg({"where": "; ".join})
        arms = arms.join(where, how="inner").reset_index()
        arms["share"] = arms.failed / arms.sent.clip(lower=1)
        return arms.sort_values("share", ascending=False)

    def busy(self) -> dict[str, float]:
        """Cell -> largest share of its core that the generator used in a repeat, the busiest first."""
        shares = {
            key: max((r.get("generator_busy", 0.0) for r in cell["repeats"]), default=0.0)
            for key, cell in self.results.cells.items()
        }
        return dict(sorted(shares.items(), key=lambda pair: -pair[1]))

    def _arm(self, name: str) -> dict[str, Any]:
        """What is known of an arm. Its ``standing`` is ranked, floor, wrong or not measured."""
        about = self.results.arms.get(name)
        row, known = ARMS.get(name), about or {}
        cells = self.results.find(arm=name)
        answered = any(r.get("answered") for cell in cells for r in cell["repeats"])
        form = known.get("form") or (row.form if row else "")
        standing = known.get("status", "not measured")
        if standing == "measured":
            standing = ("floor" if form == "floor" else "ranked") if answered else "not measured"
        wrong = [f"{m}: {p['wrong']}" for m, p in known.get("parity", {}).items() if p.get("wrong")]
        failed = [r["failed"] for cell in cells for r in cell["repeats"] if r.get("failed")]
        why = "; ".join(wrong) or known.get("reason") or next(iter(failed), "") or NOT_YET
        return {
            "arm": name,
            "form": form,
            "note": known.get("note") or (row.note if row else ""),
            "mark": LABEL_ONLY if known.get("label_only", row.label_only if row else False) else "",
            "standing": standing,
            "why": "" if standing in ("ranked", "floor") else why if about else "not part of this run",
            "digest": known.get("digest", "")[:12],
            "versions": ", ".join(f"{k} {v}" for k, v in known.get("versions", {}).items()),
        }

    def _cells(self) -> Iterator[dict[str, Any]]:
        for key, cell in self.results.cells.items():
            arm, every = cell["arm"], cell["repeats"]
            repeats = [r for r in every if r.get("answered")]
            if not repeats or self.arms.standing[arm] not in ("ranked", "floor"):
                continue
            starts = self.results.arms[arm].get("cold_start_seconds", {}).get(cell["model"], [])
            samples = {
                "rate": [float(r["rate"]) for r in repeats],
                **{q: [float(r["latency_ms"][q]) for r in repeats] for q in QUANTILES},
                "cpu": [1000.0 * r["cpu_seconds"] / r["answered"] for r in repeats],
                "memory": [r["pss_bytes"] / 2**20 for r in repeats],
                "start": [float(s) for s in starts] if cell["kind"] == "main" else [],
            }
            self._samples[key] = samples
            counts = {n: sum(int(r.get(n, 0)) for r in every) for n in ("answered", "errors", "timeouts")}
            offered = [r["offered_rate"] for r in repeats if r.get("offered_rate")]
            yield {
                **{name: cell.get(name) for name in ("arm", *LOAD)},
                "key": key,
                "share": cell["share"] or 0.0,
                "fixed": cell["rate"] or 0.0,
                "standing": self.arms.standing[arm],
                "mark": self.arms.mark[arm],
                "repeats": len(repeats),
                "answered_share": counts["answered"] / sum(counts.values()),
                "offered": statistics.median(offered) if offered else None,
                "remarks": self._remarks(every, repeats),
                **_spread(samples),
            }

    def _remarks(self, every: Sequence[dict[str, Any]], answered: Sequence[dict[str, Any]]) -> str:
        """Why the figures of a cell may not be the server's own; empty without a reason."""
        busy = max(float(r["generator_busy"]) for r in answered)
        remarks = [f"the generator used {busy:.0%} of its core"] if busy > BUSY_LIMIT else []
        if len(answered) < len(every):
            remarks.append(f"{len(every) - len(answered)} repeats brought no answer")
        if len(every) < self.planned:
            remarks.append(f"{len(every)} of {self.planned} repeats so far")
        return ", ".join(remarks)

    def _with_ratios(self, cells: pd.DataFrame) -> pd.DataFrame:
        own = cells[cells.arm == OWN].set_index(list(LOAD)).key
        by_load = {load: key for load, key in own.items()}
        cells["own"] = [
            by_load.get(load, "") for load in cells[list(LOAD)].itertuples(index=False, name=None)
        ]
        ratios = [
            self.ratio(cell.key, cell.own, "rate") if cell.own else (None, None, None)
            for cell in cells.itertuples()
        ]
        cells[["ratio", "ratio low", "ratio high"]] = pd.DataFrame(
            ratios, index=cells.index, columns=range(3), dtype=float
        )
        return cells


_COLUMNS = (
    *LOAD,
    *("standing", "mark", "repeats", "answered_share", "offered", "remarks"),
    *(f"{measure}{end}" for measure in MEASURES for end in ("", " low", " high")),
)


def _spread(samples: dict[str, list[float]]) -> dict[str, float]:
    columns: dict[str, float] = {}
    for measure, values in samples.items():
        if values:
            low, high = bootstrap(values)
            columns |= {measure: statistics.median(values), f"{measure} low": low, f"{measure} high": high}
    return columns


def quotient(theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, float, float]:
    """The quotient of two medians with its 95 % bootstrap interval.

    Of up to four values each, all samples with replacement are taken; of more, a fixed draw.
    """
    if max(len(theirs), len(ours)) <= 4:
        samples = [list(itertools.product(side, repeat=len(side))) for side in (theirs, ours)]
        medians = [np.median(side, axis=1) for side in samples]
        quotients = np.sort(np.divide.outer(*medians).ravel())
    else:
        draw = np.random.default_rng(0)
        drawn = [draw.choice(side, (BOOTSTRAP_ROUNDS, len(side))) for side in (theirs, ours)]
        quotients = np.sort(np.divide(*(np.median(side, axis=1) for side in drawn)))
    cut = int(0.025 * len(quotients))
    middle = statistics.median(theirs) / statistics.median(ours)
    return middle, float(quotients[cut]), float(quotients[-1 - cut])


def knee(cells: pd.DataFrame) -> float | None:
    """The highest offered load of an arm's open loops (requests/s) that it carries, None without one.

    Carried: 99 % answered, and p99 at most three times that of the lowest load; so are all lower loads.
    """
    cells = cells.sort_values("offered")
    carried = (cells.answered_share >= 0.99) & (cells["p99"] <= 3 * cells["p99"].iloc[0])
    held = cells[carried.cummin()]
    return None if held.empty else float(held.offered.iloc[-1])
