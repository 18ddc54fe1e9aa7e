"""Secrets are read from where the settings say, and what is wrong with them is told without showing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import ConfigError, Settings
from app.credentials import read_admin_tokens, read_key

ONE, OTHER = "a" * 32, "b" * 40


def test_a_key_must_be_readable_and_long(tmp_path: Path) -> None:
    assert read_key(Settings()) is None
    short, good = tmp_path / "short", tmp_path / "good"
    short.write_bytes(b"0" * 31)
    good.write_bytes(b"k" * 32 + b"\n")
    assert read_key(Settings(store_key=good)) == b"k" * 32
    for path, says in ((short, "31 bytes"), (tmp_path / "none", "No such file")):
        with pytest.raises(ConfigError, match=says):
            read_key(Settings(store_key=path))


def test_without_a_token_there_is_none() -> None:
    assert read_admin_tokens(Settings()) == ()


def test_tokens_come_from_the_environment_a_file_or_both(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{OTHER}\n")
    assert read_admin_tokens(Settings(admin_token=ONE)) == (ONE.encode(),)
    assert read_admin_tokens(Settings(admin_token_file=file)) == (OTHER.encode(),)
    both = Settings(admin_token=ONE, admin_token_file=file)
    assert read_admin_tokens(both) == (ONE.encode(), OTHER.encode())
    file.write_text(f"{ONE}\n{OTHER}\n")
    assert read_admin_tokens(Settings(admin_token_file=file)) == (ONE.encode(), OTHER.encode())


def test_a_token_that_will_not_do_is_refused_and_not_shown(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for settings, says in (
        (Settings(admin_token="s3cret"), "a token of 6 bytes; use at least 32"),
        (Settings(admin_token=f"{ONE} {OTHER} {ONE}"), "3 tokens; use one, or two"),
        (Settings(admin_token_file=empty), "contains no token"),
        (Settings(admin_token_file=tmp_path / "none"), "No such file"),
    ):
        with pytest.raises(ConfigError, match=says) as refused:
            read_admin_tokens(settings)
        assert "s3cret" not in str(refused.value) and ONE not in str(refused.value)
    assert ONE not in repr(Settings(admin_token=ONE))
