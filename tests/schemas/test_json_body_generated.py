"""Tests of the fast parser against a slow one, with repeated names, deep nesting, escapes and damage."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import strategies as st

from schemas.json_body import MAX_DEPTH, MalformedBody, parse, read
from tests.lengths import in_two_lengths, try_examples


class Refused(Exception):
    """The error of the slow parser."""


def slow_parse(body: bytes) -> Any:
    """Parse with the json module by the same rules, slowly."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in found}) != len(found):
            raise Refused
        return dict(found)

    def number(text: str) -> float:
        if math.isinf(value := float(text)):
            raise Refused
        return value

    def integer(text: str) -> float:
        return value if -(2**63) <= (value := int(text)) < 2**64 else number(text)

    def constant(text: str) -> float:
        raise Refused

    try:
        text = body.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=pairs, parse_int=integer, parse_float=number, parse_constant=constant
        )
    except (ValueError, RecursionError) as error:
        raise Refused from error
    _check(value, 0)
    return value


def _check(value: Any, depth: int) -> None:
    inner: list[Any] = []
    if isinstance(value, (list, dict)):
        depth += 1
        if depth > MAX_DEPTH:
            raise Refused
        inner = [*value, *value.values()] if isinstance(value, dict) else value
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise Refused
    for item in inner:
        _check(item, depth)


NAMES = st.sampled_from(["a", "b", "features", "inputs", "[", "{", '"', "\\", "", "a\\", "é"])
NUMBERS = st.sampled_from(
    ["0", "-0", "1", "5.1", "-2.5e3", "1e400", "9007199254740993", "18446744073709551616", "1E-7"]
)
SCALARS = st.one_of(
    NUMBERS, st.sampled_from(["true", "false", "null", "NaN", '"\\ud800"', '"x"', '"]"', '"\\u005b"'])
)


def spelt(name: str, escaped: bool) -> str:
    return '"' + "".join(f"\\u{ord(c):04x}" for c in name) + '"' if escaped else orjson.dumps(name).decode()


SPELT = st.builds(spelt, NAMES, st.sampled_from([False, False, False, True]))
VECTORS = st.lists(NUMBERS, max_size=4).map(lambda cells: f"[{', '.join(cells)}]")
MATRICES = st.lists(VECTORS, max_size=3).map(lambda rows: f"[{','.join(rows)}]")


def member_lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.lists(st.tuples(SPELT, values), max_size=4)
    return members.map(lambda found: "{" + ", ".join(f"{name}: {value}" for name, value in found) + "}")


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    of_lists = st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
    deep = st.builds(lambda depth, text: "[" * depth + text + "]" * depth, st.integers(28, 34), inner)
    return st.one_of(of_lists, member_lists(inner), deep)


TEXTS = st.one_of(
    member_lists(st.one_of(NUMBERS, VECTORS, MATRICES)),
    st.recursive(st.one_of(SCALARS, VECTORS, MATRICES), nested, max_leaves=6),
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Return a text with a few characters replaced."""
    text = draw(TEXTS)
    start = draw(st.integers(0, len(text)))
    end = min(len(text), start + draw(st.integers(0, 2)))
    return text[:start] + draw(st.text('[]{}",:\\ 1eaNn.-\t\x00é', max_size=2)) + text[end:]


@in_two_lengths(400, 2000)
def test_the_fast_parser_agrees_with_a_slow_one(examples: int) -> None:
    def agree(text: str) -> None:
        body = text.encode()
        try:
            expected = slow_parse(body)
        except Refused:
            with pytest.raises(MalformedBody):
                parse(body)
        else:
            assert repr(parse(body)) == repr(expected)

    try_examples(examples, agree, st.one_of(TEXTS, damaged()))


def scalars(value: Any) -> list[Any]:
    """Return all scalars of a value."""
    if isinstance(value, dict):
        value = list(value.values())
    return [s for item in value for s in scalars(item)] if isinstance(value, list) else [value]


LITERALS = st.one_of(NUMBERS, NUMBERS, st.sampled_from(["true", "false", "null", '"x"']))
MIXED = st.lists(LITERALS, max_size=4).map(lambda cells: f"[{', '.join(cells)}]")
MIXED_ROWS = st.lists(MIXED, max_size=3).map(lambda rows: f"[{','.join(rows)}]")


@in_two_lengths(200, 1000)
def test_what_is_said_to_hold_numbers_only_does(examples: int) -> None:
    def check(text: str) -> None:
        try:
            value, numbers = read(text.encode())
        except MalformedBody:
            return
        if numbers:
            assert set(map(type, scalars(value))) <= {int, float}

    try_examples(examples, check, st.one_of(TEXTS, member_lists(st.one_of(MIXED, MIXED_ROWS))))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ('{"inputs": [[1, 2.5], [3, -4e2]]}', True),
        ('{"features": [1, 2.5]}', True),
        ('{"features": [[], 1, 2.5]}', True),
        ('{"inputs": [[1, true]]}', False),
        ('{"inputs": [[1, false]]}', False),
        ('{"inputs": [[1, null]]}', False),
        ('{"inputs": [[1, "2"]]}', False),
        ('{"inputs": [[1, [2]]]}', False),
        ('{"inputs": [[true]], "k": 1}', False),
    ],
)
def test_a_matrix_of_numbers_is_known_as_one(text: str, numbers: bool) -> None:
    assert read(text.encode())[1] is numbers
