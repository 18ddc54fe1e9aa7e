"""Metrics of one process."""

from __future__ import annotations

from app.inference.messages import Reply, Route
from app.monitoring.metrics import Metrics, PrometheusMetrics
from models.names import Version


def reply(status: int, seconds: float, route: Route | None = None) -> Reply:
    return Reply(0, seconds, "id", "POST", "/predict", status, route, "", 0)


def test_requests_are_counted_by_model_version_and_status() -> None:
    metrics = PrometheusMetrics()
    metrics.start(None)
    for status in (200, 200, 422):
        metrics.arrived()
        metrics.replied(reply(status, 0.002, Route(Version("toy", 3))))
        metrics.left()
    page = metrics.page()
    assert 'plumbline_requests_total{model="toy",status="200",version="3"} 2.0' in page
    assert 'plumbline_requests_total{model="toy",status="422",version="3"} 1.0' in page
    assert (
        'plumbline_request_duration_seconds_bucket{le="0.001",model="toy",status="200",version="3"} 0.0'
        in page
    )
    assert (
        'plumbline_request_duration_seconds_bucket{le="0.0025",model="toy",status="200",version="3"} 2.0'
        in page
    )
    assert "plumbline_requests_in_flight 0.0" in page


def test_requests_for_nothing_that_exists_share_one_label() -> None:
    """Clients must not be able to make the page grow by asking for invented names."""
    metrics = PrometheusMetrics()
    metrics.start(None)
    metrics.arrived()
    metrics.replied(reply(404, 0.001))
    assert 'plumbline_requests_total{model="none",status="404",version="none"} 1.0' in metrics.page()


def test_several_applications_in_one_process_do_not_share_counts() -> None:
    first, second = PrometheusMetrics(), PrometheusMetrics()
    for metrics in (first, second):
        metrics.start(None)
    first.arrived()
    first.replied(reply(200, 0.001))
    assert "plumbline_requests_total{" not in second.page()


def test_metrics_that_are_off_show_an_empty_page() -> None:
    metrics = Metrics()
    metrics.start(None)
    metrics.arrived()
    metrics.replied(reply(200, 0.1))
    metrics.loaded(Version("toy", 1), 0.1, True)
    assert metrics.page() == ""
