"""Answers are cut by rows without knowing the model, and written as exact JSON data."""

from __future__ import annotations

import numpy as np
import orjson

from models.outputs import Outputs

ITEMS = [[{"item": "a"}], [], [{"item": "b"}, {"item": "c"}]]


def test_rows_are_cut_with_their_probabilities() -> None:
    outputs = Outputs(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]))
    assert len(outputs) == 3
    assert outputs.rows(1, 3).to_lists() == {"values": [1, 1], "probabilities": [[0.2, 0.8], [0.4, 0.6]]}
    assert outputs.rows(0, 1).to_lists() == {"values": [0], "probabilities": [[0.9, 0.1]]}


def test_cutting_copies_nothing() -> None:
    outputs = Outputs(np.arange(1000.0))
    assert np.shares_memory(outputs.rows(10, 20).values, outputs.values)


def test_vectors_keep_their_width() -> None:
    assert Outputs(np.arange(6.0).reshape(3, 2)).rows(2, 3).to_lists() == {"values": [[4.0, 5.0]]}


def test_records_may_be_of_another_number_in_every_row() -> None:
    outputs = Outputs.of_records(ITEMS)
    assert len(outputs) == 3
    assert outputs.to_lists() == {"values": ITEMS}
    assert outputs.rows(2, 3).to_lists() == {"values": ITEMS[2:]}


def test_records_of_one_number_in_every_row_are_still_one_list_a_row() -> None:
    """NumPy would turn them into a square array."""
    assert len(Outputs.of_records([[{"item": "a"}], [{"item": "b"}]])) == 2
    assert Outputs.of_records([]).to_lists() == {"values": []}


def test_floats_survive_json_bit_for_bit() -> None:
    exact = np.array([0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, np.float32(0.1)])
    values = Outputs(exact).to_lists()["values"]
    assert np.array_equal(np.array(orjson.loads(orjson.dumps(values))), exact)


def test_labels_become_plain_json_values() -> None:
    for label in (1, "setosa", True):
        (value,) = Outputs(np.array([label])).to_lists()["values"]
        assert type(value) is type(label)
