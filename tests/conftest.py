"""Fixtures of all tests: stores, applications over them, and reproducible generated examples."""

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
    """Sort the files by duration if several processes share them."""
    if hasattr(config, "workerinput"):
        items.sort(key=rank)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Restrict the coverage of child processes to those of tests/counted.py."""
    count_no_children()


def rank(item: pytest.Item) -> int:
    """Return the index of a test in ``LONGEST``."""
    return next((i for i, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST))


def missing(reason: str) -> NoReturn:
    """Skip a test that needs a missing program; fail it in CI, which installs all of them."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def compiler() -> None:
    """Require a C compiler, for tests that build native libraries."""
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        missing("no C compiler: apt-get install gcc libc6-dev")


@pytest.fixture(scope="session")
def wrk() -> None:
    """Require wrk, for tests that load servers."""
    if shutil.which("wrk") is None:
        missing("wrk is not installed: apt-get install wrk")


@pytest.fixture(scope="session", autouse=True)
def single_threaded() -> Iterator[None]:
    """Compute as in the server: threads that wait for each other make small models slow on a busy machine."""
    with threadpool_limits(1):
        yield


def published_once(factory: pytest.TempPathFactory, name: str, publish: Callable[[Store], object]) -> Store:
    """Return a store that ``publish`` fills in the first process of the run that needs it."""
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
    """A store of small models (see tests/toy_store.py). It is shared: copy it before you change it."""
    return published_once(tmp_path_factory, "toys", publish_toys)


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of the demo models, trained in some seconds. It is shared: copy it before you change it."""
    return published_once(tmp_path_factory, "demo", publish_all)


@contextmanager
def app_maker() -> Iterator[MakeApp]:
    """A factory of applications that are closed at the end."""
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
    """``app_with(**settings)`` returns a shared application of the toy models. Do not change it."""
    return cache(lambda **settings: make_app(toy_store, **settings))


@pytest.fixture(scope="session")
def toy_app(toy_store: Store) -> Iterator[Flask]:
    """An application with the toy models."""
    with app_maker() as make:
        yield make(toy_store)


@pytest.fixture
def client(toy_app: Flask) -> FlaskClient:
    """A client of the application with the toy models."""
    return toy_app.test_client()


def wait_until(condition: Callable[[], bool], seconds: float = LONG_SECONDS) -> None:
    """Wait for a condition that other threads or processes fulfil, without using their processor time."""
    deadline, pause = time.monotonic() + seconds, 0.002
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause)
        pause = min(1.5 * pause, 0.05)
