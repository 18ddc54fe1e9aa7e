"""The banner names what is there, and its call can be pasted into a shell whatever the body holds."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from app.banner import banner, curl
from app.config import Settings
from models.store import Store


def test_a_call_is_one_word_for_the_shell_whatever_the_body_holds() -> None:
    body = {"it's": ["$HOME", "`x`", '"']}
    words = shlex.split(curl(Settings(port=8123), "/predict", body))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8123/predict"]
    assert json.loads(words[-1]) == body


def test_the_default_model_is_called_by_its_short_path_and_another_by_its_own(toy_store: Store) -> None:
    assert " http://127.0.0.1:8000/predict " in banner(Settings(store=toy_store.path))
    assert "/models/forecast/predict " in banner(Settings(store=toy_store.path, default_model="gone"))


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    assert "flask models publish --help" in banner(Settings(store=tmp_path))


def test_the_docs_are_named_where_they_are_served(tmp_path: Path) -> None:
    assert "/docs/" in banner(Settings(store=tmp_path))
    assert "/docs/" not in banner(Settings(store=tmp_path, docs=False))
