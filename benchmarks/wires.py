"""How each peer's protocol carries rows and answers: bytes out, bytes in.

A wire turns a list of rows into one request and its reply into labels and probabilities. Bodies are what a client
of that server would send; nothing here knows how the bytes travel.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from benchmarks.workload import Rows

JSON = {"Content-Type": "application/json"}


class Request(NamedTuple):
    """One call: an HTTP POST, or a gRPC message when ``path`` is a method."""

    path: str
    body: bytes


class Answer(NamedTuple):
    """What a reply says of each row; probabilities are None where the protocol has no place for them."""

    labels: list[int]
    probabilities: list[list[float]] | None


class BadReply(ValueError):
    """A reply that does not have the form that its wire promises."""


@dataclass(frozen=True, slots=True)
class Wire:
    """``encode`` makes the request of some rows, ``decode`` reads the body of its reply."""

    name: str
    encode: Callable[[Rows], Request]
    decode: Callable[[bytes], Answer]
    batches: bool = True
    label_only: bool = False
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))

    def request(self, rows: Rows) -> Request:
        """One request for all of the rows; raises ValueError when the protocol carries one row only."""
        if len(rows) != 1 and not self.batches:
            raise ValueError(f"{self.name} carries one row a request")
        return self.encode(rows)

    def answer(self, body: bytes) -> Answer:
        """Raises BadReply."""
        try:
            found = self.decode(body)
            if not found.labels or len(found.labels) != len(found.probabilities or found.labels):
                raise ValueError("a label and probabilities for each row")
            return found
        except (KeyError, IndexError, TypeError, ValueError, struct.error) as error:
            raise BadReply(f"{self.name}: {body[:120]!r} is no reply of this form") from error


def _labels(values: list[Any]) -> list[int]:
    labels = [int(value) for value in values]
    if labels != values or any(isinstance(value, bool) for value in values):
        raise ValueError("labels are whole numbers")
    return labels


def _native_request(rows: Rows) -> Request:
    if len(rows) == 1:
        return Request("/predict", orjson.dumps({"features": rows[0]}))
    return Request("/predict/batch", orjson.dumps({"inputs": rows}))


def _native_answer(body: bytes) -> Answer:
    reply = orjson.loads(body)
    if "predictions" in reply:
        return Answer(_labels(reply["predictions"]), reply["probabilities"])
    return Answer(_labels([reply["prediction"]]), [reply["probability"]])


def _bentoml_answer(body: bytes) -> Answer:
    rows = orjson.loads(body)
    return Answer(_labels([row[0] for row in rows]), [row[1:] for row in rows])


def _v2_request(rows: Rows) -> Request:
    flat = [cell for row in rows for cell in row]
    tensor = {"name": "x", "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": flat}
    outputs = [{"name": "predict"}, {"name": "predict_proba"}]
    return Request("/v2/models/bench/infer", orjson.dumps({"inputs": [tensor], "outputs": outputs}))


def _v2_answer(body: bytes) -> Answer:
    outputs = {output["name"]: output for output in orjson.loads(body)["outputs"]}
    flat = outputs["predict_proba"]["data"]
    classes = outputs["predict_proba"]["shape"][1]
    probabilities = [flat[i : i + classes] for i in range(0, len(flat), classes)]
    return Answer(_labels(outputs["predict"]["data"]), probabilities)


def _v1_answer(body: bytes) -> Answer:
    rows = orjson.loads(body)["predictions"]
    return Answer(_labels([row["label"] for row in rows]), [row["probability"] for row in rows])


def _pairs_answer(body: bytes) -> Answer:
    reply = orjson.loads(body)
    return Answer(_labels(reply["labels"]), reply["probabilities"])


def _grpc_request(rows: Rows) -> Request:
    """PredictRequest{repeated float features = 1}: one packed, length-delimited field."""
    packed = struct.pack(f"<{len(rows[0])}f", *rows[0])
    length = len(packed)
    varint = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return Request("/ModelService/Predict", b"\x0a" + varint + packed)


def _grpc_answer(body: bytes) -> Answer:
    """PredictReply{float prediction = 1}: absent when it is 0, as proto3 has it."""
    if not body:
        return Answer([0], None)
    if len(body) != 5 or body[0] != 0x0D:
        raise ValueError("not a PredictReply")
    return Answer(_labels(list(struct.unpack("<f", body[1:]))), None)


def _json(path: str, key: str) -> Callable[[Rows], Request]:
    return lambda rows: Request(path, orjson.dumps({key: rows}))


NATIVE = Wire("native", _native_request, _native_answer)
BENTOML = Wire("BentoML", _json("/predict", "input_data"), _bentoml_answer)
RAY = Wire("Ray Serve", _json("/predict", "inputs"), _pairs_answer)
LITSERVE = Wire("LitServe", _json("/predict", "input"), _pairs_answer)
KSERVE_V1 = Wire("KServe V1", _json("/v1/models/bench:predict", "instances"), _v1_answer)
OPEN_INFERENCE_V2 = Wire("Open Inference Protocol V2", _v2_request, _v2_answer)
MLFLOW = Wire(
    "MLflow",
    _json("/invocations", "inputs"),
    lambda body: Answer(_labels(orjson.loads(body)["predictions"]), None),
    label_only=True,
)
GRPC = Wire("gRPC", _grpc_request, _grpc_answer, batches=False, label_only=True, headers={})
