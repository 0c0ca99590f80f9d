"""What the recorded reports on performance and fairness say of a promise; absent is not known."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 (dataclasses read the annotation)
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

PERFORMANCE_RECORD = "performance_record"
FAIRNESS_VERDICT = "fairness_verdict"
FAIRNESS_HISTORY = "fairness_history"
_GAPS = "fairness_holds"
_BROKEN = "wider than approved"
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresSeen:
    """Newest score of the champion with its labelled rows, and whether each day was good."""

    newest: float | None = None
    rows: int = 0
    good_days: Mapping[date, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessSeen:
    """Newest outcome with what it objects to, and whether each day was good."""

    outcome: Outcome | None = None
    said: str = ""
    good_days: Mapping[date, bool] = field(default_factory=dict)


def scores_seen(line: ReleaseLine, *, environment: str, evidence: EvidenceStore) -> ScoresSeen:
    """What the newest performance record holds of the promised score.

    Raises
    ------
    IntegrityError
        If the record was edited, or is none.
    """
    promised = line.policies.slo.correctness
    content = evidence.find(line.name, PERFORMANCE_RECORD, environment)
    if promised is None or content is None:
        return ScoresSeen()
    name = "auc" if promised.score == "auc_score" else "log_loss"
    record = _document(content, PERFORMANCE_RECORD)
    days = {
        date.fromisoformat(str(row["day"])): promised.is_good(float(row[name]))
        for row in record.get("days") or ()
        if row.get(name) is not None and int(row.get("rows") or 0) >= promised.minimum_rows
    }
    newest = record.get(name)
    return ScoresSeen(
        newest=None if newest is None else float(newest),
        rows=int(record.get("n") or 0),
        good_days=days,
    )


def fairness_seen(line: ReleaseLine, *, environment: str, evidence: EvidenceStore) -> FairnessSeen:
    """What was seen last of the gaps between groups, and at the end of every window before.

    A day is bad if a window that ends with it shows a gap wider than approved, good if its windows
    show none and at least one of their gaps is known.

    Raises
    ------
    IntegrityError
        If a record was edited, or is none.
    """
    if line.policies.slo.fairness is None:
        return FairnessSeen()
    content = evidence.find(line.name, FAIRNESS_VERDICT, environment)
    verdict = None if content is None else verdict_from_json(content)
    history = evidence.find(line.name, FAIRNESS_HISTORY, environment)
    seen: dict[date, bool] = {}
    for row in () if history is None else _document(history, FAIRNESS_HISTORY).get("rows") or ():
        if row.get("rule") == _GAPS and row.get("standing") != _UNKNOWN:
            day = date.fromisoformat(str(row["last_day"]))
            seen[day] = seen.get(day, True) and row.get("standing") != _BROKEN
    if verdict is None:
        return FairnessSeen(good_days=seen)
    return FairnessSeen(
        outcome=verdict.outcome,
        said="; ".join(finding.sentence() for finding in verdict.objections[:3]),
        good_days=seen,
    )


def _document(content: bytes, kind: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        message = f"{kind}: expected a recorded one, found something else ({error})"
        raise IntegrityError(message) from error
    if not isinstance(document, dict):
        message = f"{kind}: expected a recorded one, found {type(document).__name__}"
        raise IntegrityError(message)
    return document
