"""What one process counts, and that the null twin takes the same calls."""

from __future__ import annotations

from app.monitoring.metrics import Metrics, NullMetrics, PrometheusMetrics
from models.names import Version


def test_requests_are_counted_by_model_version_and_status() -> None:
    metrics = PrometheusMetrics()
    metrics.start(None)
    for status in (200, 200, 422):
        metrics.request_started()
        metrics.request_finished(Version("toy", 3), status, 0.002)
        metrics.request_left()
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
    """No client can make the page grow by asking for made-up names."""
    metrics = PrometheusMetrics()
    metrics.start(None)
    metrics.request_started()
    metrics.request_finished(None, 404, 0.001)
    assert 'plumbline_requests_total{model="none",status="404",version="none"} 1.0' in metrics.page()


def test_several_applications_in_one_process_do_not_share_counts() -> None:
    first, second = PrometheusMetrics(), PrometheusMetrics()
    for metrics in (first, second):
        metrics.start(None)
    first.request_started()
    first.request_finished(None, 200, 0.001)
    assert "plumbline_requests_total{" not in second.page()


def test_the_null_twin_takes_every_call() -> None:
    metrics: Metrics = NullMetrics()
    metrics.start(None)
    metrics.request_started()
    metrics.request_finished(None, 200, 0.1)
    metrics.loaded(Version("toy", 1), 0.1, True)
    assert metrics.page() == ""
