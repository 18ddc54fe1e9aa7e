"""A compiled form serves only where it matches its record; otherwise the original serves, and the log has the
reason.
"""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from models.compiled import compiled_state
from models.errors import ArtifactDamaged, PredictError
from models.golden import GOLDEN
from models.outputs import Outputs
from models.publishing import publish
from models.publishing.compiling import choice
from models.publishing.publication import Description, draft_version
from models.record import Record
from models.runtime import Runtime
from models.runtimes.compiled_runtime import CompiledRuntime
from models.runtimes.loading import load_version
from models.runtimes.sklearn_runtime import SklearnRuntime
from models.store import Store
from models.store.archive import export_version, import_version
from schemas.documents import version_document
from tests.toys import ToyRuntime, directory

pytestmark = pytest.mark.usefixtures("compiler")

ROOT = Path(__file__).parents[3]
RNG = np.random.default_rng(5)
X = RNG.normal(size=(120, 3)).round(2)
Y = (X[:, 0] + X[:, 1] > 0).astype(int)

Log = pytest.LogCaptureFixture


@pytest.fixture(scope="module", autouse=True)
def however_fast() -> Iterator[None]:
    """Keep forms of small models although they are hardly faster on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "WORTHWHILE", 0.0)
        yield


@pytest.fixture(scope="module")
def trees(however_fast: None) -> Record:
    model = RandomForestClassifier(4, random_state=0).fit(X, Y)
    return draft_version("toy", model, X, None, Description(compile="treelite"))


@pytest.fixture(scope="module")
def graph(however_fast: None) -> Record:
    return draft_version("toy", LogisticRegression().fit(X, Y), X, None, Description(compile="onnx"))


def stored(store: Store, draft: Record, **changed: Any) -> Record:
    """Store the draft with some members of its compiled form's record changed."""
    compiled = {**draft.manifest.compiled, **changed}
    return store.add(replace(draft.manifest, compiled=compiled), draft.files)


def served_by_original(version: Record, caplog: Log) -> str:
    """Return the reason in the log."""
    with caplog.at_level(logging.WARNING, "plumbline"):
        runtime = load_version(version)
    assert isinstance(runtime, SklearnRuntime) and len(runtime.predict(X, {})) == len(X)
    (line,) = (entry.getMessage() for entry in caplog.records)
    assert line.startswith("toy:1 is served by its original: ")
    return str(line)


def test_a_form_of_this_machine_opens_without_a_word(store: Store, trees: Record, caplog: Log) -> None:
    assert isinstance(load_version(stored(store, trees)), CompiledRuntime)
    assert caplog.records == []


@pytest.mark.parametrize("fact", ["system", "machine", "libc"])
def test_another_platform_means_the_original(store: Store, trees: Record, caplog: Log, fact: str) -> None:
    there = {**trees.manifest.compiled["platform"], fact: "pdp11"}
    version = stored(store, trees, platform=there)
    assert "it was built for " in served_by_original(version, caplog)
    shown = version_document({}, version.manifest)["compiled"]
    assert (shown["form"], shown["here"]["form"]) == ("treelite", "original")
    assert "pdp11" in shown["here"]["why"]


def test_another_library_version_means_the_original(store: Store, graph: Record, caplog: Log) -> None:
    version = stored(store, graph, libraries={"onnxruntime": "0.1"})
    assert "needs onnxruntime 0.1 (here 1." in served_by_original(version, caplog)


def test_a_record_of_another_release_means_the_original(store: Store, trees: Record, caplog: Log) -> None:
    version = stored(store, trees, lanes=4)
    assert "the record of its compiled form was written by another release" in served_by_original(
        version, caplog
    )
    assert compiled_state(version.manifest.compiled)["here"]["form"] == "original"


def test_an_unknown_form_means_the_original(store: Store, trees: Record, caplog: Log) -> None:
    version = stored(store, trees, form="abacus")
    assert "no compiled form that this release can open" in served_by_original(version, caplog)


@pytest.mark.parametrize("kind", ["trees", "graph"])
def test_a_form_that_cannot_be_opened_means_the_original(
    store: Store, request: pytest.FixtureRequest, caplog: Log, kind: str
) -> None:
    draft = request.getfixturevalue(kind)
    broken = draft.with_files({draft.manifest.compiled["file"]: b"\x7fELF, or so it says"})
    assert "cannot be opened (" in served_by_original(stored(store, broken), caplog)


def test_a_library_of_another_model_means_the_original(store: Store, trees: Record, caplog: Log) -> None:
    narrow = RandomForestClassifier(2).fit(X[:, :2], Y)
    other = draft_version("toy", narrow, X[:, :2], None, Description(compile="treelite"))
    file = trees.manifest.compiled["file"]
    version = stored(store, trees.with_files({file: other.files[file]}))
    assert "is for 2 columns and 2 outputs" in served_by_original(version, caplog)


def test_other_answers_to_the_golden_rows_mean_the_original(store: Store, trees: Record, caplog: Log) -> None:
    other = RandomForestClassifier(4, random_state=1).fit(X, Y)
    file = trees.manifest.compiled["file"]
    library = draft_version("toy", other, X, None, Description(compile="treelite")).files[file]
    version = stored(store, trees.with_files({file: library}))
    assert "no longer gives the recorded answers" in served_by_original(version, caplog)


@pytest.mark.parametrize("kind", ["trees", "graph"])
def test_a_damaged_form_is_never_opened(
    store: Store, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    draft = request.getfixturevalue(kind)
    version = stored(store, draft)
    file = directory(version) / draft.manifest.compiled["file"]
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    monkeypatch.setattr("ctypes.CDLL", None)
    monkeypatch.setattr("onnxruntime.InferenceSession", None)
    with pytest.raises(ArtifactDamaged, match=r"toy/1/compiled/model\.\w+ does not match its recorded"):
        load_version(store.get("toy", 1))


def test_a_form_travels_with_its_version(store: Store, trees: Record, tmp_path: Path) -> None:
    stored(store, trees)
    export_version(store, "toy", 1, tmp_path / "toy.tar.gz")
    imported = import_version(Store(tmp_path / "other"), tmp_path / "toy.tar.gz")
    assert isinstance(load_version(imported), CompiledRuntime)


def test_other_library_versions_of_the_original_do_not_matter_to_its_compiled_form(
    store: Store, trees: Record, caplog: Log
) -> None:
    golden = orjson.loads(trees.files[GOLDEN])
    assert golden["values"]
    manifest = replace(trees.manifest, libraries={"scikit-learn": "0.1"})
    assert isinstance(load_version(store.add(manifest, trees.files)), CompiledRuntime)
    assert caplog.records == []


class Opened:
    """A function that opens the original, and counts its calls."""

    def __init__(self, version: Record) -> None:
        self.version, self.times = version, 0

    def __call__(self) -> Runtime:
        self.times += 1
        return load_version(self.version, original=True)


def between_the_classes(model: LogisticRegression) -> np.ndarray:
    """Return a row for which both classes are equally probable up to the last bits."""
    rest = model.intercept_[0] + model.coef_[0, 1:] @ [0.25, 0.5]
    return np.array([[-rest / model.coef_[0, 0], 0.25, 0.5]])


def test_equal_probabilities_are_the_original_s_to_judge(store: Store, graph: Record) -> None:
    """The original is loaded for the first such row, and only once."""
    version = stored(store, graph)
    model = load_version(version, original=True).model  # type: ignore[attr-defined]
    tie = between_the_classes(model)
    original = Opened(version)
    runtime = CompiledRuntime(version, original)
    runtime.load()
    runtime.predict(X, {})
    assert original.times == 0
    for rows in (tie, np.concatenate([X, tie])):
        assert runtime.predict(rows, {}).values.tolist() == model.predict(rows).tolist()
    assert original.times == 1
    runtime.close()


def test_beside_float32_the_original_is_there_from_the_start(store: Store) -> None:
    model = RandomForestClassifier(11, max_depth=4, random_state=0).fit(X, Y)
    version = publish(store, "toy", model, X, compile="onnx")
    assert version.manifest.compiled["dtype"] == "float32", version.manifest.compiled
    original = Opened(version)
    runtime = CompiledRuntime(version, original)
    runtime.load()
    assert original.times == 1
    assert runtime.predict(X, {}).values.tolist() == model.predict(X).tolist()


def test_equal_votes_of_a_forest_need_no_second_opinion(store: Store) -> None:
    model = RandomForestClassifier(2, random_state=0).fit(X, Y)
    rows = RNG.normal(size=(500, 3))
    assert (model.predict_proba(rows)[:, 0] == 0.5).any()
    version = publish(store, "toy", model, X, compile="treelite")
    runtime = CompiledRuntime(version, Opened(version))
    runtime.load()
    assert runtime.predict(rows, {}).values.tolist() == model.predict(rows).tolist()


def test_an_original_that_is_gone_is_a_failure_of_that_answer_alone(store: Store, graph: Record) -> None:
    version = stored(store, graph)
    tie = between_the_classes(load_version(version, original=True).model)  # type: ignore[attr-defined]
    runtime = CompiledRuntime(version, Opened(version))
    runtime.load()
    (directory(version) / "model.joblib").unlink()
    with pytest.raises(PredictError, match=r"the original is needed: toy/1/model\.joblib is missing"):
        runtime.predict(tie, {})
    assert len(runtime.predict(X, {})) == len(X)


def test_a_closed_library_is_unmapped_and_its_descriptor_free(store: Store, trees: Record) -> None:
    version = stored(store, trees)
    load_version(version).close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        runtime = load_version(version)
        runtime.close()
        del runtime
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert Path("/proc/self/maps").read_text().count("memfd:compiled-model") <= 6


def test_the_toy_runtime_could_be_an_original(store: Store, trees: Record) -> None:
    runtime = CompiledRuntime(stored(store, trees), ToyRuntime)
    runtime.load()
    assert isinstance(runtime.predict(X, {}), Outputs)


OPEN_WITHOUT = """
import sys
for name in {hidden!r}:
    sys.modules[name] = None
import logging
logging.basicConfig(format="%(message)s")
from models.runtimes.loading import load_version
from models.store import Store
runtime = load_version(Store({store!r}).get("toy", 1))
print(type(runtime).__name__, *sorted({{"sklearn", "joblib", "pandas"}} & set(sys.modules)))
"""


@pytest.fixture
def open_elsewhere(store: Store) -> Callable[..., tuple[str, str]]:
    """Open toy:1 in a process without the given modules, and return what it logs."""

    def run(*hidden: str) -> tuple[str, str]:
        code = OPEN_WITHOUT.format(hidden=hidden, store=str(store.path))
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout.strip(), done.stderr.strip()

    return run


def test_compiled_trees_need_no_library_at_all(
    store: Store, trees: Record, open_elsewhere: Callable[..., tuple[str, str]]
) -> None:
    stored(store, trees)
    hidden = ("treelite", "tl2cgen", "onnx", "onnxruntime", "skl2onnx", "sklearn", "joblib")
    assert open_elsewhere(*hidden)[0].split()[0] == "CompiledRuntime"
    assert open_elsewhere()[0] == "CompiledRuntime", "scikit-learn is not even imported"


SERVE = """
import os, sys
os.environ["PLUMBLINE_STORE"] = {store!r}
import numpy as np
from app.inference.messages import Ask
from wsgi import app
app.start()
print(app.services.engine.ask(Ask("toy", "1", np.zeros((1, 3)))).answer.batch_rows)
app.close()
print(*sorted({{"sklearn", "joblib", "pandas"}} & set(sys.modules)))
"""


def test_a_server_of_compiled_trees_does_not_import_scikit_learn_either(store: Store, trees: Record) -> None:
    stored(store, trees)
    code = SERVE.format(store=str(store.path))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["1", ""]


def test_without_onnx_runtime_the_original_serves(
    store: Store, graph: Record, open_elsewhere: Callable[..., tuple[str, str]]
) -> None:
    stored(store, graph)
    runtime, said = open_elsewhere("onnxruntime")
    assert runtime.split()[0] == "SklearnRuntime"
    assert "toy:1 is served by its original: its graph needs ONNX Runtime: pip install" in said
