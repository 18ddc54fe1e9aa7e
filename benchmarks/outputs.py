"""Which pages are written from a result file, and where they go."""

from __future__ import annotations

from pathlib import Path

from benchmarks.decision import decision_record, load_weights
from benchmarks.environments import ROOT
from benchmarks.markdown import markdown
from benchmarks.report import write_report
from benchmarks.results import Results


def write_all(results: Results, *, committed: bool) -> list[Path]:
    """The report beside the result file; for the full run also the pages that the repository shows."""
    report = results.path.with_suffix(".html")
    write_report(results, report)
    written = [report]
    if committed:
        pages = {
            ROOT / "benchmarks" / "RESULTS.md": markdown(results),
            ROOT / "docs" / "decision-record.md": decision_record(results, load_weights()),
        }
        for path, text in pages.items():
            path.write_text(text)
            written.append(path)
    return written
