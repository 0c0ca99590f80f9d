"""Columns of a line's tables as Dagster shows them, with types, limits and descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.features import Category, Feature, request_fields
from ml_release.orchestration.column_lineage import features_sources, snapshot_sources
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.columns import feature_column
from ml_release.workflows.feature_building import kept_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def snapshot_columns(line: ReleaseLine) -> dg.TableSchema:
    """The columns of a snapshot: types and checks of the line's pandera schema.

    Raises
    ------
    DeclarationError
        If the line declares the sources of a column that its schema does not have.
    """
    return dg.TableSchema(columns=_columns(line, snapshot_sources(line)))


def _columns(line: ReleaseLine, sources: Mapping[str, Sequence[str]]) -> list[dg.TableColumn]:
    described = _described(line)
    return [
        dg.TableColumn(
            name=str(name),
            # pandera takes any unit for the one without a time zone.
            type=str(column.dtype).replace("datetime64[ns]", "datetime64"),
            description=_with_sources(
                column.description or described.get(str(name), ""), sources.get(str(name), ())
            ),
            constraints=dg.TableColumnConstraints(
                nullable=column.nullable,
                unique=column.unique,
                other=[str(check.error or check.name) for check in column.checks],
            ),
        )
        for name, column in line.schema_of().columns.items()
    ]


def feature_columns_schema(line: ReleaseLine) -> dg.TableSchema:
    """The columns carried along from the snapshot, then the features as they can be read."""
    carried, sources = set(kept_columns(line)), features_sources(line)
    return dg.TableSchema(
        columns=[
            *(column for column in _columns(line, {}) if column.name in carried),
            *(
                dg.TableColumn(
                    name=feature_column(feature.name),
                    type="string" if isinstance(feature, Category) else "number",
                    description=_with_sources(
                        feature.description, sources[feature_column(feature.name)]
                    ),
                )
                for feature in line.features
            ),
        ]
    )


def _with_sources(description: str, sources: Sequence[str]) -> str | None:
    """What a column is and, where it is known, what it is made of."""
    made = f"from {', '.join(sources)}" if sources else ""
    return "; ".join(part for part in (description, made) if part) or None


def _described(line: ReleaseLine) -> dict[str, str]:
    """What the line says of its columns, by their part in it and by the features made of them."""
    words = {
        line.target: "label: 1, 0 or missing",
        line.event_time: "moment of the event, UTC",
        line.event_day: f"local time of the event, {line.time_zone}",
    }
    for feature in line.features:
        for field in request_fields((feature,)):
            words.setdefault(field.name, _of(feature))
    return {name: text for name, text in words.items() if text}


def _of(feature: Feature) -> str:
    return feature.description or f"feature {feature.name} is made of it"
