"""Materializing the staging endpoint is the move; its checks say what a server has shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.adapters.in_memory import InMemoryTrialServer
from ml_release.domain.staging_gates import StagingPolicy
from ml_release.orchestration.staging_asset import staging_endpoint_asset
from ml_release_tests.orchestration.house import failure, materialized, run, train, wiring_of
from ml_release_tests.workflows.test_staging import Spoilt

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

ASKED: dict[str, Any] = {
    "ops": {"small_line__staging_endpoint": {"config": {"by": "ada", "reason": "try it"}}}
}


def stage(
    house: House, instance: dg.DagsterInstance, config: dict[str, Any] | None = None
) -> dg.ExecuteInProcessResult:
    return run(house, "stage", instance, run_config=ASKED if config is None else config)


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (found,) = result.asset_materializations_for_node("small_line__staging_endpoint")
    return {name: one.value for name, one in found.metadata.items()}


@pytest.fixture
def trained(house: House, instance: dg.DagsterInstance) -> House:
    assert train(house, instance).success
    return house


def test_a_version_that_passes_is_declared_in_staging(
    trained: House, instance: dg.DagsterInstance
) -> None:
    """With the commit, the figures and the picture; production is untouched."""
    result = stage(trained, instance)
    assert result.success, failure(result)
    assert materialized(result) == {"staging_endpoint"}
    checks = result.get_asset_check_evaluations()
    assert {check.check_name for check in checks} == set(StagingPolicy().judged)
    assert [check.check_name for check in checks if not check.passed] == []
    found = metadata_of(result)
    (declaration,) = trained.deployments.history("small_line", "staging")
    assert (declaration.actor, declaration.reason) == ("ada", "try it")
    assert (found["commit"], found["changed"]) == (declaration.commit, True)
    assert (found["version"], found["requests"], found["failed requests"]) == (1, 2000, 0)
    assert found["limits"] == StagingPolicy().model_dump(mode="json")
    assert found["latencies.png"].startswith("![](data:image/png")
    assert "2000 latencies beside 250.0" in trained.plotter.drawn
    assert trained.deployments.history("small_line", "production") == ()


def test_the_steps_are_told_in_quarters(trained: House, instance: dg.DagsterInstance) -> None:
    """A person who looks at the run sees how far it is."""
    result = stage(trained, instance)
    logged = [event.user_message for event in instance.all_logs(result.run_id)]
    assert [text for text in logged if text.startswith("load: ")] == [
        f"load: {done} of 2000 requests" for done in (500, 1000, 1500, 2000)
    ]


def test_a_version_that_does_not_pass_is_not_declared(
    trained: House, instance: dg.DagsterInstance
) -> None:
    """The check of its rule fails, and with it the run; what was seen is there to look at."""
    trained.other_trial_server = Spoilt(trained, memory_mb=5000.0)
    result = stage(trained, instance)
    assert not result.success
    (failed,) = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert failed.check_name == "memory_is_within_limit"
    assert failed.severity is dg.AssetCheckSeverity.ERROR
    assert metadata_of(result)["commit"] == "none, the verdict does not pass"
    assert trained.deployments.history("small_line", "staging") == ()


def test_a_server_that_does_not_start_is_shown_with_its_log(
    trained: House, instance: dg.DagsterInstance
) -> None:
    """There is no load to draw."""
    trained.other_trial_server = Spoilt(trained, problem="exit code 3: no such library")
    result = stage(trained, instance)
    assert not result.success
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert "no such library" in (checks["loads_in_time"].description or "")
    assert "latencies.png" not in metadata_of(result)
    assert "requests" not in metadata_of(result)


def test_a_move_without_a_name_is_refused_before_anything_starts(
    trained: House, instance: dg.DagsterInstance
) -> None:
    """Somebody answers for every move."""
    trained.other_trial_server = Spoilt(trained, problem="it was started")
    request = {"by": " ", "reason": "x"}
    config = {"ops": {"small_line__staging_endpoint": {"config": request}}}
    result = stage(trained, instance, config)
    assert not result.success
    digest = trained.registry.versions("small_line")[0].model_digest
    assert trained.evidence.find("small_line", "staging_verdict", digest) is None


def test_with_nothing_registered_the_run_says_so(
    house: House, instance: dg.DagsterInstance
) -> None:
    """In one clear message."""
    result = stage(house, instance)
    assert not result.success
    assert "expected a registered version" in failure(result)


def test_the_checks_are_those_of_the_policy(house: House) -> None:
    """Throughput is one where a limit is declared; all of them block."""
    policy = StagingPolicy(minimum_requests_per_s=50.0)
    rollout = house.line.policies.rollout.model_copy(update={"staging": policy})
    policies = house.line.policies.model_copy(update={"rollout": rollout})
    line = house.line.model_copy(update={"policies": policies})
    asset = staging_endpoint_asset(line, wiring_of(house))
    specs = list(asset.check_specs)
    assert "throughput" in {spec.name for spec in specs}
    assert all(spec.blocking for spec in specs)
    assert isinstance(house.trial_server, InMemoryTrialServer)
