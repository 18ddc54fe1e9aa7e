"""MADE-UP figures, for tests of the pages only: nothing here was measured, and nothing of it is ever kept as a result.

``made_up()`` is a finished run, ``partial()`` one that was stopped, ``with_missing_arms()`` one with arms that are wrong
or did not install. The figures are random but fixed, and shaped like real ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.arms import ARMS
from benchmarks.driver import CURVE, QUANTILES
from benchmarks.plan import Cell, Plan, full_plan
from benchmarks.results import Results

MADE_UP_CPU = "made-up processor (these figures are invented)"
#: Requests a second at 64 connections with logistic regression.
SPEED = {
    "plumbline": 5600.0,
    "plumbline-compiled": 5900.0,
    "flask-tutorial-sync": 1100.0,
    "flask-tutorial-gthread": 1350.0,
    "flask-tutorial-gevent": 1590.0,
    "fastapi-tutorial": 1450.0,
    "fastapi-async": 3270.0,
    "fastapi-batched": 6460.0,
    "fastapi-expert": 8420.0,
    "bentoml": 640.0,
    "bentoml-batched": 870.0,
    "ray-serve": 310.0,
    "ray-serve-batched": 620.0,
    "grpc": 2900.0,
    "mlflow": 480.0,
    "litserve": 1210.0,
    "mlserver": 910.0,
    "kserve": 1900.0,
    "floor-wsgi": 12900.0,
    "floor-asgi": 49300.0,
    "floor-fast-lane": 81500.0,
    "floor-flask": 24000.0,
    "floor-fastapi": 15000.0,
}
#: The arms of a run with faults: some that are made to fail, some that are not.
FLAWED = (
    "plumbline",
    "flask-tutorial-sync",
    "fastapi-batched",
    "bentoml",
    "ray-serve",
    "grpc",
    "mlserver",
    "kserve",
    "floor-asgi",
)
HARDER = {"lr": 1.0, "hgb": 0.62, "rf": 0.09}
BATCHING = ("plumbline", "batched", "expert", "litserve")


def made_up(
    path: Path = Path("made-up.json"),
    *,
    plan: Plan | None = None,
    arms: Sequence[str] = (),
    repeats: int = 3,
    speed: Callable[[Cell], float] | None = None,
    seed: int = 1,
) -> Results:
    """A finished run. ``speed`` says the rate of a closed-loop cell at 64 connections and one row."""
    drawn = random.Random(seed)
    plan = plan or full_plan(arms)
    results = Results(
        path,
        machine={
            "cpu": MADE_UP_CPU,
            "cores": 2,
            "memory_gib": 7.8,
            "kernel": "6.1.0",
            "python": "3.11.2",
            "wrk": "4.1.0",
        },
        plan={"repeats": repeats, "seconds": plan.seconds, "cells": [c.key for c in plan.cells]},
        parts=[
            {
                "started": "2000-01-01T08:00:00Z",
                "ended": "2000-01-01T09:05:00Z",
                "commit": "0123456789ab",
                "dirty": False,
            },
            {
                "started": "2000-01-01T10:00:00Z",
                "ended": "2000-01-01T10:31:00Z",
                "commit": "0123456789ab",
                "dirty": True,
            },
        ],
    )
    for cell in plan.cells:
        entry = results.cells.setdefault(cell.key, {**_fields(cell), "repeats": []})
        for _ in range(repeats):
            entry["repeats"].append(_repeat(cell, drawn, (speed or _speed)(cell), plan.seconds[cell.kind]))
    for name in dict.fromkeys(cell.arm for cell in plan.cells):
        models = [m for m in HARDER if any(c.arm == name and c.model == m for c in plan.cells)]
        results.arms[name] = _arm(name, models, drawn)
    return results


def partial(arms: Sequence[str] = ()) -> Results:
    """A run that was stopped: hgb has one of its repeats, rf none."""
    results = made_up(arms=arms)
    for key, cell in list(results.cells.items()):
        if cell["model"] == "hgb":
            del cell["repeats"][1:]
        elif cell["model"] == "rf":
            del results.cells[key]
    results.parts[-1]["ended"] = ""
    return results


def with_missing_arms(arms: Sequence[str] = FLAWED) -> Results:
    """A run with arms that answered wrongly, did not install or did not start, and with a generator that was too busy."""
    results = made_up(arms=arms)
    bad = {
        "kserve": ("not measured", "pip: no matching distribution found for kserve==99.0"),
        "ray-serve": ("not measured", "did not answer within 90 seconds"),
        "mlserver": ("wrong", "wrong answers for rf"),
    }
    for name, (status, reason) in bad.items():
        results.arms[name].update(status=status, reason=reason)
        for key in [k for k, c in results.cells.items() if c["arm"] == name]:
            del results.cells[key]
    results.arms["mlserver"]["parity"]["rf"] = {"ranked": False, "wrong": "row by row: row 7: label 1, not 0"}
    for cell in results.find(arm="floor-asgi", kind="main") + results.find(
        arm="grpc", kind="main", model="lr"
    ):
        for repeat in cell["repeats"]:
            repeat["generator_busy"] = 0.97
    for repeat in results.find(arm="flask-tutorial-sync", connections=1000, model="rf")[0]["repeats"]:
        repeat.update(errors=41, timeouts=870)
    broken = results.find(arm="bentoml", connections=1000, model="rf")[0]["repeats"]
    broken[:] = [
        {"started": "2000-01-01T08:00:00Z", "answered": 0, "failed": "the client program did not end"}
    ] * 3
    return results


def checks(results: Results, **passed: Sequence[str]) -> None:
    """Record validation checks: ``checks(results, plumbline=["refuses_nan"])`` passes that one and fails the others."""
    names = ("refuses_boolean", "refuses_text", "refuses_nan", "reports_location", "documents_schema")
    for arm, good in passed.items():
        results.arms[arm.replace("_", "-")]["checks"] = {name: name in good for name in names}


def _fields(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in cell.__dataclass_fields__}


def _speed(cell: Cell) -> float:
    base = SPEED.get(cell.arm, 500.0)
    if ARMS[cell.arm].form == "floor":
        return base
    harder = HARDER[cell.model]
    return base * (max(harder, 0.45) if any(b in cell.arm for b in BATCHING) else harder)


def _repeat(cell: Cell, drawn: random.Random, speed: float, seconds: float) -> dict[str, Any]:
    maximum = (
        speed
        * {1: 0.35, 64: 1.0, 256: 0.95, 1000: 0.88}[cell.connections]
        / (1 + cell.rows / 60)
        * drawn.gauss(1, 0.02)
    )
    maximum *= 1.6 if cell.workers == 2 else 1.0
    offered = cell.share * speed if cell.share else cell.rate
    rate = min(offered, maximum) if offered else maximum
    used = min(1.6, rate / maximum)
    p50 = 1000 / maximum * (4 + 30 * used**6) if offered else 1000 * cell.connections / maximum
    if offered and offered > maximum:
        p50 = 900 + 1000 * (offered / maximum - 1)
    tail = drawn.uniform(0.25, 0.45)
    answered = int(rate * seconds)
    timeouts = max(0, int((offered - rate) * seconds)) if offered else 0

    def at(percent: float) -> float:
        return (
            p50 * (0.4 + 0.6 * percent / 50)
            if percent < 50
            else p50 * (50 / max(100 - percent, 0.005)) ** tail
        )

    return {
        "started": "2000-01-01T08:00:00Z",
        "sent": answered + timeouts,
        "answered": answered,
        "errors": 0,
        "timeouts": timeouts,
        "seconds": seconds,
        "rate": rate,
        "latency_ms": {name: at(q) for name, q in QUANTILES.items()} | {"max": at(100), "mean": p50 * 1.2},
        "curve_ms": [[q, at(q)] for q in CURVE],
        "generator_busy": min(0.85, rate / 60000 + 0.05),
        "offered_rate": offered,
        "statuses": {},
        "cpu_seconds": answered / maximum * drawn.gauss(1, 0.01),
        "pss_bytes": int((110 + 40 * ARMS[cell.arm].processes) * 2**20 * drawn.gauss(1, 0.01)),
    }


def _arm(name: str, models: Sequence[str], drawn: random.Random) -> dict[str, Any]:
    arm = ARMS[name]
    return {
        "form": arm.form,
        "note": arm.note,
        "label_only": arm.label_only,
        "protocol": arm.protocol,
        "digest": f"{drawn.getrandbits(256):064x}" if arm.peer else "",
        "versions": {arm.peer or "flask": "1.2.3"},
        "status": "measured",
        "reason": "",
        "parity": {m: {"ranked": True, "wrong": "", "max_difference": 1e-16} for m in models if arm.ranked},
        "cold_start_seconds": {m: [round(drawn.gauss(2.0, 0.2) * arm.processes**0.6, 3)] * 3 for m in models},
    }
