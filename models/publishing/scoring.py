"""How well a version's answers meet known outcomes, as the metrics that it records."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.errors import PublishError
from models.outputs import Outputs, one_by_one
from models.signature import Output


def sample_scores(output: Output, outputs: Outputs, y: Any) -> dict[str, float]:
    """y : the outcomes, of shape (n_rows,) or (n_rows, width). Raises PublishError for those of another
    shape.

    Of several outputs each has a score under its name, and all together the share of rows in which all are
    right.
    """
    if output.kind == "records":
        raise PublishError("records cannot be scored against outcomes; give metrics instead")
    given, predicted = np.asarray(y), outputs.values
    if given.shape != predicted.shape:
        raise PublishError(f"it has shape {given.shape}, the answers to the sample {predicted.shape}")
    if output.kind == "class":
        return {"sample_accuracy": float(np.mean(predicted == given))}
    if output.kind != "several":
        return {"sample_mean_absolute_error": float(np.mean(np.abs(predicted - given)))}
    found = {"sample_accuracy": float(np.mean((predicted == given).all(axis=1)))}
    for i, (one, own) in enumerate(one_by_one(output, outputs)):
        for name, score in sample_scores(one, own, given[:, i]).items():
            found[f"{name}_{one.name}"] = score
    return found
