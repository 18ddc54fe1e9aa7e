"""The metrics of a version's answers against known outcomes."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.errors import PublishError
from models.outputs import Outputs, one_by_one
from models.signature import Output


def sample_scores(output: Output, outputs: Outputs, y: Any) -> dict[str, float]:
    """Return the scores of the answers against outcomes ``y`` of shape (n_rows,) or (n_rows, width).

    Each of several outputs has a score under its own name, and all together have the share of rows in which
    every output is right. Raises PublishError for outcomes of another shape.
    """
    if output.kind == "records":
        raise PublishError("records cannot be scored against outcomes; give metrics instead")
    outcomes, predicted = np.asarray(y), outputs.values
    if outcomes.shape != predicted.shape:
        raise PublishError(f"it has shape {outcomes.shape}, the answers to the sample {predicted.shape}")
    if output.kind == "class":
        return {"sample_accuracy": float(np.mean(predicted == outcomes))}
    if output.kind != "several":
        return {"sample_mean_absolute_error": float(np.mean(np.abs(predicted - outcomes)))}
    scores = {"sample_accuracy": float(np.mean((predicted == outcomes).all(axis=1)))}
    for i, (one, own_outputs) in enumerate(one_by_one(output, outputs)):
        for name, score in sample_scores(one, own_outputs, outcomes[:, i]).items():
            scores[f"{name}_{one.name}"] = score
    return scores
