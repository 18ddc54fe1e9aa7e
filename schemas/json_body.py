"""How bytes become JSON values: RFC 8259 with nothing repaired, no key given twice, and no nesting past 32 levels.

orjson is fast and strict, but keeps the last of two equal keys and nests up to 1,024 levels. Both are found by
counting: in text without a backslash every key and every string stands between two quotation marks, so there are
twice as many of them as keys and strings in the parsed value, unless a key was dropped.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import orjson

MAX_DEPTH = 32

#: A body as most are: one name, and one list in which nothing but numbers can stand. For short ones this one look is
#: the cheapest; in a long one ``find`` passes several times as many bytes in a second.
FLAT = re.compile(rb'\{ ?"[a-z_]+" ?: ?\[[0-9eE+., -]*\] ?\}')
SHORT_BYTES = 1024


class MalformedBody(Exception):
    """The bytes are no JSON text that is accepted here; the message says why, in one line."""


def parse(body: bytes) -> Any:
    """The JSON value; raises MalformedBody."""
    return read(body)[0]


def read(body: bytes) -> tuple[Any, bool]:
    """The JSON value, and whether it surely is an object of one name whose every scalar is a number; raises MalformedBody."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(_explain(body, error)) from error
    if len(body) <= SHORT_BYTES and FLAT.fullmatch(body):
        return value, True
    last_quote = body.rfind(b'"')
    if not _is_plain_matrix(body, value, last_quote):
        _check_thoroughly(body, value)
        return value, False
    # Beside numbers there can only be true, false and null now.
    return value, len(value) == 1 and body.find(b"r", last_quote) < 0 and body.find(b"l", last_quote) < 0


def _is_plain_matrix(body: bytes, value: Any, last_quote: int) -> bool:
    """Whether ``value`` surely is an object of scalars, lists and lists of lists, with no key dropped.

    Every bracket and quotation mark that such a value needs is counted; if the text has exactly these, it holds
    nothing else: no string, no deeper list, no second object. A few hundred nanoseconds for a row. In long texts ``find``
    and ``replace`` are several times faster than ``count``.
    """
    if type(value) is not dict or b"\\" in body or body.count(b'"', 0, last_quote + 1) != 2 * len(value):
        return False
    opened = 0
    for item in value.values():
        if type(item) is list:
            opened += 1 + list(map(type, item)).count(list)
    return len(body) - len(body.replace(b"[", b"")) == opened and body.find(b"{") == body.rfind(b"{")


def _check_thoroughly(body: bytes, value: Any) -> None:
    names = strings = 0
    level, depth = [value], 0
    while level:
        depth += 1
        inner: list[Any] = []
        for item in level:
            if type(item) is dict:
                names += len(item)
                inner.extend(item.values())
            elif type(item) is list:
                inner.extend(item)
            elif type(item) is str:
                strings += 1
        if depth > MAX_DEPTH and any(type(item) in (dict, list) for item in level):
            raise MalformedBody(f"the JSON text is nested deeper than {MAX_DEPTH} levels")
        level = inner
    if b"\\" in body or body.count(b'"') != 2 * (names + strings):
        _refuse_repeated_names(body)


def _refuse_repeated_names(body: bytes) -> None:
    """Parse again, slowly, to name the key that stands twice."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(found)
        if len(result) != len(found):
            repeated = Counter(name for name, _ in found).most_common(1)[0][0]
            raise MalformedBody(f"the name {repeated[:100]!r} stands twice in one object")
        return result

    try:
        json.loads(body, object_pairs_hook=pairs, parse_int=len, parse_float=len)
    except (ValueError, RecursionError) as error:
        raise MalformedBody("the body is not valid JSON") from error


def _explain(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "the body is empty; send a JSON object"
    if body.startswith(b"\xef\xbb\xbf"):
        return "the body begins with a byte order mark; send UTF-8 without one"
    hint = ""
    if re.search("nan|inf", error.doc[max(0, error.pos - 1) : error.pos + 4], re.IGNORECASE):
        hint = "; NaN and Infinity are not JSON"
    elif b"'" in body[:2]:
        hint = "; JSON text takes double quotes"
    try:
        body.decode()
    except UnicodeDecodeError as fault:
        return f"the body is not valid UTF-8 at byte {fault.start}"
    return f"the body is not valid JSON at line {error.lineno}, column {error.colno}{hint}"
