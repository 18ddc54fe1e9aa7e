"""The schemas of replies that the OpenAPI document shows and tests check: catalog, readiness and versions."""

from __future__ import annotations

from typing import Any, get_args

from marshmallow import EXCLUDE, Schema, fields

from models.signature import Dtype, OutputKind

STATES = ["lazy", "loading", "ready", "failed"]


def _text(description: str, *, required: bool = True, **metadata: Any) -> fields.String:
    return fields.String(required=required, metadata={"description": description, **metadata})


def _state() -> fields.String:
    return _text("`lazy` is loaded by its first request", enum=STATES)


def _reason() -> fields.String:
    return _text("Why, when it is not as it should be", required=False)


def _names(description: str, example: dict[str, str]) -> fields.Dict:
    metadata = {"description": description, "examples": [example]}
    return fields.Dict(keys=fields.String(), values=fields.String(), required=True, metadata=metadata)


def _bound(description: str) -> fields.Raw:
    return fields.Raw(
        metadata={"description": description, "anyOf": [{"type": "number"}, {"type": "string"}]}
    )


class Reply(Schema):
    """A reply that later releases may add members to."""

    class Meta:
        unknown = EXCLUDE


class HealthSchema(Reply):
    """The process answers."""

    status = _text("Always this", enum=["healthy"])


class VersionStateSchema(Reply):
    """The state of one version."""

    state = _state()
    reason = _reason()


class ModelStateSchema(VersionStateSchema):
    """The state of one model, which is that of its stable version, and of each version."""

    versions = fields.Dict(keys=fields.String(), values=fields.Nested(VersionStateSchema), required=True)


class ReadySchema(Reply):
    """Whether requests should be sent here."""

    status = _text(
        "Requests should be sent here when it is `ready`", enum=["ready", "loading", "draining", "unable"]
    )
    reason = _reason()
    models = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(ModelStateSchema),
        required=True,
        metadata={"examples": [{"name": {"state": "ready", "versions": {"1": {"state": "ready"}}}}]},
    )


class FlaskSchema(Reply):
    """The Flask that the server runs on."""

    version = _text("The version of Flask")
    werkzeug = _text("The version of Werkzeug")
    fast_path = fields.Boolean(required=True, metadata={"description": "Only with tested versions"})
    reason = _text("Why Flask's ordinary path is used; absent on the fast path", required=False)


class ReleaseSchema(Reply):
    """The release that answers, the generation of the store that it serves, and the Flask that it runs on."""

    version = _text("The release of the server")
    generation = _text("Changes with every change of the store")
    flask = fields.Nested(FlaskSchema, required=True)


class IndexSchema(Reply):
    """What there is."""

    name = _text("Always this", enum=["plumbline"])
    version = _text("The release of the server")
    links = _names("What to open", {"models": "/models"})
    predict = _names("Model name to the route of its predictions", {})


class ModelReadySchema(Reply):
    """Whether routed requests of one model can be answered."""

    name = _text("The model")
    ready = fields.Boolean(required=True)
    state = _state()
    reason = _reason()


class ModelSchema(Reply):
    """One model."""

    name = _text("The model")
    default = fields.Boolean(required=True, metadata={"description": "Whether /predict is this model"})
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
            "description": "Which requests get another version than the stable one, where a rule says so",
            "examples": [{"arms": [{"version": 3, "percent": 10.0}]}],
        }
    )
    stand_in = _text(
        "The version that answers in the place of the stable one, which cannot be loaded", required=False
    )


class ModelsSchema(Reply):
    """Every model."""

    models = fields.List(fields.Nested(ModelSchema), required=True)


class VersionSummarySchema(Reply):
    """One version of a model. What was recorded at publishing is absent when the version cannot be read."""

    version = _text("The number of the version")
    state = _state()
    reason = _reason()
    names = fields.List(fields.String(), required=True, metadata={"description": "Tags and aliases"})
    published_at = fields.DateTime(metadata={"description": "UTC"})
    trained_at = fields.DateTime(metadata={"description": "UTC"})
    framework = _text("What it runs on", required=False)
    pickled_with = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={
            "description": "Libraries whose other versions wrote its file; absent where there are none"
        },
    )
    metrics = fields.Dict(
        keys=fields.String(), values=fields.Float(), metadata={"examples": [{"accuracy": 0.95}]}
    )


class ModelDetailSchema(ModelSchema):
    """One model, with what is known about each of its versions."""

    versions = fields.List(
        fields.Nested(VersionSummarySchema), required=True, metadata={"description": "Ascending"}
    )


class ComparisonSchema(Reply):
    """Two versions side by side."""

    versions = fields.List(fields.Integer(), required=True, metadata={"examples": [[1, 2]]})
    metadata = fields.Dict(
        required=True, metadata={"description": "What they recorded: pairs, first and second"}
    )
    answers = fields.Dict(
        required=True,
        metadata={
            "description": "On the golden rows of the second: how many predictions change, how far scores "
            "are apart, which rows differ most, and in which slices"
        },
    )
    truth = fields.Dict(metadata={"description": "How right each is, where outcomes are known"})


class ColumnSchema(Reply):
    """A feature, a parameter or a column of a record."""

    name = _text("The name in requests and replies")
    dtype = _text("The type; a `duration` is a number of seconds", enum=list(get_args(Dtype)))
    required = fields.Boolean(required=True)
    description = _text("What it is", required=False)
    default = fields.Raw()
    nullable = fields.Boolean()
    optional = fields.Boolean(metadata={"description": "May be left out of an object, which means null"})
    timezone = _text("The zone that the model computes in: date-times must have an offset", required=False)
    minimum = _bound("Declared: an input outside is refused. Text for dates")
    maximum = _bound("Declared: an input outside is refused. Text for dates")
    limit_of = _text("What sets the limits, if no person chose them, such as uint8", required=False)
    min_length = fields.Integer()
    max_length = fields.Integer()
    values = fields.List(fields.Raw(), metadata={"description": "Declared: any other is refused"})
    observed = fields.List(
        _bound("Text for dates"),
        metadata={"description": "Range of the training data: an input outside it is taken"},
    )
    example = fields.Raw()


class OutputSchema(Reply):
    """What one row is answered with, or one of several answers."""

    name = _text("What it is called among several", required=False)
    kind = _text("The form of the answer", enum=list(get_args(OutputKind)))
    classes = fields.List(fields.Raw(), metadata={"description": "In the order of `probability`"})
    probability = fields.Boolean()
    size = fields.Integer()
    components = fields.List(
        fields.String(), metadata={"description": "What the numbers of a vector are called"}
    )
    columns = fields.List(fields.Nested(ColumnSchema))
    outputs = fields.List(fields.Nested(lambda: OutputSchema()), metadata={"description": "Several answers"})
    scores = fields.List(
        fields.Nested(lambda: OutputSchema()), metadata={"description": "What stands under `scores`"}
    )
    method = _text("What of the estimator is called, if not `predict`", required=False)
    arguments = fields.Dict(metadata={"description": "What it is called with beside the rows"})


class VersionDetailSchema(VersionSummarySchema):
    """Everything recorded about one version."""

    name = _text("The model")
    description = _text("What the publisher says about it")
    estimator = _text("The class of the model")
    features = fields.List(fields.Nested(ColumnSchema), required=True)
    feature_names_recorded = fields.Boolean(
        required=True,
        metadata={"description": "If not, an object of any names is taken in the text order of its keys"},
    )
    coerce = fields.Boolean(
        required=True,
        metadata={"description": "Whether text is taken for numbers and booleans where it writes them"},
    )
    parameters = fields.List(fields.Nested(ColumnSchema), required=True)
    output = fields.Nested(OutputSchema, required=True)
    example = fields.Dict(required=True, metadata={"description": "A request and the prediction it gets"})
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
        metadata={"description": "Whether every answer has the bits of a call with its request alone"},
    )
    compiled = fields.Dict(
        required=True,
        metadata={
            "description": "Which form serves and why, if a compiled one was asked for: its tolerance, the "
            "largest difference from the original seen, how many times faster it is; `here` is what this "
            "machine serves",
            "examples": [{"form": "treelite", "why": "14x as fast as the original for 1 row and 9x for 64"}],
        },
    )
    batching = fields.Dict(
        required=True,
        metadata={
            "description": "Whether requests share calls of the model in the worker that answers, what its "
            "calls cost there, and how far shared answers are from single ones; empty until it is loaded",
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
        required=True, metadata={"description": "How many answers are kept to verify it by"}
    )
    libraries = _names("What it was made with", {"numpy": "2.4.6"})
    files = fields.Dict(required=True, metadata={"description": "Its files, with digest and size"})
