"""The schemas of all replies but predictions, for the OpenAPI document and for tests."""

from __future__ import annotations

from typing import Any, get_args

from marshmallow import EXCLUDE, Schema, fields

from models.signature import Dtype, OutputKind

STATES = ["lazy", "loading", "ready", "failed"]


def _text(description: str, *, required: bool = True, **metadata: Any) -> fields.String:
    return fields.String(required=required, metadata={"description": description, **metadata})


def _state() -> fields.String:
    return _text("`lazy`: the first request loads it", enum=STATES)


def _reason() -> fields.String:
    return _text("The reason of a state other than ready", required=False)


def _names(description: str, example: dict[str, str]) -> fields.Dict:
    metadata = {"description": description, "examples": [example]}
    return fields.Dict(keys=fields.String(), values=fields.String(), required=True, metadata=metadata)


def _bound(description: str) -> fields.Raw:
    return fields.Raw(
        metadata={"description": description, "anyOf": [{"type": "number"}, {"type": "string"}]}
    )


class Reply(Schema):
    """The base of replies, to which later releases may add members."""

    class Meta:
        unknown = EXCLUDE


class HealthSchema(Reply):
    """The liveness of the process."""

    status = _text("Always this", enum=["healthy"])


class VersionStateSchema(Reply):
    """The state of one version."""

    state = _state()
    reason = _reason()


class ModelStateSchema(VersionStateSchema):
    """The state of one model, which is that of its stable version, and the states of all versions."""

    versions = fields.Dict(keys=fields.String(), values=fields.Nested(VersionStateSchema), required=True)


class ReadySchema(Reply):
    """The readiness of the server."""

    status = _text(
        "Send requests to the server only if this is `ready`", enum=["ready", "loading", "draining", "unable"]
    )
    reason = _reason()
    models = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(ModelStateSchema),
        required=True,
        metadata={"examples": [{"name": {"state": "ready", "versions": {"1": {"state": "ready"}}}}]},
    )


class FlaskSchema(Reply):
    """The versions of Flask and Werkzeug, and whether the fast path is in use."""

    version = _text("The version of Flask")
    werkzeug = _text("The version of Werkzeug")
    fast_path = fields.Boolean(
        required=True, metadata={"description": "Whether the fast path is used, which needs tested versions"}
    )
    reason = _text("Why the ordinary path of Flask is used; absent on the fast path", required=False)


class ReleaseSchema(Reply):
    """The release, the generation of the store in use, and the versions of Flask and Werkzeug."""

    version = _text("The release of the server")
    generation = _text("Changes with every change of the store")
    flask = fields.Nested(FlaskSchema, required=True)


class IndexSchema(Reply):
    """The index of the server."""

    name = _text("Always this", enum=["plumbline"])
    version = _text("The release of the server")
    links = _names("Paths of the other routes", {"models": "/models"})
    predict = _names("Model name to the route of its predictions", {})


class ModelReadySchema(Reply):
    """The readiness of one model."""

    name = _text("The model")
    ready = fields.Boolean(required=True)
    state = _state()
    reason = _reason()


class ModelSchema(Reply):
    """One model."""

    name = _text("The model")
    default = fields.Boolean(required=True, metadata={"description": "Whether /predict leads to this model"})
    state = _state()
    reason = _reason()
    description = _text("What the publisher says about it")
    versions = fields.List(fields.String(), required=True, metadata={"description": "Numbers, ascending"})
    latest = fields.String(
        required=True, allow_none=True, metadata={"description": "The highest number; null without versions"}
    )
    aliases = _names("Alias to number; `stable` answers routed requests", {"stable": "1"})
    tags = _names("Tag to number", {"1.0.0": "1"})
    traffic = fields.Dict(
        metadata={
            "description": "The traffic rule: which requests get a version other than the stable one",
            "examples": [{"arms": [{"version": 3, "percent": 10.0}]}],
        }
    )
    stand_in = _text(
        "The version that answers in place of the stable one, which cannot be loaded", required=False
    )


class ModelsSchema(Reply):
    """Every model."""

    models = fields.List(fields.Nested(ModelSchema), required=True)


class VersionSummarySchema(Reply):
    """One version of a model. An unreadable version lacks the members that were recorded at publishing."""

    version = _text("The number of the version")
    state = _state()
    reason = _reason()
    names = fields.List(fields.String(), required=True, metadata={"description": "Tags and aliases"})
    published_at = fields.DateTime(metadata={"description": "UTC"})
    trained_at = fields.DateTime(metadata={"description": "UTC"})
    framework = _text("The framework that it needs", required=False)
    pickled_with = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={"description": "Libraries whose other versions wrote its file; absent if there are none"},
    )
    metrics = fields.Dict(
        keys=fields.String(), values=fields.Float(), metadata={"examples": [{"accuracy": 0.95}]}
    )


class ModelDetailSchema(ModelSchema):
    """One model, with a summary of each of its versions."""

    versions = fields.List(
        fields.Nested(VersionSummarySchema), required=True, metadata={"description": "Ascending"}
    )


class ComparisonSchema(Reply):
    """A comparison of two versions."""

    versions = fields.List(fields.Integer(), required=True, metadata={"examples": [[1, 2]]})
    metadata = fields.Dict(
        required=True, metadata={"description": "Their records: pairs of the first and the second version"}
    )
    answers = fields.Dict(
        required=True,
        metadata={
            "description": "On the golden rows of the second: the number of changed predictions, the "
            "differences of scores, the rows with the largest ones, and the slices"
        },
    )
    truth = fields.Dict(metadata={"description": "The quality of each, if outcomes are known"})


class ColumnSchema(Reply):
    """A feature, a parameter or a column of a record."""

    name = _text("The name in requests and replies")
    dtype = _text("The type; a `duration` is a number of seconds", enum=list(get_args(Dtype)))
    required = fields.Boolean(required=True)
    description = _text("The meaning of the column", required=False)
    default = fields.Raw()
    nullable = fields.Boolean()
    optional = fields.Boolean(metadata={"description": "May be missing in an object, which means null"})
    timezone = _text("The time zone of the model; date-times must have an offset", required=False)
    minimum = _bound("Declared: an input outside is refused. Text for dates")
    maximum = _bound("Declared: an input outside is refused. Text for dates")
    limit_of = _text("The type that sets the limits, such as uint8, if they were not chosen", required=False)
    min_length = fields.Integer()
    max_length = fields.Integer()
    values = fields.List(fields.Raw(), metadata={"description": "Declared: any other value is refused"})
    observed = fields.List(
        _bound("Text for dates"),
        metadata={"description": "Range of the training data; inputs outside are accepted"},
    )
    example = fields.Raw()


class OutputSchema(Reply):
    """The answer to one row, or one of several answers."""

    name = _text("Its name, if there are several", required=False)
    kind = _text("The form of the answer", enum=list(get_args(OutputKind)))
    classes = fields.List(fields.Raw(), metadata={"description": "In the order of `probability`"})
    probability = fields.Boolean()
    size = fields.Integer()
    components = fields.List(fields.String(), metadata={"description": "The names of a vector's numbers"})
    columns = fields.List(fields.Nested(ColumnSchema))
    outputs = fields.List(fields.Nested(lambda: OutputSchema()), metadata={"description": "Several answers"})
    scores = fields.List(
        fields.Nested(lambda: OutputSchema()), metadata={"description": "The members of `scores`"}
    )
    method = _text("The method of the estimator, if not `predict`", required=False)
    arguments = fields.Dict(metadata={"description": "Further arguments of the method"})


class VersionDetailSchema(VersionSummarySchema):
    """Everything recorded about one version."""

    name = _text("The model")
    description = _text("What the publisher says about it")
    estimator = _text("The class of the model")
    features = fields.List(fields.Nested(ColumnSchema), required=True)
    feature_names_recorded = fields.Boolean(
        required=True,
        metadata={"description": "If not, an object may have any names; its values are read in sorted order"},
    )
    coerce = fields.Boolean(
        required=True,
        metadata={"description": "Whether text that spells a number or boolean is accepted for it"},
    )
    parameters = fields.List(fields.Nested(ColumnSchema), required=True)
    output = fields.Nested(OutputSchema, required=True)
    example = fields.Dict(required=True, metadata={"description": "A request and its prediction"})
    measured_ms = fields.Dict(
        keys=fields.String(),
        values=fields.Float(),
        required=True,
        metadata={
            "description": "Number of rows to the median time of one call, in milliseconds",
            "examples": [{"1": 0.2, "8": 0.2, "64": 0.3}],
        },
    )
    exact = fields.Boolean(
        required=True,
        metadata={
            "description": "Whether every answer is bit-identical to that of a call with its request alone"
        },
    )
    compiled = fields.Dict(
        required=True,
        metadata={
            "description": "The form that serves and the reason, if a compiled one was requested: its "
            "tolerance, its largest difference from the original, its speed-up. `here` is the form that "
            "this machine serves",
            "examples": [{"form": "treelite", "why": "14x as fast as the original for 1 row and 9x for 64"}],
        },
    )
    batching = fields.Dict(
        required=True,
        metadata={
            "description": "Whether requests share calls of the model in the worker that answers, the cost "
            "of calls, and how much shared answers differ from single ones; empty until it is loaded",
            "examples": [
                {
                    "on": True,
                    "lane": "hub",
                    "max_rows": 256,
                    "wait_ms": 0.0,
                    "base_ms": 0.17,
                    "row_ms": 0.0002,
                    "same_answers": True,
                    "bit_exact": False,
                    "max_abs_difference": 1.1e-16,
                    "stall_ms": None,
                }
            ],
        },
    )
    golden_rows = fields.Dict(
        required=True, metadata={"description": "The number of recorded answers that a load verifies"}
    )
    libraries = _names("Libraries and their versions at publishing", {"numpy": "2.4.6"})
    files = fields.Dict(required=True, metadata={"description": "Its files, with digest and size"})
