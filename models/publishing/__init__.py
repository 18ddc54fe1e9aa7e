"""From a fitted object or a file to a version that is verified and added to a store.

A server never imports this package, and no module of it loads or serves a version that is already stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models.names import check_model_name, check_tags
from models.record import Record
from models.store import Store


def publish(
    store: Store,
    name: str,
    estimator: Any,
    X_sample: Any,
    y_sample: Any = None,
    *,
    tags: Sequence[str] = (),
    code: str | Path | None = None,
    on_step: Callable[[str], None] = lambda step: None,
    **options: Any,
) -> Record:
    """Measure, verify and add a version. The first version of a model becomes ``stable``.

    estimator: a fitted scikit-learn estimator, an object with ``signature`` and ``predict(rows,
        **parameters)``, or the Path of a joblib or pickle file, which is unpickled.
    X_sample: n_rows rows as the model takes them: frame, array, sparse matrix, texts, dicts or lists of
        values.
    y_sample: their outcomes, of shape (n_rows,), or of several outputs (n_rows, n_outputs). The columns
        of a DataFrame name the outputs.
    code: the module or package that defines the model's own classes.
    options: the other fields of ``models.publishing.publication.Description``: metrics, description,
        signature, method, nullable and others.

    Raises PublishError, LoadError (CodeMissing, LibraryMismatch), InvalidName or StoreUnavailable; the store
    is then unchanged.
    """
    # These modules are slow to import, and commands that only look at a sample or a draft do not need them.
    from models.publishing.publication import Description
    from models.publishing.publisher import proved_draft

    check_model_name(name)
    check_tags(tags)
    description = Description(code=Path(code) if code else None, **options)
    draft = proved_draft(name, estimator, X_sample, y_sample, description, on_step)
    on_step("writing it to the store")
    return store.add(draft.manifest, draft.files, tags=tags)
