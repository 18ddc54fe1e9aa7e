"""With shared models scikit-learn is imported before gevent patches the standard library: what of that can be told apart.

What was made before the patch blocks the whole thread instead of one greenlet. That is harmless as long as nobody waits
for a socket, a timer or another greenlet while he holds it. Each row below was read with that question.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from models.threads import ONE_THREAD
from tests.conftest import LONG_SECONDS

ROOT = Path(__file__).parents[3]

#: Module -> for what its lock, made before the patch, is held.
HELD_FOR = {
    "_strptime": "the cache of formats",
    "asyncio.events": "the choice of a policy; there is no asyncio here",
    "asyncio.mixins": "the choice of a loop; there is no asyncio here",
    "cloudpickle.cloudpickle": "the registry of classes while pickling",
    "dateutil.tz.tz": "the cache of time zones",
    "joblib.externals.cloudpickle.cloudpickle": "the registry of classes while pickling",
    "joblib.externals.loky.process_executor": "processes of joblib; n_jobs is 1",
    "joblib.externals.loky.reusable_executor": "processes of joblib; n_jobs is 1",
    "pandas._libs.tslibs.strptime": "the cache of formats",
    "scipy.interpolate._fitpack2": "one call of FITPACK",
    "scipy.optimize._cobyqa_py": "one minimisation, while fitting",
    "scipy.stats._multivariate": "one call of MVN",
    "threadpoolctl": "the registry of libraries",
}

SCAN = """
import json, os, sys, threading
import gunicorn.app.wsgiapp, app.config, app.worker
before = set(sys.modules)
from app.serving.shared import Shared
from models.runtimes import runtime_class
runtime_class("scikit-learn")
threads = len(os.listdir("/proc/self/task"))
imported = set(sys.modules) - before
from gevent import monkey
kinds = (type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Event)
monkey.patch_all()
held = []
for name in imported:
    values = list(vars(sys.modules[name]).values())
    values += [v for c in values if isinstance(c, type) and c.__module__ == name for v in vars(c).values()]
    if any(isinstance(value, kinds) for value in values):
        held.append(name)
print(json.dumps({"threads": threads, "held": sorted(held)}))
"""


def test_importing_scikit_learn_before_the_patch_leaves_nothing_that_waits() -> None:
    """No warning of gevent's (they are errors here), no thread, and no lock but those that were looked at."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCAN],
        cwd=ROOT,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        timeout=LONG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["threads"] == 1
    assert set(found["held"]) <= set(HELD_FOR)
