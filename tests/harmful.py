"""Versions of a scikit-learn model whose artifact does something else when it is unpickled."""

from __future__ import annotations

import os
import pickle
import re
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from models.publishing.publication import Description, draft_version
from models.record import Record
from models.runtimes.pickled import ARTIFACT

#: Longer than the time-out of the workers under test.
SLOW_SECONDS = 9.0


class Calling:
    """Calls the function when it is unpickled, and is then what that returned."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@cache
def linear_model() -> LogisticRegression:
    """Two columns, two classes."""
    X = np.random.default_rng(4).normal(size=(64, 2))
    return LogisticRegression().fit(X, (X[:, 0] > 0).astype(int))


def linear_draft(name: str) -> Record:
    """A version of it, as publishing makes it."""
    X = np.random.default_rng(5).normal(size=(64, 2))
    return draft_version(name, linear_model(), X, None, Description())


def harmful_draft(name: str, what: Calling) -> Record:
    """A whole version, all of whose digests are right, with another artifact."""
    return linear_draft(name).with_files({ARTIFACT: pickle.dumps(what)})


def exiting(name: str) -> Record:
    """Ends the process that loads it, without a word."""
    return harmful_draft(name, Calling(os._exit, 7))


def hanging(name: str) -> Record:
    """Never comes into memory."""
    return harmful_draft(name, Calling(time.sleep, 3600))


def sleeping(name: str) -> Record:
    """A good model that comes into memory after a while."""
    return harmful_draft(name, Calling(slowly, SLOW_SECONDS, linear_model()))


def importing(name: str) -> Record:
    """A good model that needs a module which computes for a while when it is imported."""
    return linear_draft(name).with_files({ARTIFACT: b"ctests.slow_import\nmodel\n(tR."})


def summing(name: str) -> Record:
    """Never lets go of the interpreter."""
    return harmful_draft(name, Calling(sum, range(10**13)))


def matching(name: str) -> Record:
    """Never lets go of the interpreter, nor looks at signals."""
    return harmful_draft(name, Calling(re.match, "(a|a)+$", "a" * 100 + "b"))


def telling(name: str, path: Path) -> Record:
    """A good model; every process that unpickles it adds its id to the file."""
    return harmful_draft(name, Calling(tell, str(path)))


def threaded(name: str) -> Record:
    """A good model that starts a thread when it is unpickled."""
    return harmful_draft(name, Calling(start_thread))


def tell(path: str) -> LogisticRegression:
    """What ``telling`` calls."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    return linear_model()


def start_thread() -> LogisticRegression:
    """What ``threaded`` calls."""
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    return linear_model()


def slowly(seconds: float, model: Any) -> Any:
    """The model, after a while."""
    time.sleep(seconds)
    return model
