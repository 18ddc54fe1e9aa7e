"""Models of their publisher's own classes: the modules are part of the version and take precedence."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from models.errors import ArtifactDamaged, CodeMissing, LoadError, PublishError
from models.publishing import publish
from models.runtimes.loading import load_version
from models.store import Store
from tests.toys import directory

ROWS = [[1.0, 2.0], [3.0, 4.0]]

#: A model in a module of its own: it multiplies the first column.
TIMES = """
class Times:
    def __init__(self, factor):
        self.factor = factor

    def predict(self, X):
        return X[:, 0] * self.factor
"""


def write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(textwrap.dedent(text))
    return directory


def train(directory: Path, expression: str, imports: str) -> Path:
    """Pickle an object in another process, whose working directory has the modules that it needs."""
    program = f"import pickle\n{imports}\nwith open('model.pickle', 'wb') as f: pickle.dump({expression}, f)"
    subprocess.run([sys.executable, "-c", program], cwd=directory, check=True)
    return directory / "model.pickle"


def answer(store: Store, name: str, version: int = 1) -> list[float]:
    values: list[float] = load_version(store.get(name, version)).predict(np.array(ROWS), {}).values.tolist()
    return values


def test_a_class_in_a_module_is_served_where_that_module_is_unknown(store: Store, tmp_path: Path) -> None:
    work = write(tmp_path / "work", {"own_times.py": TIMES})
    model = train(work, "Times(3)", "from own_times import Times")
    version = publish(store, "times", model, ROWS, code=work / "own_times.py")
    (work / "own_times.py").unlink()
    assert sorted(version.manifest.files) == [
        "code/own_times.py",
        "golden.json",
        "model.joblib",
        "reference.json",
    ]
    assert answer(store, "times") == [3.0, 9.0]
    assert "own_times" not in sys.modules


def test_a_scikit_learn_pipeline_with_a_step_of_one_s_own(store: Store, tmp_path: Path) -> None:
    work = write(
        tmp_path / "work",
        {
            "steps.py": """
                from sklearn.base import BaseEstimator, TransformerMixin

                class Halve(BaseEstimator, TransformerMixin):
                    def fit(self, X, y=None):
                        self.n_features_in_ = X.shape[1]
                        return self

                    def transform(self, X):
                        return X / 2
                """,
            "training.py": """
                import joblib
                import numpy as np
                from sklearn.linear_model import LinearRegression
                from sklearn.pipeline import make_pipeline
                from steps import Halve

                joblib.dump(make_pipeline(Halve(), LinearRegression()).fit(np.array([[2], [4]]), [1, 2]), "model.joblib")
                """,
        },
    )
    subprocess.run([sys.executable, "training.py"], cwd=work, check=True)
    with pytest.raises(CodeMissing, match="needs 'Halve' of module 'steps'"):
        publish(store, "halves", work / "model.joblib", [[2.0]])
    version = publish(store, "halves", work / "model.joblib", [[2.0]], code=work / "steps.py")
    assert version.manifest.framework == "scikit-learn"
    outputs = load_version(version).predict(np.array([[6.0]]), {})
    assert outputs.values.tolist() == pytest.approx([3.0])


def test_a_package_imports_its_own_modules_in_every_way(store: Store, tmp_path: Path) -> None:
    work = write(
        tmp_path / "work",
        {
            "own/__init__.py": "from .model import Total",
            "own/model.py": """
                import own
                import own.parts.scale
                import own.parts.shift as shift
                from own import parts
                from own.parts import scale
                from . import parts as again
                from .parts.shift import shifted

                class Total:
                    def predict(self, X):
                        from own.parts import late
                        assert parts is again is own.parts
                        assert shift.shifted is shifted
                        return late.same(own.parts.scale.scaled(shifted(X[:, 0])) + scale.scaled(0))
                """,
            "own/parts/__init__.py": "",
            "own/parts/scale.py": "def scaled(x): return x * 10",
            "own/parts/shift.py": "from ..numbers import ONE\ndef shifted(x): return x + ONE",
            "own/parts/late.py": "def same(x): return x",
            "own/numbers.py": "from math import pi\nONE = round(pi) - 2",
            "own/data.txt": "not imported",
            "own/__pycache__/model.cpython-311.pyc": "not taken",
        },
    )
    model = train(work, "own.Total()", "import own")
    version = publish(store, "total", model, ROWS, code=work / "own")
    assert "code/own/data.txt" in version.manifest.files
    assert not any("pycache" in path for path in version.manifest.files)
    assert answer(store, "total") == [20.0, 40.0]
    assert not any(name.split(".")[0] == "own" for name in sys.modules)


def test_a_directory_of_modules_and_folders_is_taken_whole(store: Store, tmp_path: Path) -> None:
    work = write(
        tmp_path / "work",
        {
            "first.py": "from folder.second import number\nclass One:\n def predict(self, X): return X[:, 0] + number()",
            "folder/second.py": "from third import NUMBER\ndef number(): return NUMBER",
            "third.py": "NUMBER = 5.0",
        },
    )
    model = train(work, "One()", "from first import One")
    publish(store, "folders", model, ROWS, code=work)
    assert answer(store, "folders") == [6.0, 8.0]


def test_a_class_of_the_training_script_itself(store: Store, tmp_path: Path) -> None:
    work = write(
        tmp_path / "work",
        {
            "train.py": TIMES
            + "\nif __name__ == '__main__':\n import joblib\n joblib.dump(Times(2), 'model.joblib')\n"
        },
    )
    subprocess.run([sys.executable, "train.py"], cwd=work, check=True)
    with pytest.raises(CodeMissing) as missing:
        publish(store, "script", work / "model.joblib", ROWS)
    assert "'Times' of module '__main__'" in str(missing.value)
    publish(store, "script", work / "model.joblib", ROWS, code=work / "train.py")
    assert answer(store, "script") == [2.0, 6.0]


def test_two_versions_of_one_module_answer_side_by_side(store: Store, tmp_path: Path) -> None:
    for i, operator in enumerate("*+", start=1):
        work = write(tmp_path / str(i), {"own.py": TIMES.replace("*", operator)})
        publish(store, "both", train(work, "Times(10)", "from own import Times"), ROWS, code=work / "own.py")
    first, second = (load_version(store.get("both", number)) for number in (1, 2))
    assert first.predict(np.array(ROWS), {}).values.tolist() == [10.0, 30.0]
    assert second.predict(np.array(ROWS), {}).values.tolist() == [11.0, 13.0]
    assert first.predict(np.array(ROWS), {}).values.tolist() == [10.0, 30.0]


@pytest.mark.parametrize("module", ["app", "models", "schemas", "errors", "numpy"])
def test_a_module_called_like_one_of_the_server_s_is_the_version_s_own(
    store: Store, tmp_path: Path, module: str
) -> None:
    work = write(tmp_path / "work", {f"{module}.py": TIMES})
    model = train(work, "Times(4)", f"from {module} import Times")
    with pytest.raises(LoadError, match=f"needs 'Times' of module '{module}', which .*--code PATH"):
        publish(store, "own", model, ROWS)
    server_s = sys.modules.get(module)
    publish(store, "own", model, ROWS, code=work / f"{module}.py")
    assert answer(store, "own") == [4.0, 12.0]
    assert sys.modules.get(module) is server_s


def test_code_that_is_missing_is_one_line_that_names_module_class_and_option(
    store: Store, tmp_path: Path
) -> None:
    work = write(tmp_path / "work", {"nowhere/deep.py": TIMES, "other.py": TIMES})
    model = train(work, "Times(1)", "from nowhere.deep import Times")
    for code in (None, work / "other.py"):
        with pytest.raises(CodeMissing) as missing:
            publish(store, "lost", model, ROWS, code=code)
        message = str(missing.value)
        assert "needs 'Times' of module 'nowhere.deep'" in message
        assert "publish it with --code PATH" in message
        assert "\n" not in message
    assert store.names() == []


def test_code_without_the_class_is_missing_too(store: Store, tmp_path: Path) -> None:
    work = write(tmp_path / "work", {"own.py": TIMES})
    model = train(work, "Times(1)", "from own import Times")
    write(work, {"own.py": "class Other: pass"})
    with pytest.raises(CodeMissing, match="needs 'Times' of module 'own'"):
        publish(store, "own", model, ROWS, code=work / "own.py")


def test_code_that_fails_says_so_in_one_line(store: Store, tmp_path: Path) -> None:
    work = write(tmp_path / "work", {"own.py": TIMES})
    model = train(work, "Times(1)", "from own import Times")
    write(work, {"own.py": "raise RuntimeError('no\\nway')"})
    with pytest.raises(LoadError) as failed:
        publish(store, "own", model, ROWS, code=work / "own.py")
    assert failed.value.in_full == "the artifact cannot be unpickled: RuntimeError (no way)"


def test_code_that_lacks_a_part_of_itself_names_the_part(store: Store, tmp_path: Path) -> None:
    work = write(tmp_path / "work", {"own/__init__.py": TIMES, "own/part.py": ""})
    model = train(work, "Times(1)", "from own import Times")
    for line in (
        "import own.parts",
        "from own.parts import x",
        "from .parts import x",
        "from own import parts",
    ):
        write(work, {"own/__init__.py": f"{line}\n{TIMES}"})
        with pytest.raises(CodeMissing, match="needs 'Times' of module 'own'") as missing:
            publish(store, "own", model, ROWS, code=work / "own")
        assert "parts" in missing.value.in_full


def test_changed_code_is_never_run(store: Store, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    work = write(
        tmp_path / "work", {"own.py": f"with open({str(trace)!r}, 'a') as file: file.write('x')\n{TIMES}"}
    )
    model = train(work, "Times(2)", "from own import Times")
    version = publish(store, "own", model, ROWS, code=work / "own.py")
    before = trace.read_text()
    code = directory(version) / "code" / "own.py"
    code.write_bytes(code.read_bytes().replace(b"'a'", b"'w'"))
    with pytest.raises(
        ArtifactDamaged, match=r"own/1/code/own\.py does not match its recorded SHA-256 digest"
    ):
        load_version(store.get("own", 1))
    assert trace.read_text() == before


#: What fit() keeps where no pickle holds it.
FORGETTING = """
from sklearn.base import BaseEstimator, RegressorMixin

FACTORS = [1.0]

class InModule(RegressorMixin, BaseEstimator):
    def fit(self, X, y=None):
        FACTORS[0] = 5.0
        return self

    def predict(self, X):
        return X[:, 0] * FACTORS[0]

class InClass(InModule):
    factor = 1.0

    def fit(self, X, y=None):
        type(self).factor = 5.0
        return self

    def predict(self, X):
        return X[:, 0] * self.factor

class NotInState(InClass):
    def fit(self, X, y=None):
        self.factor = 5.0
        return self

    def __getstate__(self):
        return {}
"""


@pytest.mark.parametrize("kind", ["InModule", "InClass", "NotInState"])
def test_what_a_pickle_forgets_is_found_out(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The object's answers are 5 times those of the model that a server would load."""
    write(tmp_path, {f"forgetting_{kind}.py": FORGETTING})
    monkeypatch.syspath_prepend(tmp_path)
    model = getattr(importlib.import_module(f"forgetting_{kind}"), kind)().fit(ROWS)
    assert model.predict(np.array(ROWS)).tolist() == [5.0, 15.0]
    with pytest.raises(PublishError, match="answers differently when it is loaded from its pickle"):
        publish(store, "toy", model, np.array(ROWS), code=tmp_path / f"forgetting_{kind}.py")
