"""Whether a model behaves as its author declared: invariance, direction, minimum functionality.

Ribeiro et al. (2020), Beyond Accuracy: Behavioral Testing of NLP Models with CheckList, ACL. A test
changes readable feature values, as the model sees them, and says what the answer has to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ml_release.domain.behaviour_tests import (
    BehaviourPolicy,
    Directional,
    Functionality,
    Invariance,
)
from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

RULE = "behaves_as_declared"
DESCRIPTIONS = {
    RULE: "Declared changes of the input leave the answer alone, or move it the declared way.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

Floats = npt.NDArray[np.float64]

_UNKNOWN = "an answer is not finite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model answered to one test.

    Attributes
    ----------
    before
        To the rows as they are, shape (n,); None for a test of minimum functionality.
    after
        To the changed or declared rows, shape (n,).
    problem
        Why there are no answers; empty if there are.
    """

    before: Floats | None
    after: Floats
    problem: str = ""


def judge_behaviour(policy: BehaviourPolicy, answers: Mapping[str, Answers]) -> tuple[Finding, ...]:
    """Hold the answers against every declared test; none declared is said, and has no vote."""
    if not policy.tests:
        detail = "no behavioural test is declared"
        return (
            Finding(
                rule=RULE,
                subject="none",
                outcome=Outcome.INCONCLUSIVE,
                votes=False,
                detail=detail,
            ),
        )
    return tuple(
        finding for test in policy.tests for finding in _judge(test, answers.get(test.name))
    )


def _judge(
    test: Invariance | Directional | Functionality, answers: Answers | None
) -> tuple[Finding, ...]:
    subject = f"{test.kind}: {test.name}"
    problem = "it was not run" if answers is None else answers.problem
    if answers is None or problem or not len(answers.after):
        detail = problem or "there was no row to run it on"
        return (Finding(rule=RULE, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=detail),)
    if isinstance(test, Functionality):
        return _judge_functionality(test, answers.after, subject)
    if answers.before is None or len(answers.before) != len(answers.after):
        detail = "the answers to the unchanged rows are missing"
        return (Finding(rule=RULE, subject=subject, outcome=Outcome.INCONCLUSIVE, detail=detail),)
    # One unknown answer makes the test unknown: left out, it would break nothing by comparison.
    known = np.isfinite([answers.before, answers.after]).all()
    shift = answers.after - answers.before if known else np.full(len(answers.after), np.nan)
    if isinstance(test, Directional):
        return _judge_direction(test, shift, subject)
    return (_share(test, np.abs(shift) > test.tolerance, shift, subject, "moved by more than"),)


def _judge_direction(test: Directional, shift: Floats, subject: str) -> tuple[Finding, ...]:
    along = shift if test.direction == "up" else -shift
    return (
        _share(test, along < -test.tolerance, along, subject, f"moved against {test.direction} by"),
        compare(
            rule=RULE,
            subject=f"{subject}, on average",
            observed=float(np.mean(along)),
            limit=test.minimum_mean,
            bound="at least",
            unit=f"mean move {test.direction}",
            n=len(shift),
            detail="" if np.isfinite(along).all() else _UNKNOWN,
        ),
    )


def _share(
    test: Invariance | Directional,
    breaks: npt.NDArray[np.bool_],
    shift: Floats,
    subject: str,
    how: str,
) -> Finding:
    known = bool(np.isfinite(shift).all())
    return compare(
        rule=RULE,
        subject=subject,
        observed=float(np.mean(breaks)) if known else None,
        limit=test.rows_limit,
        bound="at most",
        unit=f"share of rows that {how} {test.tolerance:g}",
        n=len(shift),
        detail=f"largest move {np.max(np.abs(shift)):.4g}" if known else _UNKNOWN,
    )


def _judge_functionality(test: Functionality, answers: Floats, subject: str) -> tuple[Finding, ...]:
    detail = "" if np.isfinite(answers).all() else _UNKNOWN
    if len(answers) != len(test.rows):
        detail = f"expected an answer to each of {len(test.rows)} rows, found {len(answers)}"
    found = []
    # One infinite answer is the worst at one end only, so the other end must not pass on its own.
    for limit, bound, worst in (
        (test.minimum, "at least", float(np.min(answers))),
        (test.maximum, "at most", float(np.max(answers))),
    ):
        if limit is not None:
            at_least = bound == "at least"
            found.append(
                compare(
                    rule=RULE,
                    subject=f"{subject}, {'least' if at_least else 'greatest'} answer",
                    observed=None if detail else worst,
                    limit=limit,
                    bound="at least" if at_least else "at most",
                    unit="answer",
                    n=len(answers),
                    detail=detail or _place(test, answers, worst),
                )
            )
    return tuple(found)


def _place(test: Functionality, answers: Floats, worst: float) -> str:
    return f"row {int(np.argmax(answers == worst)) + 1} of {len(test.rows)}"
