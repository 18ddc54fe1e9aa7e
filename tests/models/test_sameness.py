"""The meaning of "the same answer", which no other module defines."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from models.outputs import Outputs
from models.sameness import same_answers

NAN, INF = math.nan, math.inf


def answers(values: Any, probabilities: Any = None) -> Outputs:
    return Outputs(np.array(values), None if probabilities is None else np.array(probabilities))


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ([1.0], [1.0 + 1e-9], True),
        ([1.0], [1.0 + 3e-9], False),
        ([0.0], [0.9e-9], True),
        ([0.0], [1.1e-9], False),
        ([1e9], [1e9 + 0.9], True),
        ([1e9], [1e9 + 1.1], False),
        ([0.0], [-0.0], True),
        ([1.0, NAN], [1.0, NAN], True),
        ([NAN], [1.0], False),
        ([1.0], [NAN], False),
        ([INF], [INF], True),
        ([INF], [-INF], False),
        ([INF], [NAN], False),
        ([1e308], [-1e308], False),
        ([1.0, 2.0], [1.0], False),
        ([[1.0, 2.0]], [[1.0, 2.0]], True),
        ([[1.0, 2.0]], [[1.0], [2.0]], False),
    ],
)
def test_floats_lie_within_a_billionth_and_are_finite_in_the_same_places(
    expected: list[Any], actual: list[Any], same: bool
) -> None:
    assert same_answers(answers(expected), answers(actual)) is same


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ([1, 2], [1, 2], True),
        ([10**15], [10**15 + 1], False),
        ([1], [1.0], False),
        ([1], [True], False),
        (["a"], ["a"], True),
        (["a"], ["A"], False),
        (["1"], [1], False),
        ([True], [True], True),
    ],
)
def test_labels_integers_and_text_are_identical_in_value_and_kind(
    expected: list[Any], actual: list[Any], same: bool
) -> None:
    assert same_answers(answers(expected), answers(actual)) is same


def test_the_width_of_a_number_or_text_is_no_difference() -> None:
    assert same_answers(answers([1, 2]), Outputs(np.array([1, 2], dtype=np.int8)))
    assert same_answers(answers(["a", "b"]), Outputs(np.array(["a", "b"], dtype=object)))
    assert same_answers(answers([0.5]), Outputs(np.array([0.5], dtype=np.float32)))


def test_probabilities_count_as_much_as_labels() -> None:
    one = answers([1], [[0.25, 0.75]])
    assert same_answers(one, answers([1], [[0.25, 0.75 + 1e-10]]))
    assert not same_answers(one, answers([1], [[0.24, 0.76]]))
    assert not same_answers(one, answers([0], [[0.25, 0.75]]))
    assert not same_answers(one, answers([1]))
    assert not same_answers(answers([1]), one)


@pytest.mark.parametrize(
    ("record", "same"),
    [
        ({"item": "a", "score": 0.5, "rank": 1}, True),
        ({"rank": 1, "score": 0.5, "item": "a"}, True),
        ({"item": "a", "score": 0.5 + 1e-10, "rank": 1}, True),
        ({"item": "a", "score": 0.6, "rank": 1}, False),
        ({"item": "b", "score": 0.5, "rank": 1}, False),
        ({"item": "a", "score": 0.5, "rank": 1.0}, False),
        ({"item": "a", "score": NAN, "rank": 1}, False),
        ({"item": "a", "score": 0.5}, False),
        ({"item": "a", "score": 0.5, "rank": 1, "more": None}, False),
    ],
)
def test_records_have_the_same_fields_and_each_the_same_answer(record: dict[str, Any], same: bool) -> None:
    expected = Outputs.of_records([[{"item": "a", "score": 0.5, "rank": 1}], []])
    assert same_answers(expected, Outputs.of_records([[record], []])) is same


def test_records_come_in_the_same_number_for_each_row() -> None:
    record = {"item": "a"}
    assert same_answers(Outputs.of_records([[], []]), Outputs.of_records([[], []]))
    assert not same_answers(Outputs.of_records([[record], []]), Outputs.of_records([[], [record]]))
    assert not same_answers(Outputs.of_records([[record]]), Outputs.of_records([[record, record]]))
