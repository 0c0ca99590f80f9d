"""What is shown of each subject of monitoring; any number may be missing, and is None then."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureShift:
    """How one feature, or the score, stands against the reference; None is not known.

    Attributes
    ----------
    psi_nats, limit_nats
        Adjusted PSI and its limit.
    p_adjusted
        p-value after the correction for many features, 0 to 1.
    effect, effect_name
        Size of the shift and in what it is measured.
    importance
        Share of the features' importance for the score, 0 to 1.
    loss_change
        Log loss the shift is expected to add, in nats per row; negative where it takes some away.
    windows_in_a_row
        So many disjoint windows in a row have shifted.
    history
        PSI over its limit per window, oldest first; above 1 it shifted. None where not known.
    """

    feature: str
    standing: str
    psi_nats: float | None = None
    limit_nats: float | None = None
    p_adjusted: float | None = None
    effect: float | None = None
    effect_name: str = ""
    importance: float | None = None
    loss_change: float | None = None
    windows_in_a_row: int | None = None
    why: str = ""
    history: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformancePoint:
    """How the answers of one window did; None is not known.

    Attributes
    ----------
    end
        ISO day of the newest event.
    n
        Scored answers, all with matured labels.
    """

    end: str
    n: int | None = None
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    auc_estimated: float | None = None
    log_loss: float | None = None
    calibration_error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceNow:
    """The newest window beside the version's own release; None is not known."""

    now: PerformancePoint
    at_release: PerformancePoint | None = None
    history: tuple[PerformancePoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessGap:
    """The largest gap between groups of one sensitive column; limits as the judge had them."""

    column: str
    metric: str
    gap: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    limit: float | None = None
    outcome: str = "inconclusive"
    history: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """How fast a budget is spent; a rate of 1 spends it in the whole SLO window."""

    hours: int
    rate: float | None
    limit: float | None
    level: str
    fires: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SloState:
    """One service level objective over its window; None is not known.

    Attributes
    ----------
    objective
        Share of good events that is promised, 0 to 1.
    events, bad, unit
        Of the window, and what is counted.
    budget_left
        Share of the error budget that is left; below 0 it is overspent.
    history
        The budget left after each day of the window, oldest first.
    """

    slo: str
    objective: float | None = None
    events: int | None = None
    bad: int | None = None
    unit: str = "requests"
    budget_left: float | None = None
    burns: tuple[Burn, ...] = ()
    history: tuple[float | None, ...] = ()

    @property
    def measured(self) -> float | None:
        """Share of good events, 0 to 1; None without events."""
        return None if not self.events or self.bad is None else 1 - self.bad / self.events

    @property
    def level(self) -> str:
        """Who has to know of a budget that burns too fast: ``page``, ``ticket`` or nobody."""
        fired = {one.level for one in self.burns if one.fires}
        return "page" if "page" in fired else "ticket" if fired else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpi:
    """One release indicator; a value of None is not known, never 0."""

    name: str
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One question on the way to a decision."""

    question: str
    answer: str
    numbers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionTaken:
    """What monitoring decided, and the way there; a past one is told without its way."""

    action: str
    why: str
    at: str
    path: tuple[Step, ...] = ()
