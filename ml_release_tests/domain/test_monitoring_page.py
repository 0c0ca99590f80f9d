"""The head of the monitoring page: what to do, never better than what is known."""

from __future__ import annotations

from typing import Any

import pytest

from ml_release.domain.monitoring_page import ACTIONS
from ml_release.domain.monitoring_shown import DecisionTaken, FeatureShift, SloState
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release_tests.monitoring_pages import DIGEST, empty_page, full_page


def verdict(*outcomes: Outcome, votes: bool = True) -> Verdict:
    findings = tuple(
        Finding(rule=f"rule_{n}", subject="x", outcome=one, votes=votes)
        for n, one in enumerate(outcomes)
    )
    return Verdict(judge="drift/2", line="small_line", subject_digest=DIGEST, findings=findings)


def decided(action: str) -> DecisionTaken:
    return DecisionTaken(action=action, why="because", at="2014-01-05T06:12:40+00:00")


PASS, FAIL, UNSURE, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({}, ("Nothing serves", "inconclusive")),
        ({"version": 1}, ("Cannot tell yet", "inconclusive")),
        ({"version": 1, "verdicts": {"drift": verdict(PASS)}}, ("Nothing found", "pass")),
        ({"version": 1, "verdicts": {"drift": verdict()}}, ("Cannot tell yet", "inconclusive")),
        (
            {"version": 1, "verdicts": {"drift": verdict(PASS, votes=False)}},
            ("Cannot tell yet", "inconclusive"),
        ),
        (
            {"version": 1, "verdicts": {"drift": verdict(PASS), "skew": verdict(UNSURE)}},
            ("Cannot tell yet", "inconclusive"),
        ),
        ({"version": 1, "verdicts": {"drift": verdict(ERROR)}}, ("Cannot tell", "error")),
        (
            {"version": 1, "verdicts": {"drift": verdict(FAIL, ERROR)}},
            ("Something was found", "fail"),
        ),
        (
            {"version": 1, "verdicts": {"drift": verdict(PASS)}, "problems": ("edited",)},
            ("Cannot tell", "error"),
        ),
        ({"version": 1, "decision": decided("nothing")}, ("Nothing to do", "pass")),
        (
            {"version": 1, "decision": decided("nothing"), "problems": ("edited",)},
            ("Cannot tell", "error"),
        ),
        (
            {"version": 1, "decision": decided("roll_back"), "problems": ("edited",)},
            ("Roll back", "fail"),
        ),
        ({"version": 1, "decision": decided("retrain")}, ("Retrain", "act")),
        ({"version": 1, "decision": decided("dance_now")}, ("dance now", "inconclusive")),
        ({"decision": decided("nothing")}, ("Nothing serves", "inconclusive")),
    ],
)
def test_the_headline_is_never_better_than_what_is_known(
    changes: dict[str, Any], headline: tuple[str, str]
) -> None:
    """A decision speaks first; without one the worst of the verdicts does."""
    assert empty_page(**changes).headline == headline


def test_every_action_has_words() -> None:
    """Those that the decision knows."""
    assert set(ACTIONS) == {"nothing", "watch", "fix_data", "retrain", "reduce_canary", "roll_back"}


def test_objections_are_told_once_per_rule_the_worst_first() -> None:
    """Sixty features without rows are one sentence."""
    found = full_page().objections
    assert [(o.judge, o.rule, o.outcome) for o in found] == [
        ("drift", "drift_is_harmless", FAIL),
        ("performance", "calibration_holds", FAIL),
        ("drift", "features_are_fresh", UNSURE),
    ]
    assert [len(o.findings) for o in found] == [1, 1, 2]


def test_features_come_by_standing_then_by_how_far_they_moved() -> None:
    """What to look at first."""
    shown = [(f.standing, f.feature) for f in full_page().drift_by_standing]
    assert shown[:4] == [
        ("shifted and hurting", "visibility"),
        ("unknown", "passenger_token"),
        ("shifted but harmless", "temperature"),
        ("shifted but harmless", "(score)"),
    ]
    assert [name for _, name in shown[4:6]] == ["wind_speed", "carrier_route_late_rate"]


def test_a_standing_that_is_not_known_counts_as_unknown() -> None:
    """Another version of the judge may have more words."""
    page = full_page(drift=(FeatureShift(feature="a", standing="sideways"),))
    assert page.standings["unknown"] == 1
    assert sum(page.standings.values()) == 1


def test_the_tightest_budget_is_of_those_that_are_known() -> None:
    """An SLO without events has none."""
    tight = full_page().tightest_budget
    assert tight is not None
    assert (tight.slo, tight.level) == ("latency", "page")
    assert full_page(slos=(SloState(slo="correctness"),)).tightest_budget is None
    assert SloState(slo="availability", events=0, bad=0).measured is None
