"""Tests of random pipelines and frames: the estimator's answers, or a refusal with a reason."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import PublishError
from models.publishing import publish
from models.sameness import ABSOLUTE_TOLERANCE, FLOAT32_TOLERANCE
from models.store import Store
from tests.conftest import app_maker
from tests.generated_models import Case, make_case

SEEDS = st.integers(0, 2**32 - 1)
HERE = settings(max_examples=10, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=200, suppress_health_check=list(HealthCheck))


@HERE
@given(seed=SEEDS)
def test_a_random_pipeline_is_served_as_it_answers(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    check(tmp_path_factory.mktemp("generated"), seed)


@pytest.mark.stress
@LONG
@given(seed=SEEDS)
def test_many_random_pipelines_are_served_as_they_answer(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    check(tmp_path_factory.mktemp("generated"), seed)


def check(directory: Path, seed: int) -> None:
    """Publish and serve a case, and compare predictions of single rows and of batches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what scikit-learn says of random data is not the matter
        case = make_case(seed)
        store = Store(directory / "store")
        try:
            publish(store, "toy", case.model, case.sample)
        except PublishError as refusal:
            assert len(str(refusal)) > 20
            assert not store.path.exists()
            return
        with app_maker() as make:
            client = make(store, default_model="toy").test_client()
            rows = list(range(0, len(case.table), 5))
            bodies = case.bodies(rows)
            for row, body in zip(rows, bodies, strict=True):
                alone = client.post("/predict", json={"features": body})
                assert alone.status_code == 200, alone.text
                agrees(case, alone.json["prediction"], alone.json.get("probability"), [row])
            together = client.post("/predict/batch", json={"inputs": bodies})
            assert together.status_code == 200, together.text
            agrees(case, together.json["predictions"], together.json.get("probabilities"), rows)


def agrees(case: Case, prediction: Any, probability: Any, rows: list[int]) -> None:
    """Return whether labels are equal, and numbers within the estimator's precision."""
    expected = case.expected(rows)
    found = np.asarray(prediction).reshape(expected.shape)
    if expected.dtype.kind == "f":
        close(found, expected)
    else:
        assert found.tolist() == expected.tolist()
    if probability is not None:
        chances = case.expected(rows, "predict_proba")
        close(np.asarray(probability).reshape(chances.shape), chances)


def close(found: np.ndarray, expected: np.ndarray) -> None:
    tolerance = FLOAT32_TOLERANCE if expected.dtype == np.float32 else ABSOLUTE_TOLERANCE
    assert np.allclose(found, expected, rtol=tolerance, atol=tolerance)
