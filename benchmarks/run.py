"""A plan carried out: servers started and stopped in turn, loads driven, every repeat saved at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from benchmarks.arms import Arm
from benchmarks.checks import check_validation
from benchmarks.environments import NotInstalled, environment_of
from benchmarks.loads import LoadFailed, drive
from benchmarks.machine import digest_of_peer, direct_versions, rfc3339
from benchmarks.parity import check_parity
from benchmarks.plan import Cell, Plan, Visit
from benchmarks.results import Results, rate
from benchmarks.server_process import NotStarted, Running, core_pair, running

#: Interval and limit of the wait, before each measured load, for a server that is busy with an earlier one.
SETTLE_SECONDS, MOST_SETTLE_SECONDS = 0.3, 30.0
#: Cores that a server may use while nobody asks it anything.
IDLE_CORES = 0.25
#: Requests a second above which the driver used over 90 % of its core on the slowest machine so far.
MOST_OFFERED = 36_000.0


class Run:
    """Carries out what the plan says and the results do not have yet."""

    def __init__(self, plan: Plan, results: Results) -> None:
        self.plan = plan
        self.results = results
        self.server_core, self.load_core = core_pair()

    def missing(self, visit: Visit) -> list[Cell]:
        """The cells of a visit that this repeat still has to measure."""
        return [cell for cell in visit.cells if len(self.results.repeats(cell)) <= visit.repeat]

    def carry_out(self, visit: Visit) -> Iterator[Cell]:
        """Start the visit's server, measure what is missing, stop it; yields each cell before it is measured.

        An arm that cannot be installed or started, or answers wrongly, is recorded with the reason instead.
        """
        cells = self.missing(visit)
        if not cells or self.results.arms.get(visit.arm.name, {}).get("status") == "wrong":
            return
        core = self.server_core if visit.workers == 1 else None
        try:
            environment = environment_of(visit.arm.peer)
            with running(
                visit.arm, visit.model, core, workers=visit.workers, environment=environment
            ) as server:
                if not self._record_start(server, visit):
                    return
                for cell in cells:
                    yield cell
                    self.results.add(cell, self._measure(server, cell))
        except (NotInstalled, NotStarted) as error:
            self._record(visit.arm, status="not measured", reason=str(error))

    def _measure(self, server: Running, cell: Cell) -> dict[str, Any]:
        """One repeat of a cell: the load, and what it cost the server. A load that failed says why."""
        core = self.load_core if cell.workers == 1 else None
        began = rfc3339(datetime.now(UTC))
        try:
            offered = self._offered_rate(server, cell)
            drive(server, replace(cell, connections=min(cell.connections, 64)), cell.warm_up_seconds, core)
            settled = self._settle(server)
            before = server.cpu_seconds()
            load = drive(server, cell, self.plan.seconds[cell.kind], core, offered)
        except LoadFailed as error:
            return {"started": began, "answered": 0, "failed": str(error)}
        cost = {
            "cpu_seconds": server.cpu_seconds() - before,
            "pss_bytes": server.pss_bytes(),
            "settled_seconds": settled,
        }
        return {"started": began, **asdict(load), **cost}

    def _settle(self, server: Running) -> float:
        """Wait until the server has finished what earlier loads asked of it; the seconds that this took.

        Raises LoadFailed when the server is still busy after the longest wait.
        """
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < MOST_SETTLE_SECONDS:
            before, at = server.cpu_seconds(), time.perf_counter()
            time.sleep(SETTLE_SECONDS)
            if (server.cpu_seconds() - before) / (time.perf_counter() - at) < IDLE_CORES:
                return round(passed, 1)
        raise LoadFailed(f"the server was still busy {MOST_SETTLE_SECONDS:g} s after the load before")

    def _offered_rate(self, server: Running, cell: Cell) -> float | None:
        """Requests a second that an open loop offers; raises LoadFailed without the arm's maximum."""
        if cell.share is None:
            return cell.rate
        found = self.results.find(arm=cell.arm, model=cell.model, rows=1, connections=64, kind="main")
        maximum = rate(found[0]) if found else None
        if maximum is None:
            raise LoadFailed("the arm's own maximum at 64 connections was not measured")
        offered = cell.share * maximum.median
        if offered > MOST_OFFERED and server.arm.protocol == "http":
            raise LoadFailed(f"{offered:,.0f} requests/s would take more than 90 % of the driver's core")
        return offered

    def _record_start(self, server: Running, visit: Visit) -> bool:
        """Keep the cold start and, once a model, the parity; whether the arm may be measured."""
        name, model = visit.arm.name, visit.model
        known = self.results.arms.get(name, {})
        parity = dict(known.get("parity", {}))
        checks = dict(known.get("checks", {}))
        if model not in parity and visit.arm.ranked:
            verdict = check_parity(visit.arm, server)
            parity[model] = {"ranked": verdict.ranked, **asdict(verdict)}
            checks = checks or check_validation(server)
        starts = {m: list(seconds) for m, seconds in known.get("cold_start_seconds", {}).items()}
        if server.cold_start_seconds is not None and visit.workers == 1:
            starts.setdefault(model, []).append(round(server.cold_start_seconds, 3))
        wrong = [m for m, found in parity.items() if not found["ranked"]]
        self._record(
            visit.arm,
            status="wrong" if wrong else "measured",
            reason=f"wrong answers for {', '.join(wrong)}" if wrong else "",
            parity=parity,
            checks=checks,
            cold_start_seconds=starts,
        )
        return not wrong

    def _record(self, arm: Arm, **found: Any) -> None:
        known = self.results.arms.get(arm.name, {})
        if found.get("status") == "not measured" and known.get("status") == "measured":
            found = {"reason": found["reason"]}  # it was measured before; what failed now is kept beside that
        about = {"form": arm.form, "note": arm.note, "label_only": arm.label_only, "protocol": arm.protocol}
        self.results.arms[arm.name] = {**known, **about, "digest": digest_of_peer(arm.peer), **found}
        self.results.arms[arm.name]["versions"] = direct_versions(arm.peer)
        self.results.save()
