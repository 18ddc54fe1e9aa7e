"""The rows and the answers that every arm is held to are the same in every run, and are the estimator's own."""

from __future__ import annotations

import joblib
import numpy as np
import pytest

from benchmarks import workload


@pytest.mark.parametrize("name", workload.MODELS)
def test_rows_are_the_same_for_the_same_seed_and_have_the_models_width(name: str) -> None:
    first, again = workload.rows(name, 5), workload.rows(name, 5)
    assert first == again != workload.rows(name, 5, seed=1)
    assert {len(row) for row in first} == {workload.MODELS[name].n_features}
    assert np.isfinite(first).all()


@pytest.mark.parametrize("n_rows", workload.ROWS_A_REQUEST)
def test_the_requests_of_a_cell_differ_from_each_other(n_rows: int) -> None:
    drawn = workload.requests("lr", n_rows, count=8)
    assert [len(rows) for rows in drawn] == [n_rows] * 8
    assert len({repr(rows) for rows in drawn}) == 8


def test_the_fixed_rows_carry_the_answers_of_the_estimator() -> None:
    fixed = workload.parity("lr")
    estimator = joblib.load(workload.artifact("lr"))
    assert len(fixed.rows) == len(fixed.labels) == len(fixed.probabilities) == workload.PARITY_ROWS
    assert fixed.labels == estimator.predict(fixed.rows).tolist()
    assert np.allclose(fixed.probabilities, estimator.predict_proba(fixed.rows), atol=1e-12)
    assert len(set(fixed.labels)) == 3


def test_a_model_is_trained_once() -> None:
    first = workload.artifact("lr")
    trained = first.stat().st_mtime_ns
    assert workload.artifact("lr") == first
    assert first.stat().st_mtime_ns == trained
