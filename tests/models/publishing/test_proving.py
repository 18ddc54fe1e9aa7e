"""A version is loaded with nothing but a server's modules before it is published; a refusal names the
remedy.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.errors import PublishError
from models.libraries import canonical, requirements_of
from models.publishing import publish
from models.publishing.proving import INTERPRETER
from models.store import Store
from tests.conftest import wait_until
from tests.models.elsewhere import Homebody
from tests.models.runtimes.test_user_code import TIMES, write
from tests.toys import Summing

ROOT = Path(__file__).parents[3]

#: The end of a training script: it publishes ``made()`` with each code that is given, and says what came of it.
PUBLISH = """
if __name__ == "__main__":
    import sys
    from models.errors import PlumblineError
    from models.publishing import publish
    from models.store import Store

    for code in sys.argv[2:] or [None]:
        try:
            rows = [[0.0, 1.0], [1.0, 3.0]] * 20
            print(publish(Store(sys.argv[1]), "toy", made(), rows, code=code or None).manifest.version)
        except PlumblineError as error:
            print(type(error).__name__, error)
"""

#: Answers the logarithm of one more than the sum of both columns.
PIPELINE = """
def made():
    import numpy as np
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from features import added

    X = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 2.0]])
    return make_pipeline(FunctionTransformer(added), LinearRegression()).fit(X, X.sum(axis=1))
"""
FEATURES = "def added(X): return X.sum(axis=1, keepdims=True)"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a directory for training outside of this checkout."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def script(store: Store, work: Path, *code: str, run: str = "train.py") -> str:
    """Run the training script as anybody would who has this checkout on the PYTHONPATH; what it says.

    ``code`` : what it publishes with, once for each; "" for none.
    """
    command = [sys.executable, run, str(store.path), *code]
    path = os.pathsep.join([str(ROOT), str(work / "elsewhere")])
    done = subprocess.run(
        command, cwd=work, env={**os.environ, "PYTHONPATH": path}, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


def fresh_answer(store: Store) -> list[float]:
    """Return the answers of toy:1 in a process that starts where a server starts."""
    program = (
        "import sys, numpy as np; from models.runtimes.loading import load_version; from models.store import Store\n"
        "runtime = load_version(Store(sys.argv[1]).get('toy', 1))\n"
        "print(*runtime.predict(np.array([[1.0, 2.0], [3.0, 4.0]]), {}).values.tolist())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.check_output(
        [sys.executable, "-c", program, str(store.path)], cwd=ROOT, env=environment, text=True
    )
    return [*map(float, found.split())]


def test_a_class_of_the_training_script_is_refused_with_the_script_s_name(store: Store, work: Path) -> None:
    write(work, {"train.py": f"{TIMES}    n_features_in_ = 2\ndef made(): return Times(2.0)\n{PUBLISH}"})
    refused, number = script(store, work, "", "train.py").splitlines()
    assert refused == (
        "CodeMissing the model needs 'Times' of module '__main__', which cannot be imported here; "
        f"publish it with --code {work / 'train.py'}"
    )
    assert number == "1"
    assert fresh_answer(store) == [2.0, 6.0]


def test_a_function_beside_the_training_script_is_refused_with_its_file_s_name(
    store: Store, work: Path
) -> None:
    write(work, {"train.py": PIPELINE + PUBLISH, "features.py": FEATURES})
    refused, number = script(store, work, "", "features.py").splitlines()
    assert "CodeMissing the model needs 'added' of module 'features'" in refused
    assert refused.endswith(f"--code {work / 'features.py'}")
    assert number == "1"
    assert fresh_answer(store) == pytest.approx([3.0, 7.0])


def test_a_package_is_named_by_its_directory_and_the_publisher_s_pythonpath_does_not_count(
    store: Store, work: Path
) -> None:
    files = {
        "elsewhere/features/__init__.py": "from .sums import added",
        "elsewhere/features/sums.py": FEATURES,
    }
    write(work, {"train.py": PIPELINE + PUBLISH, **files})
    refused, number = script(store, work, "", "elsewhere/features").splitlines()
    assert refused.endswith(f"--code {work / 'elsewhere' / 'features'}")
    assert number == "1"
    assert fresh_answer(store) == pytest.approx([3.0, 7.0])


def test_a_module_that_is_imported_only_when_the_model_is_called(store: Store, work: Path) -> None:
    late = "def added(X):\n    import sums\n    return sums.added(X)"
    write(work, {"train.py": PIPELINE + PUBLISH, "features.py": late, "sums.py": FEATURES})
    refused, number = script(store, work, "features.py", ".").splitlines()
    assert "CodeMissing the model needs the module 'sums'" in refused
    assert refused.endswith(f"--code {work}, the directory that holds both it and features.py")
    assert number == "1"
    assert fresh_answer(store) == pytest.approx([3.0, 7.0])


def test_what_was_written_at_a_prompt_belongs_into_a_file(store: Store, work: Path) -> None:
    write(work, {"train.py": f"{TIMES}    n_features_in_ = 2\ndef made(): return Times(2.0)\n{PUBLISH}"})
    notebook = "text = open('train.py').read(); exec(text)"
    said = subprocess.run(
        [sys.executable, "-", str(store.path)],
        cwd=work,
        input=notebook,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    ).stdout
    assert "'Times' of module '__main__'" in said
    assert "--code FILE.py, after moving it from the notebook or prompt into that file" in said


def test_a_script_that_publishes_itself_whenever_it_is_imported_is_told_so(store: Store, work: Path) -> None:
    always = PUBLISH.replace('if __name__ == "__main__":', "if True:")
    write(work, {"train.py": f"{TIMES}    n_features_in_ = 2\ndef made(): return Times(2.0)\n{always}"})
    said = script(store, work, "train.py")
    assert "PublishError train.py publishes when it is imported" in said
    assert store.names() == []


@pytest.mark.parametrize(
    ("elsewhere", "why"),
    [
        ("exits", r"loading it ended its process \(exit status 7\)"),
        ("fails", r"FileNotFoundError: .*no/such/vocabulary\.txt"),
        ("counts on", "its golden rows do not give the recorded answers"),
    ],
)
def test_what_a_model_does_in_another_process_is_found_out_before_it_is_stored(
    store: Store, elsewhere: str, why: str
) -> None:
    with pytest.raises(PublishError, match=f"a server could not serve it.*: {why}"):
        publish(store, "toy", Homebody(elsewhere), [[1.0], [2.0]])
    assert not store.path.exists()
    assert publish(store, "toy", Summing(), [[1.0, 2.0]]).manifest.version == 1, "the next one is not harmed"


@pytest.mark.parametrize("seen", [False, True], ids=["just now", "a while ago"])
def test_an_interpreter_that_died_is_replaced(store: Store, seen: bool) -> None:
    with INTERPRETER.fork() as connection:
        assert connection.recv(6) == b"begun\n"
    process = INTERPRETER._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    if seen:
        process.wait()
    assert publish(store, "toy", Summing(), [[1.0, 2.0]]).manifest.version == 1


def test_nothing_is_left_of_a_publisher_that_was_killed(store: Store, tmp_path: Path) -> None:
    program = (
        "import sys; from tests.models.elsewhere import Homebody; from models.publishing import publish; from models.store import Store\n"
        "publish(Store(sys.argv[1]), 'toy', Homebody('hangs'), [[1.0], [2.0]], on_step=lambda s: print(s, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(store.path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as publisher:
        assert publisher.stdout is not None
        assert any(line.startswith("proving") for line in publisher.stdout)
        (interpreter,) = children(publisher.pid)
        wait_until(lambda: children(interpreter) != [], 120)
        (fork,) = children(interpreter)
        publisher.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (interpreter, fork)), 60)


def children(pid: int) -> list[int]:
    return [*map(int, re.findall(r"\d+", Path(f"/proc/{pid}/task/{pid}/children").read_text()))]


def test_libraries_are_recorded_and_not_what_they_import_only_because_it_is_there(store: Store) -> None:
    """imbalanced-learn imports pytest if it is installed, and a server does not have it."""
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.pipeline import make_pipeline

    X = np.random.default_rng(2).normal(size=(60, 2))
    model = make_pipeline(RandomOverSampler(random_state=0), LogisticRegression()).fit(X, X[:, 0] > 0)
    libraries = publish(store, "toy", model, X).manifest.libraries
    assert libraries["imbalanced-learn"] == metadata.version("imbalanced-learn")
    assert "pytest" not in libraries
    assert libraries.keys() <= {canonical(name) for name in requirements_of(["imbalanced-learn"])} | {
        "python"
    }


def test_code_of_one_s_own_records_what_it_imports(store: Store, work: Path) -> None:
    write(work, {"features.py": f"import dill\n{FEATURES}", "train.py": PIPELINE + PUBLISH})
    assert script(store, work, "features.py") == "1"
    assert store.get("toy", 1).manifest.libraries["dill"] == metadata.version("dill")
