"""The page that `flask models compare --html` writes: one file with its plots in it, which loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from app.cli.output import cell

WIDTH, HEIGHT = 640, 200


class Members(Environment):
    """``a.clear`` is the member of that name, where Jinja alone would take the method of the dict."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The member of a mapping, else what Jinja finds."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def page(title: str, result: Mapping[str, Any], source: str) -> str:
    """HTML for a comparison as JSON data (``models.comparison``); ``source`` : which rows were asked."""
    environment = Members(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
    environment.filters["cell"] = cell
    difference = result["answers"].get("difference")
    bars = None if difference is None else histogram_bars(**difference["histogram"])
    return environment.get_template("comparison.html").render(
        title=title, source=source, bars=bars, width=WIDTH, height=HEIGHT, **result
    )


def histogram_bars(edges: list[float], counts: list[int]) -> dict[str, Any]:
    """Rectangles of a histogram in a drawing of WIDTH x HEIGHT: x, y, width and height of each, and where zero is."""
    low, high = edges[0], edges[-1]
    span = (high - low) or 1.0
    most = max([*counts, 1])
    rectangles = [
        {
            "x": round((left - low) / span * WIDTH, 2),
            "width": round(max((right - left) / span * WIDTH - 1, 1), 2),
            "y": round(HEIGHT * (1 - count / most), 2),
            "height": round(HEIGHT * count / most, 2),
            "title": f"{left:.4g} to {right:.4g}: {count}",
        }
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    zero = round(-low / span * WIDTH, 2) if low <= 0 <= high else None
    return {"rectangles": rectangles, "zero": zero, "low": f"{low:.4g}", "high": f"{high:.4g}", "most": most}
