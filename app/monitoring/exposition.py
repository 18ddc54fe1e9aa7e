"""The metrics page: it merges the files of all workers without blocking the worker that serves it.

prometheus_client's own merge does not yield, and for a few hundred series it takes a tenth of a second in
which the worker answers no request. This merge pauses after every slice of work.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.utils import floatToGoString

#: The text format of Prometheus.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Samples that are merged between two pauses.
SLICE = 200

Labels = tuple[tuple[str, str], ...]
Series = dict[tuple[str, Labels], float]


def exposition(files: list[Path], live: set[int], pause: Callable[[], None]) -> str:
    """Merge the workers' files into Prometheus's text format 0.0.4.

    ``files`` are named ``<type>_<slot>.db`` and ``gauge_<mode>_<slot>.db``; gauges count only for the slots
    in ``live``. ``pause`` is called after every SLICE samples, to let other work run.
    """
    families: dict[str, tuple[str, str, Series]] = {}
    done = 0
    for file in files:
        kind, mode, slot = _name_parts(file)
        if kind == "gauge" and slot not in live:
            continue
        try:
            samples = MmapedDict.read_all_values_from_file(str(file))
        except (FileNotFoundError, struct.error):  # the worker is being replaced, or has just started
            continue
        for key, value, _, _ in samples:
            metric, sample, labels, help_text = _key(key)
            series = families.setdefault(metric, (kind, help_text, defaultdict(float)))[2]
            member = (sample, labels)
            series[member] = max(series[member], value) if mode.endswith("max") else series[member] + value
            done += 1
            if done % SLICE == 0:
                pause()
    lines: list[str] = []
    for metric in sorted(families):
        kind, help_text, series = families[metric]
        name = f"{metric}_total" if kind == "counter" else metric
        lines += [f"# HELP {name} {_escape(help_text)}", f"# TYPE {name} {kind}"]
        for i, ((sample, labels), value) in enumerate(
            _cumulative(metric, series) if kind == "histogram" else series.items()
        ):
            lines.append(f"{sample}{_label_text(labels)} {floatToGoString(value)}")
            if i % SLICE == SLICE - 1:
                pause()
    return "\n".join(lines) + "\n"


def _cumulative(metric: str, series: Series) -> list[tuple[tuple[str, Labels], float]]:
    """Return a histogram's samples with cumulative buckets and their count, as the format requires.

    The files hold each bucket by itself.
    """
    buckets: dict[Labels, dict[float, float]] = defaultdict(dict)
    samples: list[tuple[tuple[str, Labels], float]] = []
    for (sample, labels), value in series.items():
        bound = dict(labels).get("le")
        if bound is None:
            samples.append(((sample, labels), value))
        else:
            buckets[tuple(pair for pair in labels if pair[0] != "le")][float(bound)] = value
    for labels, counts in buckets.items():
        total = 0.0
        for bound_seconds in sorted(counts):
            total += counts[bound_seconds]
            samples.append(((f"{metric}_bucket", (*labels, ("le", floatToGoString(bound_seconds)))), total))
        samples.append(((f"{metric}_count", labels), total))
    return samples


@lru_cache(maxsize=65536)
def _key(key: str) -> tuple[str, str, Labels, str]:
    metric, sample, labels, help_text = json.loads(key)
    return metric, sample, tuple(sorted(labels.items())), help_text


@lru_cache(maxsize=65536)
def _label_text(labels: Labels) -> str:
    return (
        "{" + ",".join(f'{name}="{_escape(value, quote=True)}"' for name, value in labels) + "}"
        if labels
        else ""
    )


def _escape(text: str, quote: bool = False) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    return escaped.replace('"', r"\"") if quote else escaped


def _name_parts(file: Path) -> tuple[str, str, int]:
    kind, *mode, slot = file.stem.split("_")
    return kind, "_".join(mode), int(slot)
