"""Whether a line releases as well as its policy asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ml_release.domain.verdict import Finding, Outcome, Verdict, compare

if TYPE_CHECKING:
    from ml_release.domain.release_kpi_policy import KpiName, KpiPolicy
    from ml_release.domain.release_kpi_record import ReleaseKpis

JUDGE = "release_kpis/1"
DESCRIPTIONS = {
    "lead_time_is_short": "From training to answering everybody passes little time.",
    "releases_are_frequent": "Versions reach everybody often enough.",
    "changes_seldom_fail": "Few of the versions that answered anybody were taken back.",
    "service_is_restored_soon": "What was bad is taken back soon.",
    "drift_is_answered_soon": "After drift that hurts, another version answers soon.",
    "versions_can_be_rebuilt": "The records of what served name all that a rebuild needs.",
    "predictions_are_cheap": "A thousand predictions cost little.",
}
RULES = tuple(DESCRIPTIONS)
_BOUNDS: dict[str, tuple[KpiName, Literal["at least", "at most"]]] = {
    "lead_time_is_short": ("lead_time_hours", "at most"),
    "releases_are_frequent": ("deployments_per_week", "at least"),
    "changes_seldom_fail": ("change_failure_rate", "at most"),
    "service_is_restored_soon": ("time_to_restore_minutes", "at most"),
    "drift_is_answered_soon": ("drift_reaction_hours", "at most"),
    "versions_can_be_rebuilt": ("rebuildable_share", "at least"),
    "predictions_are_cheap": ("cost_per_1000_predictions", "at most"),
}


def judge_kpis(kpis: ReleaseKpis, policy: KpiPolicy, *, subject_digest: str) -> Verdict:
    """Hold every value against its limit; one without a limit is shown without a vote."""
    findings = []
    for rule, (name, bound) in _BOUNDS.items():
        kpi, limit = kpis.named(name), policy.limits.get(name)
        if limit is None:
            findings.append(
                Finding(
                    rule=rule,
                    subject=kpis.line,
                    outcome=Outcome.INCONCLUSIVE,
                    observed=kpi.value,
                    unit=kpi.unit,
                    n=kpi.n,
                    votes=False,
                    detail=f"no limit is declared; {kpi.said}",
                )
            )
            continue
        least = policy.minimum_releases if name == "change_failure_rate" else 1
        findings.append(
            compare(
                rule=rule,
                subject=kpis.line,
                observed=kpi.value,
                limit=limit,
                bound=bound,
                unit=kpi.unit,
                n=kpi.n,
                minimum_n=least,
                detail=kpi.said if kpi.n >= least else f"{kpi.said}; too few to judge",
            )
        )
    return Verdict(
        judge=JUDGE,
        line=kpis.line,
        subject_digest=subject_digest,
        evidence={"policy_digest": kpis.policy_digest, "judged_at": kpis.until.isoformat()},
        findings=tuple(findings),
    )
