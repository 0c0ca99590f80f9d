"""What the recorded reports on performance and fairness say of a promise; absent is not known."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (dataclasses read the annotation)
from dataclasses import dataclass, field
from datetime import date  # noqa: TC003 (dataclasses read the annotation)
from typing import TYPE_CHECKING

from ml_release.domain.fairness_watch import GAPS
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.workflows.fairness_watch import FAIRNESS_HISTORY, FAIRNESS_VERDICT
from ml_release.workflows.performance import PERFORMANCE_HISTORY
from ml_release.workflows.recorded_numbers import history_rows

if TYPE_CHECKING:
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

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


def scores_seen(
    line: ReleaseLine, *, environment: str, model_digest: str | None, evidence: EvidenceStore
) -> ScoresSeen:
    """What the windows of matured answers have scored, and the newest one of a model.

    A day is good if every window that ends with it is, whichever version's: two meet where one
    replaced the other.

    Raises
    ------
    IntegrityError
        If the history was edited, or is none.
    """
    promised = line.policies.slo.correctness
    content = evidence.find(line.name, PERFORMANCE_HISTORY, environment)
    if promised is None or content is None:
        return ScoresSeen()
    name = "auc" if promised.score == "auc_score" else "log_loss"
    newest: tuple[date, float | None, int] | None = None
    days: dict[date, bool] = {}
    names = ("model_digest", "n", name)
    for until, row in history_rows(content, PERFORMANCE_HISTORY, day="until", names=names):
        n, score = int(row["n"]), row[name]
        if row["model_digest"] == model_digest and (newest is None or until >= newest[0]):
            newest = (until, score, n)
        if score is not None and n >= promised.minimum_rows:
            days[until] = days.get(until, True) and promised.is_good(float(score))
    return ScoresSeen(
        newest=None if newest is None else newest[1],
        rows=0 if newest is None else newest[2],
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
    rows = (
        []
        if history is None
        else history_rows(history, FAIRNESS_HISTORY, day="last_day", names=("rule", "standing"))
    )
    for day, row in rows:
        if row["rule"] == GAPS and row["standing"] != _UNKNOWN:
            seen[day] = seen.get(day, True) and row["standing"] != _BROKEN
    if verdict is None:
        return FairnessSeen(good_days=seen)
    return FairnessSeen(
        outcome=verdict.outcome,
        said="; ".join(finding.sentence() for finding in verdict.objections[:3]),
        good_days=seen,
    )
