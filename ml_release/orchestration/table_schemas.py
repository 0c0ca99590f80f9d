"""Columns of a line's tables as Dagster shows them, with types, limits and descriptions."""

from __future__ import annotations

import dagster as dg

from ml_release.domain.features import Category, Feature, request_fields
from ml_release.spec.release_line import ReleaseLine


def snapshot_columns(line: ReleaseLine) -> dg.TableSchema:
    """The columns of a snapshot: types and checks of the line's pandera schema."""
    described = _described(line)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=str(name),
                type=str(column.dtype),
                description=column.description or described.get(str(name)),
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable,
                    unique=column.unique,
                    other=[str(check.error or check.name) for check in column.checks],
                ),
            )
            for name, column in line.schema_of().columns.items()
        ]
    )


def feature_columns_schema(line: ReleaseLine) -> dg.TableSchema:
    """The features of a line, in the form in which they can be read."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=f"features.{feature.name}",
                type="string" if isinstance(feature, Category) else "number",
                description=feature.description or None,
            )
            for feature in line.features
        ]
    )


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
