"""How bytes become JSON values: RFC 8259 with nothing repaired, no key given twice, and no nesting past 32 levels.

orjson is fast and strict, but keeps the last of two equal keys and nests up to 1,024 levels. Both are found by
counting: every key and every string stands between two quotation marks, so there are twice as many of them (without
the escaped ones) as keys and strings in the parsed value, unless a key was dropped.

Lists and objects cost many times what numbers of the same size cost, so those of a large body are counted before they
are made.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
import orjson

MAX_DEPTH = 32

#: A body as most are: one name, and one list in which nothing but numbers can stand. For short ones this one look is
#: the cheapest; in a long one ``find`` passes several times as many bytes in a second.
FLAT = re.compile(rb'\{ ?"[a-z_]+" ?: ?\[[0-9eE+., -]*\] ?\}')
SHORT_BYTES = 1024

#: In a larger body the key that stands twice is not looked for, since that takes longer than reading a good one.
NAMED_BYTES = 1 << 16

#: orjson's words for what is JSON by its grammar, and yet no value: a pattern of the place, and what is said of it.
NO_VALUE = {
    "number is infinity when parsed as double": (
        re.compile(r"[-+.\deE]+"),
        "the number {what} {place} is beyond what a float can hold (±1.8e308)",
    ),
    **dict.fromkeys(
        ("no low surrogate in string", "invalid low surrogate in string", "invalid high surrogate in string"),
        (
            re.compile(r"\\u\w{4}"),
            "the escape {what} {place} is half of a surrogate pair, which stands for no character; "
            "send both halves, or the character itself",
        ),
    ),
}


class MalformedBody(Exception):
    """The bytes are no JSON text that is accepted here; the message says why, in one line."""


def parse(body: bytes) -> Any:
    """The JSON value; raises MalformedBody."""
    return read(body)[0]


def read(body: bytes, most_opened: int = sys.maxsize) -> tuple[Any, bool]:
    """The JSON value, and whether it surely is an object of one name whose every scalar is a number; raises MalformedBody.

    most_opened : how many lists and objects there may be in a large body, which is one of more than twice as many bytes.
    """
    if len(body) > 2 * most_opened and _opened(body, most_opened) > most_opened:
        raise MalformedBody(
            f"the body has more than {most_opened} lists and objects, which no request here needs; "
            "send fewer rows at once, each as one list or one object of values"
        )
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


def _opened(body: bytes, most: int) -> int:
    """How many lists and objects begin in the body, whatever stands in its strings; not counted much further than ``most``."""
    opened = sum(len(body) - len(body.replace(bracket, b"", most + 1)) for bracket in (b"[", b"{"))
    if opened <= most or b'"' not in body:
        return opened
    text = np.frombuffer(_without_escapes(body), np.uint8)
    in_string = np.bitwise_xor.accumulate(text == ord('"'))
    return int(np.count_nonzero(((text == ord("[")) | (text == ord("{"))) & ~in_string))


def _without_escapes(body: bytes) -> bytes:
    """The body without escaped backslashes and quotation marks: those that are left begin and end strings."""
    return body.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in body else body


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
    """Look level by level at every list and object, and at what it holds as a whole: that may be half a million values."""
    names = strings = depth = 0
    level: list[Any] = [[value]]
    while level:
        inner: list[Any] = []
        for container in level:
            items = container
            if type(container) is dict:
                names += len(container)
                items = container.values()
            kinds = set(map(type, items))
            if str in kinds:
                strings += list(map(type, items)).count(str)
            if kinds & {list, dict}:
                inner += [item for item in items if type(item) in (list, dict)]
        if depth == MAX_DEPTH and inner:
            raise MalformedBody(f"the JSON text is nested deeper than {MAX_DEPTH} levels")
        level, depth = inner, depth + 1
    if _without_escapes(body).count(b'"') != 2 * (names + strings):
        raise MalformedBody(f"{_repeated(body)} stands twice in one object")


def _repeated(body: bytes) -> str:
    """The key that stands twice, found by parsing again, slowly."""
    found = ""
    if len(body) > NAMED_BYTES:
        return "a name"

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        (name, times), *_ = Counter(name for name, _ in pairs).most_common(1) or [("", 0)]
        found = found or (f"the name {name[:100]!r}" if times > 1 else "")

    with suppress(RecursionError):  # what is dropped may be as deep as orjson takes it
        json.loads(body, object_pairs_hook=look, parse_int=len, parse_float=len)
    return found or "a name"


def _explain(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "the body is empty; send a JSON object"
    if body.startswith(b"\xef\xbb\xbf"):
        return "the body begins with a byte order mark; send UTF-8 without one"
    place = f"at line {error.lineno}, column {error.colno}"
    if error.msg in NO_VALUE:
        pattern, said = NO_VALUE[error.msg]
        found = pattern.match(error.doc, error.pos)
        return said.format(what=_shortened(found[0]) if found else "", place=place)
    hint = ""
    if re.search("nan|inf", error.doc[max(0, error.pos - 1) : error.pos + 4], re.IGNORECASE):
        hint = "; NaN and Infinity are not JSON"
    elif b"'" in body[:2]:
        hint = "; JSON text takes double quotes"
    try:
        body.decode()
    except UnicodeDecodeError as fault:
        return f"the body is not valid UTF-8 at byte {fault.start}"
    return f"the body is not valid JSON {place}{hint}"


def _shortened(number: str) -> str:
    return number if len(number) <= 40 else f"{number[:20]}.. of {len(number)} characters"
