"""Gaps and ratios of groups against their limits, and what stays unknown."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.domain.fairness import FairnessMeasure, fairness_measure
from ml_release.domain.gates_fairness import RULE, FairnessPolicy, GroupMeasure, judge_fairness
from ml_release.domain.group_counts import GroupCounts
from ml_release.domain.intervals import Interval
from ml_release.domain.verdict import Outcome

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NAN = float("nan")
GAP, RATIO = "demographic_parity_difference", "demographic_parity_ratio"
INTERVAL = Interval(estimate=0.1, low=0.05, high=0.15, confidence=0.95, n=900, units=900)


def measured(
    value: float, name: str = GAP, *, column: str = "origin", ends: float = 0.05, **change: Any
) -> GroupMeasure:
    words: dict[str, Any] = {
        "least": ("LGA",),
        "greatest": ("EWR", None),
        "compared": ("LGA", "EWR", None),
        "left_out": (),
        "n": 900,
        **change,
    }
    interval = Interval(
        estimate=value, low=value - ends, high=value + ends, confidence=0.95, n=900, units=900
    )
    return GroupMeasure(
        column=column, measure=FairnessMeasure(name=name, value=value, **words), interval=interval
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param(GAP, 0.25, PASS, id="gap at its limit"),
        pytest.param(GAP, math.nextafter(0.25, 1), FAIL, id="gap beyond"),
        pytest.param(GAP, 0.0, PASS, id="no gap"),
        pytest.param(GAP, NAN, INCONCLUSIVE, id="gap not known"),
        pytest.param(RATIO, 0.8, PASS, id="ratio at its limit"),
        pytest.param(RATIO, math.nextafter(0.8, 0), FAIL, id="ratio below"),
        pytest.param(RATIO, 1.0, PASS, id="the same rates"),
        pytest.param(RATIO, NAN, INCONCLUSIVE, id="ratio not known"),
    ],
)
def test_a_difference_has_a_most_and_a_ratio_a_least(
    name: str, value: float, expected: Outcome
) -> None:
    """The estimate decides, the interval is shown."""
    policy = FairnessPolicy(limits={name: 0.25 if name == GAP else 0.8})
    (found,) = judge_fairness((measured(value, name, ends=0.9),), policy)
    assert (found.rule, found.outcome) == (RULE, expected)
    assert found.subject == f"origin: {name.replace('_', ' ')}"
    assert (found.limit, found.n) == (policy.limits[name], 900)
    assert found.bound == ("at most" if name == GAP else "at least")
    assert found.unit == ("difference of rates" if name == GAP else "ratio")


def test_a_finding_names_the_groups_and_those_left_out() -> None:
    """Who is worst off, who best, and who was too few to judge; missing is a group."""
    (found,) = judge_fairness(
        (measured(0.1, left_out=("JFK", None)),), FairnessPolicy(limits={GAP: 0.2})
    )
    assert found.detail == (
        "interval 0.05 to 0.15; from LGA to EWR, missing; too few rows to judge: JFK, missing"
    )


@pytest.mark.parametrize(
    ("compared", "words"), [((), "groups compared: none"), (("EWR",), "groups compared: EWR")]
)
def test_a_measure_of_fewer_than_two_groups_says_so(compared: tuple[str, ...], words: str) -> None:
    """Nobody was compared with anybody."""
    lone = measured(NAN, least=(), greatest=(), compared=compared, left_out=("LGA",))
    (found,) = judge_fairness((lone,), FairnessPolicy(limits={GAP: 0.2}))
    assert found.outcome is INCONCLUSIVE
    assert words in found.detail
    assert "its interval is not known" in found.detail
    assert "too few rows to judge: LGA" in found.detail
    assert "nan" not in found.detail


def test_counts_of_groups_are_judged_by_what_they_measure() -> None:
    """30 % of the one and 50 % of the other are selected."""

    def group(name: str, selected: int) -> GroupCounts:
        return GroupCounts(
            name=name,
            n=100,
            positives=50,
            selected=selected,
            true_positives=20,
            false_positives=selected - 20,
        )

    measure = fairness_measure(GAP, (group("a", 30), group("b", 50)), minimum_n=100)
    one = (GroupMeasure(column="sex", measure=measure, interval=INTERVAL),)
    for limit, expected in ((0.21, PASS), (0.19, FAIL)):
        (found,) = judge_fairness(one, FairnessPolicy(limits={GAP: limit}))
        assert (found.outcome, found.n) == (expected, 200)
        assert found.observed == pytest.approx(0.2)
        assert "from a to b" in found.detail


def test_every_column_is_held_against_every_limit() -> None:
    """A measure that was not taken is inconclusive, one without a limit is left out."""
    policy = FairnessPolicy(limits={GAP: 0.2, RATIO: 0.8})
    found = judge_fairness(
        (
            measured(0.1),
            measured(0.9, RATIO),
            measured(0.1, column="dest"),
            measured(0.9, "false_positive_rate_difference", column="dest"),
        ),
        policy,
    )
    assert [(f.subject, f.outcome) for f in found] == [
        ("origin: demographic parity difference", PASS),
        ("origin: demographic parity ratio", PASS),
        ("dest: demographic parity difference", PASS),
        ("dest: demographic parity ratio", INCONCLUSIVE),
    ]
    assert found[-1].detail == "it was not measured"


def test_limits_without_any_group_are_inconclusive() -> None:
    """A declared limit that nobody was held to shows nothing."""
    (found,) = judge_fairness((), FairnessPolicy(limits={GAP: 0.2}))
    assert (found.outcome, found.subject) == (INCONCLUSIVE, "groups")
    assert "no sensitive column" in found.detail


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"limits": {}}, "limits"),
        ({"limits": {GAP: 1.1}}, GAP),
        ({"limits": {GAP: -0.1}}, GAP),
        ({"limits": {GAP: NAN}}, GAP),
        ({"limits": {"parity": 0.1, "odds": 0.1}}, "found ['odds', 'parity']"),
        ({"minimum_rows": 0}, "minimum_rows"),
        ({"limit": 0.1}, "limit"),
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(change: dict[str, Any], problem: str) -> None:
    """Every unknown measure is named beside the known ones."""
    with pytest.raises(ValidationError) as refused:
        FairnessPolicy.model_validate({"limits": {GAP: 0.2}} | change)
    assert problem in str(refused.value)
