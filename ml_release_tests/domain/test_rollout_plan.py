"""What a release would go through, and about how long."""

from __future__ import annotations

from typing import Any

import pytest

from ml_release.domain.canary_policy import CanaryStep
from ml_release.domain.rollout_plan import per_minute, plan_rollout
from ml_release.domain.rollout_policy import RolloutPolicy
from ml_release.domain.shadow_policy import ShadowPolicy
from ml_release.domain.verdict import Outcome
from ml_release_tests.domain.test_rollout import gates, standing

POLICY = RolloutPolicy(
    shadow=ShadowPolicy(minimum_pairs=600, minimum_hours=2.0),
    shadow_sample_percent=50.0,
    canary_steps=(
        CanaryStep(weight_percent=10.0, minimum_minutes=30.0, minimum_requests=300),
        CanaryStep(weight_percent=50.0, minimum_minutes=30.0, minimum_requests=300),
    ),
)


def test_the_whole_way_with_what_is_asked_at_each_place() -> None:
    """Minima are those of the policy, times those of the traffic."""
    plan = plan_rollout(standing(), POLICY, requests_per_minute=20.0)
    told = [
        (
            str(one.place),
            one.weight_percent,
            one.sample_percent,
            one.minimum_minutes,
            one.minimum_requests,
            one.minutes_at_traffic,
        )
        for one in plan.places
    ]
    assert told == [
        ("staging", 0.0, 0.0, 0.0, 0, None),
        ("shadow", 0.0, 50.0, 120.0, 600, 120.0),
        ("canary step 1", 10.0, 0.0, 30.0, 300, 150.0),
        ("canary step 2", 50.0, 0.0, 30.0, 300, 30.0),
        ("production", 100.0, 0.0, 0.0, 0, 0.0),
    ]
    assert [one.gates[-1] for one in plan.places] == [
        "evidence",
        "staging",
        "shadow",
        "canary",
        "canary",
    ]
    assert (plan.reasons, plan.rollback_target, plan.requests_per_minute) == ((), 1, 20.0)


@pytest.mark.parametrize(
    ("at", "champion", "left"),
    [
        ("staging", 1, ["shadow", "canary step 1", "canary step 2", "production"]),
        ("canary 1", 1, ["canary step 2", "production"]),
        ("canary 2", 1, ["production"]),
        ("production", 2, []),
        ("withdrawn", 1, []),
        ("canary 3", 1, []),
        ("registered", None, ["staging", "production"]),
    ],
)
def test_only_what_is_left_is_planned(at: str, champion: int | None, left: list[str]) -> None:
    """Nothing for a version that answers all, or may not move."""
    plan = plan_rollout(standing(at, champion=champion), POLICY)
    assert [str(one.place) for one in plan.places] == left
    assert all(one.minutes_at_traffic is None for one in plan.places)
    assert bool(plan.reasons) is (not left)


def test_the_findings_are_those_of_the_next_move() -> None:
    """With the reasons it would be refused for."""
    plan = plan_rollout(standing("shadow", gates=gates(shadow=Outcome.INCONCLUSIVE)), POLICY)
    assert [f.rule for f in plan.findings] == [
        "evidence_rule",
        "staging_rule",
        "approval_rule",
        "shadow_rule",
    ]
    (reason,) = plan.reasons
    assert reason.startswith("shadow: ")


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        pytest.param({}, 1, id="the champion"),
        pytest.param({"champion": None}, None, id="a first release"),
        pytest.param({"champion": 2, "predecessor": 1}, 1, id="of a champion its predecessor"),
        pytest.param({"champion": 2}, None, id="of the first champion nobody"),
    ],
)
def test_who_answers_again(changes: dict[str, Any], target: int | None) -> None:
    """A version is never its own way back."""
    assert plan_rollout(standing(**changes), POLICY).rollback_target == target


@pytest.mark.parametrize(("rows", "days"), [(0, 7), (100, 0)])
def test_without_a_window_the_traffic_is_not_known(rows: int, days: int) -> None:
    """Not none."""
    assert per_minute(rows, days) is None
