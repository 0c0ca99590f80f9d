"""Verdicts as Dagster shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from ml_release.domain.drift_record import DriftRecord, FeatureDrift
from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.errors import RefusedError
from ml_release.orchestration.rendering import (
    ERROR_KIND,
    check_results,
    check_specs,
    drift_table,
    findings_table,
    number,
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


def test_a_table_of_findings_marks_the_muted() -> None:
    """A reader has to see what had no vote."""
    (record,) = findings_table([finding(Outcome.FAIL, votes=False)]).records
    assert record.data["outcome"] == "fail (muted)"
    assert record.data["limit"] == "at most 5"


def test_a_table_of_several_rules_names_them() -> None:
    """A subject alone does not say what was asked of it."""
    several = findings_table([finding(Outcome.PASS), finding(Outcome.FAIL, rule="keys_are_unique")])
    assert [record.data["rule"] for record in several.records] == [
        "rows_are_enough",
        "keys_are_unique",
    ]
    assert "rule" not in findings_table([finding(Outcome.PASS)]).records[0].data


def test_a_claim_that_is_not_about_a_number_shows_none() -> None:
    """Unknown is what should have been counted and was not."""
    claim = Finding(rule="schema_is_valid", subject="2013-01", outcome=Outcome.PASS)
    uncounted = Finding(rule="r", subject="s", outcome=Outcome.INCONCLUSIVE, limit=1.0)
    assert findings_table([claim]).records[0].data["observed"] == ""
    assert findings_table([uncounted]).records[0].data["observed"] == "unknown"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "unknown"), (float("nan"), "unknown"), (0.5, "0.5")]
)
def test_what_is_not_known_is_called_unknown(value: float | None, text: str) -> None:
    """Neither nan nor an empty cell."""
    assert number(value) == text


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


def a_feature(name: str, standing: DriftStanding, weighted: float | None) -> FeatureDrift:
    return FeatureDrift(
        feature=name,
        standing=standing,
        n=100,
        psi_nats=None if weighted is None else 2 * weighted,
        limit_nats=0.1,
        p_adjusted=0.5,
        effect=0.25,
        effect_name="jensen_shannon",
        importance=0.5,
        weighted_psi_nats=weighted,
        loss_change=None,
        loss_limit=None,
        unknown_share=None,
        windows_in_a_row=2,
        why="so it is",
    )


def test_a_table_of_drift_begins_with_what_hurts() -> None:
    """Within a standing with what weighs most; what is not known is told as such."""
    record = DriftRecord(
        line="line",
        model_digest="model",
        reference_digest="reference",
        as_of=None,
        days=0,
        rows=0,
        verdict_digest="verdict",
        features=(
            a_feature("still", DriftStanding.STABLE, 0.0),
            a_feature("small", DriftStanding.HARMLESS, 0.1),
            a_feature("large", DriftStanding.HARMLESS, 0.2),
            a_feature("lost", DriftStanding.UNKNOWN, None),
            a_feature("bad", DriftStanding.HURTING, 0.3),
        ),
        problems=(),
    )
    rows = [row.data for row in drift_table(record).records]
    assert [row["feature"] for row in rows] == ["bad", "lost", "large", "small", "still"]
    assert rows[0]["effect"] == "0.25 jensen shannon"
    assert rows[1]["PSI, nats"] == "unknown"
    assert rows[0]["why"] == "so it is"
