"""What candidate and champion answer on the declared sets, each set asked once.

What cannot be judged is evidence too, with the reason: a set that is lost must not look like a set
that is passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.gates_comparison import Comparison
from ml_release.domain.gates_sets import FileComparison, FileMeasure, SetsEvidence, SpanMeasure
from ml_release.domain.identity import digest_of_json
from ml_release.domain.paired_tests import compare_decisions
from ml_release.domain.quality_policy import ERRORS
from ml_release.errors import InputError, IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.quality_evidence import comparison_of, primary_of
from ml_release.workflows.set_meetings import learned, meet, record_of
from ml_release.workflows.set_rows import features_of_days, rows_of_days, rows_of_file

if TYPE_CHECKING:
    from ml_release.domain.evaluation_sets import FileSet, SpanSet
    from ml_release.domain.paired_tests import McNemarTest
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.scores import Floats
    from ml_release.ports import EvidenceStore, Landing, Tables
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.holdout_answers import Answered, Holdout
    from ml_release.workflows.quality_evidence import Judged

NOT_AT_HAND = (InputError, IntegrityError, NotFoundError, RefusedError)
"""What the rows of a set may be missing for; a judge says so, no evaluation ends by it."""


def sets_evidence(
    line: ReleaseLine,
    record: CandidateRecord,
    judged: Judged,
    *,
    landing: Landing,
    tables: Tables,
    evidence: EvidenceStore,
) -> tuple[SetsEvidence, dict[str, str]]:
    """Every declared set, and by ``set NAME`` the digest of the rows that were judged."""
    policy = line.policies.evaluation.sets
    if policy is None:
        return SetsEvidence(), {}
    digests: dict[str, str] = {}
    spans: dict[str, SpanMeasure] = {}
    files: dict[str, FileMeasure] = {}
    for name, span in policy.spans.items():
        first, last = str(span.first_day), str(span.last_day)
        problem = learned(record, first, last, who="the candidate")
        try:
            features = features_of_days(line, first, last, tables=tables, evidence=evidence)
            rows = rows_of_days(line, features, first, last, tables=tables)
        except NOT_AT_HAND as error:
            spans[name] = _nothing(problem or str(error))
            continue
        digests[f"set {name}"] = digest_of_json(
            {"features": {one.partition: one.digest for one in features}, "from": first, "to": last}
        )
        spans[name] = (
            _nothing(problem) if problem else _on_span(line, judged, rows, span, evidence=evidence)
        )
    for name, file in policy.files.items():
        try:
            cases = rows_of_file(line, file, landing=landing)
        except NOT_AT_HAND as error:
            files[name] = _unread(line, file, str(error))
            continue
        digests[f"set {name}"] = file.digest
        files[name] = _on_file(line, judged, cases, file)
    return SetsEvidence(spans=spans, files=files), digests


def _on_span(
    line: ReleaseLine, judged: Judged, rows: Holdout, span: SpanSet, *, evidence: EvidenceStore
) -> SpanMeasure:
    policy, other = line.policies.evaluation, judged.champion
    needed = policy.minimum_rows if span.minimum_rows is None else span.minimum_rows
    if rows.n < needed:
        return _nothing(f"expected at least {needed} labelled rows, found {rows.n}")
    champion, doubt = record_of(line, other, evidence=evidence)
    if champion is not None:
        doubt = learned(champion, str(span.first_day), str(span.last_day), who="the champion")
    met = meet(line, judged, rows, with_champion=not doubt)
    if met.candidate.problem:
        return _nothing(met.candidate.problem)
    primary = primary_of(line, rows)
    return SpanMeasure(
        score=primary.interval(met.candidate.answers, np.arange(rows.n), policy.confidence),
        champion=comparison_of(line, met, met.champion, primary)
        if other is None or not doubt
        else Comparison(
            version=other.version, model_digest=other.model_digest, difference=None, problem=doubt
        ),
    )


def _nothing(problem: str) -> SpanMeasure:
    return SpanMeasure(score=None, champion=None, problem=problem)


def _on_file(line: ReleaseLine, judged: Judged, cases: Holdout, file: FileSet) -> FileMeasure:
    met = meet(line, judged, cases)
    answers, other = met.candidate.answers, met.champion
    if met.candidate.problem:
        return _unread(line, file, met.candidate.problem)
    return FileMeasure(
        score=_score(line, file),
        rows=cases.n,
        value=_value(line, cases, answers, file),
        champion=None if other is None else _against(line, cases, answers, other, file),
    )


def _against(
    line: ReleaseLine, cases: Holdout, answers: Floats, other: Answered, file: FileSet
) -> FileComparison:
    if other.problem:
        return FileComparison(version=other.version, gain=float("nan"), problem=other.problem)
    decisions = _decisions(line, cases, answers, other.answers)
    if file.score == "primary" or decisions is None:
        values = [_value(line, cases, found, file) for found in (other.answers, answers)]
        gain = -primary_of(line, cases).loss(*values)
    else:
        # Of the counts, so that a margin of whole rows is kept exactly.
        gain = decisions.accuracy_difference
    return FileComparison(version=other.version, gain=gain, decisions=decisions)


def _value(line: ReleaseLine, cases: Holdout, answers: Floats, file: FileSet) -> float:
    if file.score == "primary":
        return primary_of(line, cases).value(answers)
    threshold = line.policies.evaluation.quality.threshold
    right = (answers >= threshold) == (cases.target > 0)
    return float(right.mean()) if cases.n else float("nan")


def _decisions(
    line: ReleaseLine, cases: Holdout, answers: Floats, others: Floats
) -> McNemarTest | None:
    quality = line.policies.evaluation.quality
    if quality.primary in ERRORS:
        return None
    decided = [(found >= quality.threshold).astype(np.float64) for found in (answers, others)]
    return compare_decisions(cases.target, *decided)


def _unread(line: ReleaseLine, file: FileSet, problem: str) -> FileMeasure:
    return FileMeasure(
        score=_score(line, file), rows=0, value=float("nan"), champion=None, problem=problem
    )


def _score(line: ReleaseLine, file: FileSet) -> str:
    primary = line.policies.evaluation.quality.primary
    return primary if file.score == "primary" else file.score
