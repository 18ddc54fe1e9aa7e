"""What a request and a publication cost grows no faster than the model and the request do."""

from __future__ import annotations

import pytest

from benchmarks.studies import growth


@pytest.mark.parametrize("dimension", list(growth.DIMENSIONS))
def test_reading_a_request_takes_at_most_in_proportion(dimension: str) -> None:
    cases, sizes = growth.DIMENSIONS[dimension]
    lines = growth.measure(cases, (sizes[-1] // 100, sizes[-1] // 10), lambda what: what != growth.PUBLISH)
    assert len(lines) >= 3
    assert {line.what: line.largest_step for line in lines if line.largest_step > growth.LARGEST_STEP} == {}


def test_a_row_costs_the_same_however_many_values_a_category_has() -> None:
    few_and_many = (100, 10_000)
    row, wrong = growth.measure(growth.of_categories, few_and_many, lambda what: what.startswith("a row"))
    for line in (row, wrong):
        few, many = line.milliseconds
        assert many < few * 10, line


def test_publishing_ten_times_the_columns_takes_at_most_in_proportion() -> None:
    (line,) = growth.measure(growth.of_columns, (300, 3_000), lambda what: what == growth.PUBLISH)
    assert line.largest_step < growth.LARGEST_STEP


def test_the_table_has_a_row_for_each_line_and_the_largest_step() -> None:
    lines = [
        growth.Line("a row", (10, 100, 10_000), (1.0, 12.0, 2400.0)),
        growth.Line("b", (10, 100, 10_000), (0.5, 0.5, 0.5)),
    ]
    assert growth.shown("columns", lines).splitlines() == [
        "| columns | 10 | 100 | 10,000 | largest step |",
        "|---|---:|---:|---:|---:|",
        "| a row | 1 | 12 | 2,400 | 20.0x |",
        "| b | 0.5 | 0.5 | 0.5 | 1.0x |",
    ]
