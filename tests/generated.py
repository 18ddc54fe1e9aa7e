"""Generated requests: mostly JSON that reaches a model's schema, right or slightly wrong, and everything else besides.

Strategies are made once, at import: making them while drawing takes longer than the requests do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from hypothesis import strategies as st

T = TypeVar("T")

JSON = "application/json"
#: The largest body that the server under test takes.
LIMIT = 4096

IRIS = dict.fromkeys(("sepal_length", "sepal_width", "petal_length", "petal_width"), "float")
ODD = dict.fromkeys(
    ("Sepal.Length", "petal width (cm)", "Meta", "features", "inputs", "class", "parameters"), "float"
)

#: Models of the toy store that answer whatever fits: the kinds of their columns, their parameters, and their routes.
MODELS: list[tuple[dict[str, str], dict[str, list[Any]], list[str]]] = [
    (
        IRIS,
        {},
        ["", "/v1", "/v2", "/models/iris", *(f"/models/iris/versions/{v}" for v in ("1", "2.0.0", "latest"))],
    ),
    (dict.fromkeys(("f1", "f10", "f2"), "float"), {}, ["/models/unnamed", "/models/unnamed/versions/1"]),
    (
        {"amount": "float", "channel": "channel", "items": "int", "gift": "bool"},
        {},
        ["/models/shop", "/models/shop/versions/stable"],
    ),
    (
        {"place": "text"},
        {"days": [1, 2, 30], "unit": ["C", "F"]},
        ["/models/forecast", "/models/forecast/versions/latest"],
    ),
    (ODD, {}, ["/models/odd", "/models/odd/versions/1"]),
]
ELSEWHERE = [
    *(
        f"/models/{name}/predict"
        for name in ("iriss", "IRIS", "..", "a b", "x" * 200, "é", "iris/versions/9")
    ),
    *("/v9/predict", "/models/iris/versions/canary/predict/batch", "/nothing", "/predict/all"),
]
PAGES = ["/", "/models", "/models/iris", "/models/iris/versions/latest", "/health", "/version", "/ready"]

CHOICE = st.integers(0, 2**20)
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "float": st.one_of(st.floats(-1000, 1000), st.sampled_from([0, 1, -0.0, 5e-324, 3.4e38, 2**64 - 1])),
    "int": st.integers(1 - 2**53, 2**53 - 1),
    "bool": st.booleans(),
    "channel": st.sampled_from(["web", "shop", "phone"]),
    "text": st.text(min_size=1, max_size=10),
}
#: Mostly of no type or size that a column takes.
ODD_VALUES = st.one_of(
    st.sampled_from(
        [None, True, "", "5.1", "NaN", "yes", [], {}, [1], {"a": 1}, 1.9, 1e39, -1e308, 2**53, 2**63]
    ),
    st.text(max_size=12),
    st.floats(allow_nan=False, allow_infinity=False),
)
ODD_NAMES = st.one_of(
    st.sampled_from(
        ["features", "inputs", "parameters", "_schema", "Meta", "sepal_lenght", "f3", "", "a.b", "days"]
    ),
    st.text(max_size=8),
)
INSERTED = st.text('[]{}",:\\ \t\n1eNn.-\x00é', min_size=1, max_size=3)
BYTES = st.binary(max_size=40)


@dataclass(frozen=True)
class Request:
    """One request; a ``chunked`` one has no Content-Length."""

    path: str
    body: bytes
    method: str = "POST"
    media_type: str | None = JSON
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False


def one_of(draw: st.DrawFn, options: Sequence[T]) -> T:
    """Draw one of the options, without a strategy."""
    return options[draw(CHOICE) % len(options)]


def a_row(draw: st.DrawFn, columns: dict[str, str], wrong: bool) -> Any:
    """Draw a row as a list or by name; with ``wrong``, with a change that mostly makes it invalid."""
    row = {name: draw(GOOD[kind]) for name, kind in columns.items()}
    if wrong:
        change = one_of(draw, ["cell", "cell", "cell", "more", "less", "other"])
        if change == "cell":
            row[one_of(draw, list(row))] = draw(ODD_VALUES)
        elif change == "more":
            row[draw(ODD_NAMES)] = draw(ODD_VALUES)
        elif change == "less":
            del row[one_of(draw, list(row))]
        else:
            return draw(ODD_VALUES)
    return row if one_of(draw, [True, False]) else list(row.values())


def a_prediction(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw a prediction route and a JSON body for its model, valid three times out of five."""
    columns, described, routes = one_of(draw, MODELS)
    batch = one_of(draw, [True, False])
    wrong = one_of(draw, ["", "", "", "row", "parameters", "envelope"])
    parameters = {name: one_of(draw, allowed) for name, allowed in described.items()}
    if wrong == "parameters":
        parameters[one_of(draw, ["days", "unit", "k"])] = draw(ODD_VALUES)
    path = one_of(draw, routes) + ("/predict/batch" if batch else "/predict")
    rows = [a_row(draw, columns, wrong == "row")]
    if batch and one_of(draw, [True, False]):
        rows.append(a_row(draw, columns, False))
    if not batch and isinstance(rows[0], dict) and one_of(draw, [True, False]):
        return path, {**rows[0], **parameters}
    body: dict[str, Any] = {"inputs": rows} if batch else {"features": rows[0]}
    if parameters:
        body["parameters"] = parameters
    if wrong == "envelope":
        body[draw(ODD_NAMES)] = draw(ODD_VALUES)
    return path, body


def a_broken_body(draw: st.DrawFn, text: str) -> bytes:
    """Draw a body that is damaged, repeats a name, nests too deep, or is not JSON."""
    how = one_of(draw, ["cut", "insert", "replace", "twice", "escaped", "deep", "bytes", "constant"])
    at = draw(CHOICE) % len(text)
    if how == "bytes":
        return draw(BYTES)
    if how == "cut":
        text = text[:at]
    elif how in ("insert", "replace"):
        text = text[:at] + draw(INSERTED) + text[at + (how == "replace") :]
    elif how == "twice":
        text = text[:-1] + ', "features": [1, 2, 3, 4], "features": 1}'
    elif how == "escaped":
        text = text[:-1] + ', "x\\u0061": 1, "xa": 1}'
    elif how == "deep":
        depth = 33 + draw(CHOICE) % 1300
        text = f'{{"features": {"[" * depth}{"]" * depth}}}'
    else:
        text = f'{{"features": [5.1, 3.5, 1.4, {one_of(draw, ["NaN", "Infinity", "-Infinity", "1e999"])}]}}'
    return text.encode()


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Draw a request; three out of four reach a model's schema."""
    path, value = a_prediction(draw)
    body = orjson.dumps(value)
    kind = one_of(
        draw, ["schema"] * 24 + ["json", "json", "header", "route", "method", "size", "type", "page"]
    )
    if kind == "json":
        return Request(path, a_broken_body(draw, body.decode()))
    if kind == "header":
        return Request(
            "/v1/predict", body, headers={"X-Model-Version": one_of(draw, ["2", "latest", "9", "no"])}
        )
    if kind == "route":
        return Request(one_of(draw, ELSEWHERE), body)
    if kind == "method":
        return Request(path, body, one_of(draw, ["GET", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"]))
    if kind == "size":
        return Request(
            path, body + b" " * (LIMIT + draw(CHOICE) % LIMIT), chunked=one_of(draw, [True, False])
        )
    if kind == "type":
        types = [None, "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]
        return Request(path, body, media_type=one_of(draw, [*types, "application/json; charset=latin-1"]))
    if kind == "page":
        return Request(one_of(draw, PAGES), body, one_of(draw, ["GET", "HEAD", "OPTIONS"]))
    return Request(path, body)
