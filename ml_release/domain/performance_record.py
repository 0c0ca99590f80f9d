"""What was realised in a window, as it is recorded: beside the baseline at release and estimates.

What is not known is None, never a number.
"""

from __future__ import annotations

from datetime import date, datetime
from math import hypot

from ml_release.domain.error_changes import ErrorChange
from ml_release.domain.evaluation_measures import Measured
from ml_release.domain.recorded import Recorded, read_recorded

HISTORY_ROWS = 400
"""Windows that the history keeps, the newest."""


class Baseline(Recorded):
    """The release's own evaluation; ``rate`` is that of positives in it.

    ``cost_per_1000`` is that of its decisions, by the prices that are declared now.
    """

    auc: Measured | None
    log_loss: Measured | None
    calibration_error: float | None
    rate: float | None
    cost_per_1000: Measured | None = None


class DayPerformance(Recorded):
    """One day of the window: the answers whose label is due and known, and what was estimated."""

    day: date
    n: int
    positives: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    log_loss: float | None
    mean_probability: float | None
    observed_rate: float | None
    estimated_auc: float | None


class WindowScores(Recorded):
    """Scores of labelled answers of some days, intervals over days.

    Attributes
    ----------
    since, until
        First and last day with such an answer.
    n, positives, days
        Labelled answers, those of label 1, and the days they are of.
    cost_per_1000
        Of the decisions that were served; None where no prices are declared.
    calibration_error, calibration_expected, calibration_upper
        The expected calibration error, and what a calibrated model would show on as many rows: the
        mean and the upper end.
    in_the_large
        Mean probability less the rate of positives.
    estimated_auc, estimated_log_loss
        What CBPE says of the same rows without their labels.
    """

    since: date | None = None
    until: date | None = None
    n: int = 0
    positives: int = 0
    days: int = 0
    auc: Measured | None = None
    log_loss: Measured | None = None
    cost_per_1000: Measured | None = None
    calibration_error: float | None = None
    calibration_expected: float | None = None
    calibration_upper: float | None = None
    in_the_large: Measured | None = None
    mean_probability: float | None = None
    observed_rate: float | None = None
    estimated_auc: float | None = None
    estimated_log_loss: float | None = None


class NewestEstimate(Recorded):
    """What CBPE says of the newest answers, labelled or not."""

    since: date | None = None
    until: date | None = None
    n: int = 0
    auc: float | None = None
    log_loss: float | None = None
    mean_probability: float | None = None


class LabelBias(Recorded):
    """Who has a label already, and who never got one.

    Attributes
    ----------
    early, early_rate
        Answers that were labelled before their label was due, and their rate of positives.
    matured_scores, labelled_scores
        Mean probability of all answers whose label is due, and of the labelled ones among them.
    """

    early: int = 0
    early_rate: float | None = None
    matured: int = 0
    matured_scores: float | None = None
    labelled_scores: float | None = None


class ErrorsSeen(Recorded):
    """What ``n`` values have shown; ``rise`` is Page-Hinkley's sum above its least."""

    n: int = 0
    rise: float = 0.0
    changes: tuple[ErrorChange, ...] = ()
    anew: str = ""


class PerformanceRecord(Recorded):
    """Realised performance of the champion in the newest window.

    Attributes
    ----------
    immature, unlabelled, not_monitored
        Answers of the window and after it whose label is not due; whose label is due and was not
        gathered; and that are no probability of label 1.
    auc_change, log_loss_change, cost_per_1000_change
        Of now less that at release, with an interval for two independent samples.
    baseline_problem
        Why there is no baseline; empty if there is one.
    """

    line: str
    version: int | None
    model_digest: str | None
    at: datetime
    window: WindowScores = WindowScores()
    baseline: Baseline | None = None
    baseline_problem: str = ""
    auc_change: Measured | None = None
    log_loss_change: Measured | None = None
    cost_per_1000_change: Measured | None = None
    immature: int = 0
    unlabelled: int = 0
    not_monitored: int = 0
    newest: NewestEstimate = NewestEstimate()
    bias: LabelBias = LabelBias()
    errors: ErrorsSeen = ErrorsSeen()
    per_day: tuple[DayPerformance, ...] = ()


class HistoryRow(Recorded):
    """One window, by its last day; ``baseline_`` values are those of the version that answered."""

    until: date
    version: int | None
    model_digest: str
    n: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    log_loss: float | None
    calibration_error: float | None
    calibration_upper: float | None
    mean_probability: float | None
    observed_rate: float | None
    estimated_auc: float | None
    baseline_auc: float | None = None
    baseline_auc_low: float | None = None
    baseline_auc_high: float | None = None
    baseline_calibration_error: float | None = None


class PerformanceHistory(Recorded):
    """Windows over time, the oldest first; of a model and a day the newest reading."""

    line: str
    rows: tuple[HistoryRow, ...] = ()

    def with_rows(self, *rows: HistoryRow) -> PerformanceHistory:
        """With further windows, those before the newest `HISTORY_ROWS` forgotten."""
        kept = {(one.until, one.model_digest): one for one in (*self.rows, *rows)}
        ordered = sorted(kept.values(), key=lambda one: (one.until, one.version or 0))
        return self.model_copy(update={"rows": tuple(ordered[-HISTORY_ROWS:])})


def history_row(
    scores: WindowScores, *, version: int | None, model_digest: str, baseline: Baseline | None
) -> HistoryRow | None:
    """A window as a row of the history; None if it holds nothing."""
    if scores.until is None:
        return None
    auc, released = scores.auc, None if baseline is None else baseline.auc
    return HistoryRow(
        until=scores.until,
        version=version,
        model_digest=model_digest,
        n=scores.n,
        auc=None if auc is None else auc.estimate,
        auc_low=None if auc is None else auc.low,
        auc_high=None if auc is None else auc.high,
        log_loss=None if scores.log_loss is None else scores.log_loss.estimate,
        calibration_error=scores.calibration_error,
        calibration_upper=scores.calibration_upper,
        mean_probability=scores.mean_probability,
        observed_rate=scores.observed_rate,
        estimated_auc=scores.estimated_auc,
        baseline_auc=None if released is None else released.estimate,
        baseline_auc_low=None if released is None else released.low,
        baseline_auc_high=None if released is None else released.high,
        baseline_calibration_error=None if baseline is None else baseline.calibration_error,
    )


def change_of(now: Measured | None, released: Measured | None) -> Measured | None:
    """Now less at release, with the interval of a difference of independent samples.

    MOVER: Zou and Donner (2008), Statistics in Medicine 27(10), from the ends of the two intervals,
    which need not be symmetric. The ends are None where one of them is not known; None without
    both scores. The confidence is the lower of the two.
    """
    if now is None or released is None or now.estimate is None or released.estimate is None:
        return None
    difference = now.estimate - released.estimate
    low = high = None
    ends = (now.low, now.high, released.low, released.high)
    if all(end is not None for end in ends):
        low = difference - hypot(_reach(now, now.low), _reach(released, released.high))
        high = difference + hypot(_reach(now, now.high), _reach(released, released.low))
    return Measured(
        estimate=difference,
        low=low,
        high=high,
        confidence=min(now.confidence, released.confidence),
        n=now.n,
        units=now.units,
    )


def _reach(found: Measured, end: float | None) -> float:
    return (end or 0.0) - (found.estimate or 0.0)


def record_from_json(content: bytes) -> PerformanceRecord:
    """Read a recorded window back; `IntegrityError` if it is none."""
    return read_recorded(PerformanceRecord, content, "performance", expected="a PerformanceRecord")


def history_from_json(content: bytes) -> PerformanceHistory:
    """Read a recorded history back; `IntegrityError` if it is none."""
    return read_recorded(
        PerformanceHistory, content, "performance", expected="a PerformanceHistory"
    )
