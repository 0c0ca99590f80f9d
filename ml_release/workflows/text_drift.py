"""Compare the texts that landed newest with those the champion was trained beside."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.identity import digest_of_bytes, digest_of_json
from ml_release.domain.multiple_tests import holm_adjusted
from ml_release.domain.scores import auc_interval
from ml_release.domain.text_drift import (
    CHANCE,
    TextDriftRecord,
    TextShift,
    judge_text_drift,
    text_record_from_json,
)
from ml_release.domain.text_reference import TEXT_FILE, TextReference, text_reference_from_json
from ml_release.domain.text_words import telling_words
from ml_release.domain.verdict import Verdict, verdict_from_json
from ml_release.errors import IntegrityError, NotFoundError
from ml_release.workflows.snapshots import SNAPSHOT_TABLE
from ml_release.workflows.text_reference import sampled_texts
from ml_release.workflows.training import find_candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.identity import SnapshotId
    from ml_release.domain.text_drift import TextDriftPolicy
    from ml_release.domain.text_reference import TextSample
    from ml_release.ports import Deployments, EvidenceStore, ModelStore, Tables, TextClassifier
    from ml_release.spec.release_line import ReleaseLine

TEXT_VERDICT = "text_drift_verdict"
TEXT_RECORD = "text_drift_record"
_LEAST_P = 1e-300
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReport:
    """What was compared, and the verdict on it."""

    record: TextDriftRecord
    verdict: Verdict


def watch_texts(
    line: ReleaseLine,
    *,
    environment: str,
    tables: Tables,
    models: ModelStore,
    deployments: Deployments,
    evidence: EvidenceStore,
    classifier: TextClassifier,
) -> TextReport | None:
    """Judge the newest landed partition's texts against the champion's sample, and record it.

    The partition is the newest one that landed after those the version was trained on; it is
    compared once, and the record stands until another snapshot, version or policy comes. None if
    nothing is declared to serve, or the line declares no text columns.
    """
    declaration = deployments.sealed(line.name, environment)
    if declaration is None or not line.text_columns:
        return None
    champion, policy = declaration.state.champion, line.policies.text_drift
    snapshot = _newest_after(line, champion.model_digest, tables=tables, evidence=evidence)
    seen = {
        "model": champion.model_digest,
        "version": str(champion.version),
        "snapshot": "none" if snapshot is None else snapshot.digest,
        "policy": digest_of_json(policy.model_dump(mode="json")),
        "columns": digest_of_json(list(line.text_columns)),
    }
    known = _recorded(line, environment, seen, evidence=evidence)
    if known is not None:
        return known
    record = TextDriftRecord(
        line=line.name,
        version=champion.version,
        model_digest=champion.model_digest,
        partition=None if snapshot is None else snapshot.partition,
        snapshot_digest=None if snapshot is None else snapshot.digest,
        shifts=()
        if snapshot is None
        else _shifts(
            line,
            _reference(models, champion.model_digest),
            snapshot,
            tables=tables,
            classifier=classifier,
        ),
    )
    content = record.to_json()
    verdict = judge_text_drift(
        record,
        policy,
        columns=line.text_columns,
        subject_digest=digest_of_bytes(content),
        evidence=seen,
    )
    evidence.record(line.name, TEXT_RECORD, environment, content)
    evidence.record(line.name, TEXT_VERDICT, environment, verdict.to_json())
    return TextReport(record=record, verdict=verdict)


def compared(
    column: str,
    reference: TextSample,
    current: TextSample,
    policy: TextDriftPolicy,
    *,
    classifier: TextClassifier,
) -> tuple[TextShift, float]:
    """The shift of one column, and its p-value before it is adjusted for other columns.

    The p-value is of DeLong's AUC of the out-of-fold scores being 0.5 or less. Texts of all folds
    share classifiers, which DeLong's variance does not know: without more, 3 % of pairs of samples
    of one language were significant at 1 %. So it is widened as Nadeau and Bengio (2003), Machine
    Learning 52, do for k folds, by 1 + k / (k - 1); benchmarks/text_drift.py counts what is left.
    """
    shift = TextShift(
        column=column,
        reference_n=len(reference.texts),
        current_n=len(current.texts),
        reference_missing=reference.missing_share,
        current_missing=current.missing_share,
    )
    if min(shift.reference_n, shift.current_n) < policy.minimum_rows:
        problem = (
            f"expected at least {policy.minimum_rows} texts a side, found {shift.reference_n} in"
            f" the reference and {shift.current_n} now"
        )
        return shift.model_copy(update={"problem": problem}), float("nan")
    auc, low, high, p_value = _auc(reference.texts, current.texts, policy, classifier=classifier)
    contiguous = _contiguous_auc(reference, policy, classifier=classifier)
    return (
        shift.model_copy(
            update={
                "auc": auc,
                "low": low if low < high else None,
                "high": high if low < high else None,
                "contiguous_auc": contiguous,
                "limit": policy.limit_over(contiguous),
                "words": telling_words(reference.texts, current.texts, limit=policy.words),
            }
        ),
        p_value,
    )


def _shifts(
    line: ReleaseLine,
    reference: TextReference | None,
    snapshot: SnapshotId,
    *,
    tables: Tables,
    classifier: TextClassifier,
) -> tuple[TextShift, ...]:
    if reference is None:
        return ()
    policy = line.policies.text_drift
    # As many texts as a part of the reference has, on average: a classifier of more texts tells
    # more, and the limit was made of parts.
    parts = max((len({*one.partitions}) for one in reference.columns.values()), default=1)
    rows = max(policy.minimum_rows, policy.sample_rows // max(1, parts))
    current = sampled_texts(line, [snapshot], tables=tables, rows=rows)
    found = [
        compared(column, reference.columns[column], current[column], policy, classifier=classifier)
        for column in line.text_columns
        if column in reference.columns
    ]
    adjusted = holm_adjusted(np.array([p_value for _, p_value in found], dtype=np.float64))
    return tuple(
        shift.model_copy(update={"p_adjusted": None if np.isnan(p) else float(p)})
        for (shift, _), p in zip(found, adjusted, strict=True)
    )


def _contiguous_auc(
    reference: TextSample, policy: TextDriftPolicy, *, classifier: TextClassifier
) -> float | None:
    """The most that one partition of the reference is told from the others; None of one."""
    names = sorted({*reference.partitions})
    found = []
    for name in names:
        inside = [
            t for t, p in zip(reference.texts, reference.partitions, strict=True) if p == name
        ]
        rest = [t for t, p in zip(reference.texts, reference.partitions, strict=True) if p != name]
        if min(len(inside), len(rest)) >= policy.minimum_rows:
            found.append(_auc(rest, inside, policy, classifier=classifier)[0])
    return max(found, default=None)


def _auc(
    reference: Sequence[str],
    current: Sequence[str],
    policy: TextDriftPolicy,
    *,
    classifier: TextClassifier,
) -> tuple[float, float, float, float]:
    from scipy.special import ndtr, ndtri

    is_current = np.repeat([False, True], [len(reference), len(current)])
    scores = classifier.out_of_fold(
        [*reference, *current], is_current, folds=policy.folds, seed=policy.seed
    )
    found = auc_interval(is_current.astype(np.float64), scores, confidence=_CONFIDENCE)
    spread = (found.high - found.low) / 2 / float(ndtri(0.5 + found.confidence / 2))
    spread *= sqrt(1 + policy.folds / (policy.folds - 1))
    # Samples that are told apart without one mistake show no spread.
    p_value = (
        float(ndtr((CHANCE - found.estimate) / spread))
        if spread > 0
        else _LEAST_P
        if found.estimate > CHANCE
        else 1.0
    )
    return found.estimate, found.low, found.high, max(_LEAST_P, p_value)


def _newest_after(
    line: ReleaseLine, model_digest: str, *, tables: Tables, evidence: EvidenceStore
) -> SnapshotId | None:
    last = max(find_candidate(line, model_digest, evidence=evidence).partitions)
    newer = [one for one in tables.current(line.name, SNAPSHOT_TABLE) if one.partition > last]
    return newer[-1] if newer else None


def _reference(models: ModelStore, model_digest: str) -> TextReference | None:
    content = models.read(model_digest).get(TEXT_FILE)
    return None if content is None else text_reference_from_json(content)


def _recorded(
    line: ReleaseLine, environment: str, seen: dict[str, str], *, evidence: EvidenceStore
) -> TextReport | None:
    """What was found of the very same, if it was; what cannot be read is compared again."""
    try:
        verdict = evidence.find(line.name, TEXT_VERDICT, environment)
        record = evidence.find(line.name, TEXT_RECORD, environment)
        if verdict is None or record is None:
            return None
        judged = verdict_from_json(verdict)
        if dict(judged.evidence) != seen or judged.subject_digest != digest_of_bytes(record):
            return None
        return TextReport(record=text_record_from_json(record), verdict=judged)
    except (IntegrityError, NotFoundError):
        return None
