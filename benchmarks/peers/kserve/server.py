"""A custom predictor on KServe's Python model server, as its documentation writes one, speaking protocol V1."""

from __future__ import annotations

import argparse
import os
from typing import Any

import joblib
import numpy as np
from kserve import Model, ModelServer, model_server
from kserve.protocol.rest.server import RESTServer


class Predictor(Model):
    """``{"instances": [[..], ..]}`` -> ``{"predictions": [{"label", "probability"}, ..]}``."""

    def load(self) -> bool:
        """Load the model; the server is ready afterwards."""
        self.model = joblib.load(os.environ["BENCH_MODEL"])
        self.ready = True
        return self.ready

    def predict(self, payload: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        """The label and the probabilities of each row."""
        instances = np.array(payload["instances"])
        labels = self.model.predict(instances).tolist()
        probabilities = self.model.predict_proba(instances).tolist()
        pairs = zip(labels, probabilities, strict=True)
        return {"predictions": [{"label": label, "probability": row} for label, row in pairs]}


class LoopbackServer(RESTServer):
    """KServe's server listens on every interface and has no option for it; a comparison has no business there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.host = "127.0.0.1"


if __name__ == "__main__":
    model_server.RESTServer = LoopbackServer
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    arguments, _ = parser.parse_known_args()
    predictor = Predictor(arguments.model_name)
    predictor.load()
    ModelServer().start([predictor])
