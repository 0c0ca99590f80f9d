"""Which columns a column is made of, as Dagster shows it.

Counted are columns whose values go in; one that rows are only joined or sorted by is not. What
nobody declared is left out, which reads as unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.features import History, request_fields
from ml_release.errors import DeclarationError
from ml_release.workflows.columns import feature_column
from ml_release.workflows.feature_building import kept_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.features import Feature
    from ml_release.spec.release_line import ReleaseLine


def snapshot_sources(line: ReleaseLine) -> dict[str, tuple[str, ...]]:
    """The landed columns, as ``table.column``, that the line declares for its columns.

    Raises
    ------
    DeclarationError
        If it declares the sources of a column that its strict schema does not have.
    """
    schema = line.schema_of()
    known = [str(name) for name in schema.columns]
    unknown = sorted(set(line.column_sources) - set(known)) if schema.strict else []
    if unknown:
        message = (
            f"release line {line.name}: column_sources: expected columns of its schema {known},"
            f" found {unknown}. Name a column of the schema, or take it out."
        )
        raise DeclarationError(message)
    return dict(line.column_sources)


def features_sources(line: ReleaseLine) -> dict[str, tuple[str, ...]]:
    """The snapshot columns that features are computed from, and those that are carried along.

    A history feature is made of its keys, the event day and the target of earlier rows, which may
    be those of earlier partitions.
    """
    return {
        **{column: (column,) for column in kept_columns(line)},
        **{feature_column(feature.name): _made_of(line, feature) for feature in line.features},
    }


def snapshot_lineage(line: ReleaseLine) -> dg.TableColumnLineage:
    """`snapshot_sources` as Dagster's metadata."""
    return _lineage([line.name, "landing"], snapshot_sources(line))


def features_lineage(line: ReleaseLine) -> dg.TableColumnLineage:
    """`features_sources` as Dagster's metadata."""
    return _lineage([line.name, "snapshot"], features_sources(line))


def _made_of(line: ReleaseLine, feature: Feature) -> tuple[str, ...]:
    fields = tuple(field.name for field in request_fields((feature,)))
    if isinstance(feature, History):
        return tuple(dict.fromkeys((*fields, line.event_day, line.target)))
    return fields


def _lineage(asset: list[str], sources: Mapping[str, tuple[str, ...]]) -> dg.TableColumnLineage:
    key = dg.AssetKey(asset)
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key=key, column_name=name) for name in names]
            for column, names in sources.items()
        }
    )
