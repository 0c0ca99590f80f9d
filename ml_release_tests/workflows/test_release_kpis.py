"""Values of delivery of the small line, from Git, records and counts."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.release_kpi_policy import KpiPolicy
from ml_release.domain.release_kpi_record import ReleaseKpis, kpis_from_json
from ml_release.errors import IntegrityError
from ml_release.workflows.drift_evidence import DRIFT_HISTORY
from ml_release.workflows.release_kpis import (
    RELEASE_KPIS,
    gather_kpis,
    report_kpis,
)
from ml_release_tests.full_rollout import bring, take_back
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.promises import HOUR, count, hours

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release_tests.small_line import House

PRODUCTION = "production"


def gathered(house: House, **changes: Any) -> ReleaseKpis:
    known: dict[str, Any] = {
        "environment": PRODUCTION,
        "profiles": house.profiles,
        "evidence": house.evidence,
        "now": house.clock.now(),
    }
    history = house.deployments.history(house.line.name, PRODUCTION)
    return gather_kpis(house.line, history, **{**known, **changes})


def values(house: House, **changes: Any) -> dict[str, float | None]:
    return {one.name: one.value for one in gathered(house, **changes).kpis}


def test_before_the_first_release_nothing_is_known(house: House) -> None:
    """No zeros."""
    assert set(values(house).values()) == {None}


def test_a_release_that_is_taken_back_counts_as_a_failure(at: Callable[[str], House]) -> None:
    """Version 1 answers everybody; version 2 was a canary for two hours."""
    house = at("shadow")
    house.clock.move(HOUR)
    bring(house, 2, "canary 1", only=True)
    house.clock.move(2 * HOUR)
    take_back(house)
    house.clock.move(timedelta(days=7))
    found = values(house)
    assert found["change_failure_rate"] == 0.5
    assert found["time_to_restore_minutes"] == 120.0
    assert found["lead_time_hours"] is not None
    assert found["deployments_per_week"] == pytest.approx(1.0, rel=0.03)
    assert found["rebuildable_share"] == 1.0
    assert found["drift_reaction_hours"] is None
    assert found["cost_per_1000_predictions"] is None
    assert values(house, days=1)["change_failure_rate"] is None


def test_a_version_of_changed_code_cannot_be_rebuilt(evaluated: House) -> None:
    """Its record says that the code was of no commit."""
    digest = evaluated.evidence.newest_subject(steps.LINE, "candidate")
    assert digest is not None
    steps.register(evaluated)
    steps.declare(evaluated)
    steps.edit(
        evaluated, "candidate", digest, lambda found: found["build"].update({"code_dirty": True})
    )
    assert values(evaluated)["rebuildable_share"] == 0.0
    steps.forget(evaluated, "candidate", digest)
    assert values(evaluated)["rebuildable_share"] == 0.0
    assert values(evaluated)["lead_time_hours"] is None


def drift_seen(house: House, *days: tuple[int, str]) -> None:
    rows = [
        {"as_of": f"2026-11-{day}", "feature": feature, "standing": standing}
        for day, standing in days
        for feature in ("distance", "carrier")
    ]
    house.evidence.record(
        steps.LINE, DRIFT_HISTORY, PRODUCTION, json.dumps({"rows": rows}).encode()
    )


def test_drift_is_answered_by_the_next_release(at: Callable[[str], House]) -> None:
    """Counted from the end of the first day of each stretch that hurts."""
    house = at("canary 3")
    hurts = "shifted and hurting"
    drift_seen(house, (22, "stable"), (23, hurts), (24, hurts), (25, "stable"), (26, hurts))
    house.clock.move(timedelta(days=4))
    bring(house, 2, "watch", only=True)
    house.clock.move(timedelta(days=10))
    reaction = gathered(house).named("drift_reaction_hours")
    # The 23rd ends at 5 in the morning by UTC; everybody is answered at 9 on the 25th.
    assert reaction.value == pytest.approx(28.0, abs=0.1)
    assert (reaction.n, "1 not answered yet" in reaction.said) == (1, True)


@pytest.mark.parametrize("content", [b"{}", b"no JSON", b'{"rows": [{"as_of": "soon"}]}'])
def test_a_drift_history_that_is_none_says_so(serving: House, content: bytes) -> None:
    """It is not taken for a year without drift."""
    serving.evidence.record(steps.LINE, DRIFT_HISTORY, PRODUCTION, content)
    with pytest.raises(IntegrityError, match="drift_history: expected a recorded one"):
        gathered(serving)


def test_what_an_answer_costs_is_counted_from_what_was_answered(serving: House) -> None:
    """Rows and hours of every version, at the declared price."""
    policies = serving.line.policies.model_copy(
        update={"kpis": KpiPolicy(price_per_core_hour=0.1, cores=2.0)}
    )
    serving.line = serving.line.model_copy(update={"policies": policies})
    assert values(serving)["cost_per_1000_predictions"] is None
    count(serving, hours(serving, (1000, 0), (0, 0), (600, 100)))
    assert values(serving)["cost_per_1000_predictions"] == pytest.approx(0.1 * 2 * 3 / 1500 * 1000)


def test_a_report_is_recorded_with_its_picture(serving: House) -> None:
    """For gauges and pages."""
    report = report_kpis(
        serving.line,
        environment=PRODUCTION,
        profiles=serving.profiles,
        deployments=serving.deployments,
        evidence=serving.evidence,
        plotter=serving.plotter,
        now=serving.clock.now(),
    )
    content = serving.evidence.find(steps.LINE, RELEASE_KPIS, PRODUCTION)
    assert content is not None
    assert kpis_from_json(content) == report.kpis
    assert list(report.plots) == ["traffic.png"]
