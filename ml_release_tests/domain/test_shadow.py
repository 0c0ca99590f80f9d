"""The judge of a shadow: what passes, what ends it, and what is only not known yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.identity import digest_of_json
from ml_release.domain.shadow import Answer, ShadowEvidence, ShadowPolicy, answer_of, judge_shadow
from ml_release.domain.shadow_counts import Moments, PairCounts, count_pairs
from ml_release.domain.shadow_pairs import (
    LabelledPairs,
    PairedLatency,
    QualityBlock,
    ScoreSample,
    SlicePairs,
)
from ml_release.domain.verdict import Outcome, verdict_from_json

if TYPE_CHECKING:
    from ml_release.domain.verdict import Finding

NAN = float("nan")
POLICY = ShadowPolicy()


def scores(n: int, *, shift: float = 0.0, spread: float = 0.02) -> Moments:
    """Moments of scores around 0.3 that differ by ``shift`` and ``spread``."""
    varies = n * 0.04
    return Moments(
        n=n,
        champion=0.3,
        shadow=0.3 + shift,
        difference=shift,
        square_champion=varies,
        square_shadow=varies,
        square_difference=n * spread**2,
        product=varies - n * spread**2 / 2,
    )


def counts(n: int = 5000, **changes: Any) -> PairCounts:
    """Pairs of two good versions, 4 % of whose decisions differ."""
    differ = n // 50
    known: dict[str, Any] = {
        "answered": n,
        "both_yes": n // 4,
        "both_no": n - n // 4 - 2 * differ,
        "champion_only": differ,
        "shadow_only": differ,
        "scores": scores(n),
    }
    return PairCounts(**{**known, **changes})


def evidence(requests: PairCounts | None = None, **changes: Any) -> ShadowEvidence:
    """A shadow that may advance, unless something is changed."""
    found = counts() if requests is None else requests
    known: dict[str, Any] = {
        "line": "small_line",
        "version": 2,
        "model_digest": "sha256:shadow",
        "champion_digest": "sha256:champion",
        "routes": ("c1", "c2"),
        "window_start": "2026-11-20T00:00:00+00:00",
        "window_end": "2026-11-21T06:00:00+00:00",
        "hours": 30.0,
        "days": 2,
        "age_hours": 31.0,
        "output": "probability",
        "decides": True,
        "sampled_requests": found.pairs,
        "requests": found,
        "sample": ScoreSample(n=2000, psi_nats=0.01),
        "latency": PairedLatency(n=2000, champion_p95=2.0, shadow_p95=2.2),
    }
    return ShadowEvidence(**{**known, **changes})


def found(evidence: ShadowEvidence, rule: str, policy: ShadowPolicy = POLICY) -> list[Finding]:
    return [f for f in judge_shadow(evidence, policy).verdict.findings if f.rule == rule]


def blocks(difference: float, k: int, *, noise: float = 0.004) -> LabelledPairs:
    """Blocks whose AUC differs by about so much."""
    draw = np.random.default_rng(5).normal(difference, noise, k)
    return LabelledPairs(
        blocks=tuple(
            QualityBlock(n=300, positives=60, auc_score=float(d), log_loss=NAN, brier_loss=NAN)
            for d in draw
        ),
        labelled=300 * k,
    )


def test_a_shadow_like_the_champion_advances_before_its_labels_come() -> None:
    """The quality is shown as not known yet, and the verdict names what it rests on."""
    judgement = judge_shadow(evidence(), POLICY)
    assert judgement.answer is Answer.ADVANCE
    assert judgement.verdict.outcome is Outcome.PASS
    assert judgement.more_pairs == 0
    (quality,) = (f for f in judgement.verdict.findings if f.rule == "shadow_is_no_worse")
    assert (quality.outcome, quality.votes) == (Outcome.INCONCLUSIVE, False)
    assert "not known yet" in quality.detail
    assert judgement.verdict.subject_digest == "sha256:shadow"
    assert judgement.verdict.evidence == {
        "champion_digest": "sha256:champion",
        "policy_digest": digest_of_json(POLICY.model_dump(mode="json")),
        "routes": "c1 c2",
        "window_start": "2026-11-20T00:00:00+00:00",
        "window_end": "2026-11-21T06:00:00+00:00",
    }
    recorded = verdict_from_json(judgement.verdict.to_json())
    assert answer_of(recorded, POLICY)[0] is Answer.ADVANCE


@pytest.mark.parametrize(
    ("changes", "answer", "rule"),
    [
        pytest.param(
            {"requests": PairCounts(), "sampled_requests": 0},
            Answer.UNDECIDED,
            "shadow_saw_enough",
            id="zero pairs",
        ),
        pytest.param(
            {"requests": PairCounts(), "sampled_requests": 9000, "window_start": None},
            Answer.UNDECIDED,
            "shadow_answers_what_it_is_asked",
            id="asked and never answered",
        ),
        pytest.param(
            {"requests": counts(1000)}, Answer.UNDECIDED, "shadow_saw_enough", id="few pairs"
        ),
        pytest.param({"hours": 3.0}, Answer.UNDECIDED, "shadow_saw_enough", id="too short"),
        pytest.param({"hours": NAN}, Answer.UNDECIDED, "shadow_saw_enough", id="no hours known"),
        pytest.param({"days": 0}, Answer.UNDECIDED, "shadow_saw_enough", id="no day"),
        pytest.param(
            {"sampled_requests": 6000},
            Answer.UNDECIDED,
            "shadow_answers_what_it_is_asked",
            id="many dropped",
        ),
        pytest.param(
            {"requests": counts(unscored=1000)},
            Answer.UNDECIDED,
            "shadow_answers_what_it_is_asked",
            id="answers that are no numbers",
        ),
        pytest.param(
            {"requests": counts(shadow_failed=300)},
            Answer.ROLL_BACK,
            "shadow_fails_no_more_often",
            id="fails alone",
        ),
        pytest.param(
            {"requests": counts(champion_failed=300)}, Answer.ADVANCE, "", id="the champion fails"
        ),
        pytest.param({"requests": counts(both_failed=300)}, Answer.ADVANCE, "", id="both fail"),
        pytest.param(
            {"requests": counts(40, shadow_failed=40)},
            Answer.ROLL_BACK,
            "shadow_fails_no_more_often",
            id="fails half of the time, found long before the minimum",
        ),
        pytest.param(
            {"requests": counts(champion_only=800, shadow_only=800)},
            Answer.ROLL_BACK,
            "decisions_agree",
            id="decides otherwise",
        ),
        pytest.param(
            {"requests": counts(champion_only=0, shadow_only=700)},
            Answer.ROLL_BACK,
            "decisions_lean_little",
            id="one-sided",
        ),
        pytest.param(
            {"requests": counts(scores=scores(5000, shift=0.1))},
            Answer.ROLL_BACK,
            "scores_shift_little",
            id="higher scores",
        ),
        pytest.param(
            {"requests": counts(scores=scores(5000, shift=0.1, spread=0.0))},
            Answer.ROLL_BACK,
            "scores_shift_little",
            id="higher by a constant",
        ),
        pytest.param(
            {"requests": counts(scores=scores(5000, spread=0.0))},
            Answer.ADVANCE,
            "",
            id="the same scores",
        ),
        pytest.param(
            {
                "requests": counts(
                    scores=Moments(n=5000, champion=0.3, shadow=0.3, square_champion=200.0)
                )
            },
            Answer.UNDECIDED,
            "scores_move_together",
            id="constant scores",
        ),
        pytest.param(
            {"sample": ScoreSample(n=2000, psi_nats=NAN)},
            Answer.UNDECIDED,
            "score_distribution_is_kept",
            id="unknown spread",
        ),
        pytest.param(
            {"sample": ScoreSample(n=2000, psi_nats=0.9)},
            Answer.HOLD,
            "score_distribution_is_kept",
            id="other spread",
        ),
        pytest.param(
            {"latency": PairedLatency(n=2000, champion_p95=2.0, shadow_p95=9.0)},
            Answer.HOLD,
            "shadow_is_fast_enough",
            id="slow",
        ),
        pytest.param(
            {"latency": PairedLatency()}, Answer.UNDECIDED, "shadow_is_fast_enough", id="no latency"
        ),
        pytest.param(
            {"labelled": blocks(-0.03, 30)}, Answer.ROLL_BACK, "shadow_is_no_worse", id="worse"
        ),
        pytest.param({"labelled": blocks(-0.03, 19)}, Answer.ADVANCE, "", id="too few blocks"),
        pytest.param({"labelled": blocks(0.0, 30)}, Answer.ADVANCE, "", id="as good"),
        pytest.param(
            {"labelled": blocks(-0.01, 30)}, Answer.ADVANCE, "", id="on the margin, undecided"
        ),
        pytest.param({"labelled": blocks(NAN, 30)}, Answer.ADVANCE, "", id="blocks of one class"),
        pytest.param({"age_hours": 400.0}, Answer.ADVANCE, "", id="old and good"),
        pytest.param(
            {"age_hours": 400.0, "hours": 3.0},
            Answer.HOLD,
            "shadow_saw_enough",
            id="old, undecided",
        ),
    ],
)
def test_a_shadow_is_answered_by_its_worst_rule(
    changes: dict[str, Any], answer: Answer, rule: str
) -> None:
    """What is missing waits, what is wrong ends it or holds it."""
    changed = evidence(**changes)
    judgement = judge_shadow(changed, POLICY)
    assert judgement.answer is answer
    assert (answer is Answer.ADVANCE) == (judgement.verdict.outcome is Outcome.PASS)
    if rule:
        assert rule in {finding.rule for finding in judgement.verdict.objections}


@pytest.mark.parametrize(
    ("labelled", "answer"),
    [
        pytest.param(LabelledPairs(), Answer.UNDECIDED, id="none"),
        pytest.param(blocks(-0.01, 30), Answer.UNDECIDED, id="undecided"),
        pytest.param(blocks(0.0, 30), Answer.ADVANCE, id="as good"),
        pytest.param(blocks(-0.03, 30), Answer.ROLL_BACK, id="worse"),
    ],
)
def test_where_labels_are_required_nothing_advances_without(
    labelled: LabelledPairs, answer: Answer
) -> None:
    """As declared."""
    policy = ShadowPolicy(labels="required")
    assert judge_shadow(evidence(labelled=labelled), policy).answer is answer


def test_a_loss_is_held_against_its_margin_the_other_way_round() -> None:
    """A loss that shrinks is a gain."""
    policy = ShadowPolicy(quality_score="log_loss")
    for change, outcome in ((-0.03, Outcome.PASS), (0.03, Outcome.FAIL)):
        noisy = np.random.default_rng(1).normal(change, 0.004, 30)
        labelled = LabelledPairs(
            blocks=tuple(
                QualityBlock(n=300, positives=9, auc_score=NAN, log_loss=d, brier_loss=d)
                for d in noisy.tolist()
            )
        )
        (finding,) = found(evidence(labelled=labelled), "shadow_is_no_worse", policy)
        assert finding.outcome is outcome


def test_the_direction_of_disagreement_comes_with_its_interval() -> None:
    """Also where both lean to neither side."""
    (finding,) = found(evidence(counts(champion_only=50, shadow_only=150)), "decisions_lean_little")
    assert "of 200 different decisions 75.0% are a yes of the shadow (" in finding.detail
    (finding,) = found(evidence(counts(champion_only=0, shadow_only=0)), "decisions_lean_little")
    assert finding.outcome is Outcome.PASS
    assert "no decision differs" in finding.detail


def test_a_regression_has_no_decisions_and_its_shift_no_unit() -> None:
    """It is measured in deviations of the champion's scores."""
    value = counts(
        both_yes=0,
        both_no=0,
        champion_only=0,
        shadow_only=0,
        scores=Moments(
            n=5000,
            champion=400.0,
            shadow=402.0,
            difference=2.0,
            square_champion=5000 * 100.0**2,
            square_shadow=5000 * 100.0**2,
            square_difference=5000 * 5.0**2,
            product=5000 * (100.0**2 - 12.5),
        ),
    )
    judgement = judge_shadow(evidence(value, output="value", decides=False), POLICY)
    assert judgement.answer is Answer.ADVANCE
    (shift,) = (f for f in judgement.verdict.findings if f.rule == "scores_shift_little")
    assert shift.observed == pytest.approx(0.02, rel=1e-3)
    muted = {f.rule for f in judgement.verdict.findings if not f.votes}
    assert muted >= {"decisions_agree", "decisions_lean_little", "shadow_is_no_worse"}


def test_several_classes_are_not_judged_and_do_not_pass() -> None:
    """A policy may say that these rules are shown only."""
    several = counts(both_yes=0, both_no=0, champion_only=0, shadow_only=0, unscored=5000)
    found = evidence(
        several.model_copy(update={"scores": Moments()}), output="classes", decides=False
    )
    judgement = judge_shadow(found, POLICY)
    assert judgement.answer is Answer.UNDECIDED
    assert any("several classes" in f.detail for f in judgement.verdict.objections)
    rules = ("decisions_agree", "decisions_lean_little", "scores_shift_little")
    more = ("score_distribution_is_kept", "scores_move_together")
    lenient = ShadowPolicy(consequences=dict.fromkeys((*rules, *more), "show"))
    assert judge_shadow(found, lenient).answer is Answer.ADVANCE


def test_a_slice_that_departs_is_found_behind_a_good_mean() -> None:
    """A small one is shown, and holds nobody up."""
    slices = (
        SlicePairs(column="carrier", value="AA", counts=counts(4000)),
        SlicePairs(
            column="carrier", value="BB", counts=counts(600, scores=scores(600, shift=0.25))
        ),
        SlicePairs(column="carrier", value=None, counts=counts(50, scores=scores(50, shift=0.4))),
    )
    judgement = judge_shadow(evidence(slices=slices), POLICY)
    assert judgement.answer is Answer.ROLL_BACK
    assert [f.subject for f in judgement.verdict.objections] == ["scores, carrier BB"]
    small = [f for f in judgement.verdict.findings if f.subject.endswith("carrier missing")]
    assert small
    assert not any(f.votes for f in small)
    good = judge_shadow(evidence(slices=(slices[0], slices[2])), POLICY)
    assert good.answer is Answer.ADVANCE


@pytest.mark.parametrize(
    ("consequence", "answer"),
    [("roll_back", Answer.ROLL_BACK), ("hold", Answer.HOLD), ("show", Answer.ADVANCE)],
)
def test_the_policy_says_what_a_failure_leads_to(consequence: Any, answer: Answer) -> None:
    policy = ShadowPolicy(consequences={"scores_shift_little": consequence})
    shifted = evidence(counts(scores=scores(5000, shift=0.1)))
    assert judge_shadow(shifted, policy).answer is answer


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"consequences": {"shadow_saw_enough": "show"}}, "expected rules of"),
        ({"maximum_age_hours": 10.0}, "no shadow could pass"),
        ({"confidence": 1.0}, "less than 1"),
        ({"agreement": 0.9}, "Extra inputs"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    """What is missing cannot be declared harmless."""
    with pytest.raises(ValidationError, match=words):
        ShadowPolicy(**changes)


def test_a_shadow_too_old_is_ended_where_the_policy_says_so() -> None:
    policy = ShadowPolicy(when_too_old="roll_back")
    judgement = judge_shadow(evidence(hours=1.0, age_hours=337.0), policy)
    assert judgement.answer is Answer.ROLL_BACK
    assert "undecided for longer than 336 hours" in judgement.reason


@pytest.mark.parametrize("n", [0, 1, 2, 300, 1999])
def test_the_pairs_that_lack_are_told(n: int) -> None:
    """As many as are needed at the rates seen so far, and they are enough."""
    scarce = evidence(counts(n))
    more = judge_shadow(scarce, POLICY).more_pairs
    assert more is not None
    assert more >= POLICY.minimum_pairs - n
    assert judge_shadow(evidence(counts(n + more)), POLICY).more_pairs == 0


def test_what_more_pairs_would_not_decide_is_said() -> None:
    """A rate right on its limit is not decided by a million pairs."""
    on_limit = counts(4000, champion_only=300, shadow_only=300, both_yes=1000, both_no=2400)
    judgement = judge_shadow(evidence(on_limit), POLICY)
    assert (judgement.answer, judgement.more_pairs) == (Answer.UNDECIDED, None)


columns = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        *[st.lists(st.floats(0, 1) | st.just(NAN), min_size=n, max_size=n)] * 2,
        *[st.lists(st.booleans(), min_size=n, max_size=n)] * 2,
        st.integers(0, n),
    )
)


@given(columns)
@settings(max_examples=60, deadline=None)
def test_parts_add_up_to_the_whole(drawn: Any) -> None:
    """However the pairs are split, counts are equal and moments are so to rounding."""
    first, second, failed, failed_too, cut = drawn
    arrays = [np.array(column, dtype=np.float64) for column in (first, second)]
    flags = [np.array(column, dtype=np.bool_) for column in (failed, failed_too)]

    def count(rows: slice) -> PairCounts:
        a, b = (column[rows] for column in arrays)
        return count_pairs(
            a,
            b,
            champion_failed=flags[0][rows],
            shadow_failed=flags[1][rows],
            champion_decision=np.where(np.isfinite(a), a >= 0.5, NAN),
            shadow_decision=np.where(np.isfinite(b), b >= 0.5, NAN),
        )

    whole = count(slice(None))
    parts = count(slice(0, cut)).plus(count(slice(cut, None)))
    assert parts.model_copy(update={"scores": Moments()}) == whole.model_copy(
        update={"scores": Moments()}
    )
    assert parts.scores.model_dump() == pytest.approx(whole.scores.model_dump(), abs=1e-9)
    assert whole.pairs == len(first)


counted = st.integers(0, 400)


@given(st.tuples(*[counted] * 5), st.sampled_from(["probability", "value"]))
@settings(max_examples=60, deadline=None)
def test_without_pairs_enough_nothing_advances(drawn: tuple[int, ...], output: Any) -> None:
    """Whatever the few show."""
    yes, no, only, other, failed = drawn
    few = counts(
        answered=yes + no + only + other,
        both_yes=yes,
        both_no=no,
        champion_only=only,
        shadow_only=other,
        shadow_failed=failed,
        scores=scores(yes + no + only + other),
    )
    policy = POLICY.model_copy(update={"minimum_pairs": 5000})
    judged = judge_shadow(evidence(few, output=output, decides=output == "probability"), policy)
    assert judged.answer is not Answer.ADVANCE
    assert judged.verdict.outcome is not Outcome.PASS


@given(st.integers(1, 5000))
@settings(max_examples=30, deadline=None)
def test_an_answer_that_is_missing_never_helps(missing: int) -> None:
    """More unanswered requests never turn a verdict for the better."""
    good = evidence()
    fewer = replace(good, sampled_requests=good.sampled_requests + missing)
    assert fewer.coverage < good.coverage
    if judge_shadow(fewer, POLICY).answer is Answer.ADVANCE:
        assert fewer.coverage >= POLICY.coverage_floor
