"""What a server imports before it answers, which is most of its memory and of its start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.publishing import publish
from models.store import Store

ROOT = Path(__file__).parents[2]
ROWS, LABELS = np.eye(4), np.array([0, 1, 0, 1])

SERVE = """
import os, sys
os.environ["PLUMBLINE_STORE"] = {store!r}
import numpy as np
from app.inference.messages import Ask
from wsgi import app
app.start()
print(app.services.engine.ask(Ask("toy", "1", np.zeros((1, 4)))).answer.batch_rows)
app.close()
print(*sorted(set({names!r}) & set(sys.modules)))
"""

#: What a server with a logistic regression on an array does without, though it is installed.
UNUSED = (
    "app.cli.commands",
    "flasgger",
    "jsonschema",
    "models.publishing.publication",
    "pandas",
    "sklearn.ensemble",
    "sklearn.naive_bayes",
    "sklearn.neural_network",
    "sklearn.pipeline",
    "sklearn.tree",
    "yaml",
)


def imported(store: Path, model: Any, sample: Any) -> list[str]:
    """Which of ``UNUSED`` a server has imported when it has answered one row."""
    publish(Store(store), "toy", model.fit(sample, LABELS), sample)
    code = SERVE.format(store=str(store), names=UNUSED)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    batch_rows, names = done.stdout.split("\n")[:2]
    assert batch_rows == "1"
    return names.split()


def test_a_server_imports_what_its_model_needs(tmp_path: Path) -> None:
    assert imported(tmp_path, LogisticRegression(), ROWS) == []


def test_a_model_of_data_frames_brings_pandas(tmp_path: Path) -> None:
    by_name = make_column_transformer((StandardScaler(), ["a", "b"]), remainder="passthrough")
    sample = pd.DataFrame(ROWS, columns=list("abcd"))
    assert imported(tmp_path, make_pipeline(by_name, LogisticRegression()), sample) == [
        "pandas",
        "sklearn.pipeline",
    ]
