"""Scores, calibration and comparisons: at each limit, beyond it, and without evidence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.gates_comparison import Comparison
from ml_release.domain.gates_quality import (
    ANCHOR,
    CALIBRATION,
    CEILING,
    CHAMPION,
    DESCRIPTIONS,
    FLOOR,
    QualityEvidence,
    judge_quality,
)
from ml_release.domain.intervals import Interval
from ml_release.domain.paired_tests import McNemarTest
from ml_release.domain.quality_policy import QualityPolicy
from ml_release.domain.verdict import Finding, Outcome

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN, INF = float("nan"), float("inf")
POLICY = QualityPolicy(
    primary="auc_score",
    floors={"auc_score": 0.65},
    ceilings={"log_loss": 0.5},
    calibration_error_limit=0.06,
    champion_margin=0.01,
    anchor_margin=0.03,
)
AUC = Interval(estimate=0.71, low=0.70, high=0.72, confidence=0.95, n=1000, units=18)
LOSS = replace(AUC, estimate=0.41, low=0.40, high=0.42)
DIFFERENCE = replace(AUC, estimate=0.0, low=-0.005, high=0.005)
CHAMPION_3 = Comparison(version=3, model_digest="champion", difference=DIFFERENCE)
ANCHOR_1 = Comparison(version=1, model_digest="anchor", difference=DIFFERENCE)
EVIDENCE = QualityEvidence(
    rows=1000,
    scores={"auc_score": AUC, "log_loss": LOSS},
    calibration_error=0.02,
    champion=CHAMPION_3,
    anchor=ANCHOR_1,
)


def judge(policy: QualityPolicy = POLICY, **change: Any) -> tuple[Finding, ...]:
    evidence = replace(EVIDENCE, **change)
    return judge_quality(evidence, policy, minimum_rows=1000, confidence=0.95)


def of(findings: tuple[Finding, ...], rule: str) -> Finding:
    (found,) = [finding for finding in findings if finding.rule == rule]
    return found


def against(role: str = "champion", **change: Any) -> dict[str, Any]:
    other = CHAMPION_3 if role == "champion" else ANCHOR_1
    return {role: replace(other, difference=replace(DIFFERENCE, **change))}


def test_a_good_candidate_passes_every_rule_of_this_judge() -> None:
    """One finding for each limit, floor to anchor, all described."""
    found = judge()
    assert [finding.rule for finding in found] == [FLOOR, CEILING, CALIBRATION, CHAMPION, ANCHOR]
    assert {finding.outcome for finding in found} == {PASS}
    assert {finding.rule for finding in found} == set(DESCRIPTIONS)


@pytest.mark.parametrize(
    ("change", "expected", "detail"),
    [
        pytest.param({"low": 0.65}, PASS, "0.7100 over 18 independent units", id="at the limit"),
        pytest.param({"low": math.nextafter(0.65, 0)}, FAIL, "0.7100 over 18", id="just below"),
        pytest.param({"low": 0.6, "estimate": 0.9}, FAIL, "0.9000", id="only the estimate above"),
        pytest.param({"low": NAN, "high": NAN}, INCONCLUSIVE, "has no ends", id="no ends"),
        pytest.param({"n": 1000}, PASS, "0.7100", id="rows at the minimum"),
        pytest.param({"n": 999}, INCONCLUSIVE, "at least 1000 rows, found 999", id="too few rows"),
        pytest.param({"n": 999, "low": 0.1}, INCONCLUSIVE, "found 999", id="bad on too few rows"),
        pytest.param(
            {"confidence": 0.9}, INCONCLUSIVE, "confidence 0.95, found 0.9", id="other confidence"
        ),
        pytest.param({"low": -INF}, INCONCLUSIVE, "has no ends", id="infinite"),
    ],
)
def test_the_low_end_of_a_score_reaches_its_floor(
    change: dict[str, Any], expected: Outcome, detail: str
) -> None:
    """The estimate is shown beside it and decides nothing."""
    found = of(judge(scores={"auc_score": replace(AUC, **change), "log_loss": LOSS}), FLOOR)
    assert found.outcome is expected
    assert (found.subject, found.limit, found.bound) == (
        "auc_score on the holdout",
        0.65,
        "at least",
    )
    assert found.unit == "auc_score, lower end of the 95% interval"
    assert found.n == change.get("n", 1000)
    assert detail in found.detail


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"high": 0.5}, PASS, id="at the limit"),
        pytest.param({"high": math.nextafter(0.5, 1)}, FAIL, id="just above"),
        pytest.param({"high": 0.6, "estimate": 0.1}, FAIL, id="only the estimate below"),
        pytest.param({"low": NAN, "high": NAN}, INCONCLUSIVE, id="no ends"),
        pytest.param({"n": 999}, INCONCLUSIVE, id="too few rows"),
        pytest.param({"confidence": 0.99}, INCONCLUSIVE, id="other confidence"),
    ],
)
def test_the_high_end_of_a_loss_stays_below_its_ceiling(
    change: dict[str, Any], expected: Outcome
) -> None:
    """For a loss the worse end is the other one."""
    found = of(judge(scores={"auc_score": AUC, "log_loss": replace(LOSS, **change)}), CEILING)
    assert found.outcome is expected
    assert (found.subject, found.limit, found.bound) == ("log_loss on the holdout", 0.5, "at most")
    assert found.unit == "log_loss, upper end of the 95% interval"


def test_a_score_that_was_not_measured_is_inconclusive() -> None:
    """A limit on it was declared; nobody held the candidate to it."""
    found = judge(scores={})
    for rule in (FLOOR, CEILING):
        finding = of(found, rule)
        assert (finding.outcome, finding.detail) == (INCONCLUSIVE, "it was not measured")
        assert (finding.observed, finding.n) == (None, None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"calibration_error": 0.06}, PASS, id="at the limit"),
        pytest.param({"calibration_error": math.nextafter(0.06, 1)}, FAIL, id="just above"),
        pytest.param({"calibration_error": NAN}, INCONCLUSIVE, id="not known"),
        pytest.param({"calibration_error": None}, INCONCLUSIVE, id="missing"),
        pytest.param({"rows": 999}, INCONCLUSIVE, id="too few rows"),
        pytest.param({"rows": 0}, INCONCLUSIVE, id="no rows"),
    ],
)
def test_probabilities_are_calibrated_up_to_the_limit(
    change: dict[str, Any], expected: Outcome
) -> None:
    """The expected calibration error on rows enough."""
    found = of(judge(**change), CALIBRATION)
    assert found.outcome is expected
    assert (found.limit, found.unit) == (0.06, "expected calibration error")
    assert found.n == change.get("rows", 1000)


@pytest.mark.parametrize(("role", "margin"), [("champion", 0.01), ("anchor", 0.03)])
@pytest.mark.parametrize(
    ("ends", "expected", "relation"),
    [
        pytest.param((0.001, 0.1), PASS, "better", id="better"),
        pytest.param((0.0, 0.0), PASS, "non-inferior", id="the same answers"),
        pytest.param("at the margin", PASS, "non-inferior", id="at the margin"),
        pytest.param("beyond the margin", FAIL, "undecided", id="beyond the margin"),
        pytest.param((-0.2, 0.1), FAIL, "undecided", id="wide"),
        pytest.param((-0.2, -0.1), FAIL, "inferior", id="worse"),
    ],
)
def test_the_low_end_of_the_difference_keeps_the_margin(
    role: str, margin: float, ends: tuple[float, float] | str, expected: Outcome, relation: str
) -> None:
    """Champion and anchor alike, each with a margin of its own."""
    if ends == "at the margin":
        ends = (-margin, 0.1)
    elif ends == "beyond the margin":
        ends = (math.nextafter(-margin, -1), 0.1)
    assert not isinstance(ends, str)
    found = of(judge(**against(role, low=ends[0], high=ends[1])), f"no_worse_than_{role}")
    assert found.outcome is expected
    assert found.subject == f"{role} version {3 if role == 'champion' else 1}"
    assert (found.observed, found.limit, found.n) == (ends[0], -margin, 1000)
    assert found.unit == "auc_score gained, lower end of the 95% interval"
    assert found.detail == f"{relation}: gains +0.0000 over 18 independent units"


@pytest.mark.parametrize("role", ["champion", "anchor"])
@pytest.mark.parametrize(
    ("change", "detail"),
    [
        pytest.param({"low": NAN, "high": NAN}, "has no ends", id="no ends"),
        pytest.param({"high": NAN}, "has no ends", id="one end"),
        pytest.param({"high": INF}, "has no ends", id="infinite"),
        pytest.param({"confidence": 0.5}, "confidence 0.95, found 0.5", id="other confidence"),
        pytest.param({"n": 999}, "expected at least 1000 rows, found 999", id="too few rows"),
        pytest.param({"n": 999, "low": -1.0, "high": -0.9}, "found 999", id="worse on few rows"),
    ],
)
def test_a_comparison_that_cannot_tell_is_inconclusive(
    role: str, change: dict[str, Any], detail: str
) -> None:
    """It neither passes nor fails, and says why."""
    found = of(judge(**against(role, **change)), f"no_worse_than_{role}")
    assert found.outcome is INCONCLUSIVE
    assert detail in found.detail
    assert found.limit is not None


@pytest.mark.parametrize("role", ["champion", "anchor"])
def test_another_version_that_cannot_be_scored_is_inconclusive(role: str) -> None:
    """It is there, so it is not passed over; its reason is shown, and a missing one made up."""
    for problem, detail in (("file lost", "file lost"), ("", "it was not measured")):
        lost = Comparison(version=7, model_digest="x", difference=None, problem=problem)
        found = of(judge(POLICY, **{role: lost}), f"no_worse_than_{role}")
        assert (found.outcome, found.detail) == (INCONCLUSIVE, detail)
        assert found.subject == f"{role} version 7"


@pytest.mark.parametrize("role", ["champion", "anchor"])
def test_without_another_version_the_limits_on_itself_decide(role: str) -> None:
    """The first version has nothing to be compared with."""
    found = of(judge(POLICY, **{role: None}), f"no_worse_than_{role}")
    assert (found.outcome, found.subject) == (PASS, f"no {role}")
    assert "the limits on itself decide" in found.detail
    poor = {"auc_score": replace(AUC, low=0.5), "log_loss": LOSS}
    assert of(judge(POLICY, **{role: None, "scores": poor}), FLOOR).outcome is FAIL


def test_an_anchor_is_judged_only_with_a_margin() -> None:
    """Also one that is far better than the candidate."""
    policy = QualityPolicy(floors={"auc_score": 0.65}, champion_margin=0.01)
    found = judge(policy, **against("anchor", low=-0.5, high=-0.4))
    assert {finding.rule for finding in found} == {FLOOR, CHAMPION}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        pytest.param(-0.1, -0.01, PASS, id="smaller"),
        pytest.param(-0.1, 0.5, PASS, id="at the margin"),
        pytest.param(-0.9, 0.51, FAIL, id="beyond the margin"),
        pytest.param(0.6, 0.7, FAIL, id="larger"),
        pytest.param(NAN, NAN, INCONCLUSIVE, id="not known"),
    ],
)
def test_a_loss_that_shrinks_is_a_gain(low: float, high: float, expected: Outcome) -> None:
    """The difference is turned round: what is shown is what the candidate gains."""
    policy = QualityPolicy(
        primary="mean_absolute_error",
        ceilings={"mean_absolute_error": 20.0},
        champion_margin=0.5,
    )
    scores = {"mean_absolute_error": replace(AUC, estimate=12.0, low=11.0, high=13.0)}
    change = against(estimate=-0.02, low=low, high=high)
    found = judge(policy, scores=scores, calibration_error=None, **change)
    assert not policy.greater_is_better
    assert {finding.rule for finding in found} == {CEILING, CHAMPION}
    finding = of(found, CHAMPION)
    assert finding.outcome is expected
    if expected is not INCONCLUSIVE:
        assert (finding.observed, finding.limit) == (-high, -0.5)
        assert "gains +0.0200" in finding.detail


def test_mcnemars_test_is_shown_and_decides_nothing() -> None:
    """Who decides rightly alone, and by how much chance; without a discordant row there is none."""
    test = McNemarTest(challenger_only=1, champion_only=90, p_value=1e-9, n=1000)
    found = of(judge(champion=replace(CHAMPION_3, decisions=test)), CHAMPION)
    assert found.outcome is PASS
    assert found.detail.endswith(
        "decides 1 rows rightly that the other gets wrong, 90 the other way round"
        " (McNemar p = 1e-09)"
    )
    alike = McNemarTest(challenger_only=0, champion_only=0, p_value=NAN, n=1000)
    found = of(judge(champion=replace(CHAMPION_3, decisions=alike)), CHAMPION)
    assert found.detail.endswith("; both decide every row alike")
    unknown = McNemarTest(challenger_only=0, champion_only=0, p_value=NAN, n=0)
    assert ";" not in of(judge(champion=replace(CHAMPION_3, decisions=unknown)), CHAMPION).detail


def test_a_margin_of_nothing_is_shown_without_a_sign() -> None:
    """Minus zero would be read as a fault."""
    policy = POLICY.model_copy(update={"champion_margin": 0.0})
    assert "limit at least 0 auc_score" in of(judge(policy), CHAMPION).sentence()


ENDS = st.floats(-2, 2) | st.sampled_from([NAN, INF, -INF])


@given(ENDS, ENDS, st.floats(0, 1), st.sampled_from(["auc_score", "log_loss"]))
def test_no_interval_passes_that_does_not_keep_the_margin(
    low: float, high: float, margin: float, primary: str
) -> None:
    """Any two ends, any margin, either direction: pass means known, and no worse."""
    policy = POLICY.model_copy(update={"primary": primary, "champion_margin": margin})
    found = of(judge(policy, **against(low=low, high=high)), CHAMPION)
    if found.outcome is PASS:
        assert math.isfinite(low)
        assert math.isfinite(high)
        assert (low if primary == "auc_score" else -high) >= -margin
    if not (math.isfinite(low) and math.isfinite(high)):
        assert found.outcome is INCONCLUSIVE


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"floors": {"auc": 0.6}}, "floors: expected names of", id="unknown score"),
        pytest.param({"floors": {"log_loss": 0.6}}, "found ['log_loss']", id="a loss as a floor"),
        pytest.param({"ceilings": {"auc_score": 0.6}}, "found ['auc_score']", id="score, ceiling"),
        pytest.param({"primary": "accuracy"}, "primary: expected names", id="unknown primary"),
        pytest.param({"floors": {}, "ceilings": {}}, "on the model itself, found none", id="none"),
        pytest.param({"cost_false_positive": 1.0}, "both or neither, found one", id="one cost"),
        pytest.param(
            {"cost_false_positive": 0.0, "cost_false_negative": 0.0},
            "one of them above 0, found none",
            id="free mistakes",
        ),
        pytest.param({"anchor_version": 2, "anchor_margin": None}, "anchor_margin", id="anchor"),
        pytest.param({"ceilings": {"pinball_loss": 1.0}}, "found ['pinball_loss']", id="mixed"),
        pytest.param({"primary": "pinball_loss"}, "found 0.06", id="calibration of a regression"),
        pytest.param({"floors": {"auc_score": NAN}}, "floors.auc_score", id="NaN"),
        pytest.param({"floors": {"auc_score": 0.0}}, "floors.auc_score", id="floor of nothing"),
        pytest.param({"floors": {"auc_score": 1.0}}, "floors.auc_score", id="floor of all"),
        pytest.param({"ceilings": {"log_loss": INF}}, "ceilings.log_loss", id="no ceiling"),
        pytest.param({"ceilings": {"log_loss": 0.0}}, "ceilings.log_loss", id="ceiling of nothing"),
        pytest.param({"calibration_error_limit": 0.0}, "calibration_error_limit", id="calibration"),
        pytest.param({"champion_margin": -0.01}, "champion_margin", id="negative margin"),
        pytest.param({"anchor_margin": INF}, "anchor_margin", id="infinite margin"),
        pytest.param({"anchor_version": 0}, "anchor_version", id="no version"),
        pytest.param({"threshold": 1.0}, "threshold", id="decides nothing"),
        pytest.param({"pinball_alpha": 0.0}, "pinball_alpha", id="no quantile"),
        pytest.param({"floor": 0.7}, "floor", id="unknown word"),
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(change: dict[str, Any], problem: str) -> None:
    """No limit switches a rule off by its size, and none can never be met."""
    with pytest.raises(ValidationError) as refused:
        QualityPolicy.model_validate(POLICY.model_dump() | change)
    assert problem in str(refused.value)


def test_all_problems_are_named_at_once() -> None:
    """An author mends the file once."""
    with pytest.raises(ValidationError) as refused:
        QualityPolicy(
            floors={"auc": 0.6},
            ceilings={"recall_score": 0.6},
            primary="mse",
            champion_margin=0.0,
            anchor_version=1,
            cost_false_negative=1.0,
        )
    for word in ("'auc'", "'recall_score'", "'mse'", "anchor_version", "costs"):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        pytest.param(0.0499, 0.02, PASS, id="within the margin"),
        pytest.param(0.051, 0.02, FAIL, id="beyond the margin"),
        pytest.param(0.02, 0.05, PASS, id="better"),
        pytest.param(NAN, 0.02, INCONCLUSIVE, id="not known"),
        pytest.param(0.02, None, INCONCLUSIVE, id="the champion's is not known"),
    ],
)
def test_calibration_is_held_against_the_champions_on_the_same_rows(
    own: float, others: float | None, expected: Outcome
) -> None:
    """What the month does to both is no fault of the candidate."""
    policy = POLICY.model_copy(update={"calibration_margin": 0.03, "calibration_error_limit": None})
    found = judge(
        policy,
        calibration_error=own,
        champion=replace(CHAMPION_3, calibration_error=others),
    )
    assert of(found, CALIBRATION).outcome is expected
    assert of(found, CALIBRATION).subject == "against champion version 3"


def test_without_a_champion_there_is_no_calibration_to_compare_with() -> None:
    """The limit on itself decides."""
    policy = POLICY.model_copy(update={"calibration_margin": 0.03})
    assert of(judge(policy, champion=None), CALIBRATION).subject == "holdout"


@pytest.mark.parametrize(
    ("further", "expected"),
    [
        pytest.param({"log_loss": replace(AUC, estimate=0.0, low=-0.01, high=0.02)}, PASS, id="at"),
        pytest.param(
            {"log_loss": replace(AUC, estimate=0.0, low=-0.01, high=0.021)}, FAIL, id="beyond"
        ),
        pytest.param({}, INCONCLUSIVE, id="not measured"),
    ],
)
def test_the_champion_is_compared_in_further_scores(
    further: dict[str, Interval], expected: Outcome
) -> None:
    """A loss is better when it is less, whatever the primary score is."""
    policy = POLICY.model_copy(update={"further_margins": {"log_loss": 0.02}})
    found = judge(policy, champion=replace(CHAMPION_3, further=further))
    (finding,) = [f for f in found if f.subject == "champion version 3, log_loss"]
    assert finding.rule == CHAMPION
    assert finding.outcome is expected
