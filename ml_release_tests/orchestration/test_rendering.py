"""Verdicts as Dagster shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.errors import RefusedError
from ml_release.orchestration.rendering import (
    ERROR_KIND,
    check_results,
    check_specs,
    picture,
    reported,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = dg.AssetKey(["small_line", "snapshot"])


def finding(outcome: Outcome, *, votes: bool = True, rule: str = "rows_are_enough") -> Finding:
    return Finding(
        rule=rule, subject="2013-01", outcome=outcome, observed=3.0, limit=5.0, votes=votes, n=3
    )


def render(*findings: Finding) -> dg.AssetCheckResult:
    """The check of the rule ``rows_are_enough``."""
    verdict = Verdict(
        judge="data_gates/1", line="small_line", subject_digest="d", findings=findings
    )
    (result,) = check_results(KEY, ["rows_are_enough"], {"2013-01": verdict})
    return result


@pytest.mark.parametrize(
    ("findings", "passed"),
    [
        pytest.param([finding(Outcome.PASS)], True, id="pass"),
        pytest.param([finding(Outcome.FAIL)], False, id="fail"),
        pytest.param([finding(Outcome.INCONCLUSIVE)], False, id="cannot tell is never pass"),
        pytest.param([finding(Outcome.ERROR)], False, id="error"),
        pytest.param([finding(Outcome.PASS), finding(Outcome.FAIL)], False, id="one of two"),
        pytest.param([], False, id="no finding shows nothing"),
        pytest.param([finding(Outcome.PASS, rule="other")], False, id="another rule's finding"),
        pytest.param([finding(Outcome.PASS), finding(Outcome.FAIL, votes=False)], True, id="muted"),
        pytest.param([finding(Outcome.PASS, votes=False)], False, id="only muted ones"),
    ],
)
def test_a_check_passes_only_if_every_voting_finding_does(
    findings: Sequence[Finding], passed: bool
) -> None:
    """And there is at least one."""
    assert render(*findings).passed is passed


def test_a_failed_check_says_observed_and_limit() -> None:
    """In the sentence people read first."""
    assert render(finding(Outcome.FAIL)).description == finding(Outcome.FAIL).sentence()


def test_a_passed_check_says_on_what_it_rests() -> None:
    """Of a single finding the observed value, its limit and n; of several their number."""
    passed = finding(Outcome.PASS)
    assert render(passed).description == passed.sentence()
    assert "n = 3" in passed.sentence()
    assert render(passed, passed).description == "2 findings, all pass"


def test_one_finding_is_plotted_over_time() -> None:
    """Dagster plots numbers only."""
    metadata = render(finding(Outcome.PASS)).metadata
    assert (metadata["observed"].value, metadata["limit"].value) == (3.0, 5.0)
    assert "observed" not in render(finding(Outcome.PASS), finding(Outcome.PASS)).metadata


def test_a_picture_needs_no_request() -> None:
    """It is inside the page."""
    assert str(picture(b"png").value).startswith("![](data:image/png;base64,")


def test_our_errors_become_failures_that_are_not_retried() -> None:
    """With the message as it is, and the kind for those who have to act on it."""
    with pytest.raises(dg.Failure) as caught, reported():
        raise RefusedError("no")  # noqa: EM101
    assert caught.value.description == "no"
    assert caught.value.metadata[ERROR_KIND].value == "RefusedError"
    assert not caught.value.allow_retries


def test_other_errors_stay_what_they_are() -> None:
    """A bug is not dressed as a refusal."""
    with pytest.raises(ZeroDivisionError), reported():
        _ = 1 / 0


def test_a_rule_that_only_warns_is_shown_by_what_it_found_and_never_blocks() -> None:
    """Its findings have no vote in the verdict, and still decide how the check looks."""
    rule = "rows_are_enough"
    (spec,) = check_specs(KEY, {rule: "There are rows."}, blocking=True, warning=[rule])
    assert not spec.blocking
    for outcome in (Outcome.PASS, Outcome.FAIL):
        verdict = Verdict(
            judge="j", line="l", subject_digest="d", findings=(finding(outcome, votes=False),)
        )
        (result,) = check_results(KEY, [rule], {"2013-01": verdict}, warning=[rule])
        assert result.passed is (outcome is Outcome.PASS)
        assert result.severity is dg.AssetCheckSeverity.WARN


def test_a_rule_on_which_nothing_votes_warns_instead_of_blocking() -> None:
    """The verdict does not hold the partition for it, so Dagster must not either."""
    assert render(finding(Outcome.INCONCLUSIVE, votes=False)).severity is (
        dg.AssetCheckSeverity.WARN
    )
    assert render(finding(Outcome.INCONCLUSIVE)).severity is dg.AssetCheckSeverity.ERROR
    assert render().severity is dg.AssetCheckSeverity.ERROR
