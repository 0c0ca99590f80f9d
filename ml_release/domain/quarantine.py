"""Partitions that are set aside, and whether a training window is enough without them.

A partition that did not pass its gate is kept with its verdict and built on by nobody. Whether the
others may go on without it is a declared limit, since a window with holes is another window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

DESCRIPTIONS = {
    "window_is_covered": "Enough partitions of the training window are fit; the others are named.",
}
"""The rules of this judge: claims, each a check of an asset, with what they say."""


class QuarantinePolicy(BaseModel):
    """How much may be set aside.

    Attributes
    ----------
    minimum_coverage
        Share of a training window's partitions that have to be fit. With 1, the default, a window
        has none set aside: one partition that fails stops the line.
    history_may_lack
        Whether history features may do without an earlier partition that is set aside, as those
        of the very first partition do without one. If not, a partition whose history looks back
        into one that is set aside is set aside too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_coverage: Annotated[float, Field(gt=0, le=1)] = 1.0
    history_may_lack: bool = False

    @property
    def tolerates_any(self) -> bool:
        """Whether a window may leave out a partition at all."""
        return self.minimum_coverage < 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """One partition that nothing may be built on, and why."""

    partition: str
    reason: str


def judge_coverage(
    fit: tuple[str, ...], left_out: Mapping[str, str], policy: QuarantinePolicy
) -> Finding:
    """Whether enough of a window is fit.

    Parameters
    ----------
    fit
        Partitions of the window that are built on.
    left_out
        Those that are not: partition to reason.

    >>> policy = QuarantinePolicy(minimum_coverage=0.75)
    >>> judge_coverage(("2013-01", "2013-03"), {"2013-02": "no rows"}, policy).outcome
    <Outcome.FAIL: 'fail'>
    """
    window = sorted({*fit, *left_out})
    return compare(
        rule="window_is_covered",
        subject=f"{window[0]} to {window[-1]}" if window else "no partition",
        observed=len(set(fit) - set(left_out)) / len(window) if window else None,
        limit=policy.minimum_coverage,
        bound="at least",
        unit="share of partitions",
        n=len(window),
        detail="; ".join(f"left out {name}: {reason}" for name, reason in sorted(left_out.items())),
    )


def goes_on_without(
    outcomes: Mapping[str, Outcome], others: Mapping[str, Outcome], policy: QuarantinePolicy
) -> bool:
    """Whether a run may go on with those of its partitions that passed.

    Parameters
    ----------
    outcomes
        Per partition of the run, what its gate says.
    others
        The same for partitions of the line before the run's last one that the run does not take.

    Examples
    --------
    >>> policy = QuarantinePolicy(minimum_coverage=0.5)
    >>> passed, failed = Outcome.PASS, Outcome.FAIL
    >>> goes_on_without({"2013-01": passed, "2013-02": failed}, {}, policy)
    True
    >>> goes_on_without({"2013-02": failed}, {"2013-01": passed}, policy)
    False
    """
    if not policy.tolerates_any or Outcome.PASS not in outcomes.values():
        return False
    known = {**others, **outcomes}
    fit = tuple(name for name, outcome in known.items() if outcome is Outcome.PASS)
    left_out = {name: "" for name, outcome in known.items() if outcome is not Outcome.PASS}
    return judge_coverage(fit, left_out, policy).outcome is Outcome.PASS
