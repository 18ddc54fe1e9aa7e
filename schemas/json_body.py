"""The parser of JSON bodies: strict RFC 8259, without duplicate keys, nested up to 32 levels.

orjson is fast and strict, but keeps the last of two equal keys and nests up to 1,024 levels. Both are
detected by counting. Every key and every string has two quotation marks, so the text has twice as many of
them (without the escaped ones) as the parsed value has keys and strings, unless a key was dropped.

Lists and objects take many times the memory of numbers of the same size, so those of a large body are counted
before it is parsed.
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

#: The deepest nesting of lists and objects.
MAX_DEPTH = 32

#: The most frequent form of a body: an object of one key, whose value is a list of numbers. For short bodies
#: one match is the cheapest test; in long ones ``find`` is several times faster.
FLAT = re.compile(rb'\{ ?"[a-z_]+" ?: ?\[[0-9eE+., -]*\] ?\}')
SHORT_BYTES = 1024

#: In a larger body a duplicate key is not named, since finding it takes longer than parsing a valid body.
NAMED_BYTES = 1 << 16

#: orjson's messages about texts that match the grammar but have no value -> a pattern of the text at the
#: error, and the message to the client.
NO_VALUE = {
    "number is infinity when parsed as double": (
        re.compile(r"[-+.\deE]+"),
        "the number {what} {place} is outside the range of a float (±1.8e308)",
    ),
    **dict.fromkeys(
        ("no low surrogate in string", "invalid low surrogate in string", "invalid high surrogate in string"),
        (
            re.compile(r"\\u\w{4}"),
            "the escape {what} {place} is half of a surrogate pair, which is not a character; "
            "send both halves, or the character itself",
        ),
    ),
}


class MalformedBody(Exception):
    """A body that is not acceptable JSON. The message says why, in one line."""


def parse(body: bytes) -> Any:
    """Return the JSON value. Raises MalformedBody."""
    return read(body)[0]


def read(body: bytes, most_opened: int = sys.maxsize) -> tuple[Any, bool]:
    """Return the JSON value, and whether it is known to be an object of one key with numbers only.

    ``most_opened`` is the largest number of lists and objects; it is checked in bodies of more than twice as
    many bytes. Raises MalformedBody.
    """
    if len(body) > 2 * most_opened and _opened(body, most_opened) > most_opened:
        raise MalformedBody(
            f"the body has more than {most_opened} lists and objects; "
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
    # The scalars can only be numbers, true, false and null now.
    return value, len(value) == 1 and body.find(b"r", last_quote) < 0 and body.find(b"l", last_quote) < 0


def _opened(body: bytes, most: int) -> int:
    """Count the lists and objects of a body, without brackets in strings; ends soon after ``most``."""
    opened = sum(len(body) - len(body.replace(bracket, b"", most + 1)) for bracket in (b"[", b"{"))
    if opened <= most or b'"' not in body:
        return opened
    text = np.frombuffer(_without_escapes(body), np.uint8)
    in_string = np.bitwise_xor.accumulate(text == ord('"'))
    return int(np.count_nonzero(((text == ord("[")) | (text == ord("{"))) & ~in_string))


def _without_escapes(body: bytes) -> bytes:
    """Return the body without escaped backslashes and quotation marks; the others begin and end strings."""
    return body.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in body else body


def _is_plain_matrix(body: bytes, value: Any, last_quote: int) -> bool:
    """Return whether a value is known to be an object of scalars and lists, nested once, with all its keys.

    The brackets and quotation marks of such a value are counted. If the text has exactly as many, it has no
    strings, deeper lists or further objects. This takes a few hundred nanoseconds for a row. In long texts
    ``find`` and ``replace`` are several times faster than ``count``.
    """
    if type(value) is not dict or b"\\" in body or body.count(b'"', 0, last_quote + 1) != 2 * len(value):
        return False
    opened = 0
    for item in value.values():
        if type(item) is list:
            opened += 1 + list(map(type, item)).count(list)
    return len(body) - len(body.replace(b"[", b"")) == opened and body.find(b"{") == body.rfind(b"{")


def _check_thoroughly(body: bytes, value: Any) -> None:
    """Raise MalformedBody for a value that is too deep or has lost a key.

    The value is walked level by level, since it may have half a million scalars.
    """
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
        raise MalformedBody(f"{_repeated(body)} appears twice in one object")


def _repeated(body: bytes) -> str:
    """Return the words for the duplicate key, found by parsing the body again, slowly."""
    duplicate = ""
    if len(body) > NAMED_BYTES:
        return "a name"

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal duplicate
        (name, times), *_ = Counter(name for name, _ in pairs).most_common(1) or [("", 0)]
        duplicate = duplicate or (f"the name {name[:100]!r}" if times > 1 else "")

    with suppress(RecursionError):  # the dropped value may be as deep as orjson allows
        json.loads(body, object_pairs_hook=look, parse_int=len, parse_float=len)
    return duplicate or "a name"


def _explain(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "the body is empty; send a JSON object"
    if body.startswith(b"\xef\xbb\xbf"):
        return "the body begins with a byte order mark; send UTF-8 without one"
    place = f"at line {error.lineno}, column {error.colno}"
    if error.msg in NO_VALUE:
        pattern, template = NO_VALUE[error.msg]
        match = pattern.match(error.doc, error.pos)
        return template.format(what=_shortened(match[0]) if match else "", place=place)
    hint = ""
    if re.search("nan|inf", error.doc[max(0, error.pos - 1) : error.pos + 4], re.IGNORECASE):
        hint = "; NaN and Infinity are not JSON"
    elif b"'" in body[:2]:
        hint = "; JSON strings take double quotes"
    try:
        body.decode()
    except UnicodeDecodeError as fault:
        return f"the body is not valid UTF-8 at byte {fault.start}"
    return f"the body is not valid JSON {place}{hint}"


def _shortened(number: str) -> str:
    return number if len(number) <= 40 else f"{number[:20]}.. of {len(number)} characters"
