"""Publishing up to the store: a version that is described, and verified in a fresh interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.errors import PublishError
from models.publishing.given import read_model
from models.publishing.proving import INTERPRETER, prove
from models.publishing.publication import Description, draft_version
from models.record import Record
from models.runtimes.user_code import RUNNING


def proved_draft(
    name: str,
    model: Any,
    X_sample: Any,
    y_sample: Any,
    options: Description,
    on_step: Callable[[str], None] = lambda step: None,
) -> Record:
    """Return a draft that ``draft_version`` described and a process with nothing but a server's modules
    loaded.

    Raises PublishError, CodeMissing or LoadError. ``on_step`` is called with each step's name as it begins.
    """
    if file := RUNNING.get():
        raise PublishError(
            f"{file} publishes when it is imported as the code of a version; "
            'put that below if __name__ == "__main__":'
        )
    INTERPRETER.start()  # it imports libraries in the meantime
    on_step("reading the model")
    given = read_model(model, options.code, options.accept_version_mismatch)
    try:
        draft = draft_version(name, given, X_sample, y_sample, options, on_step)
    except PublishError as error:
        if given.pickled_with:
            writers = ", ".join(f"{library} {version}" for library, version in given.pickled_with.items())
            raise PublishError(f"{error}; it was pickled with {writers}: train it again") from error
        raise
    on_step("proving that a server can load it")
    return prove(draft, given.visited, options.code)
