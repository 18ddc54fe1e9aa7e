"""Tests of the JSON parser: RFC 8259, unique names in an object, 32 levels."""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from typing import Any

import pytest

from schemas.json_body import MAX_DEPTH, MalformedBody, parse, read


def refusal(body: bytes) -> str:
    """Return the message about a refused body."""
    with pytest.raises(MalformedBody) as refused:
        parse(body)
    return str(refused.value)


# -- names that stand twice -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        '{"a": 1, "a": 1}',
        '{"a": 1, "b": 2, "a": 3}',
        '{"features": [5.1, 3.5], "features": [5.1, 3.5]}',
        '{"inputs": [[1, 2], [3, 4]], "x": 1, "x": 2}',
        '{"features": {"a": 1, "a": 2}}',
        '{"inputs": [[1], {"a": 1, "a": 2}]}',
        '[[[{"deep": {"a": 1, "a": 1}}]]]',
        '{"a": "text", "a": "text"}',
        '{"a": {"x": 1}, "a": {"x": 1}}',
        '{"": 1, "": 2}',
        '{"a": "[\\"{", "a": 1}',
        '{"a": 1, "\\u0061": 2}',
        '{"\\"": 1, "\\u0022": 2}',
        '{"x": "\\n", "y": {"a": 1, "a": 2}}',
        '{"a": [[[1]]], "a": 1}',
        '{"é": 1, "\\u00e9": 2}',
    ],
)
def test_a_name_given_twice_is_refused_wherever_it_stands(body: str) -> None:
    assert "appears twice" in refusal(body.encode())


def test_the_name_that_stands_twice_is_told() -> None:
    assert "'petal_width'" in refusal(b'{"a": 1, "petal_width": 2, "b": {"a": 1}, "petal_width": 3}')


@pytest.mark.parametrize(
    "body",
    [
        '{"a": 1, "b": {"a": 1}}',
        '[{"a": 1}, {"a": 1}]',
        '{"a": "a", "b": "a"}',
        '{"a": "\\"a\\": 1, \\"a\\": 2"}',
        '{"\\\\": 1, "\\\\\\\\": 2}',
        '{"a": 1, "A": 2, " a": 3}',
        '{"[": [1], "{": {"]": 2}}',
    ],
)
def test_equal_names_in_different_objects_and_quotation_marks_in_text_are_no_repetition(body: str) -> None:
    assert parse(body.encode()) == json.loads(body)


@pytest.mark.parametrize("filler", ['"x"', '"\\n"', "1"])
def test_a_repeated_name_among_many_is_told_up_to_a_size(filler: str) -> None:
    names = ",".join(f'"{i}":{filler}' for i in range(4_000))
    assert "'last'" in refusal(f'{{{names},"last":1,"last":2}}'.encode())
    names = ",".join(f'"{i}":{filler}' for i in range(80_000))
    assert refusal(f'{{{names},"last":1,"last":2}}'.encode()) == "a name appears twice in one object"


# -- what it costs to refuse ------------------------------------------------------------------------------------

MEBIBYTE = 1 << 20
MATRIX = json.dumps({"inputs": [[i + j / 8 for j in range(150)] for i in range(1000)]}).encode()


def filled(item: str, around: str = '{"inputs": [%s]}') -> bytes:
    """Return a body of about 1 MiB that repeats the item."""
    return (around % ",".join([item] * (MEBIBYTE // (len(item) + 1)))).encode()


def seconds(body: bytes) -> float:
    """Return the least processor time, in seconds, of reading or refusing the body."""
    best = math.inf
    for _ in range(5):
        began = time.thread_time()
        with suppress(MalformedBody):
            read(body, most_opened=2100)
        best = min(best, time.thread_time() - began)
    return best


@pytest.mark.parametrize(
    "body",
    [
        filled("[]"),
        filled("[1]"),
        filled("{}"),
        filled('{"a":1}'),
        filled("[" * 30 + "]" * 30),
        filled("[" * 33 + "]" * 33),
        b"[" * MEBIBYTE,
        b'{"":' * (MEBIBYTE // 4),
        filled("[]", '{"inputs": [%s], "\\"": "]"}'),
        filled('{"":1}', '{"inputs": [%s], "a": 1, "a": 2}'),
    ],
    ids=repr,
)
def test_lists_and_objects_are_refused_at_no_more_than_what_a_matrix_of_that_size_costs(body: bytes) -> None:
    """A parser that builds them first takes ten to thirty times as long."""
    with pytest.raises(MalformedBody, match="more than 2100 lists and objects"):
        read(body, most_opened=2100)
    assert seconds(body) < 2 * seconds(MATRIX)


def test_as_many_lists_and_objects_are_taken_as_are_allowed_whatever_stands_in_strings() -> None:
    rows = [{"text": '[{\\"[' * 50}] * 49 + [{"text": "\\\\"}] * 50
    body = json.dumps({"inputs": rows}).encode()
    assert read(body, most_opened=101)[0] == {"inputs": rows}
    with pytest.raises(MalformedBody, match="more than 100 lists and objects"):
        read(body, most_opened=100)


# -- depth ------------------------------------------------------------------------------------------------------


def lists(depth: int, inside: str = "1") -> str:
    return "[" * depth + inside + "]" * depth


def objects(depth: int, inside: str = "1") -> str:
    return '{"a":' * depth + inside + "}" * depth


def mixed(depth: int, inside: str = "1") -> str:
    return objects(1, lists(1, mixed(depth - 2, inside))) if depth > 1 else lists(depth, inside)


@pytest.mark.parametrize("nest", [lists, objects, mixed])
@pytest.mark.parametrize("inside", ["1", "", '"]]]]"', '"[[["', '"\\"]"', '"{\\\\"', "null"])
def test_thirty_two_levels_are_taken_and_thirty_three_refused(nest: Any, inside: str) -> None:
    if nest is objects and not inside:
        inside = "{}"
        deepest = objects(MAX_DEPTH - 1, inside)
    else:
        deepest = nest(MAX_DEPTH, inside)
    assert parse(deepest.encode()) == json.loads(deepest)
    assert "deeper than 32" in refusal(f"[{deepest}]".encode())
    assert "deeper than 32" in refusal(f'{{"a": {deepest}}}'.encode())


@pytest.mark.parametrize(
    "around",
    [
        '{"t": "]]]]}}}}", "v": %s}',
        '{"]": %s}',
        '{"a\\"]}": %s}',
        '["}}}}", %s]',
        '{"x": [1, 2, 3], "y": [[1], [2], %s]}',
    ],
)
def test_brackets_and_quotation_marks_in_text_hide_no_level(around: str) -> None:
    levels_around = 2 if '"y"' in around else 1
    assert parse((around % lists(MAX_DEPTH - levels_around)).encode())
    assert "deeper" in refusal((around % lists(MAX_DEPTH - levels_around + 1)).encode())


@pytest.mark.parametrize("depth", [1000, 1024, 1025, 100_000])
@pytest.mark.parametrize("text", [lists, objects, lambda depth: "[" * depth, lambda depth: '{"a":' * depth])
def test_any_depth_is_refused_without_harm(text: Any, depth: int) -> None:
    assert refusal(text(depth).encode())


def test_a_deep_value_under_a_name_that_stands_twice_is_refused() -> None:
    for deep in (lists(40), lists(900), lists(1000)):
        assert refusal(f'{{"a": {deep}, "a": 1}}'.encode())
        assert refusal(f'{{"a\\n": {deep}, "a\\n": 1}}'.encode())


# -- what is no JSON --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"{",
        b"}",
        b'{"a": 1',
        b'{"a": 1,}',
        b"[1, 2,]",
        b"[1 2]",
        b"{'a': 1}",
        b"{a: 1}",
        b'{"a": 1} {"a": 2}',
        b'{"a": 1}\x00',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b"[nan]",
        b"[inf]",
        b"[1e400]",
        b"[-1e400]",
        b"[1.8e308]",
        b"[" + b"9" * 400 + b"]",
        b"[" + b"9" * 5000 + b"]",
        b"[01]",
        b"[+1]",
        b"[1.]",
        b"[.5]",
        b"[0x10]",
        b"[1_000]",
        b'["\\ud800"]',
        b'["\\udc00\\ud800"]',
        b'["\xed\xa0\x80"]',
        b'["\xff"]',
        b'["\xc0\xaf"]',
        b'["\t"]',
        b'["\\x41"]',
        b'["\\u12"]',
        b"[True]",
        b"[None]",
        b"// note\n[1]",
        b"[1] # note",
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32"),
        b"\x1f\x8b\x08\x00",
        b"features=5.1&features=3.5",
        b"<features>1</features>",
    ],
)
def test_what_is_no_json_is_refused_in_one_short_line(body: bytes) -> None:
    told = refusal(body)
    assert told and "\n" not in told and len(told) < 200


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"", "the body is empty"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        (b"{'a': 1}", "double quotes"),
        (b'{"a": NaN}', "NaN and Infinity are not JSON"),
        (b'{"a": -Infinity}', "NaN and Infinity are not JSON"),
        (b'{\n "a": 1,\n}', "line"),
        (
            b'{"features": [5.1, 1e999]}',
            "the number 1e999 at line 1, column 20 is outside the range of a float",
        ),
        (b"[1,\n -1.5E+400]", "the number -1.5E+400 at line 2, column 2 is outside"),
        (b"[" + b"9" * 400 + b"]", "the number 99999999999999999999.. of 400 characters at line 1, column 2"),
        ('["é", 1e309]'.encode(), "the number 1e309 at line 1, column 7"),
        (b'["a\\ud800"]', "the escape \\ud800 at line 1, column 4 is half of a surrogate pair"),
        (b'{"\\uDC00": 1}', "the escape \\uDC00 at line 1, column 3 is half"),
        (b'["\\ud83d\\u0041"]', "the escape \\ud83d at line 1, column 3 is half"),
    ],
)
def test_common_mistakes_are_named(body: bytes, hint: str) -> None:
    assert hint in refusal(body)


def test_a_name_that_begins_like_infinity_gives_no_wrong_hint() -> None:
    assert "Infinity" not in refusal(b'{"finance": 1, "info": ]')


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"1", 1),
        (b"null", None),
        (b' {"a" : [ 1 , 2.5 ] } \r\n', {"a": [1, 2.5]}),
        (b"[9007199254740993, 18446744073709551615]", [9007199254740993, 18446744073709551615]),
        (b"[123456789012345678901234567890]", [123456789012345678901234567890.0]),
        (b"[1E2, -0.0, 1e-400, 5e-324]", [100.0, -0.0, 0.0, 5e-324]),
        (b'["\\ud83d\\ude00 \\u0041 \\/"]', ["\N{GRINNING FACE} A /"]),
        ('["é 中 \U0001f600"]'.encode(), ["é 中 \U0001f600"]),
    ],
)
def test_what_is_json_keeps_its_value(body: bytes, value: Any) -> None:
    assert repr(parse(body)) == repr(value)
