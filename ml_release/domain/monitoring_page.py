"""What the monitoring page of a line holds: what is it now, why, and how it came to be.

Every part may be missing: a line that was promoted this morning has no matured label, and the page
says so instead of showing a zero. What the parts are read from is
`ml_release.domain.monitoring_records`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ml_release.domain.verdict import BEST_TO_WORST, Outcome, worst

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.monitoring_shown import (
        DecisionTaken,
        FairnessGap,
        FeatureShift,
        Kpi,
        PerformanceNow,
        SloState,
    )
    from ml_release.domain.verdict import Finding, Verdict

STANDINGS = ("shifted and hurting", "unknown", "shifted but harmless", "stable")
"""What the shift of a feature can mean, what to look at first."""

Tone = Literal["pass", "inconclusive", "error", "fail", "act"]
"""How serious a headline is; ``act`` is work to plan, not an alarm."""

ACTIONS: Mapping[str, tuple[str, Tone]] = {
    "roll_back": ("Roll back", "fail"),
    "reduce_canary": ("Take the canary back", "fail"),
    "fix_data": ("Repair the data", "fail"),
    "retrain": ("Retrain", "act"),
    "watch": ("Watch", "inconclusive"),
    "nothing": ("Nothing to do", "pass"),
}
"""Action to what a person reads, and how serious it is."""


_TONES: Mapping[Outcome, Tone] = {
    Outcome.PASS: "pass",
    Outcome.INCONCLUSIVE: "inconclusive",
    Outcome.ERROR: "error",
    Outcome.FAIL: "fail",
}
_UNDECIDED = {
    Outcome.PASS: "Nothing found",
    Outcome.INCONCLUSIVE: "Cannot tell yet",
    Outcome.ERROR: "Cannot tell",
    Outcome.FAIL: "Something was found",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """What one rule of one judge holds against some subjects."""

    judge: str
    rule: str
    outcome: Outcome
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringPage:
    """Everything the page shows.

    Attributes
    ----------
    made_at
        ISO moment of the newest monitoring.
    as_of, days, rows, errors
        Newest day of events, calendar days and answers of the window.
    verdicts
        Name of a judge to its newest verdict.
    drift, performance, fairness, slos, decision
        None where nothing is recorded of it.
    decisions
        Newest first.
    problems
        What is recorded and cannot be read, in sentences: never taken for good news.
    compared_at
        Where the page that compares rows with rows is; None if there is none.
    """

    line: str
    environment: str
    objective: str
    made_at: str
    version: int | None = None
    model_digest: str | None = None
    model_age_days: float | None = None
    as_of: str | None = None
    days: int = 0
    rows: int = 0
    errors: int = 0
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    drift: tuple[FeatureShift, ...] | None = None
    performance: PerformanceNow | None = None
    fairness: tuple[FairnessGap, ...] | None = None
    slos: tuple[SloState, ...] | None = None
    decision: DecisionTaken | None = None
    decisions: tuple[DecisionTaken, ...] = ()
    kpis: tuple[Kpi, ...] = ()
    problems: tuple[str, ...] = ()
    compared_at: str | None = None

    @property
    def outcome(self) -> Outcome:
        """The worst of what was judged; a record that cannot be read is an error."""
        judged = [verdict.outcome for verdict in self.verdicts.values()]
        return worst([*judged, *([Outcome.ERROR] if self.problems else [])])

    @property
    def headline(self) -> tuple[str, Tone]:
        """What to do now, in words, and how serious that is.

        The decision, if there is one. Good news need every record to be readable, and that nothing
        is to be done needs somebody who decided so.
        """
        if self.version is None:
            return "Nothing serves", "inconclusive"
        if self.decision is not None:
            action = self.decision.action
            words, tone = ACTIONS.get(action, (action.replace("_", " "), "inconclusive"))
        else:
            found = self.outcome
            words, tone = _UNDECIDED[found], _TONES[found]
        return ("Cannot tell", "error") if self.problems and tone == "pass" else (words, tone)

    @property
    def objections(self) -> tuple[Objection, ...]:
        """What does not pass and has a vote: one per judge, rule and outcome, the worst first."""
        grouped: dict[tuple[str, str, Outcome], list[Finding]] = {}
        for judge, verdict in self.verdicts.items():
            for one in verdict.objections:
                grouped.setdefault((judge, one.rule, one.outcome), []).append(one)
        found = (
            Objection(judge=judge, rule=rule, outcome=outcome, findings=tuple(findings))
            for (judge, rule, outcome), findings in grouped.items()
        )
        return tuple(sorted(found, key=lambda one: -BEST_TO_WORST.index(one.outcome)))

    @property
    def claims(self) -> int:
        """How many claims were judged, each once per judge."""
        return sum(len({f.rule for f in one.findings if f.votes}) for one in self.verdicts.values())

    @property
    def drift_by_standing(self) -> tuple[FeatureShift, ...]:
        """What to look at first; inside a standing the greatest PSI over its limit."""
        order = {name: place for place, name in enumerate(STANDINGS)}
        return tuple(
            sorted(
                self.drift or (),
                key=lambda f: (order.get(f.standing, 1), -_over_limit(f), f.feature),
            )
        )

    @property
    def standings(self) -> Mapping[str, int]:
        """Number of features per standing, in the order of `STANDINGS`."""
        counts = dict.fromkeys(STANDINGS, 0)
        for one in self.drift or ():
            counts[one.standing if one.standing in counts else "unknown"] += 1
        return counts

    @property
    def tightest_budget(self) -> SloState | None:
        """The SLO with the least error budget left; None if none is known."""
        known = [one for one in self.slos or () if one.budget_left is not None]
        return min(known, key=lambda one: one.budget_left or 0.0, default=None)


def _over_limit(one: FeatureShift) -> float:
    if one.psi_nats is None or not one.limit_nats:
        return 0.0
    return one.psi_nats / one.limit_nats
