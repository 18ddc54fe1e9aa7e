"""Versions of a scikit-learn model with side effects when they are unpickled."""

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
    """An object that is unpickled as the result of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@cache
def linear_model() -> LogisticRegression:
    """Return a model with two columns and two classes."""
    X = np.random.default_rng(4).normal(size=(64, 2))
    return LogisticRegression().fit(X, (X[:, 0] > 0).astype(int))


def linear_draft(name: str) -> Record:
    """Return a draft of it, as publishing builds it."""
    X = np.random.default_rng(5).normal(size=(64, 2))
    return draft_version(name, linear_model(), X, None, Description())


def harmful_draft(name: str, what: Calling) -> Record:
    """Return a draft with another artifact and with valid digests."""
    return linear_draft(name).with_files({ARTIFACT: pickle.dumps(what)})


def exiting(name: str) -> Record:
    """Return a draft that ends the process that loads it."""
    return harmful_draft(name, Calling(os._exit, 7))


def hanging(name: str) -> Record:
    """Return a draft whose load never ends."""
    return harmful_draft(name, Calling(time.sleep, 3600))


def sleeping(name: str) -> Record:
    """Return a draft of a valid model whose load takes a while."""
    return harmful_draft(name, Calling(slowly, SLOW_SECONDS, linear_model()))


def importing(name: str) -> Record:
    """Return a draft of a valid model with a module whose import takes a while."""
    return linear_draft(name).with_files({ARTIFACT: b"ctests.slow_import\nmodel\n(tR."})


def summing(name: str) -> Record:
    """Return a draft whose load never releases the interpreter."""
    return harmful_draft(name, Calling(sum, range(10**13)))


def matching(name: str) -> Record:
    """Return a draft whose load never releases the interpreter and ignores signals."""
    return harmful_draft(name, Calling(re.match, "(a|a)+$", "a" * 100 + "b"))


def telling(name: str, path: Path) -> Record:
    """Return a draft of a valid model; each process that unpickles it appends its id to the file."""
    return harmful_draft(name, Calling(tell, str(path)))


def threaded(name: str) -> Record:
    """Return a draft of a valid model that starts a thread when it is unpickled."""
    return harmful_draft(name, Calling(start_thread))


def tell(path: str) -> LogisticRegression:
    """Append the process id; called by the model of ``telling``."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    return linear_model()


def start_thread() -> LogisticRegression:
    """Start a thread; called by the model of ``threaded``."""
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    return linear_model()


def slowly(seconds: float, model: Any) -> Any:
    """Return the model after a while."""
    time.sleep(seconds)
    return model
