"""Declared sets that fit neither scores, nor task, nor landing of the line."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ml_release.domain.evaluation_sets import FileSet, SetsPolicy, SpanSet
from ml_release.spec.line_problems import problems_of
from ml_release_tests.small_line import SMALL_LINE
from ml_release_tests.small_regression import SMALL_REGRESSION
from ml_release_tests.workflows import steps


def span(**change: Any) -> SetsPolicy:
    declared = {
        "first_day": date(2013, 2, 8),
        "last_day": date(2013, 2, 10),
        "limit": 0.5,
        "champion_margin": 0.0,
    }
    return SetsPolicy(spans={"storm": SpanSet(**{**declared, **change})})


def file(**change: Any) -> SetsPolicy:
    declared = {
        "path": "hard.csv",
        "digest": "sha256:" + "0" * 64,
        "limit": 0.8,
        "champion_margin": 0.0,
        "minimum_rows": 10,
    }
    return SetsPolicy(files={"hard": FileSet(**{**declared, **change})})


@pytest.mark.parametrize("sets", [None, span(), file(), span(limit=1.0), file(score="primary")])
def test_sets_that_fit_the_line_are_no_problem(sets: SetsPolicy | None) -> None:
    """Nor are none."""
    assert problems_of(steps.with_policy(SMALL_LINE, "evaluation", sets=sets)) == []


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        (span(limit=1.1), "spans 'storm'.limit: expected at most 1 for auc_score, found 1.1"),
        (file(limit=80), "files 'hard'.limit: expected at most 1 for right_decisions_share"),
        (file(limit=80, score="primary"), "expected at most 1 for auc_score, found 80"),
        (span(first_day=date(2012, 12, 31)), "expected days of the months 2013-01 to 2013-12"),
        (span(last_day=date(2014, 1, 1)), "found 2013-02-08 to 2014-01-01"),
    ],
)
def test_sets_that_do_not_fit_are_named(sets: SetsPolicy, problem: str) -> None:
    """With what was expected and what was found."""
    (found,) = problems_of(steps.with_policy(SMALL_LINE, "evaluation", sets=sets))
    assert problem in found


def test_a_regressor_decides_nothing_on_cases() -> None:
    """Its error does, in its own unit, which may be above 1."""
    (found,) = problems_of(steps.with_policy(SMALL_REGRESSION, "evaluation", sets=file()))
    assert "files 'hard'.score: expected primary for a regressor" in found
    errors = file(score="primary", limit=30.0)
    assert problems_of(steps.with_policy(SMALL_REGRESSION, "evaluation", sets=errors)) == []


@pytest.mark.parametrize("priced", [True, False])
def test_a_band_of_costs_needs_prices(priced: bool) -> None:
    """Without them it would never speak."""
    line = steps.with_policy(SMALL_LINE, "decisions", retrain_cost_rise=5.0)
    if not priced:
        quality = line.policies.evaluation.quality.model_copy(
            update={"cost_false_positive": None, "cost_false_negative": None}
        )
        line = steps.with_policy(line, "evaluation", quality=quality)
    problems = problems_of(line)
    assert [("declared rise of costs" in problem) for problem in problems] == [True] * (not priced)
