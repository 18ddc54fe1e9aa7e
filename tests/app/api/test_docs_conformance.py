"""Whoever goes by /openapi.json meets a server that does as it says: schemathesis sends every example, the limits of every
schema and what lies beyond them to every operation, and holds the replies against the document."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import Any

import numpy as np
import pytest
import schemathesis
from flask import Flask
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from models.publishing import publish
from models.signature import Column, Output, Signature
from models.store import Store
from tests.app.api.document_parts import operations
from tests.app.api.documented_models import Optional, Ranked
from tests.conftest import MakeApp

TOKEN = "t" * 32
TRAFFIC = "PUT /admin/models/{name}/traffic"
SHARES = {"expected-statuses": ["2xx", 404, 409, 422]}

CONFIG = {
    "base-url": "http://localhost",
    "headers": {"Authorization": f"Bearer {TOKEN}"},
    "phases": {"fuzzing": {"enabled": False}, "stateful": {"enabled": False}},
    "continue-on-failure": True,
    "warnings": False,
    "seed": 1,
    # In this process it cannot ask without the token; tests/app/api/test_admin.py does.
    "checks": {"ignored_auth": {"enabled": False}},
    # JSON Schema cannot say that shares are 100 percent at most together, each of another version.
    "operations": [{"include-name": TRAFFIC, "checks": {"positive_data_acceptance": SHARES}}],
}

#: Of the toy models, one of each kind; ``moody`` fails on purpose.
TOYS = ("iris", "unnamed", "shop", "forecast")
TAGS = (*TOYS, "optional", "ranked", "visits", "texts", "Catalog", "Service", "Administration")


class Visits:
    """A model with dates, a duration and an optional note."""

    signature = Signature(
        (
            Column("day", "date"),
            Column("at", "datetime", timezone="Europe/Berlin"),
            Column("noted", "datetime", nullable=True),
            Column("took", "duration", minimum=0),
            Column("note", "string", nullable=True, optional=True),
        ),
        Output("vector", size=2),
    )

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.array([[float(took), 0.0 if note is None else 1.0] for *_, took, note in rows.tolist()])


class Texts:
    """A model with two answers for a text, whose row may be the text itself."""

    signature = Signature(
        (Column("text", "string"),),
        Output("several", outputs=(Output("number", name="length"), Output("number", name="words"))),
    )

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.array([[float(len(text)), float(text.count(" "))] for (text,) in rows.tolist()])


@pytest.fixture(scope="module")
def app(toy_store: Store, make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """An application with a model of every kind, and with /admin enabled."""
    path = tmp_path_factory.mktemp("conformance") / "store"
    others = {found.name for found in toy_store.path.iterdir() if found.is_dir()} - set(TOYS)
    shutil.copytree(toy_store.path, path, ignore=shutil.ignore_patterns(*others))
    store = Store(path)
    store.delete("iris", 2)
    row = [40, 1000.0, "2026-02-28", "b", "many", True]
    publish(store, "optional", Optional(), [row, [20, None, "2026-03-01", "a", None, False]])
    publish(store, "ranked", Ranked(), [["x"], ["y"]])
    visit = ["2026-01-31", "2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00", 1.5, None]
    publish(store, "visits", Visits(), [visit, [*visit[:2], None, 0, "x"]])
    publish(store, "texts", Texts(), [["good film"], ["bad"]])
    return make_app(store, admin_token=TOKEN)


class Findings:
    """The results of schemathesis by operation: the number of requests and the faults of replies."""

    def __init__(self, app: Flask) -> None:
        config = SchemathesisConfig.from_dict(CONFIG)
        self.schema = schemathesis.openapi.from_wsgi("/openapi.json", app, config=config)
        self.asked: Counter[str] = Counter()
        self.wrong: dict[str, list[str]] = {}
        for event in from_schema(self.schema).execute():
            assert not isinstance(event, events.NonFatalError | events.FatalError), event
            if isinstance(event, events.ScenarioFinished):
                self._look_at(event.recorder)

    def _look_at(self, recorder: Any) -> None:
        wrong = self.wrong.setdefault(recorder.label, [])
        for case, checks in recorder.checks.items():
            self.asked[recorder.label] += 1
            for found in (check.failure_info for check in checks if check.failure_info is not None):
                failure, reply = found.failure, recorder.interactions[case].response
                said = (failure.title, failure.message, found.code_sample, reply.content)
                wrong.append("\n".join(str(part)[:800] for part in said))

    def operations(self, tag: str) -> list[str]:
        """Return the operations with a tag."""
        found = [operation.ok() for operation in self.schema.get_all_operations()]
        return [operation.label for operation in found if operation.tags == [tag]]


@pytest.fixture(scope="module")
def findings(app: Flask) -> Findings:
    """Run schemathesis once for all operations."""
    return Findings(app)


def test_every_operation_was_asked(app: Flask, findings: Findings) -> None:
    document = app.test_client().get("/openapi.json").get_json()
    # All but the one that it read the document by.
    labels = {f"{method.upper()} {path}" for path, method, _ in operations(document)} - {"GET /openapi.json"}
    assert {label for tag in TAGS for label in findings.operations(tag)} == labels
    assert {label for label, n in findings.asked.items() if n} == labels


@pytest.mark.parametrize("tag", TAGS)
def test_what_the_document_says_holds(findings: Findings, tag: str) -> None:
    """Valid requests are accepted, invalid ones are refused, and every reply matches its documentation."""
    assert [
        (label, findings.wrong[label][:3]) for label in findings.operations(tag) if findings.wrong[label]
    ] == []
