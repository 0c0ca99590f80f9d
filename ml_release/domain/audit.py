"""Whether the history of declared state is what it should be: every declaration, told and checked.

Stages and approvals are held against the policy as it is now; a history from under an earlier one
may break it and be right. Evidence is held against the digests that were declared: what was judged
again since is evidence no more that anybody could show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from ml_release.domain.audited_evidence import KeptEvidence, approval_problems, evidence_problems
from ml_release.domain.moves_in_words import move_in_words, shares_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.approvals import ApprovalPolicy
    from ml_release.domain.declared_rollout import Evidence
    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.rollout import Path

Rule = Literal[
    "commits_are_sealed",
    "commits_say_who_and_why",
    "history_is_not_rewritten",
    "evidence_checks_out",
    "approvals_are_by_others",
    "withdrawn_versions_stay_away",
    "no_stage_was_skipped",
]
_NOBODY = ("", "unknown", "none")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRules:
    """What the line's present policy asks of a history; ``path`` is None where there are no stages.

    Attributes
    ----------
    path
        The stages on the way to production.
    approval
        Who has to agree.
    """

    path: Path | None
    approval: ApprovalPolicy


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
            for said in _approvals(one, before, kept, rules)
        ]
        violations += [
            _violation("withdrawn_versions_stay_away", one, said)
            for said in _came_back(before, one)
        ]
        violations += [
            _violation("no_stage_was_skipped", one, said) for said in _skipped(one, past, rules)
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
        if value.strip().casefold() in _NOBODY
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


def _rests_on(state: DeclaredState) -> list[tuple[int, str, Evidence]]:
    """Version, model digest and evidence of all that a state was declared on."""
    found = [(state.champion.version, state.champion.model_digest, state.evidence)]
    if state.rollout is not None:
        rollout = state.rollout
        found.append((rollout.version, rollout.model_digest, rollout.evidence))
    return found


def _problems(one: Declaration, kept: Mapping[str, KeptEvidence]) -> list[str]:
    return [
        f"version {number}: {said}"
        for number, digest, evidence in _rests_on(one.state)
        for said in evidence_problems(evidence, kept.get(digest))
    ]


def _approvals(
    one: Declaration,
    before: DeclaredState | None,
    kept: Mapping[str, KeptEvidence],
    rules: AuditRules,
) -> list[str]:
    """Problems of the approvals of a version that this commit gives traffic for the first time."""
    had = set() if before is None else {v.version for v in before.variants}
    went_back = before is not None and set(one.state.withdrawn) > set(before.withdrawn)
    if went_back or rules.path is None:
        # Taking back asks nobody, and staging answers nobody.
        return []
    return [
        f"version {number}: {said}"
        for number, digest, evidence in _rests_on(one.state)
        if number not in had and any(v.version == number for v in one.state.variants)
        for said in approval_problems(
            evidence,
            kept.get(digest),
            rules.approval,
            names=one.trailers.get("Approved-By", ""),
        )
    ]


def _came_back(before: DeclaredState | None, one: Declaration) -> list[str]:
    """Withdrawn versions that this very commit both lifts and declares."""
    if before is None:
        return []
    state = one.state
    target = () if state.rollback_target is None else (state.rollback_target.version,)
    present = {v.version for v in (*state.variants, *state.shadows)} | set(target)
    lifted = set(before.withdrawn) - set(state.withdrawn)
    found = [
        f"version {number} was withdrawn, and is declared again without having been lifted before"
        for number in sorted(present & set(before.withdrawn))
    ]
    nobody = one.actor.strip().casefold() in (*_NOBODY, "rollout")
    found += [
        f"version {number} was lifted by {one.actor or 'nobody'}; only a named person may"
        for number in sorted(lifted - present)
        if nobody
    ]
    return found


def _skipped(one: Declaration, past: Sequence[DeclaredState], rules: AuditRules) -> list[str]:
    """Stages of the path that a version had not gone through when this commit moved it on."""
    path, state = rules.path, one.state
    before = past[-1] if past else None
    went_back = before is not None and set(state.withdrawn) > set(before.withdrawn)
    if path is None or one.revert_of or went_back:
        return []
    had = {} if before is None else {v.version: v.role for v in before.variants}
    served = {s.champion.version for s in past}
    moved = [
        v
        for v in state.variants
        if had.get(v.version) != v.role and v.version not in served and v.role != "treatment"
    ]
    staged = {number: e.staging_digest is not None for number, _, e in _rests_on(state)}
    found = [
        f"version {v.version} was given traffic without staging"
        for v in moved
        if path.has_staging and not staged.get(v.version, True)
    ]
    if before is None:
        # Nobody is there to be a shadow or a canary beside.
        return found
    for variant in moved:
        number = variant.version
        own = [s.rollout for s in past if s.rollout is not None and s.rollout.version == number]
        if path.has_shadow and not any(rollout.leg == "shadow" for rollout in own):
            found.append(f"version {number} was given traffic without having been a shadow")
        steps = {rollout.step for rollout in own if rollout.leg == "canary"}
        left = sorted(set(range(len(path.weights_percent))) - steps)
        if variant.role == "champion" and left:
            names = ", ".join(str(step + 1) for step in left)
            found.append(f"version {number} answers everybody without the canary's step {names}")
    return found
