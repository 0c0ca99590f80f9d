"""Scores of the holdout: the candidate's own, and against champion and anchor, also by slice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from ml_release.domain.binary_scores import BinaryScores
from ml_release.domain.evaluation_measures import DecidedCost, Measured
from ml_release.domain.fairness import fairness_measure
from ml_release.domain.fairness_intervals import (
    drawn_counts,
    drawn_counts_by_unit,
    fairness_interval,
)
from ml_release.domain.features import Category, Number
from ml_release.domain.gates_comparison import Comparison
from ml_release.domain.gates_fairness import GroupMeasure
from ml_release.domain.gates_quality import QualityEvidence
from ml_release.domain.gates_slices import SliceEvidence
from ml_release.domain.group_counts import cells_of, group_counts
from ml_release.domain.paired_tests import compare_decisions
from ml_release.domain.primary_scores import PrimaryScore
from ml_release.domain.quality_policy import ERRORS
from ml_release.domain.resampling import Resampling
from ml_release.domain.scores import expected_calibration_error
from ml_release.domain.slice_scores import MISSING, Slicing, slice_scores
from ml_release.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.intervals import Interval
    from ml_release.domain.slice_scores import SliceTable
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.holdout_answers import Answered, Holdout

OTHER = "any other"
_BINS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """The models on the holdout; champion and anchor None where there are none."""

    holdout: Holdout
    candidate: Answered
    champion: Answered | None
    anchor: Answered | None


def primary_of(line: ReleaseLine, holdout: Holdout) -> PrimaryScore:
    """The line's primary score on the holdout's rows."""
    policy = line.policies.evaluation
    return PrimaryScore(
        name=policy.quality.primary,
        target=holdout.target,
        threshold=policy.quality.threshold,
        alpha=policy.quality.pinball_alpha,
        plan=_plan(line, holdout, unit=policy.interval_unit),
        comparison_plan=_plan(line, holdout, unit=policy.comparison_unit),
    )


def quality_evidence(line: ReleaseLine, judged: Judged, primary: PrimaryScore) -> QualityEvidence:
    """Scores with intervals, calibration, champion and anchor."""
    holdout, answers = judged.holdout, judged.candidate.answers
    is_regression = primary.name in ERRORS
    return QualityEvidence(
        rows=holdout.n,
        scores=_scores(line, judged, primary),
        calibration_error=None
        if is_regression
        else expected_calibration_error(holdout.target, answers),
        champion=comparison_of(line, judged, judged.champion, primary),
        anchor=comparison_of(line, judged, judged.anchor, primary),
    )


def slice_evidence(line: ReleaseLine, judged: Judged, primary: PrimaryScore) -> SliceEvidence:
    """The primary score of each declared slice, and against the champion."""
    policy = line.policies.evaluation.slices
    if policy is None or not line.slices:
        return SliceEvidence(candidate=None, against_champion=None)
    slicings = [
        slicing_of(line, column, judged.holdout, maximum=policy.maximum_values)
        for column in line.slices
    ]
    positive = None if primary.name in ERRORS else judged.holdout.target > 0
    answers, champion = judged.candidate.answers, judged.champion

    def table(of_rows: object) -> SliceTable:
        return slice_scores(
            slicings,
            {primary.name: of_rows},  # type: ignore[dict-item]
            confidence=line.policies.evaluation.confidence,
            minimum_n=policy.minimum_rows,
            positive=positive,
            minimum_per_class=0 if positive is None else policy.minimum_per_class,
        )

    scored = champion is not None and not champion.problem
    return SliceEvidence(
        candidate=table(lambda rows, level: primary.interval(answers, rows, level)),
        against_champion=table(
            lambda rows, level: primary.difference(answers, champion.answers, rows, level)
        )
        if champion is not None and scored
        else None,
        champion_problem="" if champion is None else champion.problem,
    )


def fairness_evidence(line: ReleaseLine, judged: Judged) -> tuple[GroupMeasure, ...]:
    """Every declared measure over the groups of every sensitive column."""
    policy = line.policies.evaluation.fairness
    answers = judged.candidate.answers
    unknown = policy is None or line.favourable is None or not np.isfinite(answers).all()
    if policy is None or unknown or not judged.holdout.n:
        return ()
    evaluation = line.policies.evaluation
    decisions = (answers >= evaluation.quality.threshold).astype(np.float64)
    target = judged.holdout.target
    favourable: Literal[0, 1] = 1 if line.favourable else 0
    found = []
    for column in line.sensitive:
        slicing = slicing_of(line, column, judged.holdout, maximum=len(judged.holdout.target))
        groups = group_counts(
            slicing.codes, slicing.names, target, decisions, favourable=favourable
        )
        days, units = _day_codes(judged.holdout)
        if evaluation.interval_unit == "day" and units > 1:
            cells = np.stack(
                [
                    cells_of(
                        slicing.codes[days == day],
                        len(slicing.names),
                        target[days == day],
                        decisions[days == day],
                        favourable=favourable,
                    )[: len(groups)]
                    for day in range(units)
                ]
            )
            draws = drawn_counts_by_unit(cells, seed=evaluation.seed)
        else:
            draws = drawn_counts(groups, seed=evaluation.seed)
        for name in policy.limits:
            measured = fairness_measure(name, groups, minimum_n=policy.minimum_rows)
            interval = fairness_interval(
                name,
                groups,
                draws,
                confidence=evaluation.confidence,
                minimum_n=policy.minimum_rows,
            )
            found.append(GroupMeasure(column=column, measure=measured, interval=interval))
    return tuple(found)


def slicing_of(line: ReleaseLine, column: str, holdout: Holdout, *, maximum: int) -> Slicing:
    """The rows by the values of a request column: its words, or the quarters of its numbers.

    Raises
    ------
    DeclarationError
        If no feature of the line carries the column as it is.
    """
    carrying = [
        feature
        for feature in line.features
        if isinstance(feature, Category | Number) and feature.column == column
    ]
    if not carrying:
        message = (
            f"{line.name}: expected a Number or Category feature of the column {column!r} to make"
            " slices of, found none. Declare one, or take the column out of slices and sensitive."
        )
        raise DeclarationError(message)
    values = holdout.values[carrying[0].name]
    if isinstance(carrying[0], Number):
        return _quarters(column, values.astype(np.float64))
    counts = Counter(word for word in values if isinstance(word, str))
    names = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    if len(names) > maximum:
        names = [*names[: maximum - 1], OTHER]
    code_of = {name: code for code, name in enumerate(names)}
    other = len(names) - 1
    codes = np.array(
        [code_of.get(word, other) if isinstance(word, str) else MISSING for word in values],
        dtype=np.intp,
    )
    return Slicing(column=column, codes=codes, names=tuple(names))


def _quarters(column: str, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Slicing:
    known = values[np.isfinite(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1))) if len(known) else known
    inner = edges[1:-1]
    ends = ["below", *(f"{edge:.4g}" for edge in inner), "above"]
    names = tuple(f"{low} to {high}" for low, high in pairwise(ends))
    codes = np.searchsorted(inner, values, side="right").astype(np.intp)
    return Slicing(column=column, codes=np.where(np.isfinite(values), codes, MISSING), names=names)


def _scores(line: ReleaseLine, judged: Judged, primary: PrimaryScore) -> Mapping[str, Interval]:
    policy, holdout = line.policies.evaluation, judged.holdout
    rows, answers = np.arange(holdout.n), judged.candidate.answers
    if primary.name in ERRORS:
        return {
            name: _named(primary, name).interval(answers, rows, policy.confidence)
            for name in ERRORS
        }
    scores = BinaryScores(
        target=holdout.target,
        probability=answers,
        threshold=policy.quality.threshold,
        plan=primary.plan,
    ).by_name()
    return {name: score(rows, policy.confidence) for name, score in scores.items()}


def _named(primary: PrimaryScore, name: str) -> PrimaryScore:
    return PrimaryScore(
        name=name,
        target=primary.target,
        threshold=primary.threshold,
        alpha=primary.alpha,
        plan=primary.plan,
        comparison_plan=primary.comparison_plan,
    )


def comparison_of(
    line: ReleaseLine, judged: Judged, other: Answered | None, primary: PrimaryScore
) -> Comparison | None:
    """Another model on the same rows, paired; None without one."""
    if other is None:
        return None
    if other.problem:
        return Comparison(
            version=other.version,
            model_digest=other.model_digest,
            difference=None,
            problem=other.problem,
        )
    policy = line.policies.evaluation
    first, second = judged.candidate.answers, other.answers
    threshold = policy.quality.threshold
    rows, is_regression = np.arange(judged.holdout.n), primary.name in ERRORS
    return Comparison(
        version=other.version,
        model_digest=other.model_digest,
        difference=primary.difference(first, second, rows, policy.confidence),
        further={
            name: _named(primary, name).difference(first, second, rows, policy.confidence)
            for name in policy.quality.further_margins
        },
        calibration_error=None
        if is_regression
        else expected_calibration_error(judged.holdout.target, second),
        decisions=None
        if is_regression
        else compare_decisions(
            judged.holdout.target,
            np.where(np.isfinite(first), first >= threshold, np.nan),
            np.where(np.isfinite(second), second >= threshold, np.nan),
        ),
    )


def _plan(line: ReleaseLine, holdout: Holdout, *, unit: str) -> Resampling:
    policy = line.policies.evaluation
    return Resampling(
        seed=policy.seed,
        resamples=policy.resamples,
        groups=_day_codes(holdout)[0] if unit == "day" else None,
        # At the confidence of one of many slices, quantiles would need thousands of resamples.
        method="standard",
    )


def _day_codes(holdout: Holdout) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], int]:
    days, codes = np.unique(holdout.days, return_inverse=True)
    return codes.astype(np.intp), len(days)


def decided_cost(line: ReleaseLine, answered: Answered, holdout: Holdout) -> DecidedCost | None:
    """What the decisions at the declared threshold cost.

    None if the policy declares no costs, or an answer is no number: it decides neither yes nor no.
    """
    evaluation = line.policies.evaluation
    quality = evaluation.quality
    costs = quality.costs
    if costs is None or answered.problem or not np.isfinite(answered.answers).all():
        return None
    days, units = _day_codes(holdout)
    cost = costs.per_1000(
        (answered.answers >= quality.threshold).astype(np.float64),
        holdout.target,
        confidence=evaluation.confidence,
        groups=days if evaluation.interval_unit == "day" and units > 1 else None,
    )
    return DecidedCost(
        false_positive=costs.false_positive,
        false_negative=costs.false_negative,
        threshold=quality.threshold,
        per_1000=Measured.of(cost),
    )
