"""Gather what monitoring has recorded of a line, write its page, and show its gauges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.monitoring_gauges import gauges_of
from ml_release.domain.monitoring_page import MonitoringPage
from ml_release.domain.monitoring_records import (
    decision_shown,
    decisions_shown,
    drift_shown,
    fairness_shown,
    kpis_shown,
    performance_shown,
    slos_shown,
)
from ml_release.domain.performance import window_from_json
from ml_release.domain.provenance import CandidateRecord, record_from_json
from ml_release.domain.verdict import verdict_from_json
from ml_release.errors import IntegrityError
from ml_release.workflows.budget_freeze import SLO_RECORD, SLO_VERDICT
from ml_release.workflows.drift_evidence import DRIFT_HISTORY, DRIFT_RECORD
from ml_release.workflows.drift_pages import compared_rows
from ml_release.workflows.fairness_watch import (
    FAIRNESS_HISTORY,
    FAIRNESS_RECORD,
    FAIRNESS_VERDICT,
)
from ml_release.workflows.history_health import HISTORY_VERDICT
from ml_release.workflows.monitoring import DRIFT_VERDICT, INFERENCE_WINDOW
from ml_release.workflows.monitoring_decision import DECISION_HISTORY, DECISION_RECORD
from ml_release.workflows.performance import (
    PERFORMANCE_HISTORY,
    PERFORMANCE_RECORD,
    PERFORMANCE_VERDICT,
)
from ml_release.workflows.release_kpis import RELEASE_KPIS
from ml_release.workflows.skew import SKEW_VERDICT
from ml_release.workflows.text_drift import TEXT_VERDICT
from ml_release.workflows.training import CANDIDATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from ml_release.domain.gauges import GaugeFile
    from ml_release.domain.performance import WindowRecord
    from ml_release.ports import EvidenceStore, GaugeBoard, ReportWriter
    from ml_release.spec.release_line import ReleaseLine

PAGE = "monitoring.html"
VERDICTS = {
    "drift": DRIFT_VERDICT,
    "performance": PERFORMANCE_VERDICT,
    "fairness": FAIRNESS_VERDICT,
    "promises": SLO_VERDICT,
    "text": TEXT_VERDICT,
    "skew": SKEW_VERDICT,
    "history": HISTORY_VERDICT,
}
"""What the page calls a judge, and the kind of its verdict."""

_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPage:
    """A page that was written, and the gauges that were shown."""

    page: MonitoringPage
    gauges: GaugeFile
    place: str
    digest: str


def write_monitoring(
    line: ReleaseLine,
    *,
    environment: str,
    evidence: EvidenceStore,
    reports: ReportWriter,
    gauges: GaugeBoard,
    now: datetime,
) -> WrittenPage:
    """Write the page of a line and show its gauges; again, they replace those before.

    What is not recorded is left out. A record that was edited, or is of another form, is told on
    the page as a problem and taken for no news at all.
    """
    page = page_of(line, environment=environment, evidence=evidence, now=now)
    content = reports.monitoring_page(page)
    place = reports.keep(line.name, PAGE, content)
    shown = gauges_of(page, written_at=now)
    gauges.show(shown)
    return WrittenPage(page=page, gauges=shown, place=place, digest=digest_of_bytes(content))


def page_of(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore, now: datetime
) -> MonitoringPage:
    """What is recorded of a line."""
    records = _Records(line.name, environment, evidence)
    window = records.part(INFERENCE_WINDOW, window_from_json)
    slos = records.part(SLO_RECORD, slos_shown)
    decisions = records.part(DECISION_HISTORY, decisions_shown) or ()
    verdicts = {
        name: verdict
        for name, kind in VERDICTS.items()
        if (verdict := records.part(kind, verdict_from_json)) is not None
    }
    kpis = records.part(RELEASE_KPIS, kpis_shown) or ()
    decision = records.part(DECISION_RECORD, decision_shown)
    drift = records.part_with(DRIFT_RECORD, DRIFT_HISTORY, drift_shown)
    performance = records.part_with(PERFORMANCE_RECORD, PERFORMANCE_HISTORY, performance_shown)
    fairness = records.part_with(FAIRNESS_RECORD, FAIRNESS_HISTORY, fairness_shown)
    age = _age(window, slos, records)
    return MonitoringPage(
        line=line.name,
        environment=environment,
        objective=line.objective,
        made_at=now.isoformat(),
        version=None if window is None else window.version,
        model_digest=None if window is None else window.model_digest,
        model_age_days=age,
        as_of=None if window is None or window.as_of is None else window.as_of.isoformat(),
        days=0 if window is None else window.days,
        rows=0 if window is None else window.rows,
        errors=0 if window is None else window.errors,
        verdicts=verdicts,
        drift=drift,
        performance=performance,
        fairness=fairness or None,
        slos=None if slos is None else slos[0] or None,
        decision=decision,
        # The newest of the history is the decision that stands above it.
        decisions=decisions[1:] if decision is not None else decisions,
        kpis=kpis,
        problems=tuple(records.problems),
        compared_at=compared_rows(line, environment=environment, evidence=evidence),
    )


class _Records:
    """Recorded documents of one line, with what is wrong with them."""

    def __init__(self, line: str, environment: str, evidence: EvidenceStore) -> None:
        self._line, self._environment, self._evidence = line, environment, evidence
        self.problems: list[str] = []

    def content(self, kind: str, subject: str | None = None) -> bytes | None:
        """None if there is none, or it was edited."""
        try:
            return self._evidence.find(self._line, kind, subject or self._environment)
        except IntegrityError as error:
            self._note(kind, error)
            return None

    def part(
        self, kind: str, read: Callable[[bytes], _Part], *, subject: str | None = None
    ) -> _Part | None:
        """What a document says; None if there is none that can be read."""
        content = self.content(kind, subject)
        try:
            return None if content is None else read(content)
        except IntegrityError as error:
            self._note(kind, error)
            return None

    def part_with(
        self, kind: str, history: str, read: Callable[[bytes, bytes | None], _Part]
    ) -> _Part | None:
        """The same with its history; without it, if only that cannot be read."""
        content, past = self.content(kind), self.content(history)
        if content is None:
            return None
        try:
            return read(content, past)
        except IntegrityError as error:
            self._note(kind, error)
        try:
            return None if past is None else read(content, None)
        except IntegrityError:
            return None

    def _note(self, kind: str, error: IntegrityError) -> None:
        self.problems.append(f"{kind.replace('_', ' ')}: {error}")


def _age(
    window: WindowRecord | None, slos: tuple[object, float | None] | None, records: _Records
) -> float | None:
    if slos is not None and slos[1] is not None:
        return slos[1]
    if window is None or window.as_of is None or window.model_digest is None:
        return None
    candidate = records.part(
        CANDIDATE,
        lambda content: record_from_json(CandidateRecord, content),
        subject=window.model_digest,
    )
    return None if candidate is None else _days_after(candidate.window_to, window.as_of)


def _days_after(day: str, until: date) -> float | None:
    try:
        return float((until - type(until).fromisoformat(day)).days)
    except ValueError:
        return None
