"""LitServe with batching on, as its documentation turns it on: ``{"input": [[..], ..]}`` -> labels, probabilities."""

import os
from typing import Any

import joblib
import litserve as ls
import numpy as np
import sklearn

WORKERS = int(os.environ["BENCH_WORKERS"])
MAX_BATCH = 64
# With the default of 0 the worker polls its queue without a pause and takes the core from everything else.
BATCH_TIMEOUT_SECONDS = 0.005


class Api(ls.LitAPI):
    """Rows of all requests of a batch in one array; each request gets its part of the answers."""

    def setup(self, device: str) -> None:
        """Load the model in the inference worker."""
        sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    def decode_request(self, request) -> np.ndarray:  # an annotation would become the request's schema
        """The rows of one request, (n_rows, n_features)."""
        return np.array(request["input"])

    def batch(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """Requests may differ in their number of rows, so they stay apart until ``predict``."""
        return inputs

    def predict(self, inputs: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Labels and probabilities for each request."""
        probabilities = self.model.predict_proba(np.concatenate(inputs))
        labels = self.model.classes_[probabilities.argmax(axis=1)]
        ends = np.cumsum([len(rows) for rows in inputs])[:-1]
        return list(zip(np.split(labels, ends), np.split(probabilities, ends), strict=True))

    def unbatch(self, output: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """One entry for each request already."""
        return output

    def encode_response(self, output: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
        """The reply of one request."""
        labels, probabilities = output
        return {"labels": labels.tolist(), "probabilities": probabilities.tolist()}


if __name__ == "__main__":
    server = ls.LitServer(
        Api(max_batch_size=MAX_BATCH, batch_timeout=BATCH_TIMEOUT_SECONDS),
        accelerator="cpu",
        workers_per_device=WORKERS,
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
