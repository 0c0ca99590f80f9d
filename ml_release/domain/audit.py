"""Whether the history of declared state is what it should be: every declaration, told and checked.

Stages and approvals are held against the policy as it is now; a history from under an earlier one
may break it and be right. Evidence is held against the digests that were declared: what was judged
again since is evidence no more that anybody could show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from ml_release.domain.audited_evidence import NOBODY, evidence_problems
from ml_release.domain.audited_moves import approvals, came_back, rests_on, skipped
from ml_release.domain.moves_in_words import move_in_words, shares_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.audited_evidence import KeptEvidence
    from ml_release.domain.audited_moves import AuditRules
    from ml_release.domain.deployment import Declaration, DeclaredState

Rule = Literal[
    "commits_are_sealed",
    "commits_say_who_and_why",
    "history_is_not_rewritten",
    "evidence_checks_out",
    "approvals_are_by_others",
    "withdrawn_versions_stay_away",
    "no_stage_was_skipped",
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Violation(_Model):
    """One thing that should not have been; ``commit`` is where it shows first."""

    rule: Rule
    commit: str
    said: str


class AuditRow(_Model):
    """One declaration.

    Attributes
    ----------
    version
        Of the champion that it declares.
    evidence_checks_out
        Whether everything it rests on is on record with its declared digest.
    """

    at: str
    commit: str
    actor: str
    move: str
    version: int
    shares_before: str
    shares_after: str
    reason: str
    approved_by: str
    is_sealed: bool
    evidence_checks_out: bool


class Audit(_Model):
    """The whole history of a line in an environment, oldest first, and what is wrong with it."""

    line: str
    environment: str
    rows: tuple[AuditRow, ...]
    violations: tuple[Violation, ...]

    @property
    def is_clean(self) -> bool:
        """Something was declared, and nothing is wrong with it."""
        return bool(self.rows) and not self.violations


def audit_history(
    history: Sequence[Declaration],
    *,
    line: str,
    environment: str,
    kept: Mapping[str, KeptEvidence],
    seen: Sequence[str],
    rules: AuditRules,
) -> Audit:
    """Tell and check every declaration.

    Parameters
    ----------
    history
        Oldest first, also what was edited by hand.
    kept
        Model digest to what is on record of it now.
    seen
        Commits that were ever seen in this history.
    """
    rows: list[AuditRow] = []
    violations = _rewritten(history, seen)
    before: DeclaredState | None = None
    past: list[DeclaredState] = []
    for one in history:
        problems = _problems(one, kept)
        rows.append(_row(one, before, problems))
        violations += _of_commit(one)
        violations += [_violation("evidence_checks_out", one, said) for said in problems]
        if one.seal_problem:
            # No server followed it, and nothing was built on it.
            continue
        violations += [
            _violation("approvals_are_by_others", one, said)
            for said in approvals(one, before, kept, rules)
        ]
        violations += [
            _violation("withdrawn_versions_stay_away", one, said) for said in came_back(before, one)
        ]
        violations += [
            _violation("no_stage_was_skipped", one, said) for said in skipped(one, past, rules)
        ]
        past.append(one.state)
        before = one.state
    return Audit(line=line, environment=environment, rows=tuple(rows), violations=_once(violations))


def _violation(rule: Rule, one: Declaration, said: str) -> Violation:
    return Violation(rule=rule, commit=one.commit, said=said)


def _once(violations: Sequence[Violation]) -> tuple[Violation, ...]:
    """What goes on over many declarations is said where it shows first."""
    found: dict[tuple[str, str], Violation] = {}
    for one in violations:
        found.setdefault((one.rule, one.said), one)
    return tuple(found.values())


def _rewritten(history: Sequence[Declaration], seen: Sequence[str]) -> list[Violation]:
    known = {one.commit for one in history}
    return [
        Violation(
            rule="history_is_not_rewritten",
            commit=commit,
            said=f"commit {commit[:12]} was seen before and is in the history no more",
        )
        for commit in seen
        if commit not in known
    ]


def _of_commit(one: Declaration) -> list[Violation]:
    found = []
    if one.seal_problem:
        found.append(_violation("commits_are_sealed", one, one.seal_problem))
    missing = [
        name
        for name, value in (("actor", one.actor), ("reason", one.reason))
        if value.strip().casefold() in NOBODY
    ]
    if missing:
        said = f"commit {one.commit[:12]} names no {' and no '.join(missing)}"
        found.append(_violation("commits_say_who_and_why", one, said))
    return found


def _row(one: Declaration, before: DeclaredState | None, problems: Sequence[str]) -> AuditRow:
    move = move_in_words(before, one.state)
    if one.seal_problem:
        move = f"edited by hand, not followed: {move}"
    elif one.revert_of:
        move = f"commit {one.revert_of[:12]} put back by hand: {move}"
    return AuditRow(
        at=one.committed_at,
        commit=one.commit,
        actor=one.actor,
        move=move,
        version=one.state.champion.version,
        shares_before=shares_in_words(before),
        shares_after=shares_in_words(one.state),
        reason=one.reason,
        approved_by=one.trailers.get("Approved-By", "unknown"),
        is_sealed=not one.seal_problem,
        evidence_checks_out=not problems,
    )


def _problems(one: Declaration, kept: Mapping[str, KeptEvidence]) -> list[str]:
    return [
        f"version {number}: {said}"
        for number, digest, evidence in rests_on(one.state)
        for said in evidence_problems(evidence, kept.get(digest))
    ]
