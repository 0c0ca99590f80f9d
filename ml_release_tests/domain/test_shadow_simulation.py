"""Shadows that are looked at on every tick: a good one is left alone, a bad slice is found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.shadow import Answer, ShadowEvidence, ShadowPolicy, judge_shadow
from ml_release.domain.shadow_counts import PairCounts, count_pairs
from ml_release.domain.shadow_pairs import (
    LabelledPairs,
    PairedLatency,
    ScoreSample,
    SlicePairs,
)
from ml_release.domain.shadow_quality import quality_blocks
from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_release.domain.scores import Floats

CARRIERS = ("AA", "BB", "CC", "DD")
SHARES = (0.5, 0.3, 0.12, 0.08)
POLICY = ShadowPolicy()
NOTHING = ShadowEvidence(
    line="small_line",
    version=2,
    model_digest="shadow",
    champion_digest="champion",
    routes=("c1",),
    window_start=None,
    window_end=None,
    hours=30.0,
    days=2,
    age_hours=30.0,
    output="probability",
    decides=True,
    sampled_requests=0,
    requests=PairCounts(),
    # The sampled part is not what is tried here.
    sample=ScoreSample(n=2000, psi_nats=0.0),
    latency=PairedLatency(n=2000, champion_p95=1.0, shadow_p95=1.0),
)


def looks(
    seed: int, *, ticks: int, per_tick: int, bad_shift: float = 0.0, bad: str = "DD"
) -> Iterator[ShadowEvidence]:
    """What each tick sees of two models with errors of their own, labels right behind."""
    draw = np.random.default_rng(seed)
    n = ticks * per_tick
    truth = draw.normal(-1.0, 1.0, n)

    def model() -> Floats:
        score: Floats = 1 / (1 + np.exp(-(truth + draw.normal(0, 0.2, n))))
        return score

    champion, shadow = model(), model()
    carrier = draw.choice(np.array(CARRIERS), n, p=SHARES)
    shadow[carrier == bad] = np.clip(shadow[carrier == bad] + bad_shift, 0, 1)
    target = (draw.random(n) < 1 / (1 + np.exp(-truth))).astype(np.float64)
    failed, failed_too = draw.random(n) < 0.01, draw.random(n) < 0.01
    blocks = quality_blocks(target, champion, shadow, block_pairs=POLICY.block_pairs)
    totals = {name: PairCounts() for name in ("", *CARRIERS)}
    for start in range(0, n, per_tick):
        new = np.zeros(n, dtype=np.bool_)
        new[start : start + per_tick] = True
        for name, before in totals.items():
            rows = new if not name else new & (carrier == name)
            totals[name] = before.plus(
                count_pairs(
                    champion[rows],
                    shadow[rows],
                    champion_failed=failed[rows],
                    shadow_failed=failed_too[rows],
                    champion_decision=(champion[rows] >= 0.4).astype(np.float64),
                    shadow_decision=(shadow[rows] >= 0.4).astype(np.float64),
                )
            )
        seen = start + per_tick
        yield replace(
            NOTHING,
            sampled_requests=seen,
            requests=totals[""],
            slices=tuple(
                SlicePairs(column="carrier", value=name, counts=totals[name]) for name in CARRIERS
            ),
            labelled=LabelledPairs(blocks=blocks[: seen // POLICY.block_pairs], labelled=seen),
        )


def test_a_shadow_as_good_as_the_champion_is_not_ended_by_looking() -> None:
    """40 of them, looked at 12 times each: none is ended, nearly all advance."""
    ended = advanced = 0
    for seed in range(40):
        answers = [judge_shadow(e, POLICY).answer for e in looks(seed, ticks=12, per_tick=1000)]
        ended += Answer.ROLL_BACK in answers
        advanced += Answer.ADVANCE in answers
    assert ended == 0
    assert advanced >= 36


def test_a_shadow_that_is_off_in_one_slice_is_found() -> None:
    """In 8 % of the requests its scores are higher by 0.3: the mean of all is within the limit."""
    for seed in range(10):
        for evidence in looks(1000 + seed, ticks=20, per_tick=500, bad_shift=0.3):
            judgement = judge_shadow(evidence, POLICY)
            if judgement.answer is Answer.ROLL_BACK:
                break
        assert judgement.answer is Answer.ROLL_BACK
        failed = [f for f in judgement.verdict.objections if f.outcome is Outcome.FAIL]
        assert {f.subject for f in failed} <= {"decisions, carrier DD", "scores, carrier DD"}
        assert abs(evidence.requests.scores.difference) < POLICY.mean_shift_limit
