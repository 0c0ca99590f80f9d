"""Tables of text as Dagster shows them."""

from __future__ import annotations

import pytest

from ml_release.domain.drift_record import DriftRecord, FeatureDrift
from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.verdict import Finding, Outcome
from ml_release.orchestration.tables import drift_table, findings_table, number, text_table


def finding(outcome: Outcome, *, votes: bool = True, rule: str = "rows_are_enough") -> Finding:
    return Finding(
        rule=rule, subject="2013-01", outcome=outcome, observed=3.0, limit=5.0, votes=votes, n=3
    )


def test_a_table_without_rows_names_its_columns() -> None:
    """Dagster takes no empty table that does not say what it would hold."""
    table = text_table(("what", "why"), ())
    assert [column.name for column in table.schema.columns] == ["what", "why"]
    assert not table.records


def test_every_row_has_a_text_per_column() -> None:
    """A cell too few is a mistake of the code, and shifts none of the others."""
    with pytest.raises(ValueError, match="shorter"):
        text_table(("what", "why"), [("alone",)])


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
