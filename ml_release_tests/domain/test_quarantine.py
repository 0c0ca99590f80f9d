"""How much of a window may be set aside, and whether a run goes on without it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ml_release.domain.quarantine import QuarantinePolicy, goes_on_without, judge_coverage
from ml_release.domain.verdict import Outcome

PASS, FAIL, UNSURE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
JAN, FEB, MAR, APR = "2013-01", "2013-02", "2013-03", "2013-04"


@pytest.mark.parametrize(
    ("fit", "left_out", "limit", "outcome", "share"),
    [
        ((JAN, FEB), {}, 1.0, PASS, 1.0),
        ((JAN, MAR), {FEB: "nulls"}, 1.0, FAIL, 2 / 3),
        ((JAN, MAR), {FEB: "nulls"}, 0.75, FAIL, 2 / 3),
        ((JAN, MAR, APR), {FEB: "nulls"}, 0.75, PASS, 0.75),
        ((), {FEB: "nulls"}, 0.1, FAIL, 0.0),
        # Named on both sides, a partition counts as left out.
        ((JAN, FEB), {FEB: "nulls"}, 0.75, FAIL, 0.5),
    ],
)
def test_a_window_passes_at_its_declared_coverage(
    fit: tuple[str, ...], left_out: dict[str, str], limit: float, outcome: Outcome, share: float
) -> None:
    """Exactly at the limit is enough; what is left out is named with its reason."""
    finding = judge_coverage(fit, left_out, QuarantinePolicy(minimum_coverage=limit))
    assert finding.outcome is outcome
    assert finding.observed == pytest.approx(share)
    assert all(f"left out {name}: {why}" in finding.detail for name, why in left_out.items())


def test_no_window_at_all_is_inconclusive() -> None:
    """Nothing covers nothing: that is no pass."""
    assert judge_coverage((), {}, QuarantinePolicy()).outcome is UNSURE


@pytest.mark.parametrize(
    ("outcomes", "others", "limit", "expected"),
    [
        pytest.param({JAN: PASS, FEB: FAIL}, {}, 1.0, False, id="nothing is tolerated"),
        pytest.param({JAN: PASS, FEB: FAIL}, {}, 0.5, True, id="just enough"),
        pytest.param({JAN: PASS, FEB: UNSURE}, {}, 0.6, False, id="cannot tell is not fit"),
        pytest.param({FEB: FAIL}, {JAN: PASS}, 0.5, False, id="nothing of the run is fit"),
        pytest.param({MAR: PASS}, {JAN: FAIL, FEB: FAIL}, 0.5, False, id="others count"),
        pytest.param({MAR: PASS, APR: FAIL}, {JAN: PASS, FEB: PASS}, 0.75, True, id="others help"),
        pytest.param({}, {}, 0.5, False, id="no partition"),
    ],
)
def test_a_run_goes_on_with_what_passed_if_it_is_enough(
    outcomes: dict[str, Outcome], others: dict[str, Outcome], limit: float, *, expected: bool
) -> None:
    """At least one of its own, and the declared share of all that are known."""
    policy = QuarantinePolicy(minimum_coverage=limit)
    assert goes_on_without(outcomes, others, policy) is expected


@pytest.mark.parametrize("coverage", [0.0, -0.1, 1.1, float("nan")])
def test_a_coverage_that_is_no_share_is_refused(coverage: float) -> None:
    """A window that may be set aside as a whole would be no window."""
    with pytest.raises(ValidationError):
        QuarantinePolicy(minimum_coverage=coverage)
