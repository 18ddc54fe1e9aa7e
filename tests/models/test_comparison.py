"""Comparisons of two versions: counts that can be verified by hand, and intervals with the right coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.comparison import comparable, compare, compare_answers, compare_truth
from models.outputs import Outputs
from models.signature import Column, Output, Signature
from tests.toys import summing_draft

NUMBERS = Signature((Column("size"), Column("colour", "category", values=("blue", "red"))), Output("number"))
LABELS = Signature((Column("size"),), Output("class", classes=("no", "yes"), probability=True))


def table(sizes: list[float], colours: list[str]) -> np.ndarray:
    rows = np.empty((len(sizes), 2), dtype=object)
    rows[:, 0], rows[:, 1] = sizes, colours
    return rows


def test_equal_answers_have_nothing_to_tell() -> None:
    same = Outputs(np.arange(20.0))
    found = compare_answers(NUMBERS, table([1.0] * 20, ["red"] * 20), same, Outputs(np.arange(20.0)))
    assert (found["rows"], found["changed"], found["changed_share"]) == (20, 0, 0.0)
    assert found["rows_that_differ_most"] == found["slices"] == []
    assert found["difference"]["quantiles"]["1.0"] == 0.0


def test_where_answers_part_is_found() -> None:
    """Red rows differ by 3, and one of them by 50."""
    rows = table([float(i) for i in range(40)], ["red", "blue"] * 20)
    one = Outputs(np.zeros(40))
    other = np.where(rows[:, 1] == "red", 3.0, 0.0)
    other[10] = 50.0
    found = compare_answers(NUMBERS, rows, one, Outputs(other))
    assert (found["changed"], found["changed_share"]) == (20, 0.5)
    first = found["rows_that_differ_most"][0]
    assert (first["row"], first["difference"]) == (10, 50.0)
    assert first["values"] == {"size": 10.0, "colour": "red"}
    assert first["answers"] == [{"prediction": 0.0}, {"prediction": 50.0}]
    assert found["slices"][0] == {"column": "colour", "slice": "= red", "rows": 20, "changed_share": 1.0}
    assert all(part["slice"] != "= blue" for part in found["slices"])
    assert sum(found["difference"]["histogram"]["counts"]) == 40


def test_a_probability_alone_changes_no_prediction() -> None:
    one = Outputs(np.array(["no", "yes"] * 10), np.array([[0.9, 0.1], [0.2, 0.8]] * 10))
    other = Outputs(np.array(["no", "yes"] * 10), np.array([[0.7, 0.3], [0.1, 0.9]] * 10))
    found = compare_answers(LABELS, np.arange(20.0)[:, None], one, other)
    assert found["changed"] == 0
    assert found["difference"]["quantiles"]["0.0"] == pytest.approx(-0.2)
    assert found["difference"]["quantiles"]["1.0"] == pytest.approx(0.1)


def test_accuracy_has_wilsons_interval() -> None:
    truth = np.array(["yes"] * 50 + ["no"] * 50)
    one, other = np.array(["yes"] * 100), np.where(np.arange(100) < 90, truth, "yes")
    found = compare_truth(LABELS, truth, Outputs(one), Outputs(other))
    assert (found["measure"], found["better"]) == ("accuracy", "more")
    assert [score["value"] for score in found["scores"]] == [0.5, 0.9]
    # 50 of 100: worked out from the published formula.
    assert found["scores"][0]["interval"] == pytest.approx([0.4038, 0.5962], abs=1e-4)
    assert found["difference"]["value"] == pytest.approx(0.4)
    assert found["difference"]["clear"]


def test_an_error_is_less_or_not_clearly_so() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=400)
    good, bad = truth + rng.normal(size=400) * 0.1, truth + rng.normal(size=400)
    found = compare_truth(NUMBERS, truth, Outputs(bad), Outputs(good))
    assert found["measure"] == "mean absolute error"
    assert found["difference"]["value"] < 0 and found["difference"]["clear"]
    low, high = found["scores"][1]["interval"]
    assert low < found["scores"][1]["value"] < high
    same = compare_truth(NUMBERS, truth, Outputs(bad), Outputs(bad[::-1][::-1]))
    assert same["difference"] == {"value": 0.0, "interval": [0.0, 0.0], "clear": False}


def test_what_was_recorded_is_shown_where_it_differs() -> None:
    one = replace(summing_draft().manifest, version=1, metrics={"auc": 0.7})
    columns = (Column("a", minimum=0.0), Column("c"))
    other = replace(
        one, version=2, metrics={"auc": 0.8, "f1": 0.5}, signature=replace(one.signature, columns=columns)
    )
    outputs = Outputs(np.arange(3.0))
    found = compare(one, other, np.zeros((3, 2)), (outputs, outputs)).to_json()
    assert found["versions"] == [1, 2]
    assert found["metadata"]["metrics"] == {"auc": [0.7, 0.8], "f1": [None, 0.5]}
    assert found["metadata"]["columns"] == {
        "a": ["float", "float 0.0 to None"],
        "b": ["float", None],
        "c": [None, "float"],
    }
    assert "truth" not in found
    assert found["metadata"]["differing"] == {}


def test_versions_of_other_columns_cannot_be_asked_the_same() -> None:
    assert comparable(NUMBERS, NUMBERS) == ""
    assert "different columns" in comparable(NUMBERS, LABELS)
    assert "one answers number, the other class" in comparable(
        replace(LABELS, output=Output("number")), LABELS
    )
