"""Publishing from a script outside of this checkout, as in docs/publishing.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.store import Store
from tests.environments import Environment

ROOT = Path(__file__).parents[3]

SCRIPT = """
import sys
from models.publishing import publish
from models.store import Store
from sklearn.linear_model import LinearRegression

X = [[0.0], [1.0], [2.0]]
print(publish(Store(sys.argv[1]), "line", LinearRegression().fit(X, [1.0, 3.0, 5.0]), X))
"""


@pytest.fixture(params=["PYTHONPATH", "installed"])
def python(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a Python that finds the checkout through a variable, or through the file of an editable
    installation.
    """
    if request.param == "PYTHONPATH":
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        return Path(sys.executable)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    environment = Environment.make(tmp_path / "environment")
    (environment.packages / "__editable__.plumbline.pth").write_text(f"{ROOT}\n")
    return environment.python


def test_a_script_anywhere_publishes_and_says_in_a_line_what(
    python: Path, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "train.py").write_text(SCRIPT)
    done = subprocess.run(
        [python, "train.py", str(store.path)],
        cwd=tmp_path / "elsewhere",
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == f"<line:1 in {store.path}/line/1, sklearn.linear_model._base.LinearRegression>\n"
    assert store.get("line", 1).manifest.example["response"]["prediction"] == pytest.approx(1.0)
