"""The comparison in Dagster: its checks, its sensor in every branch, and whom it tells."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.domain.three_truths import RULES
from ml_release.orchestration.truth_assets import truths_sensor
from ml_release.workflows.champion import CHAMPION_ALIAS
from ml_release_tests.orchestration.house import definitions_of, run, train, wiring_of
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_three_truths import serve
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def tick(
    house: House, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=definitions_of(house)
    )
    result = truths_sensor(house.line, wiring_of(house))(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


@pytest.fixture
def released(house: House, instance: dg.DagsterInstance) -> House:
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    return house


def compared(
    house: House, instance: dg.DagsterInstance
) -> tuple[dict[str, dg.AssetCheckEvaluation], dict[str, Any]]:
    result = run(house, "compare_truths", instance)
    assert result.success
    (event,) = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    return {one.check_name: one for one in result.get_asset_check_evaluations()}, metadata


def test_what_agrees_passes_every_check(released: House, instance: dg.DagsterInstance) -> None:
    """One check per rule, one row per version, and nobody is told."""
    serve(released, "a")
    checks, metadata = compared(released, instance)
    assert set(checks) == set(RULES)
    assert all(check.passed for check in checks.values())
    assert metadata["outcome"] == "pass"
    (row,) = metadata["versions"].records
    assert (row.data["declared"], row.data["requests"]) == ("champion, 100 %", "30")
    assert released.notifier.sent == []


def test_a_disagreement_is_an_error_and_told_once(
    released: House, instance: dg.DagsterInstance
) -> None:
    """The alias is healed; what served and was not declared is told."""
    serve(released, "a")
    serve(released, "b", version=7, model_digest=steps.NOWHERE)
    checks, metadata = compared(released, instance)
    failed = checks["served_versions_were_declared"]
    assert not failed.passed
    assert failed.severity is dg.AssetCheckSeverity.ERROR
    assert "version 7" in (failed.description or "")
    assert metadata["outcome"] == "fail"
    compared(released, instance)
    assert [one.kind for one in released.notifier.sent] == ["truth_violated"]


def test_what_nobody_can_tell_is_a_warning_and_no_pass(
    released: House, instance: dg.DagsterInstance
) -> None:
    """Nothing was served."""
    checks, _ = compared(released, instance)
    traffic = checks["traffic_is_enough"]
    assert not traffic.passed
    assert traffic.severity is dg.AssetCheckSeverity.WARN
    assert released.notifier.sent == []


def test_the_alias_is_healed_by_the_run(released: House, instance: dg.DagsterInstance) -> None:
    """And the page says what it named before."""
    run_id = released.experiments.start().run_id
    released.registry.register(steps.LINE, model_digest=steps.NOWHERE, run_id=run_id, tags={})
    released.registry.point_alias(steps.LINE, CHAMPION_ALIAS, 2)
    _, metadata = compared(released, instance)
    assert metadata["alias"] == "names version 1, named 2 before"
    assert released.registry.named(steps.LINE, CHAMPION_ALIAS) == 1


def test_nothing_declared_and_nothing_served_asks_for_nothing(
    house: House, instance: dg.DagsterInstance
) -> None:
    """There is nothing to compare."""
    assert isinstance(tick(house, instance), dg.SkipReason)


def test_the_sensor_asks_when_something_has_moved(
    released: House, instance: dg.DagsterInstance
) -> None:
    """The log, Git, or the hour; the same again is skipped."""
    keys = set()
    cursor = None
    for move in ("nothing", "log", "hour"):
        if move == "log":
            serve(released, "a", 1)
        if move == "hour":
            released.clock.move(timedelta(hours=1))
        asked = tick(released, instance, cursor)
        assert isinstance(asked, dg.SensorResult)
        (request,) = asked.run_requests or []
        keys.add(request.run_key)
        cursor = asked.cursor
        assert isinstance(tick(released, instance, cursor), dg.SkipReason)
    assert len(keys) == 3


def test_a_log_without_a_declaration_is_looked_at(
    house: House, instance: dg.DagsterInstance
) -> None:
    """Something answers that nothing declares."""
    write(house, [a_record(house, "r", "2013-05-01T00:00:00+00:00")])
    assert isinstance(tick(house, instance), dg.SensorResult)
