"""Slices against the limit and the champion: what is shown, what is judged, what cannot tell."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.domain.gates_slices import (
    CHAMPION,
    DESCRIPTIONS,
    FLOOR,
    SliceEvidence,
    SlicePolicy,
    judge_slices,
)
from ml_release.domain.intervals import Interval
from ml_release.domain.slice_scores import SliceScore, SliceTable
from ml_release.domain.verdict import Finding, Outcome

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN = float("nan")
POLICY = SlicePolicy(limit=0.6, champion_margin=0.03)
INTERVAL = Interval(estimate=0.7, low=0.65, high=0.75, confidence=0.99, n=800, units=18)


def row(value: str | None, *, judged: bool = True, **change: Any) -> SliceScore:
    interval = replace(INTERVAL, **change)
    return SliceScore(
        column="carrier",
        value=value,
        score="auc_score",
        n=interval.n,
        positives=100,
        judged=judged,
        interval=interval,
    )


def table(*rows: SliceScore) -> SliceTable:
    return SliceTable(rows=rows, confidence=0.95, confidence_each=0.9875, comparisons=4)


def judge(
    candidate: SliceTable | None,
    against: SliceTable | None = None,
    problem: str = "",
    *,
    policy: SlicePolicy = POLICY,
    greater_is_better: bool = True,
) -> dict[str, list[Finding]]:
    evidence = SliceEvidence(
        candidate=candidate, against_champion=against, champion_problem=problem
    )
    found = judge_slices(evidence, policy, greater_is_better=greater_is_better)
    return {rule: [f for f in found if f.rule == rule] for rule in DESCRIPTIONS}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, PASS, id="good"),
        pytest.param({"estimate": 0.4, "low": 0.2, "high": 0.6}, PASS, id="better end at limit"),
        pytest.param({"estimate": 0.5, "high": math.nextafter(0.6, 0)}, FAIL, id="just below"),
        pytest.param({"low": NAN, "high": NAN}, INCONCLUSIVE, id="no ends"),
        pytest.param({"estimate": NAN, "low": NAN, "high": NAN}, INCONCLUSIVE, id="no score"),
    ],
)
def test_a_slice_fails_when_even_its_better_end_misses_the_limit(
    change: dict[str, Any], expected: Outcome
) -> None:
    """A small slice is noisy: it has to be shown to be bad."""
    (found,) = judge(table(row("AA", **change)))[FLOOR]
    assert found.outcome is expected
    assert (found.subject, found.limit, found.bound) == ("carrier AA", 0.6, "at least")
    assert (found.unit, found.n) == ("auc_score", 800)
    estimate = change.get("estimate", 0.7)
    assert found.detail == f"better end of the 98.75% interval of {estimate:.4f}"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.6, 0.9, PASS),
        (math.nextafter(0.6, 1), 0.9, FAIL),
        (0.1, 5.0, PASS),
        (NAN, NAN, INCONCLUSIVE),
    ],
)
def test_of_a_loss_the_better_end_is_the_low_one(
    low: float, high: float, expected: Outcome
) -> None:
    """The limit is a ceiling then."""
    (found,) = judge(table(row("AA", low=low, high=high)), greater_is_better=False)[FLOOR]
    assert (found.outcome, found.bound) == (expected, "at most")


def test_every_judged_slice_has_a_finding_and_the_others_are_named() -> None:
    """What was too small to judge was not found to be good."""
    rows = [row("AA"), row("B6", high=0.5), row("YV", judged=False, high=0.1), row(None)]
    found = judge(table(*rows))[FLOOR]
    assert [(f.subject, f.outcome) for f in found] == [
        ("carrier AA", PASS),
        ("carrier B6", FAIL),
        ("carrier missing", PASS),
    ]
    assert found[0].detail.endswith("; not judged for want of rows: carrier YV")
    assert "not judged" not in found[1].detail


def test_of_many_slices_that_are_not_judged_ten_are_named_and_the_rest_counted() -> None:
    """Nobody is left out in silence."""
    small = [row(f"S{number:02}", judged=False) for number in range(12)]
    (found,) = judge(table(row("AA"), *small))[FLOOR]
    assert "carrier S09 and 2 more" in found.detail
    assert "S10" not in found.detail


@pytest.mark.parametrize(
    ("candidate", "detail"),
    [
        pytest.param(None, "the line declares no slices", id="none declared"),
        pytest.param(table(), "no slice has rows enough to be judged", id="no slice"),
        pytest.param(
            table(row("AA", judged=False)), "no slice has rows enough to be judged", id="all small"
        ),
    ],
)
def test_without_a_slice_to_judge_it_is_inconclusive(
    candidate: SliceTable | None, detail: str
) -> None:
    """Nothing was shown, of the floor as of the comparison."""
    (found,) = judge(candidate)[FLOOR]
    assert (found.outcome, found.subject, found.detail) == (INCONCLUSIVE, "slices", detail)
    if candidate is not None:
        (found,) = judge(candidate, candidate)[CHAMPION]
        assert (found.outcome, found.detail) == (INCONCLUSIVE, detail)


@pytest.mark.parametrize(
    ("low", "high", "greater_is_better", "expected"),
    [
        pytest.param(-0.2, -0.03, True, PASS, id="score at the margin"),
        pytest.param(-0.2, -0.031, True, FAIL, id="score shown to be behind"),
        pytest.param(-0.2, 0.1, True, PASS, id="score not shown to be behind"),
        pytest.param(0.03, 0.2, False, PASS, id="loss at the margin"),
        pytest.param(0.031, 0.2, False, FAIL, id="loss shown to be behind"),
        pytest.param(NAN, NAN, True, INCONCLUSIVE, id="not known"),
    ],
)
def test_no_slice_may_be_shown_to_fall_behind_the_champion(
    low: float, high: float, greater_is_better: bool, expected: Outcome
) -> None:
    """By more than the margin, in the direction of harm."""
    compared = table(row("AA", estimate=0.0, low=low, high=high))
    (found,) = judge(None, compared, greater_is_better=greater_is_better)[CHAMPION]
    assert found.outcome is expected
    assert found.limit == (-0.03 if greater_is_better else 0.03)
    assert found.subject == "carrier AA"


def test_without_a_champion_nothing_falls_behind_and_a_lost_one_cannot_tell() -> None:
    """The first version passes; a champion that could not be scored holds the release."""
    (found,) = judge(table(row("AA")))[CHAMPION]
    assert (found.outcome, found.subject) == (PASS, "no champion")
    assert found.detail == "no version is declared yet"
    (found,) = judge(table(row("AA")), None, "file lost")[CHAMPION]
    assert (found.outcome, found.subject, found.detail) == (INCONCLUSIVE, "champion", "file lost")


@pytest.mark.parametrize(
    "change",
    [
        {"minimum_rows": 1},
        {"minimum_per_class": -1},
        {"limit": NAN},
        {"champion_margin": -0.01},
        {"maximum_values": 1},
        {"floor": 0.5},
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(change: dict[str, Any]) -> None:
    """The field is named."""
    with pytest.raises(ValidationError, match=next(iter(change))):
        SlicePolicy.model_validate(POLICY.model_dump() | change)
