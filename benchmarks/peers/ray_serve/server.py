"""Ray Serve deployments as its documentation writes them: one request a call, and dynamic request batching.

Both take ``{"inputs": [[..], ..]}`` and answer ``{"labels", "probabilities"}``. The script is its own cluster of one
node, without dashboard, in the directory of this run; its object store is small because nothing is put into it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import joblib
import numpy as np
import ray
import sklearn
from ray import serve
from starlette.requests import Request

WORKERS = int(os.environ["BENCH_WORKERS"])
OBJECT_STORE_BYTES = 100 * 2**20
MAX_BATCH = 256
# Above its default of 5, Ray's router waits and asks again: 64 clients got 13 answers a second, with this 139.
MAX_ONGOING = 1024

Rows = list[list[float]]
Answer = dict[str, list[Any]]


@serve.deployment(num_replicas=WORKERS, max_ongoing_requests=MAX_ONGOING)
class Plain:
    """One call of the model for each request."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    async def __call__(self, request: Request) -> Answer:
        """Labels and probabilities of the rows of one request."""
        inputs = np.array((await request.json())["inputs"])
        labels = self.model.predict(inputs)
        return {"labels": labels.tolist(), "probabilities": self.model.predict_proba(inputs).tolist()}


@serve.deployment(num_replicas=WORKERS, max_ongoing_requests=MAX_ONGOING)
class LoadedModel:
    """Ray collects concurrent requests; a batch goes as soon as the event loop has nothing else to do."""

    def __init__(self) -> None:
        sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0)
    async def answer(self, requests: list[Rows]) -> list[Answer]:
        """One answer for each request, from one call of the model."""
        probabilities = self.model.predict_proba(np.array([row for rows in requests for row in rows]))
        labels = self.model.classes_[probabilities.argmax(axis=1)]
        ends = np.cumsum([len(rows) for rows in requests])[:-1]
        cut = zip(np.split(labels, ends), np.split(probabilities, ends), strict=True)
        return [{"labels": some.tolist(), "probabilities": theirs.tolist()} for some, theirs in cut]

    async def __call__(self, request: Request) -> Answer:
        """Labels and probabilities of the rows of one request."""
        return await self.answer((await request.json())["inputs"])


DEPLOYMENTS = {"plain": Plain, "batched": LoadedModel}


def main() -> None:
    """Start the cluster, serve, and wait."""
    ray.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        _temp_dir=os.path.join(os.environ["BENCH_WORK"], "ray"),
    )
    # A line for every request is an access log.
    logging_config = {"log_level": "WARNING", "enable_access_log": False}
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])},
        logging_config=logging_config,
    )
    serve.run(DEPLOYMENTS[sys.argv[1]].bind(), blocking=True, logging_config=logging_config)


if __name__ == "__main__":
    main()
