"""Shared by every test: stores, applications over them, and generated examples that are the same in every run."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient
from threadpoolctl import threadpool_limits

from app.api.flask_class import FlaskClass, choose_class
from app.config import Settings
from app.factory import create_app
from app.wiring import wire
from models.store import Store
from models.zoo import publish_all
from tests.counted import count_no_children
from tests.toy_store import publish_toys

hypothesis.settings.register_profile(
    "plumbline",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("plumbline")

MakeApp = Callable[..., Flask]

#: Versions with which Flask's own class is used.
UNTESTED = {"flask": "4.0.0", "werkzeug": "4.0.0"}

#: ``TEST_FLASK=ordinary`` runs the tests of the API on Flask's own class.
FLASK_CLASS = choose_class(versions=UNTESTED if os.environ.get("TEST_FLASK") == "ordinary" else None)

#: The limit of a wait for what will happen: reached only where it never does, on however slow or busy a machine.
LONG_SECONDS = 240.0


#: What takes longest of the tests. Processes that share them begin with these, so that no process ends with a long file alone.
LONGEST = (
    "tests/benchmarks/test_smoke.py",
    "tests/end_to_end/test_live.py",
    "tests/deploy/",
    "tests/end_to_end/",
    "tests/app/worker/",
    "tests/app/host/",
    "tests/benchmarks/",
    "tests/models/",
    "tests/app/cli/",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the files by how long they take, where several processes take one after the other."""
    if hasattr(config, "workerinput"):
        items.sort(key=rank)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Let no process count lines but those that tests/counted.py names, as soon as this one counts its own."""
    count_no_children()


def rank(item: pytest.Item) -> int:
    """The place of a test in ``LONGEST``."""
    return next((i for i, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST))


def missing(reason: str) -> NoReturn:
    """End a test that needs what this machine lacks: skipped, but a failure in CI, which installs everything."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def compiler() -> None:
    """Tests that build native libraries need a C compiler."""
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        missing("no C compiler: apt-get install gcc libc6-dev")


@pytest.fixture(scope="session")
def wrk() -> None:
    """Tests that load servers need wrk."""
    if shutil.which("wrk") is None:
        missing("wrk is not installed: apt-get install wrk")


@pytest.fixture(scope="session", autouse=True)
def single_threaded() -> Iterator[None]:
    """Compute as in the server: threads that wait for each other make small models slow on a busy machine."""
    with threadpool_limits(1):
        yield


def published_once(factory: pytest.TempPathFactory, name: str, publish: Callable[[Store], object]) -> Store:
    """The store that ``publish`` fills: by whichever of the processes of this run needs it first."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    store, done = Store(shared / name), shared / f"{name}.done"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            publish(store)
            done.touch()
    return store


@pytest.fixture(scope="session")
def toy_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Small models of every kind (see tests/toy_store.py). Shared: copy it before you change it."""
    return published_once(tmp_path_factory, "toys", publish_toys)


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The demo models. They take some seconds to train. Shared: copy it before you change it."""
    return published_once(tmp_path_factory, "demo", publish_all)


@contextmanager
def app_maker() -> Iterator[MakeApp]:
    """Closes at its end what it made."""
    with ExitStack() as made:

        def make(
            store: Store | Path, *, start: bool = True, flask_class: FlaskClass = FLASK_CLASS, **settings: Any
        ) -> Flask:
            path = store.path if isinstance(store, Store) else store
            services = wire(Settings(store=path, **{"access_log": False, **settings}))
            made.callback(services.close)
            app = create_app(services=services, flask_class=flask_class)
            if start:
                services.start()
                wait_until(lambda: services.engine.residency.is_started)
            return app

        yield make


@pytest.fixture(scope="module")
def make_app() -> Iterator[MakeApp]:
    """``make_app(store, **settings)``: an application whose models have been loaded, unless ``start=False``."""
    with app_maker() as make:
        yield make


@pytest.fixture(scope="module")
def app_with(make_app: MakeApp, toy_store: Store) -> MakeApp:
    """``app_with(**settings)`` : an application of the toy models, the same one for the same settings. Ask it, change nothing."""
    return cache(lambda **settings: make_app(toy_store, **settings))


@pytest.fixture(scope="session")
def toy_app(toy_store: Store) -> Iterator[Flask]:
    """Serves the toy models."""
    with app_maker() as make:
        yield make(toy_store)


@pytest.fixture
def client(toy_app: Flask) -> FlaskClient:
    """Asks the application of the toy models."""
    return toy_app.test_client()


def wait_until(condition: Callable[[], bool], seconds: float = LONG_SECONDS) -> None:
    """Wait for what other threads or processes do, and leave them the processor meanwhile."""
    deadline, pause = time.monotonic() + seconds, 0.002
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause)
        pause = min(1.5 * pause, 0.05)
