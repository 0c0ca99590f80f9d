"""Which version was declared to answer what share, over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.deployment import Declaration


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPoint:
    """From this moment on these shares.

    Attributes
    ----------
    percent
        Version to its share of the requests; they add to 100. Shadows answer nobody and have none.
    """

    at: datetime
    percent: Mapping[int, float]


def traffic_over_time(history: Sequence[Declaration]) -> tuple[TrafficPoint, ...]:
    """Every change of shares in a history of declarations, oldest first.

    Declarations that left the shares as they were are left out.
    """
    points: list[TrafficPoint] = []
    for declaration in history:
        percent: dict[int, float] = {}
        for variant in declaration.state.variants:
            percent[variant.version] = percent.get(variant.version, 0.0) + variant.weight_percent
        if not points or points[-1].percent != percent:
            at = datetime.fromisoformat(declaration.committed_at)
            points.append(TrafficPoint(at=at, percent=percent))
    return tuple(points)
