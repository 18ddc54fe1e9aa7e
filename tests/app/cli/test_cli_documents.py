"""The option `--json` describes models and versions as HTTP does, and keeps its earlier members."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.cli.commands import COMMANDS
from models.manifest import MANIFEST
from models.store import Store
from tests.conftest import MakeApp

#: What a server alone knows.
OF_A_SERVER = {"state", "reason", "batching"}


@pytest.fixture(scope="module")
def client(toy_store: Store, make_app: MakeApp) -> FlaskClient:
    return make_app(toy_store, start=False).test_client()


@pytest.fixture
def printed(toy_store: Store, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that returns the JSON of ``flask models word .. --json``."""
    monkeypatch.setenv("PLUMBLINE_STORE", str(toy_store.path))
    models = next(command for command in COMMANDS if command.name == "models")

    def run(*words: str) -> Any:
        result = client.application.test_cli_runner().invoke(models, [*words, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


@pytest.mark.parametrize("name", ["iris", "forecast", "shop", "unnamed"])
def test_a_version_has_the_document_of_http(client: FlaskClient, printed: Any, name: str) -> None:
    over_http = client.get(f"/models/{name}/versions/1").json
    document = printed("show", f"{name}:1")
    shared = over_http.keys() - OF_A_SERVER
    different = {member for member in shared if document[member] != over_http[member]}
    # A number is an integer here, golden rows are counted, and a file's size has a second name.
    assert different == {"version", "golden_rows", "files"}
    assert document["version"] == int(over_http["version"])
    assert document["golden_rows"] == over_http["golden_rows"]["rows"]
    for path, file in over_http["files"].items():
        assert document["files"][path] == {**file, "size_bytes": file["bytes"]}


def test_what_a_version_recorded_stays_readable(toy_store: Store, printed: Any) -> None:
    recorded = json.loads((toy_store.path / "iris" / "1" / MANIFEST).read_text())
    document = printed("show", "iris:1")
    assert recorded.keys() <= document.keys()
    same = recorded.keys() - {"files"}
    assert {member: document[member] for member in same} == {member: recorded[member] for member in same}
    assert (document["tags"], document["names"]) == (["1.0.0", "stable"], ["1.0.0", "stable"])
    assert document["status"] == "ok"


def test_a_list_has_the_documents_of_http(client: FlaskClient, printed: Any) -> None:
    listed = {model["name"]: model for model in printed("list")["models"]}
    for over_http in client.get("/models").json["models"]:
        model = listed[over_http["name"]]
        assert over_http.keys() - model.keys() <= OF_A_SERVER
        assert (model["description"], model["default"]) == (over_http["description"], over_http["default"])
        assert model["latest"] == int(over_http["latest"])
        for members in ("tags", "aliases"):
            assert {name: str(n) for name, n in model[members].items()} == over_http[members]
        lines = client.get(f"/models/{over_http['name']}").json["versions"]
        for line, of_http in zip(model["versions"], lines, strict=True):
            shared = of_http.keys() - OF_A_SERVER - {"version"}
            assert {member: line[member] for member in shared} == {m: of_http[m] for m in shared}
