"""Objects that declare their signature: parameters, records, and answers that must conform."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.errors import Fault, InputError, PredictError, PublishError
from models.publishing import publish
from models.runtimes.loading import load_version
from models.signature import Column, Output, Signature
from models.store import Store
from tests.toys import Local, Summing

ROWS = [[float(i)] for i in range(40)]
NUMBER = Output("number")
LABEL = Output("class", classes=("low", "high"), probability=True)
RECORDS = Output(
    "records",
    columns=(Column("item", "string"), Column("score"), Column("rank", "int"), Column("made_by", "string")),
    version_column="made_by",
)


class Declared:
    """An object that answers with a function of the rows and the parameters."""

    def __init__(self, output: Output, answer: Any, *parameters: Column) -> None:
        self.signature = Signature((Column("x", minimum=0),), output, parameters)
        self.answer: Any = Local(answer)

    def predict(self, rows: np.ndarray, **parameters: Any) -> Any:
        return self.answer(rows[:, 0], **parameters)


def best(x: np.ndarray, k: int) -> Any:
    return [
        [{"item": f"i{j}", "score": value / (j + 1), "rank": j} for j in range(k)] for value in x.tolist()
    ]


def labels(x: np.ndarray) -> Any:
    share = x / 40
    return np.array(LABEL.classes)[(share > 0.5).astype(int)], np.column_stack([1 - share, share])


def at_most_ten(x: np.ndarray) -> Any:
    if (x > 10).any():
        raise InputError([Fault(("inputs", 0, "x"), "unknown customer", "1 to 10")])
    return x


def test_parameters_reach_the_model_and_are_part_of_the_example(store: Store) -> None:
    version = publish(store, "best", Declared(RECORDS, best, Column("k", "int", default=3)), ROWS)
    assert version.manifest.framework == "python"
    assert version.manifest.example["request"] == {"x": 0.0, "k": 3}
    assert len(version.manifest.example["response"]["prediction"]) == 3
    runtime = load_version(version)
    outputs = runtime.predict(np.array([[8.0], [2.0]]), {"k": 1})
    values, probabilities = outputs.values.tolist(), outputs.probabilities
    assert values == [[{"item": "i0", "score": 8.0, "rank": 0}], [{"item": "i0", "score": 2.0, "rank": 0}]]
    assert probabilities is None


def test_an_example_may_say_its_parameters(store: Store) -> None:
    model = Declared(RECORDS, best, Column("k", "int"))
    with pytest.raises(PublishError, match="the example's parameters: the signature misses k"):
        publish(store, "best", model, ROWS)
    with pytest.raises(PublishError, match="the example's parameters: the signature does not know j"):
        publish(store, "best", model, ROWS, parameters={"k": 2, "j": 1})
    assert publish(store, "best", model, ROWS, parameters={"k": 2}).manifest.example["request"] == {
        "x": 0.0,
        "k": 2,
    }


def test_labels_come_with_their_probabilities(store: Store) -> None:
    version = publish(store, "level", Declared(LABEL, labels), ROWS, np.array(["low"] * 21 + ["high"] * 19))
    assert version.manifest.metrics == {"sample_accuracy": 1.0}
    assert load_version(version).predict(np.array([[10.0]]), {}).to_lists() == {
        "values": ["low"],
        "probabilities": [[0.75, 0.25]],
    }


def test_a_signature_may_be_given_beside_the_object(store: Store) -> None:
    class_of_another_house = Summing()
    signature = Signature((Column("p"), Column("q")), NUMBER, (Column("factor", default=10.0),))
    version = publish(store, "sum", class_of_another_house, [[1.0, 2.0]], signature=signature)
    assert [c.name for c in version.manifest.signature.columns] == ["p", "q"]
    assert version.manifest.example["response"] == {"prediction": 30.0}


def test_a_signature_given_beside_an_object_without_one_makes_it_a_declared_model(store: Store) -> None:
    signature = Signature((Column("x"),), NUMBER, (Column("plus", default=1.0),))
    version = publish(store, "plain", Plain(), [[1.0]], signature=signature)
    assert load_version(version).predict(np.array([[1.0]]), {"plus": 5.0}).values.tolist() == [6.0]


class Plain:
    def predict(self, rows: np.ndarray, plus: float) -> np.ndarray:
        return rows[:, 0] + plus


@pytest.mark.parametrize(
    ("output", "answer", "why"),
    [
        (NUMBER, lambda x: x.astype(str), "answers <U32 where numbers are declared"),
        (NUMBER, lambda x: x > 1, "answers bool where numbers are declared"),
        (NUMBER, lambda x: x[:, None], r"answers in shape \(40, 1\) where \(40,\) is declared"),
        (NUMBER, lambda x: x[1:], "the model answers 39 rows where 40 were asked"),
        (NUMBER, lambda x: x / np.where(x == 3, np.nan, 1), "answers NaN or Infinity for a row"),
        (NUMBER, labels, "answers <U4 where numbers are declared"),
        (
            Output("vector", size=3),
            lambda x: np.column_stack([x, x]),
            r"answers in shape \(40, 2\) where \(40, 3\)",
        ),
        (LABEL, lambda x: np.full(len(x), "none"), r"answers \['none'\], which are not among its classes"),
        (LABEL, lambda x: labels(x)[0], r"gives no probabilities where \(40, 2\) is declared"),
        (
            LABEL,
            lambda x: (labels(x)[0], x),
            r"gives probabilities of shape \(40, 1\) where \(40, 2\) is declared",
        ),
        (
            RECORDS,
            lambda x: [[{"item": "a"}]] * len(x),
            r"a record with \['item'\] where \['item', 'rank', 'score'\]",
        ),
        (RECORDS, lambda x: [["a"]] * len(x), "answers a record with"),
    ],
)
def test_answers_that_are_not_the_declared_ones_are_refused(
    store: Store, output: Output, answer: Any, why: str
) -> None:
    with pytest.raises(PublishError, match=why):
        publish(store, "toy", Declared(output, answer), ROWS)
    assert store.names() == []


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("score", float("nan"), "answers NaN or Infinity for 'score'; JSON has no such number"),
        ("score", "high", "answers str 'high' for 'score'"),
        ("score", True, "answers bool True for 'score'"),
        ("rank", 1.0, "answers float 1.0 for 'rank'"),
        ("rank", np.int64(1), "answers int64 .* for 'rank'"),
        ("item", 7, "answers int 7 for 'item'"),
        ("item", None, "answers NoneType None for 'item'"),
    ],
)
def test_a_record_with_a_value_of_another_type_is_refused(
    store: Store, field: str, value: Any, why: str
) -> None:
    record = {"item": "a", "score": 0.5, "rank": 1, field: value}
    with pytest.raises(PublishError, match=why):
        publish(store, "toy", Declared(RECORDS, lambda x: [[record]] * len(x)), ROWS)


def test_a_record_s_optional_and_listed_values(store: Store) -> None:
    columns = (Column("grade", "category", values=(1, "none")), Column("note", "string", nullable=True))
    records = [{"grade": 1, "note": None}, {"grade": "none", "note": "n"}]
    model = Declared(Output("records", columns=columns), lambda x: [records] * len(x))
    assert publish(store, "toy", model, ROWS).manifest.example["response"] == {"prediction": records}


def test_what_only_the_model_can_judge_is_an_input_error(store: Store) -> None:
    model = Declared(NUMBER, at_most_ten)
    with pytest.raises(PublishError, match=r"the golden rows: inputs\.0\.x: unknown customer"):
        publish(store, "toy", model, ROWS)
    runtime = load_version(publish(store, "toy", model, ROWS[:5]))
    with pytest.raises(InputError) as refused:
        runtime.predict(np.array([[11.0]]), {})
    assert refused.value.faults[0].expected == "1 to 10"


def test_any_other_failure_names_the_version(store: Store) -> None:
    runtime = load_version(
        publish(store, "best", Declared(RECORDS, best, Column("k", "int", default=3)), ROWS)
    )
    with pytest.raises(PredictError, match="best:1 failed: TypeError"):
        runtime.predict(np.array([[1.0]]), {"k": "many"})
    runtime.close()
    with pytest.raises(PredictError):
        runtime.predict(np.array([[1.0]]), {"k": 1})
