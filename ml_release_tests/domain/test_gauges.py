"""Gauges: a closed list, and no sample for what is not known."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from ml_release.domain.gauges import GAUGES, MOST_SAMPLES, Sample, family, gauges_from_json
from ml_release.domain.monitoring_gauges import gauges_of
from ml_release.domain.monitoring_shown import FeatureShift
from ml_release.errors import IntegrityError
from ml_release_tests.monitoring_pages import empty_page, full_page

AT = datetime(2014, 1, 5, 6, 12, tzinfo=UTC)


def read(content: bytes) -> Any:
    return gauges_from_json(content, line="small_line", environment="production")


def edited(**changes: Any) -> bytes:
    document = json.loads(gauges_of(full_page(), written_at=AT).to_json())
    return json.dumps({**document, **changes}).encode()


def test_every_gauge_has_a_value_on_a_full_page() -> None:
    """And they read back as they were."""
    found = gauges_of(full_page(), written_at=AT)
    assert set(found.samples) == set(GAUGES)
    assert read(found.to_json()) == found
    assert found.written_at == AT.timestamp()


def test_what_is_not_known_has_no_sample() -> None:
    """Not a zero: of an empty page nothing is told."""
    assert gauges_of(empty_page(), written_at=AT).samples == {}
    samples = gauges_of(full_page(), written_at=AT).samples
    assert ("passenger_token",) not in [one.labels for one in samples["ml_release_drift_psi"]]
    kpis = [one.labels for one in samples["ml_release_kpi"]]
    assert ("lead_time_hours",) in kpis
    assert ("time_to_restore_minutes",) not in kpis


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_left_out(value: float | None) -> None:
    """Whatever a judge gave."""
    assert family([(("a",), value), (("b",), 0.0)]) == (Sample(("b",), 0.0),)


def test_labels_are_words_that_a_series_can_carry() -> None:
    """A missing group has a name, a line break and a novel do not get in."""
    (one, two) = family([((None,), 1), (("a\nb" + "x" * 500,), 2)])
    assert {one.labels[0], two.labels[0]} == {"missing", "a b" + "x" * 117}


def test_of_one_label_there_is_one_sample() -> None:
    """Prometheus refuses a scrape with two."""
    assert family([(("a",), 1), (("a",), 2)]) == (Sample(("a",), 2.0),)


def test_a_line_of_a_thousand_features_keeps_its_counts() -> None:
    """What does not fit is left out as a whole."""
    many = tuple(
        FeatureShift(feature=f"f{n}", standing="stable", psi_nats=0.0, limit_nats=0.1)
        for n in range(MOST_SAMPLES)
    )
    found = gauges_of(full_page(drift=many), written_at=AT)
    assert "ml_release_drift_psi" not in found.samples
    counts = {one.labels[0]: one.value for one in found.samples["ml_release_drift_features"]}
    assert counts["stable"] == MOST_SAMPLES
    assert read(found.to_json()) == found


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "expected what the monitor job writes"),
        (b"{", "expected what the monitor job writes"),
        (b"\xff\xfe", "expected what the monitor job writes"),
        (b"[]", "expected what the monitor job writes"),
        (edited(line="other"), "expected those of small_line in production"),
        (edited(environment="staging"), "expected those of small_line in production"),
        (edited(more=1), "expected what the monitor job writes"),
        (
            edited(samples={"ml_release_requests_total": [{"labels": [], "value": 1}]}),
            "expected known gauges",
        ),
        (
            edited(samples={"ml_release_auc": [{"labels": ["x"], "value": 1}]}),
            "another number",
        ),
        (
            edited(samples={"ml_release_auc": [{"labels": [], "value": 1}] * 2}),
            "found one twice",
        ),
        (
            edited(samples={"ml_release_auc": [{"labels": [], "value": 1}] * 2001}),
            "at most 2000 samples",
        ),
        (edited(samples={"ml_release_auc": [{"labels": [], "value": "1"}]}), "expected"),
    ],
)
def test_what_the_job_did_not_write_is_refused(content: bytes, what: str) -> None:
    """With one message that names it."""
    with pytest.raises(IntegrityError, match=what):
        read(content)
