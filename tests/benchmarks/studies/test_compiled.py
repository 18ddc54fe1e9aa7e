"""The table of compiled forms, measured briefly on the smallest model."""

from __future__ import annotations

import pytest

from benchmarks.studies import compiled
from models.publishing.compiling import choice


@pytest.fixture(scope="module")
def lines() -> list[compiled.Line]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "WORTHWHILE", 0.0)  # speed on a busy machine is not what is tested
        return list(compiled.measure(["lr"], calls=6))


def test_every_choice_has_a_line(lines: list[compiled.Line]) -> None:
    assert {line.compile: line.form for line in lines} == {
        "none": "original",
        "auto": "onnx float64",
        "treelite": "original",
        "onnx": "onnx float64",
    }
    assert all(value > 0 for line in lines for value in line.microseconds)


def test_the_table_shows_forms_and_says_what_has_none(lines: list[compiled.Line]) -> None:
    text = compiled.shown(lines)
    assert "| scaled logistic regression, 4 features | auto | onnx float64 | " in text
    assert "- lr, treelite: cannot be compiled: compiled trees: LogisticRegression is neither a tree" in text
