"""Is a candidate fit to release: every rule at its limit, beyond it, and without evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.domain.evaluation_gates import (
    ChampionComparison,
    EvaluationEvidence,
    EvaluationPolicy,
    judge_evaluation,
)
from ml_release.domain.quarantine import QuarantinePolicy, judge_coverage
from ml_release.domain.scores import Difference
from ml_release.domain.verdict import Finding, Outcome, Verdict

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN = float("nan")
POLICY = EvaluationPolicy(
    minimum_rows=1000,
    auc_floor_score=0.65,
    calibration_error_limit=0.06,
    champion_margin=0.01,
    parity_limit=1e-12,
    latency_limit_ms=10.0,
    holdout_days=18,
)
AUC = Difference(estimate=0.71, low=0.70, high=0.72, confidence=0.95, n=1000)
DIFFERENCE = Difference(estimate=0.0, low=-0.005, high=0.005, confidence=0.95, n=1000)
CHAMPION = ChampionComparison(version=3, model_digest="champion", difference=DIFFERENCE)
EVIDENCE = EvaluationEvidence(
    line="line",
    model_digest="candidate",
    rows=1000,
    positives=150,
    auc=AUC,
    calibration_error=0.02,
    champion=CHAMPION,
    coverage=judge_coverage(("2013-01",), {}, QuarantinePolicy()),
    parity=0.0,
    latency_ms=0.5,
    servable_problem="",
    digests={"data_digest": "data"},
)


def judge(**change: Any) -> Verdict:
    return judge_evaluation(replace(EVIDENCE, **change), POLICY)


def against_champion(**change: Any) -> dict[str, Any]:
    return {"champion": replace(CHAMPION, difference=replace(DIFFERENCE, **change))}


def of(verdict: Verdict, rule: str, subject: str = "") -> Finding:
    (found,) = [f for f in verdict.findings if f.rule == rule and subject in f.subject]
    return found


def test_a_good_candidate_passes_and_names_its_evidence() -> None:
    """Data, policy and champion are pinned to the verdict."""
    verdict = judge()
    assert verdict.outcome is PASS
    assert verdict.subject_digest == "candidate"
    assert verdict.evidence["data_digest"] == "data"
    assert verdict.evidence["champion_digest"] == "champion"
    assert verdict.evidence["policy_digest"].startswith("sha256:")
    other = judge_evaluation(EVIDENCE, POLICY.model_copy(update={"champion_margin": 0.02}))
    assert other.evidence["policy_digest"] != verdict.evidence["policy_digest"]


@pytest.mark.parametrize(
    ("change", "rule", "expected"),
    [
        pytest.param({"auc": replace(AUC, low=0.65)}, "score_is_above_floor", PASS, id="floor"),
        pytest.param(
            {"auc": replace(AUC, low=0.6499)}, "score_is_above_floor", FAIL, id="below the floor"
        ),
        pytest.param(
            {"auc": replace(AUC, low=0.6499, estimate=0.9)},
            "score_is_above_floor",
            FAIL,
            id="only the estimate is above the floor",
        ),
        pytest.param(
            {"auc": replace(AUC, low=NAN)}, "score_is_above_floor", INCONCLUSIVE, id="no AUC"
        ),
        pytest.param(
            {"auc": replace(AUC, n=999)}, "score_is_above_floor", INCONCLUSIVE, id="too few rows"
        ),
        pytest.param(
            {"auc": replace(AUC, confidence=0.5)},
            "score_is_above_floor",
            INCONCLUSIVE,
            id="an interval of another confidence",
        ),
        pytest.param(
            {"calibration_error": 0.06}, "probabilities_are_calibrated", PASS, id="calibration"
        ),
        pytest.param(
            {"calibration_error": 0.0601}, "probabilities_are_calibrated", FAIL, id="miscalibrated"
        ),
        pytest.param(
            {"calibration_error": NAN},
            "probabilities_are_calibrated",
            INCONCLUSIVE,
            id="calibration unknown",
        ),
        pytest.param(
            {"rows": 999}, "probabilities_are_calibrated", INCONCLUSIVE, id="calibration of few"
        ),
        pytest.param(against_champion(low=-0.01), "no_worse_than_champion", PASS, id="margin"),
        pytest.param(
            against_champion(low=-0.0101), "no_worse_than_champion", FAIL, id="beyond the margin"
        ),
        pytest.param(
            against_champion(estimate=0.02, low=-0.02),
            "no_worse_than_champion",
            FAIL,
            id="better by the estimate alone",
        ),
        pytest.param(
            against_champion(low=NAN), "no_worse_than_champion", INCONCLUSIVE, id="no difference"
        ),
        pytest.param(
            against_champion(n=999),
            "no_worse_than_champion",
            INCONCLUSIVE,
            id="compared on too few rows",
        ),
        pytest.param(
            against_champion(confidence=0.5),
            "no_worse_than_champion",
            INCONCLUSIVE,
            id="compared with another confidence",
        ),
    ],
)
def test_a_rule_holds_at_its_limit_and_fails_beyond(
    change: dict[str, Any], rule: str, expected: Outcome
) -> None:
    """Without enough evidence it does neither."""
    verdict = judge(**change)
    assert of(verdict, rule).outcome is expected
    assert verdict.outcome is expected


@pytest.mark.parametrize(
    ("change", "subject", "expected"),
    [
        pytest.param({"parity": 1e-12}, "answers like", PASS, id="parity at its limit"),
        pytest.param({"parity": 2e-12}, "answers like", FAIL, id="parity beyond"),
        pytest.param({"parity": NAN}, "answers like", INCONCLUSIVE, id="no answer"),
        pytest.param({"latency_ms": 10.0}, "latency", PASS, id="latency at its limit"),
        pytest.param({"latency_ms": 10.01}, "latency", FAIL, id="too slow"),
        pytest.param({"latency_ms": NAN}, "latency", INCONCLUSIVE, id="not measured"),
        pytest.param({"servable_problem": "no plan"}, "artefact", FAIL, id="cannot be loaded"),
    ],
)
def test_an_artefact_has_to_answer_like_the_estimator_and_in_time(
    change: dict[str, Any], subject: str, expected: Outcome
) -> None:
    """What was judged has to be what will serve."""
    assert of(judge(**change), "is_servable", subject).outcome is expected


def test_an_artefact_that_cannot_be_loaded_has_no_other_finding() -> None:
    """Parity and latency of nothing would be made up."""
    verdict = judge(servable_problem="no plan")
    found = of(verdict, "is_servable")
    assert (found.outcome, found.detail) == (FAIL, "no plan")


def test_without_a_champion_the_floor_decides() -> None:
    """The first version has nothing to be compared with; the floor still fails it."""
    verdict = judge(champion=None)
    assert of(verdict, "no_worse_than_champion").outcome is PASS
    assert verdict.evidence["champion_digest"] == "none"
    assert verdict.outcome is PASS
    assert judge(champion=None, auc=replace(AUC, low=0.5)).outcome is FAIL


def test_a_champion_that_cannot_be_scored_is_inconclusive() -> None:
    """It is declared, so it is not passed over, and the reason is shown."""
    lost = ChampionComparison(version=3, model_digest="c", difference=None, problem="file lost")
    found = of(judge(champion=lost), "no_worse_than_champion")
    assert (found.outcome, found.detail) == (INCONCLUSIVE, "file lost")


def test_findings_show_estimates_and_confidence() -> None:
    """The limit is on the lower end; the reader wants the estimate too."""
    found = of(judge(), "score_is_above_floor")
    assert found.unit == "AUC, lower end of the 95% interval"
    assert found.detail == "AUC 0.7100 with 150 positives"
    policy = POLICY.model_copy(update={"confidence": 0.995})
    unit = of(judge_evaluation(EVIDENCE, policy), "score_is_above_floor").unit
    assert unit == "AUC, lower end of the 99.5% interval"


@pytest.mark.parametrize(
    "change",
    [
        {"auc_floor_score": 0.49},
        {"auc_floor_score": NAN},
        {"calibration_error_limit": 0.0},
        {"champion_margin": -0.01},
        {"confidence": 1.0},
        {"confidence": 0.5},
        {"latency_limit_ms": float("inf")},
        {"parity_limit": float("inf")},
        {"minimum_rows": 1},
        {"holdout_days": 0},
        {"floor": 0.7},
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(change: dict[str, float]) -> None:
    """No limit switches a rule off by its size."""
    with pytest.raises(ValidationError):
        EvaluationPolicy.model_validate(POLICY.model_dump() | change)


def test_a_window_that_lacks_too_much_holds_the_candidate() -> None:
    """The finding on the window votes like the others, and names what was left out."""
    coverage = judge_coverage(("2013-01",), {"2013-02": "no rows"}, QuarantinePolicy())
    verdict = judge(coverage=coverage)
    assert verdict.outcome is Outcome.FAIL
    assert of(verdict, "window_is_covered").detail == "left out 2013-02: no rows"
