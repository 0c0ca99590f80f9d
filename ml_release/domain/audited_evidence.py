"""Whether what a declaration rests on is still on record, with the digests that were declared."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from ml_release.domain.approvals import approvals_digest, person
from ml_release.domain.identity import digest_of_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.approvals import Approval, ApprovalPolicy
    from ml_release.domain.declared_rollout import Evidence

NOBODY = ("", "none", "unknown")
"""What stands where nobody is named."""

_MOST_WORDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvidence:
    """What is on record of one model now; digests are computed from what was read.

    Attributes
    ----------
    verdict_digest, data_digest, staging_digest
        None where nothing is on record.
    trained_by
        None where nobody knows.
    approvals
        Every word that was given, in order.
    problems
        What could not be read, and why.
    """

    verdict_digest: str | None = None
    data_digest: str | None = None
    staging_digest: str | None = None
    trained_by: str | None = None
    approvals: tuple[Approval, ...] = ()
    problems: tuple[str, ...] = ()


def evidence_problems(declared: Evidence, kept: KeptEvidence | None) -> list[str]:
    """Everything that is declared and not on record as it was; empty if all checks out."""
    if kept is None:
        return ["no evidence is on record"]
    found = list(kept.problems)
    for name, digest, recorded in (
        ("verdict", declared.verdict_digest, kept.verdict_digest),
        ("training data", declared.data_digest, kept.data_digest),
        ("staging verdict", declared.staging_digest, kept.staging_digest),
    ):
        if digest is None or digest == recorded:
            continue
        what = "none is on record" if recorded is None else f"on record is {recorded[:19]}"
        found.append(f"{name}: declared on {digest[:19]}, {what}")
    if declared.approval_digest is not None and counted_words(declared, kept.approvals) is None:
        found.append(
            f"approvals: declared on {declared.approval_digest[:19]}, no such words are on record"
        )
    return found


def counted_words(declared: Evidence, recorded: Sequence[Approval]) -> tuple[Approval, ...] | None:
    """The approvals that a declaration rests on, found by their digest; None if they are gone.

    Which words counted, of all on the same evidence, was for the policy of that day to say: every
    choice of the newest ten is tried.
    """
    approved = [one for one in recorded if one.decision == "approved"]
    groups: dict[str, list[Approval]] = {}
    for one in approved:
        groups.setdefault(digest_of_json(one.evidence), []).append(one)
    for group in groups.values():
        given = sorted(group, key=lambda one: (one.at, one.by))[-_MOST_WORDS:]
        for size in range(1, len(given) + 1):
            for words in combinations(given, size):
                if approvals_digest(words) == declared.approval_digest:
                    return words
    return None


def approval_problems(
    declared: Evidence,
    kept: KeptEvidence | None,
    policy: ApprovalPolicy,
    *,
    names: str,
) -> list[str]:
    """Approvals that are missing, or are the author's own.

    Parameters
    ----------
    names
        Of those who approved, as the commit says, separated by commas.
    """
    said = [name.strip() for name in names.split(",")]
    approvers = {person(name) for name in said if person(name) not in NOBODY}
    author = None if kept is None else kept.trained_by
    if policy.needed and declared.approval_digest is None:
        return ["given traffic without an approval"]
    if policy.author_may_approve or not approvers:
        return []
    words = None if kept is None else counted_words(declared, kept.approvals)
    approvers |= {person(one.by) for one in words or ()}
    if author is None or person(author) in NOBODY:
        return ["approved, and nobody knows who trained it: the author may have approved it"]
    return [f"approved by {author}, who trained it"] if person(author) in approvers else []
