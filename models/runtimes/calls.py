"""What surrounds every call of foreign code: whose it is, and how its failures become ours, once, where they enter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import InputError, PredictError
from models.manifest import Manifest
from models.talk import RUNNING_VERSION


@contextmanager
def model_call(manifest: Manifest) -> Iterator[None]:
    """InputError passes; any other exception of the model becomes a PredictError that names the version."""
    token = RUNNING_VERSION.set(manifest)
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the model is foreign code
        said = " ".join(str(error).split())[:300]
        raise PredictError(f"{manifest.key} failed: {type(error).__name__}: {said}") from error
    finally:
        RUNNING_VERSION.reset(token)
