"""What the page of an evaluation shows: verdict, scores, slices, importances, pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_release.orchestration.rendering import picture
from ml_release.orchestration.tables import findings_table, number, scores_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.intervals import Interval
    from ml_release.domain.slice_scores import SliceTable
    from ml_release.workflows.evaluation import Evaluated
    from ml_release.workflows.release_reports import WrittenReport


def evaluation_metadata(found: Evaluated) -> dict[str, Any]:
    """Metadata of the asset, the verdict first."""
    evidence = found.evidence
    held = found.verdict.objections
    metadata: dict[str, Any] = {
        "outcome": found.verdict.outcome.value,
        "what holds it": findings_table(held) if held else "nothing",
        "verdict digest": found.verdict.digest,
        "model digest": found.candidate.model_digest,
        "intervals": _intervals_table(evidence.quality.scores),
        "holdout used by": len(evidence.holdout_use.candidates),
    }
    if found.performance is not None:
        metadata["AUC"] = found.performance.auc.estimate
        metadata["scores"] = scores_table(
            {
                "candidate": found.performance,
                f"champion, version {found.champion_version}": found.champion,
            }
        )
    if evidence.slices.candidate is not None:
        metadata["slices"] = _slices_table(
            evidence.slices.candidate, evidence.slices.against_champion
        )
    if found.cheapest is not None:
        metadata["cheapest threshold"] = found.cheapest.threshold
        metadata["cost per row there"] = found.cheapest.cost_per_row
    measured = evidence.servability.measured
    if measured is not None:
        metadata |= {
            "latency of one row, ms": measured.p50_ms,
            "latency p99, ms": measured.p99_ms,
            "load time, ms": measured.load_ms,
            "memory, MB": measured.memory_mb,
        }
    return {**metadata, **{name: picture(png) for name, png in found.plots.items()}}


def report_metadata(report: WrittenReport) -> dict[str, Any]:
    """Where the page for reviewers is."""
    found: dict[str, Any] = {
        "report": dg.MetadataValue.path(report.place),
        "report digest": report.digest,
    }
    if report.address is not None:
        found["report in MLflow"] = dg.MetadataValue.url(f"{report.address}/artifacts")
    return found


def _intervals_table(scores: Mapping[str, Interval]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "score": name,
                    "estimate": number(interval.estimate),
                    "low": number(interval.low),
                    "high": number(interval.high),
                    "confidence": f"{interval.confidence:.4g}",
                    "rows": str(interval.n),
                    "independent units": str(interval.units),
                }
            )
            for name, interval in scores.items()
        ]
    )


def _slices_table(
    candidate: SliceTable, against_champion: SliceTable | None
) -> dg.TableMetadataValue:
    differences = {
        (row.column, row.value): row.interval
        for row in (against_champion.rows if against_champion else ())
    }
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "slice": f"{row.column} {'missing' if row.value is None else row.value}",
                    row.score: number(row.interval.estimate),
                    "low": number(row.interval.low),
                    "high": number(row.interval.high),
                    "rows": str(row.n),
                    "positives": "" if row.positives is None else str(row.positives),
                    "against the champion": number(differences[row.column, row.value].estimate)
                    if (row.column, row.value) in differences
                    else "",
                    "judged": "yes" if row.judged else "too few rows",
                }
            )
            for row in candidate.rows
        ]
    )
