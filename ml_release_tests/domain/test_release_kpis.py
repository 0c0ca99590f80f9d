"""Values of delivery, each from what it says; what is not known is never 0."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ml_release.domain.release_kpi_judge import RULES, judge_kpis
from ml_release.domain.release_kpi_policy import KpiName, KpiPolicy
from ml_release.domain.release_kpi_record import NOT_KNOWN, Kpi, ReleaseKpis, kpis_from_json
from ml_release.domain.release_kpis import Answered, Attempt, release_kpis
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NOTHING = Answered(rows=0, busy_ms=0.0, hours=0.0)


def attempt(days_ago: float, version: int = 1, **changes: Any) -> Attempt:
    """Trained, let answer an hour later, and everybody a day after that."""
    began = NOW - days_ago * DAY
    known: dict[str, Any] = {
        "version": version,
        "model_digest": f"sha256:{version}",
        "began_at": began,
        "promoted_at": began + DAY,
        "trained_at": began - HOUR,
        "is_rebuildable": True,
    }
    return Attempt(**{**known, **changes})


def kpis(
    *attempts: Attempt,
    drift: tuple[datetime, ...] = (),
    answered: Answered = NOTHING,
    first: float | None = 100,
    **policy: Any,
) -> ReleaseKpis:
    return release_kpis(
        "flights",
        "production",
        attempts,
        drift_began=drift,
        answered=answered,
        first_declared=None if first is None else NOW - first * DAY,
        policy=KpiPolicy(**policy),
        since=NOW - 90 * DAY,
        until=NOW,
    )


def named(name: KpiName, *attempts: Attempt, **given: Any) -> Kpi:
    return kpis(*attempts, **given).named(name)


def test_of_nothing_nothing_is_known() -> None:
    """Neither 0 failures nor 0 hours."""
    found = kpis(first=None)
    assert {one.value for one in found.kpis} == {None}
    assert {one.in_words() for one in found.kpis} == {NOT_KNOWN}
    verdict = judge_kpis(found, KpiPolicy(), subject_digest="sha256:k")
    assert [f.rule for f in verdict.findings] == list(RULES)
    assert {f.outcome for f in verdict.findings} == {Outcome.INCONCLUSIVE}
    assert verdict.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("name", "attempts", "value", "n"),
    [
        pytest.param("lead_time_hours", [attempt(10), attempt(5)], 25.0, 2, id="lead time"),
        pytest.param(
            "lead_time_hours",
            [attempt(10, trained_at=None)],
            None,
            0,
            id="trained who knows when",
        ),
        pytest.param("lead_time_hours", [attempt(10, promoted_at=None)], None, 0, id="a canary"),
        pytest.param("lead_time_hours", [attempt(95)], None, 0, id="before the time"),
        pytest.param(
            "lead_time_hours", [attempt(90.5)], 25.0, 1, id="begun before, promoted in the time"
        ),
        pytest.param(
            "lead_time_hours",
            [attempt(5, trained_at=NOW)],
            0.0,
            1,
            id="clocks that disagree are no time travel",
        ),
        pytest.param(
            "deployments_per_week",
            [attempt(80), attempt(40), attempt(20), attempt(10, promoted_at=None)],
            3 / 90 * 7,
            3,
            id="frequency",
        ),
        pytest.param("deployments_per_week", [], 0.0, 0, id="declared before, and since nothing"),
        pytest.param(
            "change_failure_rate",
            [attempt(40), attempt(30, failed_at=NOW - 29 * DAY), attempt(20), attempt(200)],
            1 / 3,
            3,
            id="one of three failed",
        ),
        pytest.param("change_failure_rate", [attempt(40)], 0.0, 1, id="none failed"),
        pytest.param("change_failure_rate", [], None, 0, id="none was released"),
        pytest.param(
            "time_to_restore_minutes",
            [
                attempt(30, failed_at=NOW - 29 * DAY, signed_at=NOW - 29 * DAY - 4 * MINUTE),
                attempt(20, failed_at=NOW - 19 * DAY, signed_at=NOW - 19 * DAY - 10 * MINUTE),
            ],
            7.0,
            2,
            id="restored",
        ),
        pytest.param("time_to_restore_minutes", [attempt(20)], None, 0, id="nothing to restore"),
        pytest.param(
            "rebuildable_share",
            [attempt(9), attempt(8, 2, is_rebuildable=False), attempt(7, 2, is_rebuildable=False)],
            0.5,
            2,
            id="one of two versions",
        ),
        pytest.param(
            "rebuildable_share", [attempt(9, is_rebuildable=None)], 0.0, 1, id="without a record"
        ),
    ],
)
def test_values_are_counted_from_what_they_say(
    name: KpiName, attempts: list[Attempt], value: float | None, n: int
) -> None:
    """Medians of hours and minutes, shares of counts."""
    found = named(name, *attempts)
    assert found.value == (None if value is None else pytest.approx(value))
    assert found.n == n


@pytest.mark.parametrize(
    ("first", "value"), [(0.5, None), (14.0, 0.5), (None, None), (400.0, 7 / 90)]
)
def test_a_young_line_did_not_stand_still_before(first: float | None, value: float | None) -> None:
    """Its time begins with its first declaration."""
    found = named("deployments_per_week", attempt(9), first=first)
    assert found.value == (None if value is None else pytest.approx(value))


def test_without_a_bad_answer_on_record_restoring_took_at_most_so_long() -> None:
    """And says that it did."""
    found = named("time_to_restore_minutes", attempt(2, failed_at=NOW - 2 * DAY + HOUR))
    assert found.value == pytest.approx(60)
    assert "of 1 no bad answer is on record" in found.said


def test_drift_is_answered_by_the_next_version_for_everybody() -> None:
    """What is not answered yet is told and not counted; what came before the time is not."""
    drift = (NOW - 200 * DAY, NOW - 12 * DAY, NOW - 2 * DAY)
    found = named("drift_reaction_hours", attempt(20), attempt(11), drift=drift)
    assert (found.value, found.n) == (48.0, 1)
    assert "1 not answered yet" in found.said
    assert named("drift_reaction_hours", attempt(20), drift=drift[1:]).value is None


def test_a_prediction_costs_what_is_kept_for_it() -> None:
    """Two cores for ten hours at 0.05: a euro for a million; and what the answering alone costs."""
    answered = Answered(rows=1_000_000, busy_ms=3_600_000.0, hours=10.0)
    found = named(
        "cost_per_1000_predictions", answered=answered, price_per_core_hour=0.05, cores=2.0
    )
    assert found.value == pytest.approx(0.001)
    assert found.unit == "EUR"
    assert "2 cores kept for 10 hours at 0.05 EUR an hour" in found.said
    assert "a core each, 5e-05" in found.said
    unpriced = named("cost_per_1000_predictions", answered=answered)
    assert (unpriced.value, unpriced.said) == (None, "no price of a core hour is declared")
    assert named("cost_per_1000_predictions", price_per_core_hour=0.05).value is None


def test_limits_are_judged_and_what_has_none_is_shown() -> None:
    """Few releases are no rate."""
    policy = KpiPolicy(limits={"lead_time_hours": 24.0, "change_failure_rate": 0.5})
    failed = attempt(30, failed_at=NOW - 29 * DAY)
    found = kpis(attempt(40), failed, limits=policy.limits)
    by_rule = {f.rule: f for f in judge_kpis(found, policy, subject_digest="sha256:k").findings}
    assert by_rule["lead_time_is_short"].outcome is Outcome.FAIL
    assert by_rule["changes_seldom_fail"].outcome is Outcome.INCONCLUSIVE
    assert "too few to judge" in by_rule["changes_seldom_fail"].detail
    assert not by_rule["releases_are_frequent"].votes
    enough = kpis(attempt(40), failed, attempt(20), limits=policy.limits)
    by_rule = {f.rule: f for f in judge_kpis(enough, policy, subject_digest="sha256:k").findings}
    assert by_rule["changes_seldom_fail"].outcome is Outcome.PASS


def test_values_read_back() -> None:
    """And what is none says so."""
    found = kpis(attempt(9))
    assert kpis_from_json(found.to_json()) == found
    with pytest.raises(IntegrityError, match="release KPIs: expected recorded ones"):
        kpis_from_json(b"[]")
