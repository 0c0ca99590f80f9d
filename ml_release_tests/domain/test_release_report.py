"""The content of a report."""

from __future__ import annotations

import pytest

from ml_release.domain.release_report import Standing, claim_of, plain_sentence
from ml_release.domain.verdict import Finding, Outcome
from ml_release_tests.release_reports import INTERVAL, finding, report

FAIL = finding(Outcome.FAIL)
UNSURE = finding(Outcome.INCONCLUSIVE, subject="another")
MUTED = finding(Outcome.FAIL, votes=False)


@pytest.mark.parametrize(
    ("findings", "let_go", "standing"),
    [
        ((finding(),), (), Standing.PASS),
        ((finding(), MUTED), (), Standing.PASS),
        ((), (), Standing.INCONCLUSIVE),
        ((MUTED,), (), Standing.INCONCLUSIVE),
        ((finding(), UNSURE), (), Standing.INCONCLUSIVE),
        ((finding(Outcome.ERROR), UNSURE), (), Standing.ERROR),
        ((FAIL, UNSURE), (), Standing.FAIL),
        ((FAIL, UNSURE), (FAIL,), Standing.FAIL),
        ((FAIL, UNSURE), (FAIL, UNSURE), Standing.WAIVED),
    ],
    ids=[
        "all pass",
        "muted",
        "nothing",
        "muted alone",
        "cannot tell",
        "error",
        "fail",
        "half",
        "waived",
    ],
)
def test_how_a_candidate_stands(
    findings: tuple[Finding, ...], let_go: tuple[Finding, ...], standing: Standing
) -> None:
    """Waived only if every objection is; never a pass by a waiver."""
    assert report(*findings, let_go=let_go).standing is standing


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            finding(Outcome.FAIL, detail="by days", n=12345),
            "auc_score on the holdout is 0.6 (auc_score); at least 0.65 is asked for. By days."
            " Seen on 12,345 rows.",
        ),
        (
            finding(Outcome.INCONCLUSIVE, observed=None, n=None, unit=""),
            "auc_score on the holdout: no value is known; at least 0.65 is asked for.",
        ),
        (
            finding(Outcome.FAIL, observed=None, limit=None, n=None, detail="it does not load"),
            "auc_score on the holdout: it does not load.",
        ),
        (
            finding(Outcome.INCONCLUSIVE, observed=None, limit=None, n=None),
            "auc_score on the holdout: nothing was found that shows it.",
        ),
    ],
    ids=["number", "unknown", "reason", "nothing"],
)
def test_a_finding_in_a_sentence(found: Finding, sentence: str) -> None:
    """For somebody who does not know the rules by their names."""
    assert plain_sentence(found) == sentence


def test_findings_are_grouped_worst_first() -> None:
    """Rules of no group are shown too."""
    strange = finding(rule="of_another_judge")
    groups = {g.name: g for g in report(finding(), FAIL, strange).groups}
    assert groups["quality"].findings == (FAIL, finding())
    assert (groups["quality"].outcome, groups["quality"].passed) == (Outcome.FAIL, 1)
    assert groups["slices"].outcome is None
    assert groups["other"].findings == (strange,)
    assert "other" not in {g.name for g in report(finding()).groups}
    assert claim_of("of_another_judge") == "of another judge."


def test_findings_have_the_interval_they_were_judged_by() -> None:
    """Scores, slices, gaps and comparisons."""
    found = report(finding()).intervals
    for key in (
        ("score_is_above_floor", "auc_score on the holdout"),
        ("slices_are_good_enough", "carrier AA"),
        ("groups_are_treated_alike", "carrier: demographic parity difference"),
        ("no_worse_than_champion", "champion version 3"),
    ):
        assert found[key] == INTERVAL
    assert ("no_slice_falls_behind", "carrier AA") not in found
