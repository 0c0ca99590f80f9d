"""What automation does about a release under way: goes on, waits, takes it back, or lets it be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from ml_release.domain.declared_rollout import Rollout
    from ml_release.domain.verdict import Finding

Answer = Literal["advance", "hold", "roll_back", "undecided"]
"""What a judge of live traffic says; ``advance`` ends a watch."""

Act = Literal["nothing", "advance", "settle", "roll_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDecision:
    """What to do now, and why in words."""

    act: Act
    reason: str


def decide_rollout(  # noqa: PLR0911 (one answer per branch of the tree)
    rollout: Rollout | None,
    *,
    answer: Answer | None,
    said: str,
    approval: Finding | None,
    refusals: tuple[str, ...],
    automatic: bool,
    is_switched_off: bool = False,
) -> RolloutDecision:
    """What automation does next.

    Harm is answered before anything else, also where a person drives the release: taking back is
    never a matter of convenience.

    Parameters
    ----------
    answer, said
        Of the judge of the present leg, and its reasons in words; None if nothing was judged.
    approval
        Whether enough people let the version through; None if it could not be asked.
    refusals
        Why the next move would be refused.
    automatic
        Whether the policy lets a release go on by itself.
    is_switched_off
        Whether the kill switch is engaged: nobody is answered by a model, so that nothing is seen
        of the release, and who pulled it has seen something else.

    Examples
    --------
    >>> decide_rollout(
    ...     None, answer=None, said="", approval=None, refusals=(), automatic=True
    ... ).reason
    'no release is under way'
    """
    if rollout is None:
        return RolloutDecision(act="nothing", reason="no release is under way")
    where = f"version {rollout.version}, {rollout.leg}" + (
        f" step {rollout.step + 1}" if rollout.leg == "canary" else ""
    )
    if answer == "roll_back":
        return RolloutDecision(act="roll_back", reason=f"{where}: {said}")
    if approval is not None and approval.outcome is Outcome.FAIL:
        return RolloutDecision(act="roll_back", reason=f"{where}: {approval.detail}")
    if answer != "advance":
        said = said or "nothing was judged yet"
        return RolloutDecision(act="nothing", reason=f"{where}: {answer or 'hold'}: {said}")
    if is_switched_off:
        reason = f"{where}: held: the kill switch is engaged; release it first"
        return RolloutDecision(act="nothing", reason=reason)
    if rollout.leg == "watch":
        return RolloutDecision(act="settle", reason=f"{where}: {said}")
    if not automatic:
        reason = f"{where}: may go on, and waits for a person to promote it: {said}"
        return RolloutDecision(act="nothing", reason=reason)
    if refusals:
        return RolloutDecision(act="nothing", reason=f"{where}: held: {'; '.join(refusals)}")
    return RolloutDecision(act="advance", reason=f"{where}: {said}")
