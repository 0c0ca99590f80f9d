"""Monitoring: what the log holds of the champion, counted, judged, scored; doubt never passes."""

from __future__ import annotations

import itertools
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.domain.artefact import SIGNATURE_FILE, signature_from_json
from ml_release.domain.drift import RULES, data_quality_problems, drifted_features
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.reference_profile import profile_from_json
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError
from ml_release.workflows.monitoring import (
    DRIFT_VERDICT,
    INFERENCE_WINDOW,
    newest_drift_verdict,
    newest_window,
    observe_window,
    report_drift,
)
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_label, a_record, serve_month, write

if TYPE_CHECKING:
    from ml_release.domain.performance import WindowRecord
    from ml_release.domain.verdict import Verdict
    from ml_release.workflows.monitoring import DriftReport
    from ml_release_tests.small_line import House

PRODUCTION = "production"


def observe(house: House, *, days: int = 7) -> WindowRecord:
    return observe_window(
        house.line,
        environment=PRODUCTION,
        inference_log=house.inference_log,
        deployments=house.deployments,
        models=house.models,
        evidence=house.evidence,
        profiles=house.profiles,
        days=days,
    )


def drift(house: House) -> DriftReport | None:
    return report_drift(
        house.line,
        environment=PRODUCTION,
        models=house.models,
        evidence=house.evidence,
        plotter=house.plotter,
        tables=house.tables,
    )


def newest(house: House) -> Verdict | None:
    return newest_drift_verdict(house.line, environment=PRODUCTION, evidence=house.evidence)


def test_an_undeclared_endpoint_gives_an_empty_window_and_no_report(house: House) -> None:
    """Requests that somebody else answered are not its own."""
    write(house, [a_record(house, "a", "2013-04-02T12:00:00+00:00")])
    window = observe(house)
    assert (window.version, window.model_digest, window.as_of) == (None, None, None)
    assert (window.rows, window.days, dict(window.counts)) == (0, 0, {})
    assert newest_window(house.line, environment=PRODUCTION, evidence=house.evidence) == window
    assert drift(house) is None
    assert newest(house) is None


def test_an_idle_endpoint_is_inconclusive_in_everything(serving: House) -> None:
    """The log is empty: no pass, no failure, no exception."""
    window = observe(serving)
    assert (window.version, window.rows, window.errors, window.days) == (1, 0, 0, 0)
    assert (window.as_of, window.latency_p50_ms, window.latency_p99_ms) == (None, None, None)
    report = drift(serving)
    assert report is not None
    assert report.verdict.outcome is Outcome.INCONCLUSIVE
    assert {finding.rule for finding in report.verdict.findings} == set(RULES)
    assert {finding.outcome for finding in report.verdict.findings} == {Outcome.INCONCLUSIVE}


def test_without_a_window_there_is_no_drift_report(serving: House) -> None:
    """Nothing was looked at, so nothing is said."""
    assert drift(serving) is None
    assert newest(serving) is None


def test_the_window_holds_the_newest_days_counted_bin_by_bin(serving: House) -> None:
    """The counts are those of a naive count of the last seven days."""
    rows = serve_month(serving, "2013-04")
    window = observe(serving)
    assert window.as_of == date(2013, 4, 30)
    inside = rows[rows["departure"] >= "2013-04-24"]
    assert (window.rows, window.errors, window.days) == (len(inside), 0, 7)
    assert window.model_digest is not None
    profile = profile_from_json(serving.models.read(window.model_digest)["reference.json"])
    for name in ("distance", "minute", "carrier_rate"):
        edges = [-np.inf, *(profile.bins[name].edges or ()), np.inf]
        values = inside[f"features.{name}"]
        naive = [
            int(((values > low) & (values <= high)).sum())
            for low, high in itertools.pairwise(edges)
        ]
        assert window.counts[name] == (*naive, 0)
    words = profile.bins["carrier"].words or ()
    assert window.counts["carrier"] == (
        *((inside["features.carrier"] == word).sum() for word in words),
        0,
        0,
    )


def test_only_the_answers_of_the_champion_are_in_the_window(serving: House) -> None:
    """Not those of a shadow, of another version, or failed ones; those are counted as errors."""
    moment = "2013-04-02T12:00:00+00:00"
    write(
        serving,
        [
            a_record(serving, "mine", moment),
            a_record(serving, "shadow", moment, shadow=True),
            a_record(serving, "other", moment, version=2, model_digest=steps.NOWHERE),
            a_record(
                serving, "failed", moment, outcome="error", error="no such column", prediction=None
            ),
        ],
    )
    window = observe(serving)
    assert (window.rows, window.errors) == (1, 1)
    assert sum(window.counts["carrier"]) == 1


def test_days_are_counted_in_the_time_zone_of_the_line(serving: House) -> None:
    """03:59 UTC in April is still the day before in New York."""
    write(
        serving,
        [
            a_record(serving, "a", "2013-04-03T03:59:00+00:00"),
            a_record(serving, "b", "2013-04-02T04:00:00+00:00"),
        ],
    )
    window = observe(serving)
    assert (window.as_of, window.days, window.rows) == (date(2013, 4, 2), 1, 2)
    write(serving, [a_record(serving, "c", "2013-04-03T04:00:00+00:00")])
    window = observe(serving)
    assert (window.as_of, window.days, window.rows) == (date(2013, 4, 3), 2, 3)
    assert observe(serving, days=1).rows == 1


def test_a_window_that_is_filling_is_only_as_long_as_it_is(serving: House) -> None:
    """Days without any request are no days of the window."""
    write(
        serving,
        [
            a_record(serving, "a", "2013-04-02T12:00:00+00:00"),
            a_record(serving, "b", "2013-04-05T12:00:00+00:00"),
        ],
    )
    assert observe(serving).days == 2


def test_latency_and_labels_are_told(serving: House) -> None:
    """Quantiles of the answered requests, at most five percent too great; labels once gathered."""
    write(
        serving,
        [
            a_record(serving, str(n), "2013-04-02T12:00:00+00:00", latency_ms=float(n))
            for n in range(101)
        ],
        [a_label("1", 0), a_label("nobody", 1)],
    )
    assert observe(serving).labels == 0
    steps.gather(serving)
    window = observe(serving)
    assert window.latency_p50_ms is not None
    assert window.latency_p99_ms is not None
    assert 50.0 <= window.latency_p50_ms <= 52.5
    assert 99.0 <= window.latency_p99_ms <= 104.0
    assert window.labels == 1


def test_a_month_like_the_reference_has_not_drifted(serving: House) -> None:
    """April is drawn like January to March."""
    serve_month(serving, "2013-04")
    observe(serving)
    report = drift(serving)
    assert report is not None
    assert report.verdict.outcome is Outcome.PASS
    assert report.plots == {
        "drift.png": b"standings of 5 features",
        "drift over time.png": b"drift of 1 windows",
    }
    assert newest(serving) == report.verdict


def test_longer_routes_are_drift_of_the_distance_alone(serving: House) -> None:
    """The finding names the feature beside its limit; the verdict is on this very window."""
    serve_month(serving, "2013-04", shift=900.0)
    window = observe(serving)
    report = drift(serving)
    assert report is not None
    assert report.window == window
    assert report.verdict.outcome is Outcome.FAIL
    assert drifted_features(report.verdict) == ("distance",)
    recorded = serving.evidence.find(steps.LINE, INFERENCE_WINDOW, PRODUCTION)
    assert recorded is not None
    assert report.verdict.subject_digest == digest_of_bytes(recorded)


@pytest.mark.parametrize("muted", [True, False])
def test_a_muted_feature_is_shown_and_has_no_vote(serving: House, muted: bool) -> None:
    """All at the same minute of the day: stuck if it votes, a remark if it is muted."""
    if not muted:
        serving.line = steps.with_policy(serving.line, "drift", muted=())
    serve_month(serving, "2013-04", minute=1.0)
    observe(serving)
    report = drift(serving)
    assert report is not None
    (finding,) = (
        f
        for f in report.verdict.findings
        if (f.rule, f.subject) == ("features_are_fresh", "minute")
    )
    assert (finding.outcome, finding.votes) == (Outcome.FAIL, not muted)
    assert ("minute" in data_quality_problems(report.verdict)) == (not muted)


def test_too_few_rows_are_inconclusive(serving: House) -> None:
    """Forty-nine where fifty are needed."""
    write(
        serving,
        [a_record(serving, str(n), "2013-04-02T12:00:00+00:00") for n in range(49)],
    )
    observe(serving)
    report = drift(serving)
    assert report is not None
    assert report.verdict.outcome is Outcome.INCONCLUSIVE
    assert {finding.outcome for finding in report.verdict.findings} == {Outcome.INCONCLUSIVE}


def test_a_feature_that_is_not_in_the_log_is_inconclusive(serving: House) -> None:
    """No counts of it are no evidence that it is stable."""
    write(
        serving,
        [
            a_record(serving, str(n), "2013-04-02T12:00:00+00:00", features={"carrier": "AA"})
            for n in range(60)
        ],
    )
    observe(serving)
    report = drift(serving)
    assert report is not None
    found = {(f.rule, f.subject): f.outcome for f in report.verdict.findings}
    assert found["distribution_is_stable", "distance"] is Outcome.INCONCLUSIVE
    assert found["missing_rate_is_stable", "distance"] is Outcome.INCONCLUSIVE


def test_a_verdict_on_an_older_window_is_not_the_newest(serving: House) -> None:
    """A window that was recorded since is not judged yet; the same window again still is."""
    serve_month(serving, "2013-04")
    observe(serving)
    report = drift(serving)
    assert report is not None
    observe(serving)
    assert newest(serving) == report.verdict
    write(serving, [a_record(serving, "one more", "2013-04-30T12:00:00+00:00")])
    observe(serving)
    assert newest(serving) is None
    drift(serving)
    assert newest(serving) is not None


def test_an_edited_drift_verdict_is_noticed(serving: House) -> None:
    """A report that was made to pass does not agree with its findings."""
    serve_month(serving, "2013-04", shift=900.0)
    observe(serving)
    drift(serving)
    steps.edit(serving, DRIFT_VERDICT, PRODUCTION, lambda verdict: verdict.update(outcome="pass"))
    with pytest.raises(IntegrityError, match="edited"):
        newest(serving)


def test_a_window_record_that_is_none_is_noticed(serving: House) -> None:
    """What was recorded as a window has to be one."""
    serving.evidence.record(steps.LINE, INFERENCE_WINDOW, PRODUCTION, b'{"rows": 5}')
    with pytest.raises(IntegrityError, match="inference window"):
        newest_window(serving.line, environment=PRODUCTION, evidence=serving.evidence)


def test_a_champion_whose_reference_was_changed_is_not_monitored(serving: House) -> None:
    """Counting over bins somebody edited would show whatever they wanted."""
    serve_month(serving, "2013-04")
    observe(serving)
    declaration = serving.deployments.read(steps.LINE, PRODUCTION)
    assert declaration is not None
    steps.tamper(serving, declaration.state.champion.model_digest, "reference.json")
    with pytest.raises(IntegrityError):
        observe(serving)
    with pytest.raises(IntegrityError):
        drift(serving)
    assert newest(serving) is None


def test_a_changed_model_costs_nothing_of_what_was_counted(serving: House) -> None:
    """The log may not go back to it any more, and counting again would meet that model again."""
    serve_month(serving, "2013-04")
    champion = observe(serving).model_digest
    assert champion is not None
    other = serving.models.publish({**serving.models.read(champion), "example.json": b"{}"})
    moment = "2013-04-30T12:00:00+00:00"
    write(
        serving,
        [a_record(serving, "b", moment, version=2, variant="canary", model_digest=other)],
    )
    steps.tamper(serving, other, "reference.json")
    counted = serving.profiles.cursor(steps.LINE, PRODUCTION)
    with pytest.raises(IntegrityError):
        observe(serving)
    assert counted == serving.profiles.cursor(steps.LINE, PRODUCTION) != {}


def test_what_is_masked_is_not_counted(serving: House) -> None:
    """A champion with a personal column: its window has no counts of it, and drift says why."""
    declaration = serving.deployments.read(steps.LINE, PRODUCTION)
    assert declaration is not None
    state = declaration.state
    files = dict(serving.models.read(state.champion.model_digest))
    signature = signature_from_json(files[SIGNATURE_FILE])
    files[SIGNATURE_FILE] = signature.model_copy(
        update={"personal": {"distance": "hash"}}
    ).to_json()
    champion = state.champion.model_copy(update={"model_digest": serving.models.publish(files)})
    serving.deployments.declare(
        state.model_copy(update={"variants": (champion,)}),
        expected_commit=declaration.commit,
        trailers={"Actor": "tester", "Reason": "masked"},
        at=serving.clock.now(),
    )
    features = {"distance": "hmac-sha256:ab", "carrier": "AA", "minute": 600.0, "carrier_rate": 0.3}
    write(serving, [a_record(serving, "a", "2013-04-02T12:00:00+00:00", features=features)])
    window = observe(serving)
    assert window.rows == 1
    assert "distance" not in window.counts
    assert sum(window.counts["carrier"]) == 1
    report = drift(serving)
    assert report is not None
    (finding,) = [f for f in report.verdict.findings if f.subject == "distance"]
    assert "masked" in finding.detail
