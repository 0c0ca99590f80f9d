"""Read what the judges of monitoring have recorded, as far as a page and gauges need it.

Each kind of record has an owner that reads it strictly. Here only what is shown is taken, and what
else is in a record is left alone, so that one more field there breaks no page. A record that is
none of its kind raises; it is never read as empty.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ml_release.domain.monitoring_shown import (
    Burn,
    DecisionTaken,
    FairnessGap,
    FeatureShift,
    Kpi,
    PerformanceNow,
    PerformancePoint,
    SloState,
    Step,
)
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FAIRNESS_OUTCOMES = {
    "holds": "pass",
    "above the limit, not shown": "inconclusive",
    "wider than approved": "fail",
}


class _Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


_View = TypeVar("_View", bound=_Seen)


class _Drift(_Seen):
    features: tuple[FeatureShift, ...]


class _ShiftThen(_Seen):
    feature: str
    psi_nats: float | None = None
    limit_nats: float | None = None


class _DriftHistory(_Seen):
    rows: tuple[_ShiftThen, ...]


class _Measured(_Seen):
    estimate: float | None = None
    low: float | None = None
    high: float | None = None


class _Scores(_Seen):
    """Of one window, or of the release's own evaluation."""

    until: str | None = None
    n: int | None = None
    auc: _Measured | None = None
    log_loss: _Measured | None = None
    calibration_error: float | None = None
    estimated_auc: float | None = None

    def point(self) -> PerformancePoint:
        auc, loss = self.auc or _Measured(), self.log_loss or _Measured()
        return PerformancePoint(
            end=self.until or "",
            n=self.n,
            auc=auc.estimate,
            auc_low=auc.low,
            auc_high=auc.high,
            auc_estimated=self.estimated_auc,
            log_loss=loss.estimate,
            calibration_error=self.calibration_error,
        )


class _Newest(_Seen):
    auc: float | None = None


class _Performance(_Seen):
    window: _Scores
    baseline: _Scores | None = None
    newest: _Newest = _Newest()


class _ScoresThen(_Seen):
    until: str
    n: int | None = None
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    log_loss: float | None = None
    calibration_error: float | None = None
    estimated_auc: float | None = None

    def point(self) -> PerformancePoint:
        known = self.model_dump()
        return PerformancePoint(
            end=known.pop("until"), auc_estimated=known.pop("estimated_auc"), **known
        )


class _PerformanceHistory(_Seen):
    rows: tuple[_ScoresThen, ...]


class _Gap(_Seen):
    column: str
    measure: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    limit: float | None = None


class _GapThen(_Gap):
    rule: str
    standing: str = "unknown"


class _FairnessWindow(_Seen):
    gaps: tuple[_Gap, ...]


class _Fairness(_Seen):
    windows: tuple[_FairnessWindow, ...]


class _FairnessHistory(_Seen):
    rows: tuple[_GapThen, ...]


class _Burn(_Seen):
    level: str
    long_hours: int
    limit_rate: float | None = None
    long_rate: float | None = None
    fires: bool | None = None


class _Day(_Seen):
    left: float | None = None


class _Slo(_Seen):
    name: str
    objective: float | None = None
    events: int | None = None
    bad: int | None = None
    unit: str = "requests"
    left: float | None = None
    burns: tuple[_Burn, ...] = ()
    days: tuple[_Day, ...] = ()


class _Slos(_Seen):
    standings: tuple[_Slo, ...]
    model_age_days: float | None = None


class _Kpis(_Seen):
    kpis: tuple[Kpi, ...]


class _Decision(_Seen):
    action: str
    reason: str
    decided_at: str = ""
    path: tuple[Step, ...] = ()


class _Decisions(_Seen):
    decisions: tuple[_Decision, ...]


def drift_shown(record: bytes, history: bytes | None) -> tuple[FeatureShift, ...]:
    """The features of the newest window, each with its course; `IntegrityError` for no record."""
    now = _view(_Drift, record, "drift record")
    past = () if history is None else _view(_DriftHistory, history, "drift history").rows
    courses: dict[str, list[float | None]] = {}
    for row in past:
        known = row.psi_nats is not None and bool(row.limit_nats)
        over = (row.psi_nats or 0.0) / (row.limit_nats or 1.0) if known else None
        courses.setdefault(row.feature, []).append(over)
    return tuple(replace(one, history=tuple(courses.get(one.feature, ()))) for one in now.features)


def performance_shown(record: bytes, history: bytes | None) -> PerformanceNow:
    """The newest window beside the release, with its course; `IntegrityError` for no record."""
    now = _view(_Performance, record, "performance record")
    past = (
        () if history is None else _view(_PerformanceHistory, history, "performance history").rows
    )
    point = now.window.point()
    if now.newest.auc is not None:
        # Of the newest answers, whose labels are not due yet: what an estimate is for.
        point = replace(point, auc_estimated=now.newest.auc)
    return PerformanceNow(
        now=point,
        at_release=None if now.baseline is None else now.baseline.point(),
        history=tuple(one.point() for one in past),
    )


def fairness_shown(record: bytes, history: bytes | None) -> tuple[FairnessGap, ...]:
    """The gaps of the newest window, what fails first; `IntegrityError` for no record."""
    windows = _view(_Fairness, record, "fairness record").windows
    past = () if history is None else _view(_FairnessHistory, history, "fairness history").rows
    course: dict[tuple[str, str], list[_GapThen]] = {}
    for row in past:
        if row.rule == "fairness_holds":
            course.setdefault((row.column, row.measure), []).append(row)
    found = [
        _gap(one, course.get((one.column, one.measure), ()))
        for one in (windows[0].gaps if windows else ())
    ]
    order = ("fail", "inconclusive", "pass")
    return tuple(sorted(found, key=lambda gap: order.index(gap.outcome)))


def slos_shown(record: bytes) -> tuple[tuple[SloState, ...], float | None]:
    """The promises, and the age of the model in days; `IntegrityError` for no record."""
    found = _view(_Slos, record, "SLO record")
    slos = tuple(
        SloState(
            slo=one.name,
            objective=one.objective,
            events=one.events,
            bad=one.bad,
            unit=one.unit,
            budget_left=one.left,
            burns=tuple(
                Burn(
                    hours=burn.long_hours,
                    rate=burn.long_rate,
                    limit=burn.limit_rate,
                    level=burn.level,
                    fires=burn.fires,
                )
                for burn in one.burns
            ),
            history=tuple(day.left for day in one.days),
        )
        for one in found.standings
    )
    return slos, found.model_age_days


def kpis_shown(record: bytes) -> tuple[Kpi, ...]:
    """The release indicators; `IntegrityError` for no record."""
    return _view(_Kpis, record, "release KPIs").kpis


def decision_shown(record: bytes) -> DecisionTaken:
    """What was decided last, with its path; `IntegrityError` for no record."""
    return _taken(_view(_Decision, record, "decision record"))


def decisions_shown(history: bytes) -> tuple[DecisionTaken, ...]:
    """What was decided before, newest first; `IntegrityError` for no history."""
    found = _view(_Decisions, history, "decision history").decisions
    return tuple(_taken(one) for one in reversed(found))


def _taken(one: _Decision) -> DecisionTaken:
    return DecisionTaken(action=one.action, why=one.reason, at=one.decided_at, path=one.path)


def _gap(one: _Gap, past: Sequence[_GapThen]) -> FairnessGap:
    standing = past[-1].standing if past and past[-1].value == one.value else "unknown"
    return FairnessGap(
        column=one.column,
        metric=one.measure,
        gap=one.value,
        low=one.low,
        high=one.high,
        baseline=one.baseline,
        limit=one.limit,
        outcome=_FAIRNESS_OUTCOMES.get(standing, "inconclusive"),
        history=tuple(row.value for row in past),
    )


def _view(view: type[_View], content: bytes, what: str) -> _View:
    try:
        return view.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        message = (
            f"{what}: expected what its judge writes, found another form at {place}"
            f" ({first['msg']}). Judge again."
        )
        raise IntegrityError(message) from error
