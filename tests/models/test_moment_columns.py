"""Dates, date-times and durations of a frame: the model gets the moments that were sent, whatever else the
batch has.
"""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from models.errors import InputError
from models.moment_columns import moment_column, moment_range
from models.publishing import publish
from models.record import Record
from models.runtimes.loading import load_version
from models.store import Store
from schemas.predict import PredictSchemas


class Year(BaseEstimator, RegressorMixin):
    """A model that answers with the year of the first column, and the hour in the column's own zone as
    hundredths.
    """

    def fit(self, X: Any, y: Any = None) -> Year:
        self.fitted_ = True
        return self

    def predict(self, X: pd.DataFrame) -> Any:
        moments = [pd.Timestamp(m) for m in X.iloc[:, 0]]
        return np.array([-1.0 if m is pd.NaT else m.year + m.hour / 100 for m in moments])


class Seconds(Year):
    """A model that answers with the first column in seconds."""

    def predict(self, X: pd.DataFrame) -> Any:
        return np.array([pd.Timedelta(length).total_seconds() for length in X.iloc[:, 0]])


def answers(version: Record, cells: list[Any]) -> list[float]:
    """Return the answers to all cells in one batch, after checking that each cell alone has the same
    answer.
    """
    schemas = PredictSchemas(version.manifest.signature, max_rows=100)
    runtime = load_version(version)
    name = version.manifest.signature.columns[0].name
    rows = [schemas.read_single({"features": {name: cell, "k": 1.0}})[0] for cell in cells]
    together = runtime.predict(np.concatenate(rows), {}).values.tolist()
    assert together == [runtime.predict(row, {}).values[0] for row in rows]
    return together


def published(store: Store, model: Any, cells: Any) -> Record:
    return publish(store, "toy", model, pd.DataFrame({"at": cells, "k": np.arange(float(len(cells)))}))


TIMES = pd.date_range("2024-01-01T05:00:00", periods=40, freq="7h")


@pytest.mark.parametrize("unit", ["s", "us"])
def test_moments_of_many_digits_and_of_far_years_share_a_batch(store: Store, unit: str) -> None:
    """pandas' parser uses nanoseconds for both as soon as one has nine digits, and the other does not fit."""
    version = published(store, Year(), TIMES.as_unit(unit))
    far, fine = "9999-12-31T23:59:59.999999999", "2026-01-31 10:00:00.123456789"
    assert answers(version, [far, fine, "0001-01-01T00:00:00"]) == [9999.23, 2026.10, 1.0]


def test_what_nanoseconds_cannot_hold_is_refused_beside_what_they_can(store: Store) -> None:
    version = published(store, Year(), TIMES.as_unit("ns"))
    assert answers(version, ["2262-04-11T23:47:16", "1677-09-21T00:12:44"]) == [2262.23, 1677.0]
    schemas = PredictSchemas(version.manifest.signature, max_rows=100)
    for wrong in ("9999-12-31T00:00:00", "2262-04-12T00:00:00", "1677-09-21T00:12:43"):
        with pytest.raises(InputError) as refused:
            schemas.read_batch({"inputs": [["2026-01-31T10:00:00", 1.0], [wrong, 1.0]]})
        (fault,) = refused.value.faults
        assert fault.loc == ("inputs", 1, "at")
        assert "datetime64[ns]" in fault.expected


@pytest.mark.parametrize(
    "cells",
    [
        TIMES.tz_localize("Europe/Zurich"),
        TIMES.tz_localize("Europe/Zurich").astype("timestamp[us, tz=Europe/Zurich][pyarrow]"),
        pd.Series([m.to_pydatetime().replace(tzinfo=ZoneInfo("Europe/Zurich")) for m in TIMES], dtype=object),
    ],
    ids=["pandas", "arrow", "objects"],
)
def test_every_offset_is_brought_to_the_zone_that_the_model_was_trained_in(store: Store, cells: Any) -> None:
    version = published(store, Year(), cells)
    assert version.manifest.signature.columns[0].timezone == "Europe/Zurich"
    same = ["2026-01-31T10:00:00+01:00", "2026-01-31T09:00:00Z", "2026-01-31T18:00:00.5+09:00"]
    assert answers(version, same) == [2026.10] * 3
    assert answers(version, ["2025-12-31T23:30:00Z"]) == [2026.0]


@pytest.mark.parametrize("unit", ["us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "UTC-11:30", "Europe/Zurich", "Asia/Tokyo", "America/New_York"])
def test_the_first_and_last_moments_have_a_local_time(zone: str, unit: str) -> None:
    """pandas has none one step further, so a text that fits the dtype would make the model fail."""
    dtype = f"datetime64[{unit}, {zone}]"
    frame = pd.DataFrame({"at": moment_column(dtype, [*moment_range(dtype, zone)])})
    first, last = (1677, 2262) if unit == "ns" else (1, 9999)
    assert [int(year) for year in Year().predict(frame)] == [first, last]


def test_the_last_day_there_is_can_stand_for_no_end_and_later_is_refused(store: Store) -> None:
    version = published(store, Year(), TIMES.tz_localize("Asia/Tokyo").as_unit("us"))
    assert answers(version, ["9999-12-31T23:59:59+09:00", "9999-12-31T00:00:00Z"]) == [9999.23, 9999.09]
    schemas = PredictSchemas(version.manifest.signature, max_rows=9)
    for text in ("9999-12-31T23:59:59-23:59", "9999-12-31T15:00:00Z", "0001-01-01T00:00:00+23:59"):
        with pytest.raises(InputError):
            schemas.read_single({"features": [text, 1.0]})


def test_local_times_of_long_ago_can_be_sent_again(store: Store) -> None:
    """Their offset has seconds, which RFC 3339 cannot spell."""
    moments = pd.DatetimeIndex(
        ["1880-01-01T12:00:00"] * 20 + ["2024-01-01T12:00:00"] * 20, tz="Europe/Berlin"
    )
    version = published(store, Year(), moments)
    row, _ = PredictSchemas(version.manifest.signature, max_rows=9).read_single(
        version.manifest.example["request"]
    )
    assert load_version(version).predict(row, {}).values.tolist() == [1880.12]


def test_the_range_of_dates_date_times_and_durations_is_recorded(store: Store) -> None:
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(40)]
    for model, cells, expected in (
        (Year(), TIMES, ("2024-01-01T05:00:00", "2024-01-12T14:00:00")),
        (Year(), days, ("2024-01-01", "2024-02-09")),
        (Seconds(), pd.to_timedelta(np.arange(40), "h"), (0.0, 39 * 3600.0)),
    ):
        assert published(store, model, cells).manifest.signature.columns[0].observed == expected


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_a_duration_is_as_long_as_was_said_and_refused_if_too_long(store: Store, unit: str) -> None:
    version = published(store, Seconds(), pd.to_timedelta(np.arange(40), "h").as_unit(unit))
    found = answers(version, [5400, 0, -60, 86_400 * 365 * 100])
    assert found == [5400.0, 0.0, -60.0, 86_400.0 * 365 * 100]
    if unit != "s":
        assert answers(version, [0.29, 1.5]) == [0.29, 1.5]
    schemas = PredictSchemas(version.manifest.signature, max_rows=9)
    with pytest.raises(InputError) as refused:
        schemas.read_single({"features": [1e20, 1.0]})
    assert f"timedelta64[{unit}]" in refused.value.faults[0].expected
