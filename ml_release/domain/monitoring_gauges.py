"""The gauges that a monitoring page stands for: the same numbers, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.gauges import MOST_SAMPLES, GaugeFile, family
from ml_release.domain.verdict import worst

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ml_release.domain.monitoring_page import MonitoringPage

    Values = Sequence[tuple[tuple[str | None, ...], float | None]]

_BY_FEATURE = (
    "ml_release_drift_psi",
    "ml_release_drift_psi_limit",
    "ml_release_drift_standing",
    "ml_release_drift_loss_change",
)


def gauges_of(page: MonitoringPage, *, written_at: datetime) -> GaugeFile:
    """The gauges of a page; what is not known there has no sample here.

    Where a line has so many features that the samples do not fit, those by feature are left out,
    and the numbers of features by standing stay.
    """
    values = {**_window(page), **_drift(page), **_performance(page), **_promises(page)}
    samples = {name: found for name, those in values.items() if (found := family(those))}
    if sum(map(len, samples.values())) > MOST_SAMPLES:
        samples = {name: found for name, found in samples.items() if name not in _BY_FEATURE}
    return GaugeFile(
        line=page.line,
        environment=page.environment,
        written_at=written_at.timestamp(),
        samples=samples,
    )


def _window(page: MonitoringPage) -> Mapping[str, Values]:
    return {
        "ml_release_monitored_version": [((), page.version)],
        "ml_release_window_rows": [((), None if page.version is None else page.rows)],
        "ml_release_model_age_days": [((), page.model_age_days)],
        "ml_release_monitoring_outcome": [(labels, 1.0) for labels in _outcomes(page)],
        "ml_release_decision": [] if page.decision is None else [((page.decision.action,), 1.0)],
        "ml_release_kpi": [((one.name,), one.value) for one in page.kpis],
    }


def _outcomes(page: MonitoringPage) -> Iterator[tuple[str, str, str]]:
    """Verdict, rule and outcome of every rule that has a vote."""
    for name, verdict in page.verdicts.items():
        voting = [finding for finding in verdict.findings if finding.votes]
        for rule in dict.fromkeys(finding.rule for finding in voting):
            yield name, rule, worst(f.outcome for f in voting if f.rule == rule).value


def _drift(page: MonitoringPage) -> Mapping[str, Values]:
    if page.drift is None:
        return {}
    return {
        "ml_release_drift_psi": [((one.feature,), one.psi_nats) for one in page.drift],
        "ml_release_drift_psi_limit": [((one.feature,), one.limit_nats) for one in page.drift],
        "ml_release_drift_standing": [((one.feature, one.standing), 1.0) for one in page.drift],
        "ml_release_drift_loss_change": [((one.feature,), one.loss_change) for one in page.drift],
        "ml_release_drift_features": [
            ((standing,), float(count)) for standing, count in page.standings.items()
        ],
    }


def _performance(page: MonitoringPage) -> Mapping[str, Values]:
    found = page.performance
    if found is None:
        return {}
    now, released = found.now, found.at_release
    return {
        "ml_release_auc": [((), now.auc)],
        "ml_release_auc_low": [((), now.auc_low)],
        "ml_release_auc_high": [((), now.auc_high)],
        "ml_release_auc_at_release": [((), None if released is None else released.auc)],
        "ml_release_auc_estimated": [((), now.auc_estimated)],
        "ml_release_log_loss": [((), now.log_loss)],
        "ml_release_calibration_error": [((), now.calibration_error)],
        "ml_release_labels_matured": [((), now.n)],
    }


def _promises(page: MonitoringPage) -> Mapping[str, Values]:
    gaps, slos = page.fairness or (), page.slos or ()
    return {
        "ml_release_fairness_gap": [((one.column, one.metric), one.gap) for one in gaps],
        "ml_release_fairness_gap_limit": [((one.column, one.metric), one.limit) for one in gaps],
        "ml_release_error_budget_left": [((one.slo,), one.budget_left) for one in slos],
        "ml_release_burn_alert": [((one.slo, one.level), 1.0) for one in slos if one.level],
        "ml_release_burn_rate": [
            ((one.slo, f"{burn.hours}h"), burn.rate) for one in slos for burn in one.burns
        ],
    }
