"""What the drift judge found, for machines: one window in full, and the history of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.recorded import Recorded, read_recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

HISTORY_WINDOWS = 400
"""The newest windows that a history keeps: over a year of days."""


class FeatureDrift(Recorded):
    """One feature, or ``(score)``, in the newest window. None is what could not be computed.

    Attributes
    ----------
    psi_nats, limit_nats
        Adjusted PSI against the nearer reference, and the limit calibrated for this feature.
    p_adjusted
        Of the chi-squared test, by Benjamini and Hochberg over the features. It takes rows for
        independent, so it shows what chance explains and nothing else.
    effect, effect_name
        How large the shift is where the PSI is past telling: ``wasserstein_in_sd`` of a number,
        ``jensen_shannon`` of a category.
    importance
        Share of all importance, 0 to 1.
    weighted_psi_nats
        Importance times PSI.
    loss_change, loss_limit
        Expected change of the log loss if only this margin had moved, in nats per row, and the
        rise from which it is harm.
    unknown_share
        Share of rows where the reference has no evidence.
    windows_in_a_row
        Windows, from the newest back, that show the shift.
    why
        The reason for the standing in words; empty if there is nothing to say.
    """

    feature: str
    standing: DriftStanding
    n: int
    psi_nats: float | None
    limit_nats: float | None
    p_adjusted: float | None
    effect: float | None
    effect_name: str
    importance: float | None
    weighted_psi_nats: float | None
    loss_change: float | None
    loss_limit: float | None
    unknown_share: float | None
    windows_in_a_row: int
    why: str


class DriftRecord(Recorded):
    """The newest window, feature by feature.

    Attributes
    ----------
    model_digest, reference_digest
        Of the model that answered, and of its reference profile.
    as_of
        ISO date of the newest event; None of an empty window.
    days, rows
        Of the window.
    verdict_digest
        Of the verdict recorded beside it.
    features
        In the order of the reference, the score last.
    problems
        Features that data quality findings object to, with the rule: ``rule [feature]``.
    """

    line: str
    model_digest: str
    reference_digest: str
    as_of: str | None
    days: int
    rows: int
    verdict_digest: str
    features: tuple[FeatureDrift, ...]
    problems: tuple[str, ...]

    def standing(self, standing: DriftStanding) -> tuple[str, ...]:
        """Features of a standing."""
        return tuple(one.feature for one in self.features if one.standing == standing)


class HistoryRow(Recorded):
    """One feature in one window of a history."""

    as_of: str
    model_digest: str
    feature: str
    psi_nats: float | None
    limit_nats: float | None
    loss_change: float | None
    standing: DriftStanding


class DriftHistory(Recorded):
    """Windows in the order of their ends, the newest `HISTORY_WINDOWS` of them."""

    rows: tuple[HistoryRow, ...] = ()

    @property
    def windows(self) -> tuple[str, ...]:
        """Their ends, ISO dates, each once, in order."""
        return tuple(sorted({row.as_of for row in self.rows}))

    def of(self, feature: str) -> tuple[HistoryRow, ...]:
        """One feature over time."""
        return tuple(row for row in self.rows if row.feature == feature)


def with_window(history: DriftHistory, record: DriftRecord) -> DriftHistory:
    """The history with a window more: judged again, it replaces what was said of the same day.

    An empty window, which ends on no day, adds nothing.
    """
    if record.as_of is None:
        return history
    rows = [row for row in history.rows if row.as_of != record.as_of]
    rows += [
        HistoryRow(
            as_of=record.as_of,
            model_digest=record.model_digest,
            feature=one.feature,
            psi_nats=one.psi_nats,
            limit_nats=one.limit_nats,
            loss_change=one.loss_change,
            standing=one.standing,
        )
        for one in record.features
    ]
    # Stable: the features of one window stay in their order.
    rows.sort(key=lambda row: row.as_of)
    ends = _newest([row.as_of for row in rows])
    return DriftHistory(rows=tuple(row for row in rows if row.as_of in ends))


def _newest(ends: Sequence[str]) -> frozenset[str]:
    return frozenset(sorted(set(ends))[-HISTORY_WINDOWS:])


def drift_record_from_json(content: bytes) -> DriftRecord:
    """Read a recorded window back; `IntegrityError` if it is none."""
    return read_recorded(DriftRecord, content, "drift record")


def drift_history_from_json(content: bytes) -> DriftHistory:
    """Read a recorded history back; `IntegrityError` if it is none."""
    return read_recorded(DriftHistory, content, "drift history")
