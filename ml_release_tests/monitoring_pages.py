"""A monitoring page with everything on it, as a real quarter would give it; and with nothing."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

from ml_release.domain.monitoring_page import MonitoringPage
from ml_release.domain.monitoring_shown import (
    Burn,
    DecisionTaken,
    FairnessGap,
    FeatureShift,
    Kpi,
    PerformanceNow,
    PerformancePoint,
    SloState,
    Step,
)
from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

DIGEST = "sha256:" + "ab" * 32
WINDOWS = 40
FIRST = date(2013, 4, 7)


def _ends(count: int = WINDOWS) -> list[str]:
    return [(FIRST + timedelta(days=7 * n)).isoformat() for n in range(count)]


def _verdict(judge: str, *findings: Finding) -> Verdict:
    return Verdict(judge=judge, line="small_line", subject_digest=DIGEST, findings=findings)


def performance() -> PerformanceNow:
    """Forty windows; the labels of two never came, and the estimate sees nothing of the decay."""
    points = tuple(
        PerformancePoint(
            end=end,
            n=6200 + 13 * n,
            auc=None if n in {11, 12} else 0.722 - 0.0007 * n + 0.01 * math.sin(n / 2),
            auc_low=None if n in {11, 12} else 0.705 - 0.0007 * n + 0.01 * math.sin(n / 2),
            auc_high=None if n in {11, 12} else 0.739 - 0.0007 * n + 0.01 * math.sin(n / 2),
            auc_estimated=0.77 + 0.008 * math.cos(n / 3),
            log_loss=0.39 + 0.03 * math.sin(n / 6) ** 2,
            calibration_error=0.02 + 0.06 * math.sin(n / 7) ** 2,
        )
        for n, end in enumerate(_ends())
    )
    return PerformanceNow(
        now=points[-1],
        at_release=PerformancePoint(
            end="2013-03-31", n=15800, auc=0.7215, log_loss=0.381, calibration_error=0.0146
        ),
        history=points,
    )


def drift() -> tuple[FeatureShift, ...]:
    """One that hurts, harmless seasons, one that cannot be told, many that are stable."""

    def wave(height: float, phase: float = 0.0) -> tuple[float, ...]:
        return tuple(height * abs(math.sin(n / 12 + phase)) for n in range(WINDOWS))

    stable = [
        ("distance", 0.012, 0.02),
        ("carrier", 0.031, 0.11),
        ("destination", 0.027, 0.07),
        ("minute_of_day", 0.009, 0.24),
        ("weekday", 0.004, 0.03),
        ("wind_speed", 0.081, 0.05),
        ("carrier_route_late_rate", 0.062, 0.16),
    ]
    return (
        FeatureShift(
            feature="temperature",
            standing="shifted but harmless",
            psi_nats=8.31,
            limit_nats=2.4,
            p_adjusted=0.0,
            effect=2.1,
            effect_name="Wasserstein distance, standard deviations",
            importance=0.04,
            loss_change=-0.0021,
            windows_in_a_row=9,
            why="Beyond what the reference shows of itself, but its bins predict no higher loss.",
            history=wave(3.5),
        ),
        FeatureShift(
            feature="visibility",
            standing="shifted and hurting",
            psi_nats=0.84,
            limit_nats=0.31,
            p_adjusted=0.0004,
            effect=0.44,
            effect_name="Wasserstein distance, standard deviations",
            importance=0.17,
            loss_change=0.0137,
            windows_in_a_row=3,
            why="Two windows in a row, and rows moved to where the loss is higher: +0.0137 nats"
            " per row, where 0.005 is allowed.",
            history=wave(2.7, 0.4),
        ),
        FeatureShift(
            feature="(score)",
            standing="shifted but harmless",
            psi_nats=0.112,
            limit_nats=0.1,
            p_adjusted=0.002,
            loss_change=0.0011,
            windows_in_a_row=2,
            why="Answers moved a little upwards.",
            history=wave(1.1, 1),
        ),
        FeatureShift(
            feature="passenger_token",
            standing="unknown",
            why="Masked in the log as personal data, so its drift cannot be told.",
        ),
        *(
            FeatureShift(
                feature=name,
                standing="stable",
                psi_nats=psi,
                limit_nats=0.1,
                p_adjusted=0.4,
                importance=importance,
                loss_change=0.0001,
                windows_in_a_row=0,
                history=wave(0.6, psi * 40),
            )
            for name, psi, importance in stable
        ),
    )


def full_page(**changes: Any) -> MonitoringPage:
    """Everything is known."""
    known: dict[str, Any] = {
        "line": "small_line",
        "environment": "production",
        "objective": "Tell before departure which trips arrive more than 30 minutes late.",
        "made_at": "2014-01-05T06:12:44+00:00",
        "version": 3,
        "model_digest": DIGEST,
        "model_age_days": 184.0,
        "as_of": "2014-01-04",
        "days": 7,
        "rows": 6711,
        "errors": 4,
        "verdicts": {
            "drift": _verdict(
                "drift/2",
                Finding(
                    rule="drift_is_harmless",
                    subject="visibility",
                    outcome=Outcome.FAIL,
                    observed=0.0137,
                    limit=0.005,
                    unit="nats per row",
                    n=6711,
                ),
                compare(
                    rule="missing_rate_is_stable",
                    subject="visibility",
                    observed=0.001,
                    limit=0.05,
                    bound="at most",
                    n=6711,
                ),
                Finding(
                    rule="features_are_fresh",
                    subject="pressure",
                    outcome=Outcome.INCONCLUSIVE,
                    n=3,
                    detail="expected at least 1000 rows, found 3",
                ),
                Finding(
                    rule="features_are_fresh",
                    subject="gust",
                    outcome=Outcome.INCONCLUSIVE,
                    n=3,
                    detail="expected at least 1000 rows, found 3",
                ),
            ),
            "performance": _verdict(
                "performance/1",
                compare(
                    rule="calibration_holds",
                    subject="calibration error beyond chance",
                    observed=0.041,
                    limit=0.03,
                    bound="at most",
                    n=6650,
                ),
            ),
            "SLOs": _verdict(
                "slo/1",
                compare(
                    rule="answers_are_available",
                    subject="availability",
                    observed=0.9994,
                    limit=0.999,
                    bound="at least",
                    n=27000,
                ),
            ),
        },
        "drift": drift(),
        "performance": performance(),
        "fairness": (
            FairnessGap(
                column="carrier",
                metric="false_positive_rate_difference",
                gap=0.231,
                low=0.172,
                high=0.29,
                baseline=0.21,
                limit=0.26,
                outcome="pass",
                history=tuple(0.2 + 0.03 * math.sin(n) for n in range(WINDOWS)),
            ),
            FairnessGap(
                column="origin",
                metric="equal_opportunity_difference",
                gap=0.151,
                low=0.121,
                high=0.182,
                baseline=0.06,
                limit=0.11,
                outcome="fail",
                history=tuple(0.06 + 0.0023 * n for n in range(WINDOWS)),
            ),
            FairnessGap(column="carrier", metric="selection_rate_ratio"),
        ),
        "slos": (
            SloState(
                slo="availability",
                objective=0.999,
                events=27411,
                bad=16,
                budget_left=0.4163,
                burns=(
                    Burn(hours=1, rate=0.0, limit=14.4, level="page", fires=False),
                    Burn(hours=72, rate=0.7, limit=1.0, level="ticket", fires=False),
                ),
                history=tuple(1 - 0.021 * n for n in range(28)),
            ),
            SloState(
                slo="latency",
                objective=0.99,
                events=27411,
                bad=402,
                budget_left=-0.4666,
                burns=(
                    Burn(hours=1, rate=16.2, limit=14.4, level="page", fires=True),
                    Burn(hours=72, rate=2.2, limit=1.0, level="ticket", fires=True),
                ),
                history=tuple(1 - 0.053 * n for n in range(28)),
            ),
            SloState(
                slo="freshness", objective=0.95, events=28, bad=1, unit="days", budget_left=0.29
            ),
            SloState(slo="correctness", objective=0.9, unit="days"),
        ),
        "decision": DecisionTaken(
            action="retrain",
            why="calibration drifts, and visibility hurts in three windows in a row; the version is"
            " past its watch, so that an older one would do no better",
            at="2014-01-05T06:12:40+00:00",
            path=(
                Step(question="Is the data wrong?", answer="no", numbers="0 data findings"),
                Step(
                    question="Is the loss at release exceeded beyond doubt?",
                    answer="yes",
                    numbers="0.412 against 0.381, interval 0.402 to 0.422",
                ),
                Step(question="Is the version younger than its watch?", answer="no"),
            ),
        ),
        "decisions": (
            DecisionTaken(
                action="watch",
                why="labels of two windows are missing",
                at="2014-01-04T06:10:00+00:00",
            ),
            DecisionTaken(action="nothing", why="all is well", at="2014-01-03T06:10:00+00:00"),
        ),
        "kpis": (
            Kpi(name="lead_time_hours", value=5.2, unit="hours"),
            Kpi(name="deployments_per_week", value=0.46, unit="per week"),
            Kpi(name="change_failure_rate", value=0.125, unit="of changes"),
            Kpi(name="time_to_restore_minutes", value=None, unit="minutes"),
        ),
        "compared_at": "/home/release/.ml_release/reports/small_line/drift-comparison.html",
    }
    return MonitoringPage(**{**known, **changes})


def empty_page(**changes: Any) -> MonitoringPage:
    """A line of which nothing was ever recorded."""
    known: dict[str, Any] = {
        "line": "small_line",
        "environment": "production",
        "objective": "Tell before departure which trips arrive more than 30 minutes late.",
        "made_at": "2014-01-05T06:12:44+00:00",
    }
    return MonitoringPage(**{**known, **changes})
