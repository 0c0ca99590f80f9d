"""Who an exceeded error budget holds, and who passes in spite of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ml_release.domain.promotion_freeze import freeze_finding
from ml_release.domain.slo import BUDGET
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.domain.waivers import Waiver

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
FAIL, UNKNOWN, PASS = Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS


def verdict(**budgets: Outcome) -> Verdict:
    findings = [
        Finding(rule=BUDGET, subject=name, outcome=outcome, detail=f"{name} said")
        for name, outcome in budgets.items()
    ]
    # Only budgets freeze: the present state of a promise does not.
    other = Finding(rule="answers_are_available", subject="flights", outcome=FAIL)
    return Verdict(
        judge="slo/1",
        line="flights",
        subject_digest="sha256:r",
        evidence={"judged_at": NOW.isoformat()},
        findings=(other, *findings),
    )


def waiver(budget: str = "availability", **changes: Any) -> Waiver:
    known: dict[str, Any] = {
        "candidate": "sha256:b",
        "verdict": "sha256:earlier",
        "rule": BUDGET,
        "subject": budget,
        "by": "Ada",
        "reason": "it holds the fix",
        "given_at": NOW - timedelta(days=1),
        "expires_at": NOW + timedelta(days=1),
    }
    return Waiver(**{**known, **changes})


def found(judged: Verdict | None, **changes: Any) -> Finding:
    known: dict[str, Any] = {
        "line": "flights",
        "subject": "version 2",
        "model_digest": "sha256:b",
        "learned_to": "2013-03-31",
        "champion_learned_to": "2013-03-31",
        "waivers": (),
        "now": NOW,
    }
    return freeze_finding(judged, **{**known, **changes})


@pytest.mark.parametrize(
    ("judged", "changes", "outcome", "said"),
    [
        pytest.param(None, {}, UNKNOWN, "no SLO verdict is recorded", id="nothing recorded"),
        pytest.param(verdict(availability=PASS), {}, PASS, "judged at", id="left"),
        pytest.param(
            verdict(availability=PASS, latency=UNKNOWN), {}, UNKNOWN, "latency said", id="unknown"
        ),
        pytest.param(
            verdict(availability=FAIL), {}, FAIL, "frozen, the error budget is spent", id="spent"
        ),
        pytest.param(
            verdict(availability=FAIL),
            {"now": NOW + timedelta(days=400)},
            FAIL,
            "judged at 2026-11-21",
            id="spent, and never judged again",
        ),
        pytest.param(
            verdict(availability=FAIL),
            {"learned_to": "2013-04-30"},
            FAIL,
            "availability said",
            id="newer data answer no more requests",
        ),
        pytest.param(
            verdict(correctness=FAIL), {}, FAIL, "correctness said", id="the same data again"
        ),
        pytest.param(
            verdict(correctness=FAIL, freshness=FAIL, fairness=FAIL),
            {"learned_to": "2013-04-30"},
            UNKNOWN,
            "it has learned from data to 2013-04-30, the champion to 2013-03-31",
            id="a repair",
        ),
        pytest.param(
            verdict(correctness=FAIL, latency=FAIL),
            {"learned_to": "2013-04-30"},
            FAIL,
            "latency said",
            id="a repair of one of two",
        ),
        pytest.param(
            verdict(freshness=FAIL), {"learned_to": None}, FAIL, "freshness", id="learned from what"
        ),
        pytest.param(
            verdict(freshness=FAIL),
            {"learned_to": "2013-04-30", "champion_learned_to": None},
            FAIL,
            "freshness",
            id="newer than what",
        ),
        pytest.param(
            verdict(availability=FAIL),
            {"waivers": (waiver(),)},
            UNKNOWN,
            "availability: WAIVED by Ada (it holds the fix)",
            id="waived",
        ),
        pytest.param(
            verdict(availability=FAIL),
            {"waivers": (waiver(candidate="sha256:a"), waiver("latency"))},
            FAIL,
            "availability said",
            id="waived for others",
        ),
        pytest.param(
            verdict(availability=FAIL),
            {"waivers": (waiver(),), "now": NOW + timedelta(days=1)},
            FAIL,
            "availability said",
            id="waived until now",
        ),
    ],
)
def test_only_a_budget_that_is_spent_freezes(
    judged: Verdict | None, changes: dict[str, Any], outcome: Outcome, said: str
) -> None:
    """Unknown is told and holds nobody; what is let go never becomes a pass."""
    finding = found(judged, **changes)
    assert finding.outcome is outcome
    assert said in finding.detail
    assert not finding.votes


def test_the_refusal_says_what_to_do() -> None:
    """Wait, repair, or somebody's word for this version."""
    detail = found(verdict(availability=FAIL)).detail
    assert "Rollbacks are not." in detail
    assert (
        "`ml-release waive flights error_budget_is_left --subject availability --candidate"
        " sha256:b`" in detail
    )
