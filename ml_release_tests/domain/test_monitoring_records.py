"""Recorded documents as the page reads them: what is shown of them, and nothing made up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.monitoring_records import (
    decision_shown,
    decisions_shown,
    drift_shown,
    fairness_shown,
    kpis_shown,
    performance_shown,
    slos_shown,
)
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable


def document(**content: Any) -> bytes:
    return json.dumps(content).encode()


DRIFT = document(
    line="l",
    model_digest="m",
    features=[
        {"feature": "a", "standing": "shifted and hurting", "psi_nats": 0.4, "limit_nats": 0.2,
         "importance": 0.3, "loss_change": 0.01, "windows_in_a_row": 2, "why": "so", "n": 5},
        {"feature": "(score)", "standing": "unknown", "psi_nats": None},
    ],
    problems=[],
)  # fmt: skip
DRIFT_HISTORY = document(
    rows=[
        {"as_of": "2013-04-07", "feature": "a", "psi_nats": 0.1, "limit_nats": 0.2},
        {"as_of": "2013-04-14", "feature": "a", "psi_nats": None, "limit_nats": 0.2},
        {"as_of": "2013-04-21", "feature": "a", "psi_nats": 0.4, "limit_nats": 0.2},
        {"as_of": "2013-04-21", "feature": "gone", "psi_nats": 0.4, "limit_nats": 0.2},
    ]
)
PERFORMANCE = document(
    window={
        "until": "2013-04-21", "n": 900, "auc": {"estimate": 0.7, "low": 0.68, "high": 0.72},
        "log_loss": {"estimate": 0.4}, "calibration_error": 0.03, "estimated_auc": 0.75,
    },
    baseline={"auc": {"estimate": 0.72}, "log_loss": None, "calibration_error": 0.02, "rate": 0.2},
    newest={"auc": 0.76},
)  # fmt: skip
PERFORMANCE_HISTORY = document(
    rows=[{"until": "2013-04-14", "n": 800, "auc": None, "estimated_auc": 0.77, "version": 1}]
)
GAP = {"column": "carrier", "measure": "equal_opportunity_difference", "value": 0.2, "limit": 0.1}
FAIRNESS = document(
    windows=[{"gaps": [{**GAP, "measure": "selection_rate_ratio", "value": None}, GAP]}]
)
FAIRNESS_HISTORY = document(
    rows=[
        {**GAP, "rule": "fairness_holds", "standing": "holds", "value": 0.05},
        {**GAP, "rule": "slices_hold", "standing": "holds", "value": 0.9},
        {**GAP, "rule": "fairness_holds", "standing": "wider than approved"},
    ]
)
SLOS = document(
    model_age_days=41.0,
    standings=[
        {
            "name": "availability", "objective": 0.995, "events": 1000, "bad": 1, "left": 0.8,
            "unit": "requests", "days": [{"day": "d", "left": 1.0}, {"day": "e", "left": 0.8}],
            "burns": [
                {"level": "ticket", "long_hours": 24, "limit_rate": 2.8, "long_rate": 3.0,
                 "fires": True},
                {"level": "page", "long_hours": 1, "limit_rate": 13.4, "long_rate": None,
                 "fires": None},
            ],
        },
        {"name": "correctness", "objective": 0.9, "left": None},
    ],
)  # fmt: skip
DECISION = document(
    action="retrain",
    reason="it got worse",
    decided_at="2013-04-21T00:00:00Z",
    path=[{"question": "Worse?", "answer": "yes", "numbers": "0.7 < 0.72"}],
)
DECISIONS = document(
    decisions=[
        {"action": "nothing", "reason": "all is well", "decided_at": "2013-04-14T00:00:00Z"},
        {"action": "retrain", "reason": "it got worse", "decided_at": "2013-04-21T00:00:00Z"},
    ]
)
KPIS = document(kpis=[{"name": "lead_time_hours", "value": None, "unit": "hours", "n": 0}])

READERS: dict[str, Callable[[bytes], object]] = {
    "drift": lambda content: drift_shown(content, None),
    "drift history": lambda content: drift_shown(DRIFT, content),
    "performance": lambda content: performance_shown(content, None),
    "performance history": lambda content: performance_shown(PERFORMANCE, content),
    "fairness": lambda content: fairness_shown(content, None),
    "fairness history": lambda content: fairness_shown(FAIRNESS, content),
    "slos": slos_shown,
    "decision": decision_shown,
    "decisions": decisions_shown,
    "kpis": kpis_shown,
}


def test_a_feature_comes_with_its_course_over_the_limit() -> None:
    """A window of which nothing is known stays a gap; a feature that is gone is not shown."""
    hurting, score = drift_shown(DRIFT, DRIFT_HISTORY)
    assert (hurting.feature, hurting.standing, hurting.importance) == (
        "a",
        "shifted and hurting",
        0.3,
    )
    assert hurting.history == (0.5, None, 2.0)
    assert (score.psi_nats, score.history, score.windows_in_a_row) == (None, (), None)


def test_the_newest_estimate_is_the_one_that_needs_no_labels() -> None:
    """It is of answers whose labels are not due; that of the window stays in the history."""
    found = performance_shown(PERFORMANCE, PERFORMANCE_HISTORY)
    assert (found.now.auc, found.now.auc_low, found.now.n) == (0.7, 0.68, 900)
    assert found.now.auc_estimated == 0.76
    assert found.at_release is not None
    assert (found.at_release.auc, found.at_release.log_loss) == (0.72, None)
    (past,) = found.history
    assert (past.end, past.auc, past.auc_estimated) == ("2013-04-14", None, 0.77)


def test_a_gap_is_as_its_newest_standing_says() -> None:
    """What fails comes first; without a standing nothing can be told of it."""
    wide, unknown = fairness_shown(FAIRNESS, FAIRNESS_HISTORY)
    assert (wide.outcome, wide.history) == ("fail", (0.05, 0.2))
    assert (unknown.gap, unknown.outcome) == (None, "inconclusive")
    assert {gap.outcome for gap in fairness_shown(FAIRNESS, None)} == {"inconclusive"}
    assert fairness_shown(document(windows=[]), None) == ()


def test_promises_come_with_budget_and_burns() -> None:
    """One without events has neither."""
    (available, right), age = slos_shown(SLOS)
    assert age == 41.0
    assert (available.measured, available.budget_left, available.level) == (0.999, 0.8, "ticket")
    assert available.history == (1.0, 0.8)
    assert (right.measured, right.budget_left, right.level) == (None, None, "")


def test_decisions_come_newest_first() -> None:
    """The newest with its path."""
    now = decision_shown(DECISION)
    assert (now.action, now.path[0].answer) == ("retrain", "yes")
    assert [one.action for one in decisions_shown(DECISIONS)] == ["retrain", "nothing"]


def test_a_kpi_that_is_not_known_stays_so() -> None:
    """Never 0."""
    (one,) = kpis_shown(KPIS)
    assert (one.value, one.unit) == (None, "hours")


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b'{"rows": 1}'])
def test_a_document_of_another_kind_is_no_empty_one(name: str, content: bytes) -> None:
    """It is refused, and the message says what to do."""
    with pytest.raises(IntegrityError, match="Judge again"):
        READERS[name](content)


def test_one_field_more_breaks_no_page() -> None:
    """Its judge may say more tomorrow."""
    more = json.loads(DRIFT)
    more["features"][0]["another"] = {"deep": 1}
    assert drift_shown(document(**more, extra=1), None) == drift_shown(DRIFT, None)
