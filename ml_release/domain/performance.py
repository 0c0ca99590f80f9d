"""How a served model did: what a window of the inference log held, and the scores of its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.history_health import HistoryUse
from ml_release.domain.recorded import read_recorded
from ml_release.domain.reference_profile import NumberFacts
from ml_release.domain.scores import (
    Difference,
    ReliabilityBin,
    auc_interval,
    brier_loss,
    expected_calibration_error,
    log_loss,
    reliability_bins,
)

Floats = npt.NDArray[np.float64]
WINDOW_DAYS = 7
"""Days of a monitoring window, back from the newest event."""


class EarlierWindow(BaseModel):
    """Counts of an earlier window of the same model's answers and of the same length.

    Attributes
    ----------
    as_of
        Its last day.
    days
        Calendar days of it that hold events, 0 to the length of the window.
    rows, counts, score_counts, numbers
        As of a `WindowRecord`; all empty where nothing was answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    days: int = Field(ge=0)
    rows: int
    counts: Mapping[str, tuple[int, ...]]
    score_counts: tuple[int, ...] = ()
    numbers: Mapping[str, NumberFacts] = Field(default_factory=dict)


class WindowRecord(BaseModel):
    """Counts of the newest days of one model version's answers.

    Attributes
    ----------
    days
        Calendar days of event time that the window really holds: a window that is only filling is
        judged as the shorter one it is.
    as_of
        Day of the newest event, None if the log holds nothing of this version.
    rows, errors
        Answered rows, and rows whose prediction failed, inside the window.
    counts
        Per feature the rows per bin of the model's reference profile.
    labels
        Labels of this line that were gathered when the window was recorded, whichever version
        answered.
    latency_p50_ms, latency_p99_ms
        Of the window's answered requests, see `LatencySketch`; None without any.
    history
        What the history look-ups of the answered rows met; None if nothing is declared, and in a
        window of before this was kept.
    score_counts
        Rows per bin of the reference's score; empty where the reference has none.
    numbers
        Per numeric feature, and under `ml_release.domain.reference_profile.SCORE`, what the values
        of the window were.
    late
        Records of the window that came in more than an hour after the hour of their event.
    first_received, last_received
        When the first and the last record of the window came in; None without any.
    earlier
        The windows before, of the same length and disjoint, the newest of them first. They reach
        back as far as was asked, also to before the first answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    version: int | None
    model_digest: str | None
    days: int = Field(ge=0)
    as_of: date | None
    rows: int
    errors: int
    labels: int
    counts: Mapping[str, tuple[int, ...]]
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    history: HistoryUse | None = None
    score_counts: tuple[int, ...] = ()
    numbers: Mapping[str, NumberFacts] = Field(default_factory=dict)
    late: int = 0
    first_received: datetime | None = None
    last_received: datetime | None = None
    earlier: tuple[EarlierWindow, ...] = ()


def window_from_json(content: bytes) -> WindowRecord:
    """Read a recorded window back; `IntegrityError` if it is none."""
    return read_recorded(WindowRecord, content, "inference window")


def window_start(as_of: date, *, days: int) -> date:
    """First day of a window of ``days`` days that ends with ``as_of``.

    >>> window_start(date(2013, 4, 7), days=7)
    datetime.date(2013, 4, 1)
    """
    return as_of - timedelta(days=days - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Realised performance on labelled rows; every value is NaN where it is undefined."""

    rows: int
    positives: int
    auc: Difference
    brier_loss: float
    log_loss: float
    calibration_error: float
    mean_probability: float
    observed_rate: float
    bins: tuple[ReliabilityBin, ...]


def realised_performance(
    target: Floats, probability: Floats, *, confidence: float = 0.95
) -> Performance:
    """Scores of probabilities against labels.

    Parameters
    ----------
    target
        0 or 1, shape (n,).
    probability
        0 to 1, shape (n,).
    confidence
        Of the interval of the AUC.
    """
    n = len(target)
    if not np.isfinite(probability).all():
        # One answer that is no number leaves every score undefined.
        probability = np.full(n, np.nan)
    known = bool(n) and bool(np.isfinite(probability).all())
    return Performance(
        rows=n,
        positives=int(target.sum()),
        auc=auc_interval(target, probability, confidence=confidence),
        brier_loss=brier_loss(target, probability),
        log_loss=log_loss(target, probability),
        calibration_error=(
            expected_calibration_error(target, probability) if known else float("nan")
        ),
        mean_probability=float(probability.mean()) if n else float("nan"),
        observed_rate=float(target.mean()) if n else float("nan"),
        bins=reliability_bins(target, probability) if known else (),
    )
