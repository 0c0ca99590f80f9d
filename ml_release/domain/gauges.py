"""What monitoring tells Prometheus: a closed list of gauges, and their values at one moment.

The monitor job writes the values, the endpoint server exposes them when it is scraped. A value that
is not known has no sample: a gauge that is absent is told apart from one that is zero.

Not done here: which records the values come from, see `ml_release.domain.monitoring_gauges`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_SAMPLES = 2000
"""Of one line: a bound that only a line of hundreds of features and slices meets."""

_LONGEST_LABEL = 120
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Gauge:
    """A gauge that monitoring may set.

    Attributes
    ----------
    documentation
        One sentence with the unit.
    labels
        Names of its labels beside ``line``, which all have.
    """

    documentation: str
    labels: tuple[str, ...] = ()


GAUGES: Mapping[str, Gauge] = {
    "ml_release_monitored_version": Gauge("Version whose answers the newest window holds."),
    "ml_release_window_rows": Gauge("Answered rows of the newest window."),
    "ml_release_monitoring_outcome": Gauge(
        "1 for the outcome of a rule in the newest verdict: pass, inconclusive, error or fail.",
        ("verdict", "rule", "outcome"),
    ),
    "ml_release_drift_psi": Gauge("Adjusted PSI against the reference, in nats.", ("feature",)),
    "ml_release_drift_psi_limit": Gauge("Limit of the adjusted PSI, in nats.", ("feature",)),
    "ml_release_drift_standing": Gauge(
        "1 for what the shift of a feature means in the newest window.", ("feature", "standing")
    ),
    "ml_release_drift_loss_change": Gauge(
        "Log loss that the shift of a feature is expected to add, in nats per row.", ("feature",)
    ),
    "ml_release_drift_features": Gauge("Features by what their shift means.", ("standing",)),
    "ml_release_auc": Gauge("Realised AUC of the answers whose labels are matured, 0 to 1."),
    "ml_release_auc_low": Gauge("Lower end of the interval of the realised AUC."),
    "ml_release_auc_high": Gauge("Upper end of the interval of the realised AUC."),
    "ml_release_auc_at_release": Gauge("AUC of the version when it was released, 0 to 1."),
    "ml_release_auc_estimated": Gauge("AUC estimated without labels, 0 to 1."),
    "ml_release_log_loss": Gauge("Realised log loss, in nats per row."),
    "ml_release_calibration_error": Gauge("Realised expected calibration error, 0 to 1."),
    "ml_release_labels_matured": Gauge("Answers with a matured label that were scored."),
    "ml_release_fairness_gap": Gauge(
        "Largest gap between the groups of a sensitive column, 0 to 1.", ("column", "metric")
    ),
    "ml_release_fairness_gap_limit": Gauge(
        "Gap of the approved baseline plus its margin, 0 to 1.", ("column", "metric")
    ),
    "ml_release_error_budget_left": Gauge(
        "Share of the error budget that is left, 1 for all; below 0 it is overspent.", ("slo",)
    ),
    "ml_release_burn_rate": Gauge(
        "How fast the error budget is spent; 1 spends it in the whole SLO window.",
        ("slo", "window"),
    ),
    "ml_release_burn_alert": Gauge(
        "1 where a budget burns so fast that the policy asks for a page or a ticket.",
        ("slo", "level"),
    ),
    "ml_release_model_age_days": Gauge(
        "Days from the end of the training data to the newest event."
    ),
    "ml_release_kpi": Gauge("Release KPIs, each in its own unit.", ("kpi",)),
    "ml_release_decision": Gauge("1 for the action that monitoring decided on last.", ("action",)),
}
"""Name to gauge: the endpoint exposes these and no other."""

AGE = "ml_release_monitoring_age_seconds"
"""Set by the endpoint at every scrape, from the time the values were written."""

PROBLEMS = "ml_release_monitoring_problems"
"""Set by the endpoint: 1 where the values of a line are there and cannot be read."""


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value under the values of its gauge's labels, in their order."""

    labels: tuple[str, ...]
    value: float


class GaugeFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The values of one line at one moment.

    Attributes
    ----------
    written_at
        Seconds since 1970.
    samples
        Name of the gauge to its samples.
    """

    line: str
    environment: str
    written_at: float
    samples: dict[str, tuple[Sample, ...]]

    def to_json(self) -> bytes:
        """The bytes that are kept."""
        return msgspec.json.encode(self, order="sorted")


def gauges_from_json(content: bytes, *, line: str, environment: str) -> GaugeFile:
    """Read the values of a line back.

    Raises
    ------
    IntegrityError
        If they cannot be read, are of another line or environment, hold a gauge that is not in
        `GAUGES`, a wrong number of labels, the same labels twice, or more than `MOST_SAMPLES`.
    """
    try:
        found = msgspec.json.decode(content, type=GaugeFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"gauges of {line}: expected what the monitor job writes, found {error}"
        raise IntegrityError(message) from error
    if problem := _problem(found, line=line, environment=environment):
        message = f"gauges of {line}: {problem}. The job {line}_monitor writes them again."
        raise IntegrityError(message)
    return found


def _problem(found: GaugeFile, *, line: str, environment: str) -> str | None:
    if (found.line, found.environment) != (line, environment):
        return f"expected those of {line} in {environment}, found {found.line} {found.environment}"
    if unknown := sorted(set(found.samples) - set(GAUGES)):
        return f"expected known gauges, found {unknown[0][:80]!r}"
    if (n := sum(map(len, found.samples.values()))) > MOST_SAMPLES:
        return f"expected at most {MOST_SAMPLES} samples, found {n}"
    for name, samples in found.samples.items():
        labels = [sample.labels for sample in samples]
        if any(len(one) != len(GAUGES[name].labels) for one in labels):
            return f"{name}: expected the labels {GAUGES[name].labels}, found another number"
        if len(set(labels)) < len(labels):
            return f"{name}: expected every sample once, found one twice"
    return None


def family(samples: Iterable[tuple[tuple[str | None, ...], float | None]]) -> tuple[Sample, ...]:
    """The samples of a gauge, without those whose value is not known; of labels met twice the last.

    >>> family([(("distance",), 0.02), (("carrier",), None), (("hour",), float("nan"))])
    (Sample(labels=('distance',), value=0.02),)
    """
    known = {
        tuple(_word(label) for label in labels): float(value)
        for labels, value in samples
        if value is not None and math.isfinite(value)
    }
    return tuple(Sample(labels, value) for labels, value in sorted(known.items()))


def _word(label: str | None) -> str:
    """A label as a time series can carry it."""
    return "missing" if label is None else _UNPRINTABLE.sub(" ", label)[:_LONGEST_LABEL]
