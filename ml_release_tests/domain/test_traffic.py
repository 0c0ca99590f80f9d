"""Shares over time, from what was declared."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ml_release.domain.deployment import Declaration
from ml_release.domain.traffic import TrafficPoint, traffic_over_time
from ml_release_tests.domain.test_deployment import state, variant
from ml_release_tests.domain.test_rollout import SHADOWED, SHARED, WATCHED

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState


def declared(hour: int, what: DeclaredState) -> Declaration:
    at = datetime(2026, 11, 21, hour, tzinfo=UTC).isoformat()
    return Declaration(
        state=what, commit=f"c{hour}", committed_at=at, actor="a", reason="r", seal_problem=""
    )


def point(hour: int, **percent: float) -> TrafficPoint:
    at = datetime(2026, 11, 21, hour, tzinfo=UTC)
    return TrafficPoint(at=at, percent={int(name[1:]): share for name, share in percent.items()})


def test_every_change_of_shares_is_a_point() -> None:
    """A shadow answers nobody, and a settled watch changes no share."""
    states = [state(variant(1)), SHADOWED, SHARED, WATCHED, state(variant(2)), state(variant(1))]
    history = [declared(hour, what) for hour, what in enumerate(states)]
    assert traffic_over_time(history) == (
        point(0, v1=100.0),
        point(2, v1=50.0, v2=50.0),
        point(3, v2=100.0),
        point(5, v1=100.0),
    )


def test_a_version_in_two_roles_has_one_share() -> None:
    """As the champion that is an arm as well."""
    both = state(variant(1, weight_percent=60.0), variant(1, role="treatment", weight_percent=40.0))
    assert traffic_over_time([declared(0, both)]) == (point(0, v1=100.0),)


def test_of_no_history_there_is_no_traffic() -> None:
    """Nothing was ever declared."""
    assert traffic_over_time([]) == ()
