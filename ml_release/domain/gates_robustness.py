"""Whether small errors of the input stay small in the answer, and no value breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_release.domain.features import Columns

RULE = "answers_are_robust"
DESCRIPTIONS = {
    RULE: "Small errors of the input hardly move the answers, and edge values break none.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

UNSEEN_WORD = "\N{REPLACEMENT CHARACTER} never seen"
HUGE = 1e12

Floats = npt.NDArray[np.float64]


class RobustnessPolicy(BaseModel):
    """Limits on what a small error may do.

    Attributes
    ----------
    noise_share
        Size of the error of every number, as a share of its interquartile range in the sample; a
        number that varies little, so that this is 0, gets none.
    shift_limit
        How far the answers may move on average, in their unit.
    score_loss_limit
        How much of the primary score the errors may cost.
    sample_rows
        Rows of the holdout, evenly spread over it.
    seed
        Of the errors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    noise_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    shift_limit: Annotated[float, Field(gt=0)] = 0.05
    score_loss_limit: Annotated[float, Field(gt=0)] = 0.02
    sample_rows: Annotated[int, Field(ge=100)] = 5000
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeAnswers:
    """Answers to rows with one feature at an edge.

    Attributes
    ----------
    case
        Feature and value, in words.
    finite, within
        Whether all answers are finite, and inside of what an answer can be.
    """

    case: str
    n: int
    finite: bool
    within: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessEvidence:
    """What small errors and edge values did.

    Attributes
    ----------
    mean_shift
        Mean absolute move of the answers under noise; None if it could not be measured.
    score_loss
        How much worse the primary score is with noise than without, in its unit; below 0 it is
        better.
    problem
        Why nothing was measured; empty if it was.
    """

    n: int
    mean_shift: float | None
    score_loss: float | None
    edges: tuple[EdgeAnswers, ...]
    problem: str = ""


def noisy(values: Columns, *, share: float, seed: int) -> dict[str, npt.NDArray[np.generic]]:
    """Every number with a normal error of ``share`` of its interquartile range; words stay.

    A missing number stays missing. The same seed gives the same errors, in whatever order the
    features come.

    >>> noisy({"word": np.array(["a"], dtype=object)}, share=0.1, seed=1)["word"]
    array(['a'], dtype=object)
    """
    generator = np.random.default_rng(seed)
    found = dict(values)
    for name in sorted(values):
        if values[name].dtype == object:
            continue
        column = values[name].astype(np.float64)
        known = column[np.isfinite(column)]
        error = generator.standard_normal(len(column))
        if len(known):
            low, high = np.quantile(known, [0.25, 0.75])
            found[name] = column + error * share * (high - low)
    return found


def edge_cases(values: Columns) -> Iterator[tuple[str, dict[str, npt.NDArray[np.generic]]]]:
    """One feature at a time missing, at its ends, far beyond them; or a word never seen.

    Each case is its name and all features of all rows, the others as they are; the last one has
    every feature missing.
    """
    for name, column in values.items():
        edges: Mapping[str, object]
        if column.dtype == object:
            edges = {"missing": None, "never seen": UNSEEN_WORD, "empty": ""}
        else:
            numbers = column.astype(np.float64)
            known = numbers[np.isfinite(numbers)]
            edges = {"missing": np.nan, "huge": HUGE, "hugely negative": -HUGE, "zero": 0.0}
            if len(known):
                edges |= {"at its least": known.min(), "at its greatest": known.max()}
        for edge, value in edges.items():
            dtype = np.object_ if column.dtype == object else np.float64
            yield f"{name} {edge}", {**values, name: np.array([value] * len(column), dtype=dtype)}
    yield (
        "everything missing",
        {
            name: np.full(len(column), None, np.object_)
            if column.dtype == object
            else np.full(len(column), np.nan)
            for name, column in values.items()
        },
    )


def judge_robustness(evidence: RobustnessEvidence, policy: RobustnessPolicy) -> tuple[Finding, ...]:
    """Hold noise and edges against the policy."""
    if evidence.problem:
        return (
            Finding(
                rule=RULE, subject="noise", outcome=Outcome.INCONCLUSIVE, detail=evidence.problem
            ),
        )
    noise = f"noise of {policy.noise_share:g} of each number's quartile range"
    # Of no answers all are finite: a case nobody was asked about must not count as kept.
    unasked = [edge.case for edge in evidence.edges if not edge.n]
    broken = [edge.case for edge in evidence.edges if not (edge.finite and edge.within)]
    words = [f"first: {', '.join(broken[:3])}"] if broken else []
    if unasked or not evidence.edges:
        words.append(f"not asked: {', '.join(unasked[:3]) or 'any case'}")
    return (
        compare(
            rule=RULE,
            subject=noise,
            observed=evidence.mean_shift,
            limit=policy.shift_limit,
            bound="at most",
            unit="mean absolute move of the answer",
            n=evidence.n,
        ),
        compare(
            rule=RULE,
            subject=f"score under {noise}",
            observed=evidence.score_loss,
            limit=policy.score_loss_limit,
            bound="at most",
            unit="loss of score",
            n=evidence.n,
        ),
        compare(
            rule=RULE,
            subject="edge values",
            observed=float(len(broken)) if evidence.edges and not unasked else None,
            limit=0,
            bound="at most",
            unit="cases without a sound answer",
            n=len(evidence.edges),
            detail="; ".join(words),
        ),
    )
