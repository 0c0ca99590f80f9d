"""What a reviewer reads before a model is approved: everything recorded on one candidate.

The content only. How it looks is the adapter's, behind `ReportWriter`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ml_release.domain import gates_fairness, gates_quality, gates_slices
from ml_release.domain.evaluation_gates import GROUPS
from ml_release.domain.verdict import BEST_TO_WORST, Outcome, worst

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.evaluation_measures import EvaluationMeasures, Measured
    from ml_release.domain.model_card import LineNotes
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.verdict import Finding, Verdict
    from ml_release.domain.waivers import Waived

_OTHER = "other"


class Standing(StrEnum):
    """How a candidate stands: the outcome of its verdict, but for one let go by waivers.

    ``WAIVED`` is no pass: an act goes on in spite of the verdict, on somebody's word.
    """

    PASS = "pass"  # noqa: S105 (an outcome, not a password)
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    FAIL = "fail"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition of the training window.

    Attributes
    ----------
    rows
        Of its features; None if they are no longer the current ones.
    snapshot_digest
        None if no snapshot of this name was read.
    outcome
        Of the recorded verdict on the snapshot; None if there is none.
    """

    name: str
    features_digest: str
    rows: int | None
    snapshot_digest: str | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG with what it shows."""

    title: str
    png: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The findings of one group of gates.

    Attributes
    ----------
    findings
        Worst first, otherwise in the order in which the rules were applied.
    outcome
        Of those that vote; None if none does.
    """

    name: str
    findings: tuple[Finding, ...]
    outcome: Outcome | None

    @property
    def passed(self) -> int:
        """How many of them pass."""
        return sum(finding.outcome is Outcome.PASS for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class ReleaseReport:
    """Everything a page of one evaluated candidate shows; the same content is the same page.

    Attributes
    ----------
    held_by
        Objections that nobody waived, worst first.
    waived
        Objections that somebody let go for now.
    history
        Snapshots before the window that its features look back into: partition to digest.
    build
        What it was built with, name and text; empty if that was not recorded.
    """

    declared: LineNotes
    candidate: CandidateRecord
    verdict: Verdict
    measures: EvaluationMeasures
    held_by: tuple[Finding, ...]
    waived: tuple[Waived, ...]
    partitions: tuple[Partition, ...]
    history: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    build: tuple[tuple[str, str], ...] = ()

    @property
    def standing(self) -> Standing:
        """`WAIVED` only if every objection is waived, and there is one."""
        if self.verdict.outcome is not Outcome.PASS and self.waived and not self.held_by:
            return Standing.WAIVED
        return Standing(self.verdict.outcome.value)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The findings by group, in the order of the gates; rules of no group come last."""
        grouped = {name: tuple(rules) for name, rules in GROUPS.items()}
        known = {rule for rules in grouped.values() for rule in rules}
        others = dict.fromkeys(f.rule for f in self.verdict.findings if f.rule not in known)
        return tuple(
            _group(name, tuple(f for f in self.verdict.findings if f.rule in rules))
            for name, rules in {**grouped, _OTHER: tuple(others)}.items()
            if name != _OTHER or others
        )

    @property
    def intervals(self) -> Mapping[tuple[str, str], Measured]:
        """Rule and subject of a finding to the interval it was judged by, where there is one."""
        found: dict[tuple[str, str], Measured] = {}
        for name, measured in self.measures.scores.items():
            for rule in (gates_quality.FLOOR, gates_quality.CEILING):
                found[rule, f"{name} on the holdout"] = measured
        for one in self.measures.slices:
            found[gates_slices.FLOOR, one.name] = one.interval
            if one.difference is not None:
                found[gates_slices.CHAMPION, one.name] = one.difference
        for gap in self.measures.fairness:
            found[gates_fairness.RULE, gap.name] = gap.interval
        for rule, role, other in (
            (gates_quality.CHAMPION, "champion", self.measures.champion),
            (gates_quality.ANCHOR, "anchor", self.measures.anchor),
        ):
            if other is not None and other.difference is not None:
                found[rule, f"{role} version {other.version}"] = other.difference
                for name, measured in other.further.items():
                    found[rule, f"{role} version {other.version}, {name}"] = measured
        return found


def claim_of(rule: str) -> str:
    """What a rule says in a sentence; its name in words if it is of no known group."""
    return next(
        (rules[rule] for rules in GROUPS.values() if rule in rules), rule.replace("_", " ") + "."
    )


def plain_sentence(finding: Finding) -> str:
    """What a finding saw, in a sentence for a person.

    >>> from ml_release.domain.verdict import compare
    >>> plain_sentence(
    ...     compare(rule="r", subject="AUC", observed=0.5, limit=0.6, bound="at least", n=12000)
    ... )
    'AUC is 0.5; at least 0.6 is asked for. Seen on 12,000 rows.'
    """
    unit = f" ({finding.unit})" if finding.unit else ""
    parts = []
    if finding.observed is not None:
        parts.append(f"{finding.subject} is {finding.observed:.4g}{unit}")
    else:
        parts.append(f"{finding.subject}: no value is known{unit}")
    if finding.limit is not None:
        parts.append(f"{finding.bound} {finding.limit:.4g} is asked for")
    if finding.observed is finding.limit is None:
        parts = [f"{finding.subject}: {finding.detail or 'nothing was found that shows it'}"]
    sentence = "; ".join(parts) + "."
    if finding.detail and finding.detail not in sentence:
        sentence += f" {finding.detail[:1].upper()}{finding.detail[1:]}."
    return sentence if finding.n is None else f"{sentence} Seen on {finding.n:,} rows."


def _group(name: str, findings: tuple[Finding, ...]) -> Group:
    badness = BEST_TO_WORST.index
    voting = [finding.outcome for finding in findings if finding.votes]
    return Group(
        name=name,
        findings=tuple(sorted(findings, key=lambda f: -badness(f.outcome))),
        outcome=worst(voting) if voting else None,
    )
