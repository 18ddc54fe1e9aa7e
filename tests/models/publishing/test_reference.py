"""The reference statistics of the columns of the training data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.publishing.reference import column_statistics, observed_range
from models.signature import Column


def statistics(column: Column, cells: list[Any]) -> dict[str, Any]:
    rows = np.empty((len(cells), 1), dtype=object)
    rows[:, 0] = cells
    (found,) = column_statistics((column,), rows)
    return found


def test_numbers_have_quantiles_and_a_histogram() -> None:
    found = statistics(Column("n"), [*range(101), None, float("nan")])
    assert (found["rows"], found["missing"]) == (103, 2)
    assert (found["mean"], found["std"]) == (50.0, pytest.approx(29.15, abs=0.01))
    assert {q: found["quantiles"][q] for q in ("0.0", "0.05", "0.5", "0.99", "1.0")} == {
        "0.0": 0.0,
        "0.05": 5.0,
        "0.5": 50.0,
        "0.99": 99.0,
        "1.0": 100.0,
    }
    histogram = found["histogram"]
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1 == 21
    assert sum(histogram["counts"]) == 101


def test_a_column_of_one_number_has_a_histogram_too() -> None:
    assert sum(statistics(Column("n"), [7, 7, 7])["histogram"]["counts"]) == 3


@pytest.mark.parametrize("dtype", [np.float64, object])
def test_the_distribution_is_the_one_that_numpy_computes(dtype: type) -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=301), rng.exponential(1e6, 301), rng.integers(0, 9, 301)])
    rows[7, 1] = np.nan
    for found, numbers in zip(
        column_statistics((Column("a"), Column("b", nullable=True), Column("c", "int")), rows.astype(dtype)),
        [rows[:, 0], np.delete(rows[:, 1], 7), rows[:, 2]],
        strict=True,
    ):
        counts, edges = np.histogram(numbers, bins=20)
        assert found["histogram"]["counts"] == counts.tolist()
        assert found["histogram"]["edges"] == pytest.approx(edges)
        expected = np.quantile(numbers, [float(q) for q in found["quantiles"]])
        assert list(found["quantiles"].values()) == pytest.approx(expected, rel=1e-12)
        assert found["missing"] == 301 - len(numbers)


def test_numbers_at_the_ends_of_what_is_taken_have_a_histogram() -> None:
    for ends in ([-3.4e38, 3.4e38], [1e30, 1e30], [1.0, np.nextafter(1.0, 2.0)]):
        assert sum(statistics(Column("n"), ends)["histogram"]["counts"]) == 2


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        (Column("d", "date"), ["1970-01-02", None, "1970-01-01"]),
        (Column("t", "datetime"), ["1970-01-02T00:00:00", None, "1970-01-01 00:00:00"]),
        (
            Column("t", "datetime", timezone="UTC"),
            ["1970-01-02T01:00:00+01:00", None, "1970-01-01T00:00:00Z"],
        ),
    ],
)
def test_moments_are_spread_over_seconds_and_have_a_range(column: Column, cells: list[Any]) -> None:
    found = statistics(column, cells)
    assert (found["unit"], found["missing"]) == ("seconds since 1970-01-01", 1)
    assert (found["quantiles"]["0.0"], found["quantiles"]["1.0"]) == (0.0, 86_400.0)
    assert observed_range(cells, column.moment) == (cells[2], cells[0])
    assert observed_range([None], column.moment) is None


def test_text_has_the_counts_of_its_values() -> None:
    assert statistics(Column("t", "string"), ["b", "a", "b", None]) == {
        "name": "t",
        "rows": 4,
        "missing": 1,
        "counts": {"b": 2, "a": 1},
        "other": 0,
    }


def test_of_very_many_values_the_most_frequent_are_counted() -> None:
    found = statistics(Column("t", "string"), [f"user {i}" for i in range(150)] + ["regular"] * 5)
    assert len(found["counts"]) == 100
    assert next(iter(found["counts"].items())) == ("regular", 5)
    assert sum(found["counts"].values()) + found["other"] == 155


@pytest.mark.parametrize("column", [Column("n"), Column("t", "string")])
def test_a_column_without_values_has_only_its_missing_ones(column: Column) -> None:
    assert statistics(column, [None, None]) == {"name": column.name, "rows": 2, "missing": 2}


def test_the_observed_range_is_that_of_the_finite_numbers() -> None:
    assert observed_range([3, None, -1.5, float("nan"), float("inf")]) == (-1.5, 3.0)
    assert observed_range([None, float("nan")]) is None
