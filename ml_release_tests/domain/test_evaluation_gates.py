"""Is a candidate fit to release: all groups of gates in one verdict, and what has a vote."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.behaviour_tests import BehaviourPolicy, Invariance
from ml_release.domain.evaluation_gates import (
    DESCRIPTIONS,
    GROUPS,
    JUDGE,
    RULES,
    EvaluationEvidence,
    EvaluationPolicy,
    judge_evaluation,
)
from ml_release.domain.evaluation_sets import FileSet, SetsPolicy, SpanSet
from ml_release.domain.fairness import FairnessMeasure
from ml_release.domain.gates_attribution import AttributionEvidence, AttributionPolicy
from ml_release.domain.gates_behaviour import Answers
from ml_release.domain.gates_comparison import Comparison
from ml_release.domain.gates_fairness import FairnessPolicy, GroupMeasure
from ml_release.domain.gates_old_window import OldWindow
from ml_release.domain.gates_quality import QualityEvidence
from ml_release.domain.gates_robustness import EdgeAnswers, RobustnessEvidence
from ml_release.domain.gates_servability import Servability, ServabilityEvidence
from ml_release.domain.gates_sets import (
    FileComparison,
    FileMeasure,
    SetsEvidence,
    SpanMeasure,
)
from ml_release.domain.gates_slices import SliceEvidence, SlicePolicy
from ml_release.domain.holdout_use import HoldoutPolicy, HoldoutUse
from ml_release.domain.identity import digest_of_json
from ml_release.domain.intervals import Interval
from ml_release.domain.quality_policy import QualityPolicy
from ml_release.domain.quarantine import QuarantinePolicy, judge_coverage
from ml_release.domain.slice_scores import SliceScore, SliceTable
from ml_release.domain.verdict import Outcome, Verdict, verdict_from_json, worst

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN = float("nan")
QUALITY = QualityPolicy(
    floors={"auc_score": 0.65},
    ceilings={"log_loss": 0.5},
    calibration_error_limit=0.06,
    champion_margin=0.01,
    anchor_margin=0.03,
)
POLICY = EvaluationPolicy(
    minimum_rows=1000,
    holdout_days=18,
    quality=QUALITY,
    sets=SetsPolicy(
        spans={
            "storm": SpanSet(
                first_day=date(2013, 2, 8),
                last_day=date(2013, 2, 10),
                limit=0.6,
                champion_margin=0.02,
            )
        },
        files={
            "hard cases": FileSet(
                path="sets/hard.csv",
                digest="sha256:" + "0" * 64,
                limit=0.8,
                champion_margin=0.02,
                minimum_rows=40,
            )
        },
    ),
    slices=SlicePolicy(limit=0.6, champion_margin=0.03),
    fairness=FairnessPolicy(limits={"demographic_parity_difference": 0.2}),
    behaviour=BehaviourPolicy(tests=(Invariance(name="one more", add={"a": 1.0}, tolerance=0.1),)),
    attribution=AttributionPolicy(core_features=("a",)),
    holdout=HoldoutPolicy(uses_limit=2),
)
BARE = EvaluationPolicy(
    holdout_days=18,
    quality=QualityPolicy(floors={"auc_score": 0.65}, champion_margin=0.01),
)
AUC = Interval(estimate=0.71, low=0.70, high=0.72, confidence=0.95, n=1000, units=18)
DIFFERENCE = replace(AUC, estimate=0.0, low=-0.005, high=0.005)
OTHER = Comparison(version=3, model_digest="champion", difference=DIFFERENCE)


def slices(interval: Interval) -> SliceTable:
    row = SliceScore(
        column="carrier",
        value="AA",
        score="auc_score",
        n=600,
        positives=90,
        judged=True,
        interval=interval,
    )
    return SliceTable(rows=(row,), confidence=0.95, confidence_each=0.95, comparisons=1)


def gap(value: float) -> tuple[GroupMeasure, ...]:
    measure = FairnessMeasure(
        name="demographic_parity_difference",
        value=value,
        least=("LGA",),
        greatest=("EWR",),
        compared=("LGA", "EWR"),
        left_out=(),
        n=1000,
    )
    return (GroupMeasure(column="origin", measure=measure, interval=DIFFERENCE),)


IMPORTANCES = {"a": 0.3, "b": 0.2, "c": 0.1}
EVIDENCE = EvaluationEvidence(
    line="line",
    model_digest="candidate",
    quality=QualityEvidence(
        rows=1000,
        scores={"auc_score": AUC, "log_loss": replace(AUC, estimate=0.4, low=0.39, high=0.41)},
        calibration_error=0.02,
        champion=OTHER,
        anchor=replace(OTHER, version=1),
    ),
    sets=SetsEvidence(
        spans={"storm": SpanMeasure(score=AUC, champion=OTHER)},
        files={
            "hard cases": FileMeasure(
                score="right_decisions_share",
                rows=50,
                value=0.9,
                champion=FileComparison(version=3, gain=0.0),
            )
        },
    ),
    old_window=OldWindow(
        version=3,
        days="2013-03-14 to 2013-03-31",
        all_days=18,
        days_left=18,
        rows_left=1000,
        comparison=OTHER,
    ),
    slices=SliceEvidence(candidate=slices(AUC), against_champion=slices(DIFFERENCE)),
    fairness=gap(0.1),
    behaviour={"one more": Answers(before=np.full(4, 0.3), after=np.full(4, 0.3))},
    robustness=RobustnessEvidence(
        n=500,
        mean_shift=0.0,
        score_loss=0.0,
        edges=(EdgeAnswers(case="a missing", n=20, finite=True, within=True),),
    ),
    attribution=AttributionEvidence(n=500, candidate=IMPORTANCES, champion=IMPORTANCES),
    servability=ServabilityEvidence(
        rows=1000,
        parity=0.0,
        repeats=True,
        measured=Servability(
            n=200, load_ms=80.0, p50_ms=1.0, p95_ms=2.0, p99_ms=3.0, memory_mb=9.0
        ),
    ),
    coverage=judge_coverage(("2013-01",), {}, QuarantinePolicy()),
    holdout_use=HoldoutUse(holdout="sha256:rows", candidates=("candidate",)),
    digests={"data_digest": "data", "champion_digest": "champion"},
)


def judge(policy: EvaluationPolicy = POLICY, **change: Any) -> Verdict:
    return judge_evaluation(replace(EVIDENCE, **change), policy)


def outcomes_of(verdict: Verdict) -> dict[str, Outcome]:
    """Rule to the worst outcome of its findings, voting or not."""
    return {
        rule: worst(f.outcome for f in verdict.findings if f.rule == rule)
        for rule in dict.fromkeys(f.rule for f in verdict.findings)
    }


def test_a_good_candidate_passes_every_rule_there_is() -> None:
    """In the order of the groups; every finding has a vote."""
    verdict = judge()
    assert verdict.outcome is PASS
    assert verdict.objections == ()
    assert tuple(outcomes_of(verdict)) == RULES == POLICY.judged
    assert all(finding.votes for finding in verdict.findings)


def test_every_rule_belongs_to_one_group_and_is_described_with_it() -> None:
    """A rule is a check of the asset: its name is used once."""
    names = [rule for rules in GROUPS.values() for rule in rules]
    assert len(names) == len(set(names)) == len(RULES)
    for group, rules in GROUPS.items():
        for rule, text in rules.items():
            assert DESCRIPTIONS[rule] == f"{text} ({group})"


QUALITY_EVIDENCE, ROBUSTNESS = EVIDENCE.quality, EVIDENCE.robustness
BAD: dict[str, tuple[dict[str, Any], Outcome]] = {
    "score_is_above_floor": (
        {
            "quality": replace(
                QUALITY_EVIDENCE,
                scores={**QUALITY_EVIDENCE.scores, "auc_score": replace(AUC, low=0.64)},
            )
        },
        FAIL,
    ),
    "loss_is_below_ceiling": (
        {"quality": replace(QUALITY_EVIDENCE, scores={"auc_score": AUC})},
        INCONCLUSIVE,
    ),
    "probabilities_are_calibrated": (
        {"quality": replace(QUALITY_EVIDENCE, calibration_error=NAN)},
        INCONCLUSIVE,
    ),
    "no_worse_than_champion": (
        {
            "quality": replace(
                QUALITY_EVIDENCE,
                champion=replace(OTHER, difference=replace(DIFFERENCE, low=-0.02)),
            )
        },
        FAIL,
    ),
    "no_worse_than_anchor": (
        {"quality": replace(QUALITY_EVIDENCE, anchor=replace(OTHER, difference=None))},
        INCONCLUSIVE,
    ),
    "sets_are_good_enough": (
        {
            "sets": replace(
                EVIDENCE.sets,
                spans={"storm": SpanMeasure(score=replace(AUC, low=0.5), champion=OTHER)},
            )
        },
        FAIL,
    ),
    "no_worse_on_sets": (
        {
            "sets": replace(
                EVIDENCE.sets,
                files={
                    "hard cases": replace(
                        EVIDENCE.sets.files["hard cases"],
                        champion=FileComparison(version=3, gain=-0.04),
                    )
                },
            )
        },
        FAIL,
    ),
    "no_worse_on_old_window": (
        {"old_window": OldWindow(version=3, days="its test window", problem="its record is lost")},
        INCONCLUSIVE,
    ),
    "slices_are_good_enough": (
        {"slices": replace(EVIDENCE.slices, candidate=slices(replace(AUC, high=0.5)))},
        FAIL,
    ),
    "no_slice_falls_behind": (
        {"slices": replace(EVIDENCE.slices, against_champion=None, champion_problem="lost")},
        INCONCLUSIVE,
    ),
    "groups_are_treated_alike": ({"fairness": gap(0.21)}, FAIL),
    "behaves_as_declared": ({"behaviour": {}}, INCONCLUSIVE),
    "answers_are_robust": ({"robustness": replace(ROBUSTNESS, mean_shift=0.9)}, FAIL),
    "attributions_are_stable": (
        {"attribution": replace(EVIDENCE.attribution, candidate={})},
        INCONCLUSIVE,
    ),
    "is_servable": (
        {"servability": replace(EVIDENCE.servability, problem="no plan")},
        FAIL,
    ),
    "window_is_covered": (
        {"coverage": judge_coverage(("2013-01",), {"2013-02": "no rows"}, QuarantinePolicy())},
        FAIL,
    ),
    "holdout_is_fresh": (
        {"holdout_use": HoldoutUse(holdout="sha256:rows", candidates=("a", "b", "candidate"))},
        FAIL,
    ),
}


def test_each_rule_has_a_case_here() -> None:
    """A rule that is added has to be added here too."""
    assert tuple(BAD) == RULES


@pytest.mark.parametrize("rule", RULES)
def test_one_bad_finding_decides_the_verdict(rule: str) -> None:
    """Whichever group it is of, and it alone."""
    change, expected = BAD[rule]
    verdict = judge(**change)
    assert verdict.outcome is expected
    assert outcomes_of(verdict) == dict.fromkeys(RULES, PASS) | {rule: expected}
    assert {finding.rule for finding in verdict.objections} == {rule}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_does_not_block_is_a_warning(rule: str) -> None:
    """It is judged and shown as before, and has no vote."""
    policy = POLICY.model_copy(update={"blocking": {rule: False}})
    change, expected = BAD[rule]
    verdict = judge(policy, **change)
    assert verdict.outcome is PASS
    assert outcomes_of(verdict)[rule] is expected
    assert {f.rule for f in verdict.findings if not f.votes} == {rule}
    assert policy.warning == (rule,)
    assert rule in policy.judged
    stated = POLICY.model_copy(update={"blocking": {rule: True}})
    assert judge(stated, **change).outcome is expected
    assert stated.warning == ()


def test_a_policy_of_warnings_alone_passes_nobody() -> None:
    """Nothing that votes was shown."""
    policy = POLICY.model_copy(update={"blocking": dict.fromkeys(RULES, False)})
    assert policy.warning == RULES
    assert judge(policy).outcome is INCONCLUSIVE


@given(st.sets(st.sampled_from(RULES)), st.sets(st.sampled_from(RULES)))
def test_the_verdict_is_the_worst_of_what_votes(bad: set[str], warning: set[str]) -> None:
    """Any rules broken, any of them warnings."""
    # Two rules of one piece of evidence would undo each other's change.
    changes: dict[str, Any] = {}
    broken = {}
    for rule in sorted(bad):
        change, expected = BAD[rule]
        if not set(change) & set(changes):
            changes |= change
            broken[rule] = expected
    policy = POLICY.model_copy(update={"blocking": dict.fromkeys(warning, False)})
    verdict = judge(policy, **changes)
    voting = [rule for rule in RULES if rule not in warning]
    assert verdict.outcome is worst(broken.get(rule, PASS) for rule in voting)
    assert {finding.rule for finding in verdict.objections} == set(broken) - warning


def test_what_is_not_declared_is_not_judged() -> None:
    """Rules that need a declaration appear with it; the others always."""
    undeclared = {
        "loss_is_below_ceiling",
        "probabilities_are_calibrated",
        "no_worse_than_anchor",
        "sets_are_good_enough",
        "no_worse_on_sets",
        "slices_are_good_enough",
        "no_slice_falls_behind",
        "groups_are_treated_alike",
        "behaves_as_declared",
    }
    assert set(RULES) - set(BARE.judged) == undeclared
    verdict = judge(BARE)
    assert verdict.outcome is PASS
    voting = {finding.rule for finding in verdict.findings if finding.votes}
    assert voting == set(BARE.judged)
    # Said, without a vote.
    assert {f.rule for f in verdict.findings if not f.votes} == {"behaves_as_declared"}
    ceiling = QualityPolicy(ceilings={"log_loss": 0.5}, champion_margin=0.01)
    assert "score_is_above_floor" not in BARE.model_copy(update={"quality": ceiling}).judged


def test_a_warning_that_is_not_judged_is_none() -> None:
    """There is no check to show it in."""
    assert BARE.model_copy(update={"blocking": {"behaves_as_declared": False}}).warning == ()


def test_a_declared_group_without_evidence_is_inconclusive() -> None:
    """Slices, groups and tests that were declared and not measured hold the candidate."""
    verdict = judge(
        slices=SliceEvidence(candidate=None, against_champion=None), fairness=(), behaviour={}
    )
    found = outcomes_of(verdict)
    assert verdict.outcome is INCONCLUSIVE
    for rule in ("slices_are_good_enough", "groups_are_treated_alike", "behaves_as_declared"):
        assert found[rule] is INCONCLUSIVE


def test_the_policys_rows_and_confidence_are_the_judges() -> None:
    """Evidence of another confidence or of fewer rows answers another question."""
    for change in ({"minimum_rows": 1001}, {"confidence": 0.9}):
        found = outcomes_of(judge(POLICY.model_copy(update=change)))
        assert found["score_is_above_floor"] is INCONCLUSIVE
        assert found["no_worse_than_champion"] is INCONCLUSIVE
        assert found["no_worse_than_anchor"] is INCONCLUSIVE


def test_slices_are_read_in_the_direction_of_the_primary_score() -> None:
    """Of an error the better end is the low one, and a growth is harm."""
    policy = EvaluationPolicy(
        holdout_days=18,
        quality=QualityPolicy(
            primary="mean_absolute_error",
            ceilings={"mean_absolute_error": 1.0},
            champion_margin=0.01,
        ),
        slices=SlicePolicy(limit=0.6, champion_margin=0.03),
    )
    worse = SliceEvidence(
        candidate=slices(AUC), against_champion=slices(replace(AUC, low=0.04, high=0.05))
    )
    found = outcomes_of(judge(policy, slices=worse))
    assert found["slices_are_good_enough"] is FAIL
    assert found["no_slice_falls_behind"] is FAIL


def test_a_verdict_names_its_judge_its_subject_and_all_evidence() -> None:
    """What an act compares with what it is about to use."""
    verdict = judge()
    assert (verdict.judge, verdict.line, verdict.subject_digest) == (JUDGE, "line", "candidate")
    assert verdict.evidence == {
        "data_digest": "data",
        "champion_digest": "champion",
        "attribution_method": "permutation",
        "policy_digest": digest_of_json(POLICY.model_dump(mode="json")),
    }
    assert judge(digests={"policy_digest": "mine"}).evidence["policy_digest"].startswith("sha256:")
    assert judge(digests={"data_digest": "new"}).digest != verdict.digest
    assert verdict_from_json(verdict.to_json()) == verdict


@pytest.mark.parametrize(
    "change",
    [
        {"minimum_rows": 1001},
        {"seed": 1},
        {"quality": QUALITY.model_copy(update={"champion_margin": 0.02})},
        {"slices": None},
        {"blocking": {"holdout_is_fresh": False}},
        {"holdout": HoldoutPolicy(uses_limit=3)},
    ],
)
def test_another_policy_is_other_evidence(change: dict[str, Any]) -> None:
    """Also where every outcome stays the same; the same policy declared again is the same."""
    digest = judge().evidence["policy_digest"]
    assert judge(POLICY.model_copy(update=change)).evidence["policy_digest"] != digest
    again = EvaluationPolicy.model_validate(POLICY.model_dump())
    assert judge(again).evidence["policy_digest"] == digest


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"minimum_rows": 1}, "minimum_rows"),
        ({"confidence": 0.5}, "confidence"),
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": NAN}, "confidence"),
        ({"interval_unit": "week"}, "interval_unit"),
        ({"resamples": 199}, "resamples"),
        ({"holdout_days": 0}, "holdout_days"),
        ({"auc_floor_score": 0.7}, "auc_floor_score"),
        ({"blocking": {"is_fast": True, "is_big": False}}, "found ['is_big', 'is_fast']"),
    ],
)
def test_a_policy_that_makes_no_sense_cannot_be_declared(
    change: dict[str, Any], problem: str
) -> None:
    """The field is named; of unknown rules all, beside the known ones."""
    with pytest.raises(ValidationError) as refused:
        EvaluationPolicy.model_validate(POLICY.model_dump() | change)
    assert problem in str(refused.value)
