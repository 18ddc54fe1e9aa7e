"""Replies to plain requests, which are written in one piece."""

from __future__ import annotations

from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import InvalidResponseHeader

from app.worker.response import USUAL_NAMES, PlainResponse
from schemas.headers import OF_A_PREDICTION


class Asked:
    """The attributes of a request that a reply reads."""

    method = "GET"
    version = (1, 1)
    closes = False

    def should_close(self) -> bool:
        return False


def response() -> PlainResponse:
    return PlainResponse(Asked(), None, Config())


def lines(reply: bytes | None) -> list[str]:
    """Return the header lines of the application."""
    assert reply is not None
    head = reply.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return [line for line in head[1:] if line.partition(":")[0] not in ("Server", "Date", "Connection")]


def test_the_second_reply_is_written_from_what_the_first_one_left() -> None:
    pairs = [("Content-Type", "text/plain"), ("X-Request-Id", "1"), ("X-Own", " é "), ("Content-Length", "2")]
    expected = ["Content-Type: text/plain", "X-Request-Id: 1", "X-Own: é", "Content-Length: 2"]
    for _ in range(2):
        told = response()
        told.start_response("200 Fine", pairs)
        assert lines(told.whole([b"ok"])) == expected


def test_what_a_reply_without_a_body_said_is_not_said_by_the_error_that_takes_its_place() -> None:
    for _ in range(2):
        told = response()
        told.start_response("204 No Content", [("Content-Length", "0")])
        error = ValueError()
        told.start_response("500 Wrong", [("Content-Length", "5")], (ValueError, error, None))
        assert lines(told.whole([b"wrong"])) == ["Content-Length: 5"]


@pytest.mark.parametrize("value", ["a\r\nX-Own: b", "a\0", "a\nb"])
def test_nothing_can_be_written_behind_a_value(value: str) -> None:
    for name in ("X-Request-Id", "Content-Type", "X-Own"):
        with pytest.raises(InvalidResponseHeader):
            response().start_response("200 OK", [(name, value)])


def test_a_second_start_needs_a_reason() -> None:
    told: Any = response()
    told.start_response("200 OK", [])
    with pytest.raises(AssertionError):
        told.start_response("200 OK", [])


def test_every_header_of_a_prediction_is_checked_here() -> None:
    """Another name takes gunicorn's own check, which costs several times as much."""
    assert set(OF_A_PREDICTION) <= USUAL_NAMES
