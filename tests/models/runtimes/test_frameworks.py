"""A framework is a row and its module: no other code depends on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.errors import LoadError, PublishError
from models.publishing.publication import Description, draft_version
from models.runtimes.frameworks import FORMS, FRAMEWORKS, PICKLE, framework_of, packing_of
from models.runtimes.loading import load_version
from models.runtimes.shareable import read_shareable, why_private
from models.store import Store
from tests.models.runtimes.weights import WEIGHTS, Weights
from tests.toys import Summing


@pytest.fixture
def weights() -> Iterator[None]:
    """Add a row before those that accept any object."""
    rows = dict(FRAMEWORKS)
    FRAMEWORKS.clear()
    FRAMEWORKS.update({"weights": WEIGHTS, **rows})
    yield
    del FRAMEWORKS["weights"]


def test_every_row_opens_something() -> None:
    for row in (*FRAMEWORKS.values(), *FORMS.values()):
        assert callable(row.imported())
    for row in FRAMEWORKS.values():
        assert row.packings and row.libraries
        assert callable(row.imported().read) and callable(row.imported().prepare)


def test_the_first_row_that_claims_an_object_has_it() -> None:
    assert framework_of(Summing()) == "python"
    with pytest.raises(PublishError, match="has no predict"):
        framework_of(object())


def test_a_file_is_a_pickle_unless_a_row_recognises_it(weights: None) -> None:
    assert packing_of(b"weights 1.0") is WEIGHTS.packings[0]
    assert packing_of(b"\x80\x04") is packing_of(b"") is PICKLE


@pytest.mark.parametrize("given", ["file", "object"])
def test_a_framework_is_added_by_a_row_and_its_module(
    weights: None, store: Store, tmp_path: Path, given: str
) -> None:
    """A file or an object of it is recognised, packed, described, stored, loaded and answers."""
    model: Path | Weights = Weights([2.0, 0.5])
    if given == "file":
        model = tmp_path / "some.txt"
        model.write_text("weights 2.0 0.5")
    draft = draft_version("toy", model, [[1.0, 2.0], [3.0, 4.0]], None, Description())
    manifest = draft.manifest
    assert (manifest.framework, [*manifest.libraries]) == ("weights", ["python", "numpy"])
    assert [column.name for column in manifest.signature.columns] == ["x0", "x1"]
    stored = store.add(manifest, draft.files)
    assert stored.read("weights.txt") == b"weights 2.0 0.5"
    answers = load_version(stored, verify=True).predict(np.array([[1.0, 2.0]]), {})
    assert answers.values.tolist() == [3.0]
    assert why_private(manifest) == "models of the framework weights are not shared"
    with pytest.raises(LoadError, match="not shared"):
        read_shareable(stored)


def test_what_is_wrong_with_a_file_is_said_by_the_module_that_reads_it(weights: None, tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_text("weights one")
    with pytest.raises(LoadError, match="a weight is no number"):
        draft_version("toy", file, [[1.0]], None, Description())
