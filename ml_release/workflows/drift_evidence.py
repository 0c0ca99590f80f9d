"""What the drift judge is given beside the window, and what is kept of what it said."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.drift_departure import WindowCounts
from ml_release.domain.drift_record import (
    DriftHistory,
    DriftRecord,
    drift_history_from_json,
    with_window,
)
from ml_release.domain.drift_standing import DriftStanding, RealisedChange
from ml_release.domain.performance import WINDOW_DAYS, WindowRecord, window_start
from ml_release.domain.reference_profile import SCORE
from ml_release.errors import IntegrityError
from ml_release.workflows.columns import days_of, values_of
from ml_release.workflows.feature_building import FEATURES_TABLE
from ml_release.workflows.performance import PERFORMANCE_RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import numpy.typing as npt

    from ml_release.domain.performance import EarlierWindow
    from ml_release.domain.reference_profile import ReferenceProfile
    from ml_release.ports import EvidenceStore, Tables
    from ml_release.spec.release_line import ReleaseLine

DRIFT_RECORD = "drift_record"
DRIFT_HISTORY = "drift_history"


def counts_of(window: WindowRecord | EarlierWindow) -> WindowCounts:
    """A recorded window as the judge reads it; without the score where it was not counted."""
    counts = {name: np.array(own, dtype=np.int64) for name, own in window.counts.items()}
    if window.score_counts:
        counts[SCORE] = np.array(window.score_counts, dtype=np.int64)
    return WindowCounts(days=window.days, counts=counts, numbers=window.numbers)


def season_counts(
    line: ReleaseLine, window: WindowRecord, *, profile: ReferenceProfile, tables: Tables
) -> dict[str, npt.NDArray[np.int64]] | None:
    """The landed features of the same season, counted over the bins of the reference.

    Of the days of the window and of those before it that have to confirm it, as long ago as the
    policy says. None if it says nothing, if the window is empty, or if one of those months has not
    landed: half of a season would be another one.
    """
    policy = line.policies.drift
    if policy.seasonal_lag_days is None or window.as_of is None:
        return None
    last = window.as_of - timedelta(days=policy.seasonal_lag_days)
    first = window_start(last, days=WINDOW_DAYS * policy.persistence_windows)
    current = {
        snapshot.partition: snapshot for snapshot in tables.current(line.name, FEATURES_TABLE)
    }
    months = _months(line, first, last)
    if not all(month in current for month in months):
        return None
    found = {name: np.zeros(bins.size, dtype=np.int64) for name, bins in profile.bins.items()}
    for month in months:
        frame = tables.read(current[month], FEATURES_TABLE)
        days = days_of(frame[line.event_day])
        inside = (days >= np.datetime64(first, "D")) & (days <= np.datetime64(last, "D"))
        values = values_of(frame[inside], line.features)
        for name in found.keys() & values.keys():
            found[name] += profile.bins[name].count(values[name])
    return found


def _months(line: ReleaseLine, first: date, last: date) -> tuple[str, ...]:
    months, end = [f"{first:%Y-%m}"], f"{last:%Y-%m}"
    while months[-1] < end:
        months.append(line.landing.following(months[-1]))
    return tuple(months)


def realised_change(
    line: ReleaseLine, window: WindowRecord, *, environment: str, evidence: EvidenceStore
) -> RealisedChange | None:
    """What matured labels say of the log loss of the window's model, if that was recorded.

    Labels come late, so those of the days just before the window count for it, as long as they
    reach to within one length of the window and the label delay of its start. None without them.

    Raises
    ------
    IntegrityError
        If what was recorded cannot be read.
    """
    content = evidence.find(line.name, PERFORMANCE_RECORD, environment)
    if content is None or window.as_of is None:
        return None
    try:
        record = json.loads(content)
        change, until = record.get("log_loss_change"), record.get("window", {}).get("until")
        if record.get("model_digest") != window.model_digest or change is None or until is None:
            return None
        low, high, n = change["low"], change["high"], change["n"]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        message = (
            f"performance record of {line.name}: expected a recorded one, found something else"
            f" ({error}); report the performance again"
        )
        raise IntegrityError(message) from error
    oldest = window_start(window.as_of, days=2 * WINDOW_DAYS) - line.label_delay
    if low is None or high is None or until < oldest.isoformat():
        return None
    return RealisedChange(low=low, high=high, n=n)


def keep_drift(
    line: ReleaseLine, record: DriftRecord, *, environment: str, evidence: EvidenceStore
) -> DriftHistory:
    """Record a window and the history with it; return the history.

    A history that cannot be read is begun anew: it is shown and decides nothing.
    """
    history = with_window(_history(line, environment=environment, evidence=evidence), record)
    evidence.record(line.name, DRIFT_RECORD, environment, record.model_dump_json().encode())
    evidence.record(line.name, DRIFT_HISTORY, environment, history.model_dump_json().encode())
    return history


def _history(line: ReleaseLine, *, environment: str, evidence: EvidenceStore) -> DriftHistory:
    content = evidence.find(line.name, DRIFT_HISTORY, environment)
    try:
        return DriftHistory() if content is None else drift_history_from_json(content)
    except IntegrityError:
        return DriftHistory()


def trends(record: DriftRecord) -> Mapping[str, float]:
    """The numbers of a window that are worth following over time."""
    known = [one for one in record.features if one.psi_nats is not None]
    ratios = [
        one.psi_nats / one.limit_nats
        for one in known
        if one.psi_nats is not None and one.limit_nats
    ]
    changes = [one.loss_change for one in known if one.loss_change is not None]
    standings = [one.standing for one in record.features]
    counted = {
        f"features {standing.value}": float(standings.count(standing)) for standing in DriftStanding
    }
    return {
        **counted,
        "data quality problems": float(len(record.problems)),
        **({"largest PSI over its limit": max(ratios)} if ratios else {}),
        **({"largest expected rise of log loss, nats": max(changes)} if changes else {}),
    }
