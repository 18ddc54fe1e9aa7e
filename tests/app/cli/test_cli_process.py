"""The `flask` command as a process: it is quick, and adapts its output to a pipe or a terminal."""

from __future__ import annotations

import json
import os
import pty
import resource
import select
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from models.publishing import publish
from models.store import Store
from tests.conftest import LONG_SECONDS

ROOT = Path(__file__).resolve().parents[3]
FLASK = [sys.executable, "-m", "flask"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    X = np.arange(8.0).reshape(4, 2)
    for _ in range(2):
        publish(store, "toy", LinearRegression().fit(X, X.sum(axis=1)), X)
    return store


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a user's shell, with the store as the only setting."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PLUMBLINE_", "FLASK_"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "HOST", "PORT", "WORKERS"):
        clean.pop(name, None)
    return {**clean, "TERM": "xterm-256color", "PLUMBLINE_STORE": str(tmp_path / "store")}


def flask(env: dict[str, str], *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*FLASK, *words], cwd=ROOT, env=env, input=stdin, capture_output=True, text=True)


def on_a_terminal(env: dict[str, str], *words: str, answer: str = "") -> tuple[int, str]:
    """Return the exit code and the output on a terminal, where ``answer`` is typed at a prompt."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*FLASK, *words], cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    seen, deadline = b"", time.monotonic() + LONG_SECONDS
    try:
        while time.monotonic() < deadline and select.select([ours], [], [], LONG_SECONDS)[0]:
            seen += os.read(ours, 65536)
            if answer and b"[y/N]" in seen:
                os.write(ours, f"{answer}\n".encode())
                answer = ""
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    return process.wait(timeout=LONG_SECONDS), seen.decode()


def test_the_list_is_quick_and_imports_no_framework(env: dict[str, str], store: Store) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flask", "models", "list"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 3
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "app.cli" in imported
    assert not imported & {"sklearn", "pandas", "scipy", "joblib"}

    def processor_seconds(*command: str) -> float:
        """Return the least processor time of three calls, which does not depend on other processes."""
        spent = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(spent)

    framework = processor_seconds(sys.executable, "-c", "import sklearn.pipeline, pandas")
    assert processor_seconds(*FLASK, "models", "list") < framework, (
        "it was a fifth of what it would be with them"
    )


def test_publishes_and_predicts_through_pipes(env: dict[str, str], tmp_path: Path) -> None:
    X = np.arange(8.0).reshape(4, 2)
    joblib.dump(LinearRegression().fit(X, X.sum(axis=1)), tmp_path / "sum.joblib")
    row = '{"features": [1, 2]}'
    done = flask(
        env, "models", "publish", "sum", str(tmp_path / "sum.joblib"), "--example", "-", "--json", stdin=row
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["version"] == 1
    done = flask(env, "predict", "sum", "--input", "-", "--json", stdin=row)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["prediction"] == pytest.approx(3.0)


def test_a_pipe_gets_whole_lines_without_colours_or_boxes(env: dict[str, str], store: Store) -> None:
    shown = flask(env, "models", "show", "toy").stdout
    assert shown.isprintable() or shown.replace("\n", "").isprintable()
    assert "\x1b" not in shown
    assert "─" not in shown
    assert any(line.startswith("call ") and line.endswith("}'") for line in shown.splitlines())


def test_a_reader_that_leaves_early_is_no_failure_worth_a_traceback(
    env: dict[str, str], store: Store
) -> None:
    process = subprocess.Popen(
        [*FLASK, "models", "list", "--json"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=LONG_SECONDS)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PLUMBLINE_STOER", "x", "did you mean PLUMBLINE_STORE?"),
        ("PLUMBLINE_MAX_ROWS", "many", "PLUMBLINE_MAX_ROWS='many'"),
        ("PLUMBLINE_STORE_KEY", "/nowhere/key", "PLUMBLINE_STORE_KEY"),
    ],
)
def test_a_wrong_setting_is_one_line(env: dict[str, str], name: str, value: str, words: str) -> None:
    for command in (["models", "list"], ["predict", "toy", "--example"]):
        done = flask({**env, name: value}, *command)
        assert (done.returncode == 0, done.stdout) == (False, "")
        assert len(done.stderr.splitlines()) == 1
        assert words in done.stderr


def test_a_terminal_gets_a_table_and_no_color_is_honoured(env: dict[str, str], store: Store) -> None:
    code, shown = on_a_terminal(env, "models", "list")
    assert code == 0
    assert "checking toy:2" in shown
    assert "─" in shown
    assert "\x1b[3" in shown
    code, plain = on_a_terminal({**env, "NO_COLOR": "1"}, "models", "list")
    assert code == 0
    assert "\x1b[3" not in plain


def test_asks_before_it_deletes(env: dict[str, str], store: Store) -> None:
    code, shown = on_a_terminal(env, "models", "delete", "toy:2", answer="n")
    assert (code, store.versions("toy")) == (1, [1, 2])
    assert "Delete toy:2? This cannot be undone [y/N]" in shown
    assert "Traceback" not in shown
    code, shown = on_a_terminal(env, "models", "delete", "toy:2", answer="y")
    assert (code, store.versions("toy")) == (0, [1])
    code, shown = on_a_terminal(env, "models", "delete", "toy", "--all", "--yes")
    assert (code, store.names()) == (0, [])
    assert "[y/N]" not in shown


def test_the_demo_models_are_trained_with_a_progress_bar_and_answer(
    env: dict[str, str], store: Store
) -> None:
    X = np.arange(8.0).reshape(4, 2)
    publish(store, "iris", LinearRegression().fit(X, X.sum(axis=1)), X)
    code, shown = on_a_terminal(env, "models", "demo")
    assert code == 0
    assert "training and publishing iris" in shown
    assert "flask predict iris --example" in shown
    assert store.versions("iris") == [1, 2, 3]
    assert len(store.names()) == 6
    assert (
        json.loads(flask(env, "predict", "iris:latest", "--example", "--json").stdout)["model_version"] == "3"
    )
    assert json.loads(flask(env, "models", "demo", "--if-empty", "--json").stdout) == {"published": []}
