"""The command behind docs/performance.md, small: it asks every worker and prints what it measured."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.studies.memory import (
    STAGES,
    forest_table,
    measured,
    publish_forest,
    publish_small,
    small_tables,
)
from benchmarks.studies.store_server import serving_store

DOCUMENT = Path(__file__).parents[3] / "docs" / "performance.md"


def test_workers_that_share_a_model_are_measured_and_asked(tmp_path: Path) -> None:
    publish_small(tmp_path)
    found = measured(tmp_path, 2, True, predictions=20)
    assert found["loaded_mib"] > 50
    assert (found["workers"], found["share"]) == (2, True)


def test_every_worker_is_asked_as_often(tmp_path: Path) -> None:
    """The metrics of two workers add up to what was sent to both."""
    assert 7 < publish_forest(tmp_path, 9) < 11
    with serving_store(tmp_path, "forest", 2, False) as server:
        pids = server.predict_everywhere(15, 8)
        assert len(set(pids)) == 2
        assert server.predicted() == 30


def test_the_document_has_the_tables_as_they_are_printed() -> None:
    rows = [
        {"workers": w, "share": s, "ready_seconds": 1.0, "loaded_mib": 10, "predicted_mib": 20}
        for s in (False, True)
        for w in (1, 4)
    ]
    stages = [(name, float(i)) for i, (name, _) in enumerate(STAGES)]
    figures = {
        "forest_mib": 499.0,
        "predictions": 2000,
        "forest": rows,
        "small": rows[1::2],
        "stages": stages,
        "machine": "2 cores",
    }
    text = DOCUMENT.read_text()
    for line in [*forest_table(figures).splitlines(), *small_tables(figures).splitlines()]:
        words = re.match(r"[^\d]*", line)
        assert words is not None
        assert words.group().rstrip() in text, (
            "docs/performance.md is of another form than the command prints"
        )
