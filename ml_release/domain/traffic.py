"""Which version was declared to answer what share, over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
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


def ends_of_stretches(points: Sequence[TrafficPoint], *, until: datetime) -> tuple[datetime, ...]:
    """Where a picture lets every stretch begin, and the last one end.

    Shares that were declared just now are seen as well: the last stretch lasts at least a quarter
    of the changes before it. So are changes after a long time without one: the first stretch takes
    at most a third of the width.
    """
    if not points:
        return ()
    begun = [point.at for point in points]
    changes = begun[-1] - begun[min(1, len(begun) - 1)]
    end = max(until, begun[-1] + max(changes / 4, timedelta(seconds=1)))
    if len(begun) > 1:
        begun[0] = max(begun[0], begun[1] - (end - begun[1]) / 2)
    return (*begun, end)
