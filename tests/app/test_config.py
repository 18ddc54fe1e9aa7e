"""Settings are one table: read, checked and documented from the same rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import SETTINGS, ConfigError, Settings, cpu_quota, load_settings
from tests.conftest import LONG_SECONDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the surrounding shell counts."""
    for name in list(os.environ):
        if name.startswith("PLUMBLINE_") or name in ("HOST", "PORT", "WORKERS"):
            monkeypatch.delenv(name)


def test_without_an_environment_every_setting_has_its_default() -> None:
    assert load_settings() == Settings()
    assert Settings().workers == cpu_quota() >= 1


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("PORT", "9000", "port", 9000),
        ("PLUMBLINE_STORE", "/srv/models", "store", Path("/srv/models")),
        ("PLUMBLINE_DOCS", "0", "docs", False),
        ("PLUMBLINE_BODY_TIMEOUT_SECONDS", "0.5", "body_timeout_seconds", 0.5),
        ("PLUMBLINE_TRUSTED_HOSTS", "a.example, b.example", "trusted_hosts", ("a.example", "b.example")),
        (
            "PLUMBLINE_MODEL_LOADING",
            "fraud=lazy,iris=startup",
            "model_loading",
            {"fraud": "lazy", "iris": "startup"},
        ),
        ("PLUMBLINE_RUN_DIR", "", "run_dir", None),
    ],
)
def test_a_setting_is_read_as_its_type(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(name, text)
    assert getattr(load_settings(), field) == value


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("PORT", "http", "PORT='http' is not a valid int"),
        ("PORT", "-1", "PORT=-1: use at least 0"),
        ("PORT", "65536", "PORT=65536: use at most 65535"),
        ("WORKERS", "0", "WORKERS=0: use at least 1 processes"),
        ("PLUMBLINE_MAX_ROWS", "many", "PLUMBLINE_MAX_ROWS='many' is not a valid int"),
        (
            "PLUMBLINE_BODY_TIMEOUT_SECONDS",
            "nan",
            "PLUMBLINE_BODY_TIMEOUT_SECONDS='nan' is not a valid float",
        ),
        ("PLUMBLINE_LOADING", "eager", "use one of startup, lazy"),
        ("PLUMBLINE_MODEL_LOADING", "fraud=later", "use one of startup, lazy"),
        ("PLUMBLINE_MODEL_LOADING", "fraud", "PLUMBLINE_MODEL_LOADING='fraud' is not a valid"),
        ("PLUMBLINE_STOER", "x", "PLUMBLINE_STOER is not a setting; did you mean PLUMBLINE_STORE?"),
        ("PLUMBLINE_WORKERS", "2", "PLUMBLINE_WORKERS is not a setting; did you mean WORKERS?"),
        ("PLUMBLINE_HOST", "0.0.0.0", "PLUMBLINE_HOST is not a setting; did you mean HOST?"),
        ("PLUMBLINE_PORT", "9000", "PLUMBLINE_PORT is not a setting; did you mean PORT?"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, says: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigError) as raised:
        load_settings()
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("PLUMBLINE_DOCS", "perhaps")
    monkeypatch.setenv("PLUMBLINE_UNHEARD_OF", "1")
    with pytest.raises(ConfigError, match=r"PLUMBLINE_UNHEARD_OF.*PORT.*PLUMBLINE_DOCS"):
        load_settings()


@pytest.mark.parametrize(
    "name",
    [
        "PLUMBLINE_SERVICE_HOST",
        "PLUMBLINE_SERVICE_PORT_HTTP",
        "PLUMBLINE_PORT",
        "PLUMBLINE_PORT_8000_TCP_ADDR",
    ],
)
def test_what_kubernetes_and_docker_inject_for_a_service_called_plumbline_is_no_error(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.7:8000")
    assert load_settings() == Settings()
    assert name not in {row.env for row in SETTINGS}


@pytest.mark.parametrize(
    ("host", "bind", "base_url"),
    [
        ("127.0.0.1", "127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("0.0.0.0", "0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("::", "[::]:8000", "http://127.0.0.1:8000"),
        ("::1", "[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_address_is_written_as_gunicorn_and_curl_take_it(host: str, bind: str, base_url: str) -> None:
    settings = Settings(host=host)
    assert (settings.bind, settings.base_url) == (bind, base_url)


def documented() -> str:
    """The table that docs/configuration.md must hold."""
    lines = ["| setting | default | unit | meaning |", "|---|---|---|---|"]
    for row in SETTINGS:
        choices = f" (one of {', '.join(row.one_of)})" if row.one_of else ""
        default = f"`{row.default}`" if row.default else ""
        lines.append(f"| `{row.env}` | {default} | {row.unit} | {row.help}{choices} |")
    return "\n".join(lines)


def test_the_documentation_lists_every_setting_as_it_is() -> None:
    """Replace the table in docs/configuration.md with the expected one below when this fails."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    assert documented() in text, documented()


def test_the_server_refuses_wrong_settings_before_it_forks_a_worker(tmp_path: Path) -> None:
    """One line and exit code 1; a SystemExit in a worker would be tried again for ever."""
    for name, text in (
        ("PLUMBLINE_PORTS", "1"),
        ("WORKERS", "none"),
        ("PLUMBLINE_STORE_KEY", str(tmp_path / "no")),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "gunicorn", "wsgi:app"],
            cwd=ROOT,
            env={**os.environ, "PLUMBLINE_RUN_DIR": str(tmp_path / "run"), name: text},
            capture_output=True,
            text=True,
            timeout=LONG_SECONDS,
        )
        assert done.returncode == 1
        assert done.stderr.startswith("plumbline: ")
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert name in done.stderr
