"""All rules together: which are judged, which vote, and what the verdict records."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml_release.domain.column_profile import PartitionProfile
from ml_release.domain.data_gates import (
    RULES,
    DataGatesPolicy,
    SnapshotEvidence,
    judge_snapshot,
)
from ml_release.domain.gates_table import TableEvidence
from ml_release.domain.identity import SnapshotId, digest_of_json
from ml_release.domain.verdict import Outcome, Verdict

POLICY = DataGatesPolicy(minimum_rows=1, maximum_rows=10)
NEEDS_A_DECLARATION = {
    "joins_are_complete",
    "rows_are_within_retention",
    "classes_are_balanced",
    "numbers_keep_their_steps",
    "labels_follow_some_column",
}


def judge(policy: DataGatesPolicy = POLICY, *, rows: int = 0) -> Verdict:
    """A partition of which nothing could be counted but its rows."""
    evidence = SnapshotEvidence(
        table=TableEvidence(
            rows=rows,
            missing={},
            missing_examples={},
            duplicate_rows=None,
            duplicate_example="",
            breaches=(),
            other_rows=(),
        ),
        calendar=None,
        labels=None,
        profile=None,
        references=(
            PartitionProfile(
                partition="2013-02", snapshot_digest="d2", columns={}, positives=0, labelled=0
            ),
        ),
        unseen_examples={},
        aucs=(),
        personal=None,
    )
    snapshot = SnapshotId(
        line="line", partition="2013-01", table_version=1, digest="digest", rows=rows
    )
    return judge_snapshot(snapshot, evidence, policy, target="label")


def test_of_what_could_not_be_counted_nothing_passes() -> None:
    """Every rule that is judged has a finding; only that there are rows, and how many, passes."""
    verdict = judge(rows=5)
    assert {f.rule for f in verdict.findings} == set(POLICY.judged) - {"nulls_are_within_limits"}
    passing = {f.rule for f in verdict.findings if f.outcome is Outcome.PASS}
    assert passing == {"landing_is_readable", "volume_is_expected", "schema_is_valid"}
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_the_verdict_records_policy_and_reference() -> None:
    """By digest, so that it can be repeated."""
    assert judge().evidence == {
        "partition": "2013-01",
        "policy_digest": digest_of_json(POLICY.model_dump(mode="json")),
        "reference_partitions": "2013-02",
        "reference_digest": digest_of_json({"2013-02": "d2"}),
    }


def test_a_rule_without_its_declaration_is_not_judged() -> None:
    """Neither joins, nor retention, nor the balance of classes has a limit of its own accord."""
    assert set(POLICY.judged) == set(RULES) - NEEDS_A_DECLARATION
    declared: dict[str, Any] = {
        "joins": {"weather": {"witness": "visib"}},
        "calendar": {"retention_days": 30},
        "balance": {"minimum_rate": 0.1, "maximum_rate": 0.2, "rate_change_limit": 0.1},
        "distributions": {"stepped": {"visib": 0.01}},
        "leakage": {"best_auc_floor_score": 0.55},
    }
    policy = DataGatesPolicy.model_validate(POLICY.model_dump() | declared)
    assert policy.judged == RULES
    assert {f.rule for f in judge(policy).findings} == set(RULES) - {"nulls_are_within_limits"}


def test_a_rule_that_does_not_block_is_shown_without_a_vote() -> None:
    """One that is named as blocking, and one that is not named, vote."""
    policy = POLICY.model_copy(
        update={"blocking": {"days_are_covered": False, "keys_are_unique": True}}
    )
    assert policy.warning == ("days_are_covered",)
    votes = {f.rule: f.votes for f in judge(policy).findings}
    assert [rule for rule, voting in votes.items() if not voting] == ["days_are_covered"]


def test_an_unknown_rule_cannot_be_named() -> None:
    """A misspelt name would leave the rule blocking, or not, against the author's will."""
    with pytest.raises(ValidationError, match="blocking: expected rules of"):
        DataGatesPolicy(minimum_rows=1, maximum_rows=2, blocking={"days_are_coverd": False})
