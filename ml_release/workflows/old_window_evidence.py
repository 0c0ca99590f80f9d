"""Candidate and champion where the champion was tested, on rows that neither was fitted on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.day_spans import unseen_days
from ml_release.domain.gates_old_window import OldWindow
from ml_release.domain.identity import digest_of_json
from ml_release.workflows.quality_evidence import comparison_of, primary_of
from ml_release.workflows.set_evidence import NOT_AT_HAND
from ml_release.workflows.set_meetings import days_from, meet, record_of
from ml_release.workflows.set_rows import features_of_days, rows_of_days

if TYPE_CHECKING:
    import numpy.typing as npt

    from ml_release.domain.provenance import CandidateRecord
    from ml_release.ports import EvidenceStore, Tables
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.quality_evidence import Judged


def old_window_evidence(
    line: ReleaseLine,
    record: CandidateRecord,
    judged: Judged,
    *,
    tables: Tables,
    evidence: EvidenceStore,
) -> tuple[OldWindow | None, dict[str, str]]:
    """What is left of the champion's holdout, and the digest of those rows if any were judged.

    None without a champion. Neither model is asked where too little is left.
    """
    other = judged.champion
    champion, problem = record_of(line, other, evidence=evidence)
    if other is None:
        return None, {}
    if champion is None:
        return OldWindow(version=other.version, days="its test window", problem=problem), {}
    days = days_from(champion.holdout_from, champion.window_to)
    left = days[unseen_days(record, days)]
    old = OldWindow(
        version=other.version,
        days=f"{champion.holdout_from} to {champion.window_to}",
        all_days=len(days),
        days_left=len(left),
    )
    return _on(line, judged, old, left, tables=tables, evidence=evidence)


def _on(
    line: ReleaseLine,
    judged: Judged,
    old: OldWindow,
    left: npt.NDArray[np.datetime64],
    *,
    tables: Tables,
    evidence: EvidenceStore,
) -> tuple[OldWindow, dict[str, str]]:
    """The same with what the two models answer on the days that are left."""
    if not len(left):
        return old, {}
    first, last = str(left.min()), str(left.max())
    try:
        features = features_of_days(line, first, last, tables=tables, evidence=evidence)
        rows = rows_of_days(line, features, first, last, tables=tables)
    except NOT_AT_HAND as error:
        return replace(old, missing=str(error)), {}
    rows = rows.only(np.isin(rows.days, left))
    old = replace(old, rows_left=rows.n)
    if rows.n < line.policies.evaluation.minimum_rows:
        return old, {}
    met = meet(line, judged, rows)
    if met.candidate.problem:
        return replace(old, problem=met.candidate.problem), {}
    comparison = comparison_of(line, met, met.champion, primary_of(line, rows))
    judged_on = {
        "features": {one.partition: one.digest for one in features},
        "days": [str(day) for day in left],
    }
    return replace(old, comparison=comparison), {"old_window": digest_of_json(judged_on)}
