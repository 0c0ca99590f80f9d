"""Labels: matured, and as frequent as they should be, at each limit and beyond it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.domain.gates_labels import (
    BalancePolicy,
    LabelEvidence,
    judge_balance,
    judge_maturity,
)
from ml_release.domain.verdict import Outcome

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
POLICY = BalancePolicy(minimum_rate=0.05, maximum_rate=0.3, rate_change_limit=0.12)


def evidence(**change: Any) -> LabelEvidence:
    values = {
        "positives": 1500,
        "known": 10000,
        "immature_rows": 0,
        "immature_known": 0,
        "immature_example": "",
        "matured_rows": 100,
        "matured_missing": 0,
        "missing_example": "",
        **change,
    }
    return LabelEvidence(**values)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, [PASS, PASS, PASS], id="all due and known"),
        pytest.param({"matured_missing": 10}, [PASS, PASS, PASS], id="missing at the limit"),
        pytest.param({"matured_missing": 11}, [PASS, PASS, FAIL], id="missing beyond"),
        pytest.param({"immature_rows": 1}, [INCONCLUSIVE, PASS, PASS], id="one not due yet"),
        pytest.param(
            {"immature_rows": 1, "immature_known": 1}, [INCONCLUSIVE, FAIL, PASS], id="too early"
        ),
        pytest.param({"matured_rows": 0}, [INCONCLUSIVE] * 3, id="no rows"),
    ],
)
def test_labels_are_due_and_then_known(change: dict[str, Any], expected: list[Outcome]) -> None:
    """A label before its time is a fault, one that is not due holds the partition."""
    found = judge_maturity("2013-01", evidence(**change), missing_limit=0.1)
    assert [finding.outcome for finding in found] == expected


@pytest.mark.parametrize(
    ("positives", "known", "expected"),
    [
        pytest.param(1500, 10000, [PASS, PASS, PASS], id="inside"),
        pytest.param(4000, 10000, [PASS, FAIL, FAIL], id="30 % of the labels flipped"),
        pytest.param(0, 10000, [FAIL, PASS, FAIL], id="one class"),
        pytest.param(3000, 10000, [PASS, INCONCLUSIVE, FAIL], id="on the upper limit"),
        pytest.param(500, 10000, [INCONCLUSIVE, PASS, PASS], id="on the lower limit"),
        pytest.param(2, 10, [INCONCLUSIVE] * 3, id="too few to tell"),
        pytest.param(10, 10, [PASS, FAIL, FAIL], id="few and yet clear"),
        pytest.param(0, 0, [INCONCLUSIVE] * 3, id="no label"),
    ],
)
def test_the_whole_interval_has_to_keep_or_to_break_a_limit(
    positives: int, known: int, expected: list[Outcome]
) -> None:
    """Lower limit, upper limit, distance from the others."""
    found = judge_balance(
        "2013-01",
        evidence(positives=positives, known=known),
        POLICY,
        reference_rates=(0.14, 0.15, 0.9),
    )
    assert [finding.outcome for finding in found] == expected


def test_without_others_the_comparison_is_shown_as_inconclusive_without_a_vote() -> None:
    """The first partition of a line could never pass otherwise; its band still votes."""
    found = judge_balance("2013-01", evidence(), POLICY, reference_rates=())
    assert [(f.outcome, f.votes) for f in found] == [
        (PASS, True),
        (PASS, True),
        (INCONCLUSIVE, False),
    ]


def test_a_band_that_is_not_declared_is_not_judged() -> None:
    """And what was not counted does not pass."""
    assert judge_balance("2013-01", evidence(), None, reference_rates=()) == ()
    found = judge_balance("2013-01", None, POLICY, reference_rates=(0.1,))
    assert {f.outcome for f in found} == {INCONCLUSIVE}
    assert {f.outcome for f in judge_maturity("m", None, missing_limit=1.0)} == {INCONCLUSIVE}


@pytest.mark.parametrize(
    "change", [{"minimum_rate": 0.3}, {"maximum_rate": 1.1}, {"confidence": 1.0}, {"rate": 0.1}]
)
def test_a_band_that_makes_no_sense_cannot_be_declared(change: dict[str, Any]) -> None:
    """An empty band, a share above one, certainty, an unknown word."""
    with pytest.raises(ValidationError):
        BalancePolicy.model_validate(POLICY.model_dump() | change)
