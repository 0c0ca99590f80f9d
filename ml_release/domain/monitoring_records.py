"""Read what the judges of monitoring have recorded, as far as a page and gauges need it.

Each kind of record has an owner that reads it strictly. Here only what is shown is taken, and what
else is in a record is left alone, so that one more field there breaks no page. A record that is
none of its kind raises; it is never read as empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml_release.domain.monitoring_page import (
    Burn,
    DecisionTaken,
    FairnessGap,
    FeatureShift,
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


class _Shift(_Seen):
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


class _Drift(_Seen):
    features: tuple[_Shift, ...]


class _ShiftThen(_Seen):
    feature: str
    psi_nats: float | None = None
    limit_nats: float | None = None


class _DriftHistory(_Seen):
    rows: tuple[_ShiftThen, ...]


class _Scores(_Seen):
    """Scores of one window; an AUC may come with its interval inside or beside it."""

    end: str | None = Field(
        default=None, validation_alias=AliasChoices("end", "as_of", "last_day", "day", "window_end")
    )
    n: int | None = Field(default=None, validation_alias=AliasChoices("n", "rows"))
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    estimated_auc: float | None = None
    log_loss: float | None = None
    ece: float | None = Field(
        default=None, validation_alias=AliasChoices("ece", "calibration_error")
    )

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, found: Any) -> Any:  # noqa: ANN401 (whatever the record holds)
        if isinstance(found, dict) and isinstance(found.get("auc"), dict):
            interval = found["auc"]
            ends = {"auc_low": interval.get("low"), "auc_high": interval.get("high")}
            return {**ends, **found, "auc": interval.get("estimate")}
        return found

    def point(self) -> PerformancePoint:
        return PerformancePoint(
            end=self.end or "",
            n=self.n,
            auc=self.auc,
            auc_low=self.auc_low,
            auc_high=self.auc_high,
            auc_estimated=self.estimated_auc,
            log_loss=self.log_loss,
            calibration_error=self.ece,
        )


class _Performance(_Scores):
    baseline: _Scores | None = None


class _PerformanceHistory(_Seen):
    rows: tuple[_Scores, ...] = Field(validation_alias=AliasChoices("rows", "windows", "points"))


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


class _Step(_Seen):
    question: str
    answer: str
    numbers: str = ""


class _Decision(_Seen):
    action: str
    reason: str
    decided_at: str = ""
    path: tuple[_Step, ...] = ()


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
    return tuple(
        FeatureShift(**one.model_dump(), history=tuple(courses.get(one.feature, ())))
        for one in now.features
    )


def performance_shown(record: bytes, history: bytes | None) -> PerformanceNow:
    """The newest window beside the release, with its course; `IntegrityError` for no record."""
    now = _view(_Performance, record, "performance record")
    past = (
        () if history is None else _view(_PerformanceHistory, history, "performance history").rows
    )
    return PerformanceNow(
        now=now.point(),
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


def decision_shown(record: bytes) -> DecisionTaken:
    """What was decided last, with its path; `IntegrityError` for no record."""
    return _taken(_view(_Decision, record, "decision record"))


def decisions_shown(history: bytes) -> tuple[DecisionTaken, ...]:
    """What was decided before, newest first; `IntegrityError` for no history."""
    found = _view(_Decisions, history, "decision history").decisions
    return tuple(_taken(one) for one in reversed(found))


def _taken(one: _Decision) -> DecisionTaken:
    path = tuple(
        Step(question=step.question, answer=step.answer, numbers=step.numbers) for step in one.path
    )
    return DecisionTaken(action=one.action, why=one.reason, at=one.decided_at, path=path)


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
