"""How a feature stands in the end: by several windows together, by what it costs, by labels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.drift_departure import Departure
    from ml_release.domain.drift_policy import DriftPolicy


class DriftStanding(StrEnum):
    """What is known of a feature, or of the score, in the newest window."""

    STABLE = "stable"
    HARMLESS = "shifted but harmless"
    HURTING = "shifted and hurting"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealisedChange:
    """Change of the mean log loss on matured labels of the window, against the release's own.

    Attributes
    ----------
    low, high
        Ends of its interval, in nats per row.
    n
        Labelled rows behind it.
    """

    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A standing with its reason.

    Attributes
    ----------
    windows_in_a_row
        Windows, from the newest back, that show the shift.
    """

    standing: DriftStanding
    windows_in_a_row: int
    why: str


def tell(
    windows: Sequence[Departure | None],
    *,
    policy: DriftPolicy,
    realised: RealisedChange | None = None,
) -> Told:
    """How a feature stands.

    A shift has to last: `DriftPolicy.persistence_windows` windows in a row show it, and so does
    the harm. A shift that no earlier window can confirm is unknown, not stable. Labels, where
    they are in and decide, overrule what was expected without them: they know what it costs.

    Parameters
    ----------
    windows
        The feature in windows that share no day, the newest first; None where there was none.
    realised
        What matured labels say; None without any.
    """
    needed = policy.persistence_windows
    moved = [None if one is None else one.moved(policy) for one in windows[:needed]]
    moved += [None] * (needed - len(moved))
    newest = windows[0] if windows else None
    if newest is None or moved[0] is None:
        n = 0 if newest is None else newest.n
        why = (
            f"expected at least {policy.minimum_rows} rows, found {n}"
            if n < policy.minimum_rows
            else "its distance could not be computed"
        )
        return Told(standing=DriftStanding.UNKNOWN, windows_in_a_row=0, why=why)
    in_a_row = next((at for at, one in enumerate(moved) if not one), needed)
    if not moved[0]:
        return Told(standing=DriftStanding.STABLE, windows_in_a_row=0, why=_still(newest))
    if in_a_row < needed:
        if moved[in_a_row] is None:
            return Told(
                standing=DriftStanding.UNKNOWN,
                windows_in_a_row=in_a_row,
                why=f"it moved in {in_a_row} of {needed} windows in a row, and the one before them"
                " is not known",
            )
        return Told(
            standing=DriftStanding.STABLE,
            windows_in_a_row=in_a_row,
            why=f"it moved in {in_a_row} of {needed} windows in a row",
        )
    lasting = [one for one in windows[:needed] if one is not None]
    standing, why = _cost(lasting, policy=policy, realised=realised)
    return Told(standing=standing, windows_in_a_row=in_a_row, why=why)


def _cost(
    windows: Sequence[Departure], *, policy: DriftPolicy, realised: RealisedChange | None
) -> tuple[DriftStanding, str]:
    newest = windows[0]
    if realised is not None and realised.high <= policy.hurting_loss_change:
        return (
            DriftStanding.HARMLESS,
            f"{realised.n} labels show no harm: the log loss rose by at most {realised.high:.3g}"
            " nats",
        )
    if realised is not None and realised.low > policy.hurting_loss_change:
        important = newest.importance is None or newest.importance >= policy.important_share
        told = f"{realised.n} labels show that the log loss rose by {realised.low:.3g} nats or more"
        if important:
            return DriftStanding.HURTING, told
        return DriftStanding.HARMLESS, f"{told}, but the feature has too little importance"
    harms = [one.harm(policy) for one in windows]
    if None in harms:
        return DriftStanding.UNKNOWN, "it has moved, and nothing is known of what that costs"
    if all(harms):
        return DriftStanding.HURTING, harms[0] or ""
    return DriftStanding.HARMLESS, "it has moved, and no harm is expected of it"


def _still(newest: Departure) -> str:
    if newest.psi_nats <= newest.limit_nats:
        return ""
    return f"chance alone may explain it (adjusted p-value {newest.p_adjusted:.2g})"
