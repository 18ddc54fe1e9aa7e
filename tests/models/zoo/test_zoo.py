"""All demo models are published in their order, and give the same answers from the store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import models
from models.runtimes.loading import load_version
from models.sameness import same_answers
from models.store import Store
from models.zoo import DEMO_MODELS, publish_all

ORDER = ["iris", "fraud", "recommend", "demand", "stock"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    store, progress = Store(tmp_path_factory.mktemp("store")), []
    publish_all(store, progress.append)
    return store, progress


@pytest.fixture(scope="module")
def store(published):
    return published[0]


def test_publishes_all_in_a_fixed_order(published):
    store, progress = published
    assert progress == ORDER == list(DEMO_MODELS)
    assert store.names() == sorted(ORDER)


def test_iris_has_two_tagged_versions_and_the_others_one(store):
    assert {name: store.versions(name) for name in ORDER} == {name: [1] for name in ORDER} | {"iris": [1, 2]}
    assert store.resolve("iris", "1.0.0") == store.resolve("iris", "stable") == 1
    assert store.resolve("iris", "2.0.0") == 2


@pytest.mark.parametrize("name", ORDER)
def test_a_version_answers_alone_as_in_company_and_as_recorded(store, name):
    for version in store.versions(name):
        artifact = store.get(name, version)
        golden, runtime = artifact.golden, load_version(artifact)
        together = runtime.predict(golden.rows, golden.parameters)
        assert len(golden.rows) >= 32
        assert not artifact.manifest.golden_synthetic
        assert same_answers(golden.outputs, together)
        for i in range(32):
            alone = runtime.predict(golden.rows[i : i + 1], golden.parameters)
            assert same_answers(together.rows(i, i + 1), alone)
        runtime.close()


@pytest.mark.parametrize("name", ORDER)
def test_a_version_says_what_it_is_and_how_good(store, name):
    for version in store.versions(name):
        manifest = store.get(name, version).manifest
        assert manifest.description
        assert manifest.metrics
        assert np.isfinite(list(manifest.metrics.values())).all()
        assert sum(record.size_bytes for record in manifest.files.values()) < 2**19


def test_signatures_are_what_clients_were_promised(store):
    def signature(name):
        return store.get(name, 1).manifest.signature

    assert [c.dtype for c in signature("iris").columns] == ["float"] * 4
    assert signature("iris").output.classes == (0, 1, 2)
    assert {c.name for c in signature("fraud").columns if c.dtype == "category"} == {
        "card_country",
        "merchant_country",
        "merchant_category",
        "channel",
    }
    assert [p.name for p in signature("recommend").parameters] == ["k"]
    assert [c.name for c in signature("demand").columns] == ["product", "start", "end"]
    assert [(p.name, p.minimum, p.default, p.maximum) for p in signature("stock").parameters] == [
        ("days_ahead", 1, 1, 30),
        ("confidence_interval", 0.8, 0.95, 0.99),
    ]


def test_naming_the_demo_models_imports_none_of_them():
    """The command line lists them, and must not wait for scikit-learn."""
    code = (
        "import sys, models.zoo; print(sorted({'sklearn', 'pandas', 'models.zoo.iris'} & set(sys.modules)))"
    )
    root = Path(models.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
