"""The profile of a snapshot as Dagster shows it: its columns beside the partitions that passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.profile_table import profile_rows
from ml_release.orchestration.tables import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.profile_table import ProfileRow, Spread
    from ml_release.domain.verdict import Finding
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.snapshots import SnapshotTaken

_VALUES = "median (10 % to 90 % of the known values), or the most frequent words"
# What is compared stands on the left: the page shows only a part of a wide table.
_COLUMNS = {
    "column": "column of the snapshot, or what was derived from one",
    "distance": "what the distribution gate found, of its limit; muted has no vote",
    "missing": "share of the rows",
    "reference missing": "the same in the partitions that passed",
    "values": _VALUES,
    "reference values": "the same in the partitions that passed",
    "distinct": "different words",
    "type": "as the schema says",
    "meaning": "what it is, and the landed columns it is made of",
}
_LONGEST = 24
_SMALL = 0.00005
_WHOLE, _HUGE = 1e3, 1e12


def snapshot_profile(
    line: ReleaseLine, taken: SnapshotTaken, schema: dg.TableSchema
) -> dg.TableMetadataValue:
    """Every column of a snapshot; an empty cell is a number nobody has."""
    rows = profile_rows(
        taken.profile,
        taken.references,
        taken.verdict.findings,
        columns=[column.name for column in schema.columns],
        target=line.target,
    )
    return profile_table(rows, schema)


def profile_table(rows: Sequence[ProfileRow], schema: dg.TableSchema) -> dg.TableMetadataValue:
    """The rows, with the type and the meaning that ``schema`` gives their columns."""
    columns = {column.name: column for column in schema.columns}
    return dg.MetadataValue.table(
        [dg.TableRecord(_cells(row, columns.get(row.column))) for row in rows],
        schema=dg.TableSchema(
            columns=[dg.TableColumn(name, description=text) for name, text in _COLUMNS.items()]
        ),
    )


def _cells(row: ProfileRow, column: dg.TableColumn | None) -> dict[str, str]:
    return {
        "column": row.column,
        "distance": "" if row.distance is None else _distance(row.distance),
        "missing": _percent(row.here.missing_share),
        "reference missing": _percent(row.reference.missing_share),
        "values": _values(row, row.here),
        "reference values": _values(row, row.reference),
        "distinct": "" if row.here.distinct is None else str(row.here.distinct),
        "type": "" if column is None else column.type,
        "meaning": (column and column.description) or "",
    }


def _distance(finding: Finding) -> str:
    """As the gate found it: outcome, observed value and limit."""
    outcome = finding.outcome.value + ("" if finding.votes else " (muted)")
    if finding.observed is None:
        return f"{outcome}: {finding.detail}"
    limit = "" if finding.limit is None else f" of {number(finding.limit)}"
    return f"{outcome}: {round(finding.observed, 4):g}{limit} {finding.unit}".rstrip()


def _percent(share: float | None) -> str:
    if share is None:
        return ""
    # A few missing rows among many are not none.
    return "<0.01%" if 0 < share < _SMALL else f"{round(100 * share, 2):g}%"


def _values(row: ProfileRow, spread: Spread) -> str:
    if row.personal:
        return "personal data, not shown"
    if spread.quantiles:
        low, middle, high = map(_short, spread.quantiles)
        return f"{middle} ({low} to {high})"
    return ", ".join(f"{_shortened(word)} {_percent(share)}" for word, share in spread.words)


def _short(value: float) -> str:
    """Four digits, or all before the point; powers of ten only where there are too many."""
    return f"{value:.0f}" if _WHOLE <= abs(value) < _HUGE else f"{value:.4g}"


def _shortened(word: str) -> str:
    return word if len(word) <= _LONGEST else f"{word[:_LONGEST]}…"
