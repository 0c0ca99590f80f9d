"""Write the page that a reviewer reads: from what is recorded of a candidate, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.identity import canonical_json, digest_hex, digest_of_bytes
from ml_release.domain.release_report import Partition, Picture, ReleaseReport
from ml_release.domain.verdict import verdict_from_json
from ml_release.domain.waivers import split_objections
from ml_release.workflows.evaluation_records import recorded_evaluation
from ml_release.workflows.feature_building import FEATURES_TABLE
from ml_release.workflows.model_cards import notes_of
from ml_release.workflows.recorded_pictures import (
    EVALUATION_PICTURES,
    TRAINING_PICTURES,
    recorded_pictures,
)
from ml_release.workflows.snapshots import DATA_VERDICT
from ml_release.workflows.waiving import recorded_waivers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ml_release.domain.provenance import CandidateRecord
    from ml_release.ports import EvidenceStore, Experiments, ReportWriter, Tables
    from ml_release.spec.release_line import ReleaseLine

EVALUATION_REPORT = "evaluation_report"
_TITLES = {
    "roc.png": "How well it tells the labels apart (ROC curve)",
    "reliability.png": "Whether its probabilities hold (reliability diagram)",
    "costs.png": "What each threshold costs",
    "slices.png": "The primary score per slice",
    "importances.png": "What it looks at (permutation importances)",
    "search_history.png": "The search for its parameters",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """A page that was written.

    Attributes
    ----------
    place
        Where the file is.
    address
        Where a browser shows the experiment run that keeps it too; None if that is not known.
    """

    digest: str
    place: str
    address: str | None


def write_report(
    line: ReleaseLine,
    *,
    model_digest: str | None = None,
    tables: Tables,
    evidence: EvidenceStore,
    experiments: Experiments,
    reports: ReportWriter,
    now: datetime,
) -> WrittenReport:
    """Write the page of a candidate, of the newest one for None; again, it replaces the page.

    Parameters
    ----------
    now
        Which waivers hold; the page says nothing else of it.

    Raises
    ------
    NotFoundError, RefusedError, IntegrityError
        As `recorded_evaluation` says.
    """
    report = report_of(line, model_digest, tables=tables, evidence=evidence, now=now)
    candidate = report.candidate
    page = reports.page(report)
    name = f"{digest_hex(candidate.model_digest)}.html"
    place = reports.keep(line.name, name, page)
    run = experiments.resume(candidate.run_id)
    run.keep("evaluation", {"report.html": page})
    digest = digest_of_bytes(page)
    document = {
        "report_digest": digest,
        "candidate_digest": candidate.digest,
        "verdict_digest": report.verdict.digest,
    }
    evidence.record(line.name, EVALUATION_REPORT, candidate.model_digest, canonical_json(document))
    return WrittenReport(digest=digest, place=place, address=run.address)


def report_of(
    line: ReleaseLine,
    model_digest: str | None,
    *,
    tables: Tables,
    evidence: EvidenceStore,
    now: datetime,
) -> ReleaseReport:
    """The content of a candidate's page; raises as `recorded_evaluation` does."""
    found = recorded_evaluation(line, model_digest, evidence=evidence)
    candidate, verdict = found.candidate, found.verdict
    waivers = recorded_waivers(line, candidate.model_digest, evidence=evidence)
    held_by, waived = split_objections(verdict, waivers, now=now)
    return ReleaseReport(
        declared=notes_of(line),
        candidate=candidate,
        verdict=verdict,
        measures=found.measures,
        held_by=held_by,
        waived=waived,
        partitions=tuple(_partitions(line, candidate, tables=tables, evidence=evidence)),
        history={
            name: digest
            for name, digest in sorted(candidate.snapshots.items())
            if name not in candidate.partitions
        },
        pictures=_pictures(line, candidate, evidence=evidence),
        build=_build_of(candidate),
    )


def _partitions(
    line: ReleaseLine, candidate: CandidateRecord, *, tables: Tables, evidence: EvidenceStore
) -> Iterator[Partition]:
    rows = {s.digest: s.rows for s in tables.current(line.name, FEATURES_TABLE)}
    for name, digest in sorted(candidate.partitions.items()):
        snapshot = candidate.snapshots.get(name)
        content = None if snapshot is None else evidence.find(line.name, DATA_VERDICT, snapshot)
        yield Partition(
            name=name,
            features_digest=digest,
            rows=rows.get(digest),
            snapshot_digest=snapshot,
            outcome=None if content is None else verdict_from_json(content).outcome,
        )


def _pictures(
    line: ReleaseLine, candidate: CandidateRecord, *, evidence: EvidenceStore
) -> tuple[Picture, ...]:
    found = {
        name: png
        for kind in (EVALUATION_PICTURES, TRAINING_PICTURES)
        for name, png in recorded_pictures(
            line, kind, candidate.model_digest, evidence=evidence
        ).items()
    }
    known = [name for name in _TITLES if name in found]
    rest = sorted(set(found) - set(_TITLES))
    return tuple(
        Picture(title=_TITLES.get(name, name), png=found[name]) for name in (*known, *rest)
    )


def _build_of(candidate: CandidateRecord) -> tuple[tuple[str, str], ...]:
    """What the candidate was built with, as name and text."""
    build = candidate.build
    commit = build.code_commit or "no checkout"
    return (
        ("code commit", commit + (", with uncommitted changes" if build.code_dirty else "")),
        ("code digest", build.code_digest),
        ("lock digest", build.lock_digest or "no lock"),
        ("Python", f"{build.implementation} {build.python} on {build.platform}, {build.machine}"),
        ("packages", f"{len(build.packages)}, named in the candidate's record"),
    )
