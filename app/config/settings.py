"""The table of settings: the type, default, unit, limits and meaning of each."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = "0.1.0"
#: The prefix of the environment variables, but for those that have a common name, such as PORT.
PREFIX = "PLUMBLINE_"

#: An origin as browsers serialize it (RFC 6454, section 6.2), or "*". "null" is refused, because every
#: sandboxed page has it.
_ORIGIN = (
    r"\*|(?!http://.*:80$|https://.*:443$)"
    r"(?i:[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\]))(:[1-9][0-9]{0,4})?"
)


def cpu_quota() -> int:
    """Return the CPUs that this process may use, by its affinity and its cgroup v2 quota; at least 1."""
    usable = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            usable = min(usable, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return max(1, usable)


def _bracketed(host: str) -> str:
    """Return the host with brackets around an IPv6 address, as a URL needs them (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def _row(
    default: Any,
    unit: str,
    help: str,
    *,
    env: str = "",
    secret: bool = False,
    one_of: tuple[str, ...] = (),
    pattern: str = "",
    at_least: float = 0,
    at_most: float = 2**31 - 1,
) -> Any:
    meta = {
        "unit": unit,
        "help": help,
        "env": env,
        "one_of": one_of,
        "pattern": pattern,
        "at_least": at_least,
        "at_most": at_most,
    }
    if callable(default):
        return field(default_factory=default, metadata=meta)
    return field(default=default, metadata=meta, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a process. ``docs/configuration.md`` shows this table."""

    host: str = _row("127.0.0.1", "address", "where to listen; 0.0.0.0 for every interface", env="HOST")
    port: int = _row(8000, "port", "where to listen", env="PORT", at_most=65535)
    worker_class: str = _row(
        "plumbline",
        "",
        "the worker class: plumbline's own, or gunicorn's gevent worker, which has no fast lane",
        one_of=("plumbline", "gevent"),
    )
    workers: int = _row(
        cpu_quota, "processes", "worker processes; by default the CPU quota", env="WORKERS", at_least=1
    )
    store: Path = _row(Path("models/artifacts"), "directory", "the model store")
    store_key: Path | None = _row(
        None, "file", "a key of 32 bytes or more; only versions signed with it are loaded"
    )
    default_model: str = _row("iris", "model", "the model behind /predict and /v{n}/predict")
    required_models: tuple[str, ...] = _row((), "models", "/ready is 503 unless each of these can answer")
    loading: str = _row(
        "startup",
        "",
        "when models are loaded: at start-up (the versions that an alias or tag names, and the latest), "
        "or lazily, at a version's first request",
        one_of=("startup", "lazy"),
    )
    model_loading: Mapping[str, str] = _row(
        dict,
        "model=when, ..",
        "PLUMBLINE_LOADING for single models, for example churn=lazy,prices=startup",
        one_of=("startup", "lazy"),
    )
    loaded_max_mib: int = _row(
        0,
        "MiB",
        "the memory for models in a worker; beyond it the least recently used are evicted; 0 for no limit",
    )
    pinned_models: tuple[str, ...] = _row((), "models", "models that are never evicted from memory")
    share_models: bool = _row(
        False, "", "whether the parent process loads start-up models once and shares them with the workers"
    )
    share_trial_seconds: float = _row(
        60.0,
        "seconds",
        "how long a model may take to load in the process that verifies it before it is shared",
        at_least=0.1,
        at_most=3600,
    )
    proof_seconds: float = _row(
        120.0,
        "seconds",
        "how long a model may take to load in the process that verifies it before a running server loads it",
        at_least=0.1,
        at_most=3600,
    )
    batching: bool = _row(True, "", "whether concurrent requests for a version share calls of its model")
    batch_max_rows: int = _row(
        4096,
        "rows",
        "the most rows of a call that requests share; fewer if such a call would take long",
        at_least=1,
    )
    batch_wait_ms: float = _row(
        0.0, "milliseconds", "how long a request waits for others although the model is idle", at_most=1000
    )
    model_batching: Mapping[str, str] = _row(
        dict,
        "model=off, or model=rows:N, model=wait:MS or both joined by +; models separated by commas",
        "batching settings of single models, for example churn=off,prices=rows:64+wait:2",
        pattern=r"off|(rows:[1-9]\d{0,5}|wait:\d{1,3}(\.\d+)?)(\+(rows:[1-9]\d{0,5}|wait:\d{1,3}(\.\d+)?))?",
    )
    queue_max_rows: int = _row(
        65_536,
        "rows",
        "how many rows may wait for a version in a worker; further requests are 503",
        at_least=1,
    )
    max_body_bytes: int = _row(
        1_048_576, "bytes", "the largest request body; a larger one is 413", at_least=1024
    )
    max_rows: int = _row(1000, "rows", "the most rows in one request", at_least=1)
    body_timeout_seconds: float = _row(
        5.0,
        "seconds",
        "how long a body may take to arrive (then 408), and how long a client may stop reading its reply",
        at_least=0.01,
    )
    worker_timeout_seconds: int = _row(
        30, "seconds", "after how long gunicorn replaces a worker that does not respond to it", at_least=1
    )
    graceful_timeout_seconds: int = _row(
        30, "seconds", "how long requests may take to finish after SIGTERM", at_least=1
    )
    keepalive_seconds: int = _row(
        5,
        "seconds",
        "how long an idle connection stays open, and how long a TLS handshake may take",
        at_least=1,
    )
    worker_connections: int = _row(
        1000, "connections", "connections that one worker holds at once", at_least=1
    )
    backlog: int = _row(512, "connections", "connections that may wait to be accepted", at_least=1)
    trusted_hosts: tuple[str, ...] = _row(
        (), "host names", "if set, requests for all other hosts are refused with 400"
    )
    proxy_hops: int = _row(
        0, "proxies", "how many proxies in front set X-Forwarded-*; 0 ignores these headers"
    )
    cors_origins: tuple[str, ...] = _row(
        (),
        "scheme://host or scheme://host:port, without path and default port, separated by commas; or *",
        "pages of these origins may call the server from a browser (CORS), for example https://shop.example; "
        "* for pages of every origin",
        pattern=_ORIGIN,
    )
    admin_token: str = _row(
        "",
        "text",
        "the bearer token of /admin, 32 bytes or more, or two tokens separated by a blank; "
        "without a token /admin does not exist",
        secret=True,
    )
    admin_token_file: Path | None = _row(
        None, "file", "a file with the token of /admin, which, unlike the environment, no process list shows"
    )
    switch_wait_seconds: float = _row(
        30.0,
        "seconds",
        "how long a promotion or another operation waits until every worker of this host has switched",
        at_least=0,
        at_most=3600,
    )
    docs: bool = _row(True, "", "whether /docs/ and /openapi.json are served")
    metrics: bool = _row(True, "", "whether /metrics is served")
    access_log: bool = _row(True, "", "whether each request is logged as a JSON line on standard output")
    log_level: str = _row(
        "info", "", "the level of the error log", one_of=("debug", "info", "warning", "error")
    )
    run_dir: Path | None = _row(
        None,
        "directory",
        "where metrics files and worker slots lie, in memory; by default one for this address and store",
    )
    any_gunicorn: bool = _row(
        False, "", "whether to serve under a gunicorn that has not read Plumbline's gunicorn.conf.py"
    )
    banner: bool = _row(False, "", "whether to print URLs and an example request when the server is ready")

    @property
    def base_url(self) -> str:
        """The URL of the server for clients on this machine, without a path."""
        host = "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host
        return f"http://{_bracketed(host)}:{self.port}"

    @property
    def bind(self) -> str:
        """The listening address in gunicorn's notation."""
        return f"{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table of settings."""

    #: The attribute of Settings.
    field: str
    #: The environment variable.
    env: str
    #: The annotation of the attribute, as text.
    type: str
    #: The default as it would be written in the environment; empty for none.
    default: str
    unit: str
    help: str
    #: The values that are allowed; empty for all.
    one_of: tuple[str, ...]
    #: A regular expression that text values, or each of several, must match; empty for none.
    pattern: str
    #: The limits of a number, inclusive.
    at_least: float
    at_most: float


def _table() -> tuple[Setting, ...]:
    rows = []
    for f in dataclasses.fields(Settings):
        default = "" if f.default_factory is not dataclasses.MISSING else _shown(f.default)
        meta = f.metadata
        env = meta["env"] or PREFIX + f.name.upper()
        limits = {key: meta[key] for key in ("unit", "help", "one_of", "pattern", "at_least", "at_most")}
        rows.append(Setting(f.name, env, str(f.type), default, **limits))
    return tuple(rows)


def _shown(default: Any) -> str:
    """Return a default as it would be written in the environment; empty for none."""
    if default is None or default == ():
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


SETTINGS = _table()
