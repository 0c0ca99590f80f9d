"""Is this snapshot fit to train on? All rules of the data gates on one partition, as one verdict.

Each group of rules stands beside its policy in a module of its own, ``gates_*``; nothing is decided
here but which of them are judged and which have a vote.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (pydantic reads the annotation)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from ml_release.domain import (
    gates_calendar,
    gates_distribution,
    gates_labels,
    gates_leakage,
    gates_privacy,
    gates_table,
)
from ml_release.domain.gates_calendar import CalendarEvidence, CalendarPolicy, judge_calendar
from ml_release.domain.gates_distribution import DistributionPolicy, judge_distributions
from ml_release.domain.gates_labels import (
    BalancePolicy,
    LabelEvidence,
    judge_balance,
    judge_maturity,
)
from ml_release.domain.gates_leakage import ColumnAuc, LeakagePolicy, judge_leakage
from ml_release.domain.gates_privacy import PersonalColumn, PersonalDataPolicy, judge_privacy
from ml_release.domain.gates_table import TableEvidence, TablePolicy, judge_table
from ml_release.domain.identity import digest_of_json
from ml_release.domain.verdict import Finding, Outcome, Verdict, without_vote

if TYPE_CHECKING:
    from ml_release.domain.column_profile import PartitionProfile
    from ml_release.domain.identity import SnapshotId

JUDGE = "data_gates/3"
READABLE = "landing_is_readable"
DESCRIPTIONS = {
    READABLE: "The landed files can be read and assembled into rows.",
    **gates_table.DESCRIPTIONS,
    **gates_calendar.DESCRIPTIONS,
    **gates_labels.DESCRIPTIONS,
    **gates_distribution.DESCRIPTIONS,
    **gates_leakage.DESCRIPTIONS,
    **gates_privacy.DESCRIPTIONS,
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)


class DataGatesPolicy(TablePolicy):
    """Limits a partition has to keep.

    Attributes
    ----------
    blocking
        Rule to whether it has a vote; a rule that is not named has one. One without is judged and
        shown as a warning.
    balance
        None: the share of label 1 is not judged.
    """

    calendar: CalendarPolicy = Field(default_factory=CalendarPolicy)
    balance: BalancePolicy | None = None
    distributions: DistributionPolicy = Field(default_factory=DistributionPolicy)
    leakage: LeakagePolicy = Field(default_factory=LeakagePolicy)
    personal_data: PersonalDataPolicy = Field(default_factory=PersonalDataPolicy)
    blocking: Mapping[str, bool] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _rules_are_known(self) -> Self:
        unknown = sorted(set(self.blocking) - set(RULES))
        if unknown:
            message = f"blocking: expected rules of {sorted(RULES)}, found {unknown}"
            raise ValueError(message)
        return self

    @property
    def judged(self) -> tuple[str, ...]:
        """Rules that are applied: those that need a declaration only where it is there."""
        undeclared = {
            "joins_are_complete": not self.joins,
            "rows_are_within_retention": self.calendar.retention_days is None,
            "classes_are_balanced": self.balance is None,
            "numbers_keep_their_steps": not self.distributions.stepped,
            "labels_follow_some_column": self.leakage.best_auc_floor_score is None,
        }
        return tuple(rule for rule in RULES if not undeclared.get(rule))

    @property
    def warning(self) -> tuple[str, ...]:
        """Rules that are shown and have no vote."""
        return tuple(rule for rule in self.judged if not self.blocking.get(rule, True))


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotEvidence:
    """What was counted on one partition; None where the rows lack what is needed to count.

    Attributes
    ----------
    references
        Profiles of the line's other partitions that passed, in their order.
    unseen_examples
        Key of a row with a word that no reference held, per column that has any.
    """

    table: TableEvidence
    calendar: CalendarEvidence | None
    labels: LabelEvidence | None
    profile: PartitionProfile | None
    references: tuple[PartitionProfile, ...]
    unseen_examples: Mapping[str, str]
    aucs: tuple[ColumnAuc, ...]
    personal: tuple[PersonalColumn, ...] | None


def judge_snapshot(
    snapshot: SnapshotId,
    evidence: SnapshotEvidence,
    policy: DataGatesPolicy,
    *,
    target: str,
) -> Verdict:
    """Hold one partition against the policy; ``target`` is the column with the label."""
    partition, labels = snapshot.partition, evidence.labels
    positives, known = (labels.positives, labels.known) if labels else (0, 0)
    rates = tuple(r.positives / r.labelled for r in evidence.references if r.labelled)
    findings = (
        Finding(rule=READABLE, subject=partition, outcome=Outcome.PASS, n=evidence.table.rows),
        *judge_table(partition, evidence.table, policy),
        *judge_calendar(partition, evidence.calendar, policy.calendar),
        *judge_maturity(partition, labels, missing_limit=policy.missing_limit(target)),
        *judge_balance(partition, labels, policy.balance, reference_rates=rates),
        *judge_distributions(
            evidence.profile,
            evidence.references,
            policy.distributions,
            unseen_examples=evidence.unseen_examples,
        ),
        *judge_leakage(
            partition,
            evidence.aucs,
            policy.leakage,
            positives=positives,
            negatives=known - positives,
        ),
        *judge_privacy(
            partition, evidence.personal, policy.personal_data, rows=evidence.table.rows
        ),
    )
    return Verdict(
        judge=JUDGE,
        line=snapshot.line,
        subject_digest=snapshot.digest,
        evidence={
            "partition": partition,
            "policy_digest": digest_of_json(policy.model_dump(mode="json")),
            "reference_partitions": ", ".join(r.partition for r in evidence.references) or "none",
            "reference_digest": digest_of_json(
                {r.partition: r.snapshot_digest for r in evidence.references}
            ),
        },
        findings=without_vote(findings, policy.warning),
    )


def unreadable_landing(
    line: str, partition: str, problem: str, *, policy: DataGatesPolicy
) -> Verdict:
    """The verdict on a landed partition that gave no rows; nothing else can be said of it."""
    finding = Finding(rule=READABLE, subject=partition, outcome=Outcome.FAIL, detail=problem)
    return Verdict(
        judge=JUDGE,
        line=line,
        subject_digest=digest_of_json({"unreadable": problem, "partition": partition}),
        evidence={
            "partition": partition,
            "policy_digest": digest_of_json(policy.model_dump(mode="json")),
        },
        findings=without_vote((finding,), policy.warning),
    )
