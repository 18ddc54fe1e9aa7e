"""Every wire's request carries the rows, its reply is read back, and a reply of another form is refused."""

from __future__ import annotations

import struct

import orjson
import pytest

from benchmarks import wires, workload
from benchmarks.arms import ARMS
from benchmarks.wires import Answer, BadReply, Wire

TWO = Answer([1, 0], [[0.25, 0.75], [0.5, 0.5]])
REPLIES = {
    wires.NATIVE.name: (wires.NATIVE, {"predictions": TWO.labels, "probabilities": TWO.probabilities}, TWO),
    wires.BENTOML.name: (wires.BENTOML, [[1.0, 0.25, 0.75], [0.0, 0.5, 0.5]], TWO),
    wires.RAY.name: (wires.RAY, {"labels": TWO.labels, "probabilities": TWO.probabilities}, TWO),
    wires.LITSERVE.name: (wires.LITSERVE, {"labels": TWO.labels, "probabilities": TWO.probabilities}, TWO),
    wires.KSERVE_V1.name: (
        wires.KSERVE_V1,
        {"predictions": [{"label": 1, "probability": [0.25, 0.75]}, {"label": 0, "probability": [0.5, 0.5]}]},
        TWO,
    ),
    wires.OPEN_INFERENCE_V2.name: (
        wires.OPEN_INFERENCE_V2,
        {
            "outputs": [
                {"name": "predict_proba", "shape": [2, 2], "data": [0.25, 0.75, 0.5, 0.5]},
                {"name": "predict", "shape": [2, 1], "data": [1, 0]},
            ]
        },
        TWO,
    ),
    wires.MLFLOW.name: (wires.MLFLOW, {"predictions": [1, 0]}, Answer([1, 0], None)),
}


def numbers(value: object) -> list[float]:
    """Every number of a JSON value, in order."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [float(value)] if isinstance(value, (int, float)) else []


@pytest.mark.parametrize("n_rows", workload.ROWS_A_REQUEST)
@pytest.mark.parametrize("name", REPLIES)
def test_a_request_carries_every_number_of_its_rows_in_order(name: str, n_rows: int) -> None:
    wire: Wire = REPLIES[name][0]
    rows = workload.rows("hgb", n_rows)
    sent = numbers(orjson.loads(wire.request(rows).body))
    flat = [cell for row in rows for cell in row]
    start = sent.index(flat[0])
    assert sent[start : start + len(flat)] == flat


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_is_read_as_labels_and_probabilities(name: str) -> None:
    wire, reply, expected = REPLIES[name]
    assert wire.answer(orjson.dumps(reply)) == expected
    assert wire.label_only == (expected.probabilities is None)


@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("body", [b"", b"no JSON", b"{}", b"[[]]", b'{"predictions": ["a"]}'])
def test_a_reply_of_another_form_is_refused(name: str, body: bytes) -> None:
    with pytest.raises(BadReply, match=name):
        REPLIES[name][0].answer(body)


@pytest.mark.parametrize("label", ["1.5", "true", '"1"', "null"])
def test_a_label_that_is_no_whole_number_is_refused(label: str) -> None:
    with pytest.raises(BadReply):
        wires.NATIVE.answer(b'{"prediction": %s, "probability": [1.0]}' % label.encode())


def test_a_single_native_request_uses_the_single_route() -> None:
    rows = workload.rows("lr", 2)
    assert wires.NATIVE.request(rows[:1]).path == "/predict"
    assert wires.NATIVE.request(rows).path == "/predict/batch"
    assert wires.NATIVE.answer(b'{"prediction": 2, "probability": [0.0, 0.1, 0.9]}').labels == [2]


@pytest.mark.parametrize("width", [1, 4, 30, 31, 32, 200])
def test_grpc_messages_are_protobuf(width: int) -> None:
    row = [float(i) for i in range(width)]
    body = wires.GRPC.request([row]).body
    tag, rest = body[0], body[1:]
    length, rest = (rest[0], rest[1:]) if rest[0] < 128 else (rest[0] - 128 + (rest[1] << 7), rest[2:])
    assert (tag, length) == (0x0A, len(rest))
    assert list(struct.unpack(f"<{width}f", rest)) == row
    assert wires.GRPC.answer(b"\x0d" + struct.pack("<f", 2.0)) == Answer([2], None)
    assert wires.GRPC.answer(b"") == Answer([0], None)
    with pytest.raises(BadReply):
        wires.GRPC.answer(b"\x0d\x00")


def test_a_wire_without_batches_refuses_two_rows() -> None:
    with pytest.raises(ValueError, match="one row"):
        wires.GRPC.request(workload.rows("lr", 2))


def test_every_arm_has_a_wire_that_is_tested_here() -> None:
    assert {arm.wire.name for arm in ARMS.values()} == {*REPLIES, wires.GRPC.name}
