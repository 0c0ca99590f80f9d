"""Numbers out of the records of other judges, whose form may grow: what lacks is not known."""

from __future__ import annotations

import json
import math
from datetime import date
from typing import TYPE_CHECKING, Any

from ml_release.domain.decision_evidence import BURN_LEVELS, FeatureShift, worsening
from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ml_release.domain.decision_evidence import BurnLevel, Worsening
    from ml_release.domain.slo_record import SloRecord
    from ml_release.domain.verdict import Finding, Verdict

_IMPACT = "drift_is_harmless"
_SHIFT = "distribution_is_stable"
_SUDDEN = ("availability", "latency", "correctness")
"""A stale or unfair model is no sudden harm: its budget is worth a ticket at most."""

_FIRST_JUDGE = "drift/1"


def document_of(content: bytes) -> Mapping[str, object]:
    """A JSON object; empty for anything else."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def history_rows(
    content: bytes, kind: str, *, day: str, names: Sequence[str]
) -> list[tuple[date, dict[str, Any]]]:
    """Rows of a recorded history, each with the day that it names so.

    Raises
    ------
    IntegrityError
        If it is no history, or a row lacks one of the names.
    """
    try:
        rows = json.loads(content)["rows"]
        missing = [name for row in rows for name in (day, *names) if name not in row]
        if not missing:
            return [(date.fromisoformat(row[day]), row) for row in rows]
        problem = f"rows without {missing[0]}"
    except (ValueError, KeyError, TypeError) as error:
        problem = str(error) or type(error).__name__
    message = f"{kind}: expected a recorded one, found something else ({problem})"
    raise IntegrityError(message)


def speaks_of(
    verdict: Verdict | None, record: Mapping[str, object], *, champion: str, version: int
) -> bool:
    """Whether a verdict and its record are about the version that answers."""
    stated = [
        record.get("model_digest"),
        None if verdict is None else verdict.evidence.get("model_digest"),
    ]
    digests = {digest for digest in stated if digest is not None}
    if digests:
        return digests == {champion}
    if verdict is not None and verdict.subject_digest == champion:
        return True
    return record.get("version") == version


def shifts_of(verdict: Verdict, record: Mapping[str, object]) -> tuple[FeatureShift, ...]:
    """Per feature its standing, from the verdict, with the numbers of the record beside it.

    The first judge of drift told no impact: what it finds is taken for hurting, as it always was.
    """
    rows = {str(row["feature"]): row for row in _rows(record) if "feature" in row}
    found = []
    for finding in verdict.findings:
        if finding.rule != (_SHIFT if verdict.judge == _FIRST_JUDGE else _IMPACT):
            continue
        if not finding.votes:
            continue
        row = rows.get(finding.subject, {})
        found.append(
            FeatureShift(
                feature=finding.subject,
                standing=_standing(finding, row.get("standing")),
                psi_nats=_number(row.get("psi_nats")),
                limit_nats=_number(row.get("limit_nats")),
                loss_change=_number(row.get("loss_change")),
                windows_in_a_row=_whole(row.get("windows_in_a_row")),
            )
        )
    return tuple(found)


def _standing(finding: Finding, told: object) -> DriftStanding:
    if finding.outcome is Outcome.FAIL:
        return DriftStanding.HURTING
    if finding.outcome is not Outcome.PASS:
        return DriftStanding.UNKNOWN
    return DriftStanding.HARMLESS if told == DriftStanding.HARMLESS.value else DriftStanding.STABLE


def performance_numbers(record: Mapping[str, object]) -> Mapping[str, object]:
    """A record of performance with the scores of its window where `change_of` looks for them.

    What is estimated is of the newest answers, whose labels are not there yet.
    """
    window, newest = record.get("window"), record.get("newest")
    inner = window if isinstance(window, dict) else {}
    estimated = newest.get("auc") if isinstance(newest, dict) else None
    found = {**inner, **record}
    return found if estimated is None else {**found, "estimated_auc": estimated}


def change_of(
    record: Mapping[str, object], score: str, *, falls: bool, name: str | None = None
) -> Worsening | None:
    """How much worse a score is than its baseline; None if either is not there.

    A change that the record states is taken as it is: its interval knows both samples.

    Parameters
    ----------
    score
        Name of its baseline, under ``baseline`` or with ``baseline_`` before it.
    falls
        Whether less of it is worse.
    name
        Name of the score itself, that of its baseline for None.
    """
    stated = record.get(f"{score}_change") if name is None else None
    if isinstance(stated, dict):
        return _stated_change(stated, falls=falls)
    name = name or score
    baseline = record.get("baseline")
    inner = baseline if isinstance(baseline, dict) else {}
    base = _estimate(inner.get(score, record.get(f"baseline_{score}")))
    value = record.get(name)
    now = _estimate(value)
    if base is None or now is None:
        return None
    ends = [
        _number(value.get(end)) if isinstance(value, dict) else _number(record.get(f"{name}_{end}"))
        for end in ("low", "high")
    ]
    known = [None if end is None else (base - end if falls else end - base) for end in ends]
    low, high = reversed(known) if falls else known
    return worsening(
        base - now if falls else now - base,
        low,
        high,
        n=_whole(record.get("n")) or _whole(record.get("rows")) or 0,
    )


def _stated_change(stated: Mapping[str, object], *, falls: bool) -> Worsening | None:
    """Of a score now less that at the release, with its interval."""
    estimate, low, high = (_number(stated.get(name)) for name in ("estimate", "low", "high"))
    if falls:
        estimate, low, high = (None if one is None else -one for one in (estimate, high, low))
    return worsening(estimate, low, high, n=_whole(stated.get("n")) or 0)


def burn_level(record: SloRecord) -> BurnLevel:
    """The worst level at which a budget burns now; an alert that does not fire is none."""
    levels = [0]
    for standing in record.standings:
        if standing.level is not None:
            worst = 2 if standing.name in _SUDDEN else 1
            levels.append(min(BURN_LEVELS.index(standing.level), worst))
        elif standing.left is not None and standing.left <= 0:
            levels.append(1)
    return BURN_LEVELS[max(levels)]


def _rows(document: object, name: str = "") -> Iterator[dict[str, object]]:
    """Every object below a document; one that is a value of another knows its name."""
    if isinstance(document, dict):
        yield {"name": name, **document} if name else document
        for key, value in document.items():
            yield from _rows(value, str(key))
    elif isinstance(document, list):
        for value in document:
            yield from _rows(value, name)


def _estimate(value: object) -> float | None:
    return _number(value.get("estimate")) if isinstance(value, dict) else _number(value)


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
