"""A stored version gives the answers that it gave when it was published, or none."""

from __future__ import annotations

import logging
import pickle
import re
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression

from models.errors import LibraryMismatch, LoadError
from models.golden import GOLDEN
from models.libraries import installed_versions
from models.publishing.publication import Description, draft_version
from models.record import Record
from models.runtimes.loading import load_each_form, load_version
from models.runtimes.pickled import ARTIFACT
from models.runtimes.python_runtime import PythonRuntime
from models.store import Store
from tests.models.pickles import renamed
from tests.toys import Counting, summing_draft


def stored(store: Store, draft: Record, **recorded: Any) -> Record:
    return store.add(replace(draft.manifest, **recorded), draft.files)


def other_answers(draft: Record) -> Record:
    golden = orjson.loads(draft.files[GOLDEN])
    golden["values"][-1] += 1e-3
    return draft.with_files({GOLDEN: orjson.dumps(golden)})


def test_what_was_recorded_here_opens_without_a_word(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    runtime = load_version(stored(store, summing_draft()))
    assert runtime.predict(np.array([[1.0, 2.0]]), {"factor": 2.0}).values.tolist() == [6.0]
    assert caplog.records == []


def test_a_version_that_is_to_be_verified_must_give_its_recorded_answers(store: Store) -> None:
    version = stored(store, other_answers(summing_draft()))
    assert load_version(version), "with the recorded libraries one golden row is enough"
    with pytest.raises(LoadError, match="its golden rows do not give the recorded answers"):
        load_version(version, verify=True)
    with pytest.raises(LoadError, match="its golden rows do not give the recorded answers"):
        list(load_each_form(version))


def test_each_form_is_loaded_and_closed(store: Store) -> None:
    """A version without a compiled form has only one."""
    (runtime,) = load_each_form(stored(store, summing_draft()))
    assert isinstance(runtime, PythonRuntime) and runtime.model is None


@pytest.mark.parametrize("verify", [False, True])
def test_a_load_reads_and_verifies_each_file_that_it_needs_once(store: Store, verify: bool) -> None:
    """Each read computes a digest. Serving does not need the statistics of the sample."""
    draft = summing_draft().with_files({"code/own.py": b"x = 1"})
    version = store.add(draft.manifest, draft.files)
    files = Counting(version.files)
    load_version(Record(version.manifest, files), verify=verify)
    assert files.reads == dict.fromkeys([ARTIFACT, GOLDEN, "code/own.py"], 1)


def test_other_libraries_with_the_same_answers_are_served_with_a_warning(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    version = stored(store, summing_draft(), libraries={"numpy": "1.0", "joblib": "0.1"})
    here = installed_versions(["numpy", "joblib"])
    with caplog.at_level(logging.WARNING, "plumbline"):
        assert load_version(version)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"toy:1 was published with numpy 1.0 (here {here['numpy']}), joblib 0.1 (here {here['joblib']}); "
        "its golden rows still give the recorded answers"
    )


def test_other_libraries_with_other_answers_are_a_mismatch_that_names_both(store: Store) -> None:
    version = stored(store, other_answers(summing_draft()), libraries={"numpy": "1.0"})
    with pytest.raises(LibraryMismatch) as mismatch:
        load_version(version)
    assert str(mismatch.value) == (
        f"toy:1 was published with numpy 1.0 (here {installed_versions(['numpy'])['numpy']}) and its golden rows no "
        "longer give the recorded answers; install the recorded versions, or train and publish it again"
    )


def test_a_library_that_is_missing_is_named_so(store: Store) -> None:
    version = stored(store, other_answers(summing_draft()), libraries={"no-such-library": "2.0"})
    with pytest.raises(LibraryMismatch, match=r"with no-such-library 2\.0 \(here missing\)"):
        load_version(version)


def test_other_libraries_that_cannot_load_it_are_a_mismatch_too(store: Store) -> None:
    draft = summing_draft().with_files({"model.joblib": b"\x80\x04from the future"})
    with pytest.raises(
        LibraryMismatch, match=r"numpy 99 .* and does not work with them \(the artifact cannot be"
    ):
        load_version(stored(store, draft, libraries={"numpy": "99"}))


def test_scikit_learn_s_own_warning_is_replaced_by_the_check(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """An estimator of another release unpickles without a warning, and its golden rows decide."""
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    draft = draft_version("toy", model, [[0.0], [1.0]], None, Description())
    here = sklearn.__version__.encode()
    artifact = draft.files["model.joblib"].replace(here, re.sub(rb"\d", b"0", here))
    assert artifact != draft.files["model.joblib"]
    libraries = {**draft.manifest.libraries, "scikit-learn": "0.0.0"}
    assert load_version(stored(store, draft.with_files({"model.joblib": artifact}), libraries=libraries))
    assert "scikit-learn 0.0.0" in caplog.text


def test_what_this_release_of_a_library_calls_otherwise_is_a_matter_of_versions(store: Store) -> None:
    """It is not reported as missing code, which its publisher could provide."""
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    draft = draft_version("toy", model, [[0.0], [1.0]], None, Description())
    place = ("sklearn.linear_model._logistic", "LogisticRegression")
    moved = renamed(pickle.dumps(model, protocol=2), *place, old_module=place[0], old_name="_Moved")
    version = stored(
        store,
        draft.with_files({"model.joblib": moved}),
        libraries={**draft.manifest.libraries, "scikit-learn": "1.5.2"},
    )
    with pytest.raises(LibraryMismatch) as mismatch:
        load_version(version)
    assert f"with scikit-learn 1.5.2 (here {sklearn.__version__}) and does not work" in str(mismatch.value)
    assert f"which scikit-learn {sklearn.__version__} does not have" in str(mismatch.value)


def test_a_framework_of_another_release_is_named_with_those_that_are_served(store: Store) -> None:
    with pytest.raises(
        LoadError, match="unknown framework 'abacus'; this release serves: python, scikit-learn"
    ):
        load_version(stored(store, summing_draft(), framework="abacus"))
    with pytest.raises(LoadError, match="unknown framework 'abacus'"):
        load_version(stored(store, summing_draft(), framework="abacus", libraries={"numpy": "1.0"}))


def test_versions_are_those_that_are_installed() -> None:
    found = installed_versions(["python", "numpy", "no-such-library"])
    assert found.keys() == {"python", "numpy"}
    assert found["python"].count(".") == 1
