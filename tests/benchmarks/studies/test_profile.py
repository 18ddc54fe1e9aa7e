"""Which part of the server a sample belongs to."""

from __future__ import annotations

import pytest

from benchmarks.studies.profile import OTHER, part_of, shares


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        ("SocketMixin.send (gevent/_socketcommon.py:700)", "the kernel: send and receive"),
        ("Hub.run (gevent/hub.py:9)", "event loop, greenlets"),
        ("TreePredictor.predict (sklearn/ensemble/_hist_gradient_boosting/predictor.py:7)", "the model"),
        ("Batcher._run (app/inference/batcher.py:7)", "batching"),
        ("checked.<locals>.call (app/inference/model.py:7)", "the model"),
        ("PlumblineWorker._answer (app/worker/worker.py:7)", "worker: heads, replies"),
        ("_line (app/monitoring/access_log.py:7)", "log, metrics, ids, headers"),
        ("Rows._numbers (schemas/matrix.py:7)", "reading and checking JSON"),
        ("reply_body (schemas/predict.py:7)", "the view, writing JSON"),
        ("AppContext.push (flask/ctx.py:7)", "Flask"),
        ("<module> (wsgi.py:7)", OTHER),
    ],
)
def test_a_frame_belongs_to_one_part(frame: str, part: str) -> None:
    assert part_of(frame) == part


def test_shares_are_of_what_was_on_top() -> None:
    raw = "Hub.run (gevent/hub.py:9);AppContext.push (flask/ctx.py:7) 3\nHub.run (gevent/hub.py:9) 1\n"
    raw += "Queue.get (gevent/_threading.py:2);acquire_with_timeout (gevent/_threading.py:36) 9\n"  # idle
    assert shares(raw) == {"Flask": 0.75, "event loop, greenlets": 0.25}
