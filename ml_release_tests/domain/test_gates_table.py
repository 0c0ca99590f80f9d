"""A partition as a table: every rule at its limit and beyond it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.domain.gates_table import (
    JoinPolicy,
    SchemaBreach,
    TableEvidence,
    TablePolicy,
    Unmatched,
    judge_table,
)
from ml_release.domain.verdict import Outcome, Verdict

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
POLICY = TablePolicy(
    minimum_rows=50,
    maximum_rows=200,
    volume_change_limit=0.25,
    missing_share_limit=0.0,
    missing_share_limits={"label": 0.1},
)
BREACH = SchemaBreach(column="wind_speed", rule="in_range(0, 150)", rows=1, example="1048.4")


def judge(policy: TablePolicy = POLICY, **change: Any) -> Verdict:
    values = {
        "rows": 100,
        "missing": {"label": 0, "carrier": 0},
        "missing_examples": {},
        "duplicate_rows": 0,
        "duplicate_example": "",
        "breaches": (),
        "other_rows": (100, 100),
        **change,
    }
    findings = judge_table("2013-01", TableEvidence(**values), policy)
    return Verdict(judge="judge_table", line="line", subject_digest="digest", findings=findings)


def outcomes(verdict: Verdict, rule: str) -> list[Outcome]:
    return [finding.outcome for finding in verdict.findings if finding.rule == rule]


def test_a_good_partition_passes_every_rule() -> None:
    """And joins are not judged where none is declared."""
    verdict = judge()
    assert {finding.outcome for finding in verdict.findings} == {PASS}
    assert {finding.rule for finding in verdict.findings} == {
        "schema_is_valid",
        "keys_are_unique",
        "volume_is_expected",
        "nulls_are_within_limits",
    }


WEATHER = POLICY.model_copy(
    update={"joins": {"weather": JoinPolicy(witness="visib", unmatched_share_limit=0.05)}}
)


@pytest.mark.parametrize(
    ("unmatched", "expected"),
    [
        pytest.param((Unmatched(companion="weather", rows=0, example=""),), PASS, id="none"),
        pytest.param((Unmatched(companion="weather", rows=5, example=""),), PASS, id="at limit"),
        pytest.param((Unmatched(companion="weather", rows=6, example="AA"),), FAIL, id="beyond"),
        pytest.param(
            (Unmatched(companion="weather", rows=None, example=""),),
            INCONCLUSIVE,
            id="no witness column",
        ),
        pytest.param((), INCONCLUSIVE, id="never counted"),
    ],
)
def test_rows_without_their_companion_row_have_a_limit(
    unmatched: tuple[Unmatched, ...], expected: Outcome
) -> None:
    """What was not counted does not pass."""
    assert outcomes(judge(WEATHER, unmatched=unmatched), "joins_are_complete") == [expected]


def test_keys_that_cannot_be_compared_are_not_unique() -> None:
    """A key column is missing: nobody knows."""
    assert outcomes(judge(duplicate_rows=None), "keys_are_unique") == [INCONCLUSIVE]


@pytest.mark.parametrize(
    ("change", "rule", "expected"),
    [
        pytest.param({"rows": 50, "other_rows": ()}, "volume_is_expected", [PASS, PASS], id="min"),
        pytest.param(
            {"rows": 49, "other_rows": ()}, "volume_is_expected", [FAIL, PASS], id="below min"
        ),
        pytest.param({"rows": 200, "other_rows": ()}, "volume_is_expected", [PASS, PASS], id="max"),
        pytest.param(
            {"rows": 201, "other_rows": ()}, "volume_is_expected", [PASS, FAIL], id="above max"
        ),
        pytest.param({"rows": 125}, "volume_is_expected", [PASS] * 3, id="volume at its limit"),
        pytest.param({"rows": 126}, "volume_is_expected", [PASS, PASS, FAIL], id="volume above"),
        pytest.param({"rows": 74}, "volume_is_expected", [PASS, PASS, FAIL], id="volume below"),
        pytest.param(
            {"rows": 74, "other_rows": (100,)},
            "volume_is_expected",
            [PASS, PASS],
            id="one other is no typical volume",
        ),
        pytest.param(
            {"other_rows": (100, 100, 1)}, "volume_is_expected", [PASS] * 3, id="median, not mean"
        ),
        pytest.param(
            {"other_rows": (0, 0)},
            "volume_is_expected",
            [PASS, PASS, INCONCLUSIVE],
            id="others are empty",
        ),
        pytest.param({"duplicate_rows": 1}, "keys_are_unique", [FAIL], id="a duplicate key"),
        pytest.param(
            {"missing": {"label": 10, "carrier": 0}},
            "nulls_are_within_limits",
            [PASS, PASS],
            id="missing at its own limit",
        ),
        pytest.param(
            {"missing": {"label": 11, "carrier": 1}},
            "nulls_are_within_limits",
            [FAIL, FAIL],
            id="missing beyond its own and the general limit",
        ),
        pytest.param({"breaches": (BREACH, BREACH)}, "schema_is_valid", [FAIL, FAIL], id="schema"),
    ],
)
def test_a_rule_holds_at_its_limit_and_fails_beyond(
    change: dict[str, Any], rule: str, expected: list[Outcome]
) -> None:
    """One row more or less decides."""
    assert outcomes(judge(**change), rule) == expected


def test_an_empty_partition_never_passes_any_rule_but_the_upper_volume() -> None:
    """No rows show nothing: not a valid schema, not unique keys, not the absence of missing."""
    verdict = judge(rows=0, missing={"label": 0}, other_rows=())
    assert outcomes(verdict, "schema_is_valid") == [INCONCLUSIVE]
    assert outcomes(verdict, "keys_are_unique") == [INCONCLUSIVE]
    assert outcomes(verdict, "nulls_are_within_limits") == [INCONCLUSIVE]
    assert outcomes(verdict, "volume_is_expected") == [FAIL, PASS]


def test_a_breach_shows_column_rule_count_and_example() -> None:
    """The reader sees what to look for in the source."""
    (finding,) = judge(breaches=(BREACH,)).objections
    assert (finding.subject, finding.observed, finding.n) == ("wind_speed", 1.0, 100)
    assert finding.detail == "in_range(0, 150); for example 1048.4"


def test_a_breach_of_the_whole_table_has_no_count() -> None:
    """A missing column is not about rows, and fails all the same."""
    breach = SchemaBreach(column="carrier", rule="column_in_dataframe", rows=None, example="-")
    (finding,) = judge(breaches=(breach,)).objections
    assert (finding.outcome, finding.observed) == (FAIL, None)


def test_a_duplicate_key_is_shown() -> None:
    """With an example, so that it can be found."""
    (finding,) = judge(duplicate_rows=2, duplicate_example="('AA', 1)").objections
    assert finding.sentence() == (
        "keys_are_unique [2013-01] fail; observed 2 rows, limit at most 0 rows; n = 100;"
        " for example ('AA', 1)"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"minimum_rows": 201},
        {"minimum_rows": 0},
        {"volume_change_limit": 0.0},
        {"volume_change_limit": float("inf")},
        {"missing_share_limit": 1.5},
        {"missing_share_limits": {"label": -0.1}},
        {"max_rows": 10},
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(change: dict[str, Any]) -> None:
    """A band that no number of rows is in, a share above one, an unknown word."""
    with pytest.raises(ValidationError):
        TablePolicy.model_validate(POLICY.model_dump() | change)
