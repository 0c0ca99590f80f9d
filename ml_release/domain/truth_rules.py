"""What the rules that compare the three truths have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.declared_spans import counted
from ml_release.domain.verdict import Finding, Outcome

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.three_truths import ThreeTruths


def present(truths: ThreeTruths) -> DeclaredState | None:
    """The newest state that counts; None if nothing sealed is declared."""
    sealed = counted(truths.history)
    return sealed[-1].state if sealed else None


def finding(rule: str, subject: str, outcome: Outcome, detail: str = "") -> Finding:
    """A finding that is not about a number."""
    return Finding(rule=rule, subject=subject, outcome=outcome, detail=detail)


def cannot_tell(rule: str, detail: str) -> Finding:
    """What nobody can tell is neither a pass nor a failure."""
    return finding(rule, "all", Outcome.INCONCLUSIVE, detail)
