"""A rollback works while everything around it is down, and withdrawals by their jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.git_deployments.remote import GitRemote
from ml_release.adapters.git_deployments.shared import SharedDeployments
from ml_release.errors import UnavailableError
from ml_release_tests.declared_by_hand import git_deployments
from ml_release_tests.orchestration.house import (
    failure,
    materialized,
    promotion_config,
    run,
    train,
)

if TYPE_CHECKING:
    from pathlib import Path

    import dagster as dg

    from ml_release_tests.small_line import House

BACK = {"ops": {"small_line_roll_back": {"config": {"by": "ada", "reason": "too slow"}}}}


class Down:
    """Any port of something that does not answer."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> None:
            message = f"{name}: nothing answers"
            raise UnavailableError(message)

        return fail


@pytest.fixture
def two(house: House, instance: dg.DagsterInstance) -> House:
    """Version 2 answers, version 1 did before."""
    assert train(house, instance).success
    config = promotion_config(version=1, to="PRODUCTION")
    assert run(house, "promote", instance, run_config=config).success
    assert train(house, instance, last="2013-04").success
    assert run(house, "promote", instance).success
    return house


def serving(house: House) -> tuple[int, tuple[int, ...]]:
    found = house.deployments.sealed("small_line", "production")
    assert found is not None
    return found.state.champion.version, found.state.withdrawn


@pytest.mark.parametrize("down", [("registry", "experiments"), ("evidence",), ("tables", "online")])
def test_a_rollback_needs_none_of_them(
    two: House, instance: dg.DagsterInstance, down: tuple[str, ...]
) -> None:
    """MLflow, the evidence, the lake: the run succeeds, in the process that asks for it."""
    for name in down:
        setattr(two, name, Down())
    result = run(two, "rollback", instance, run_config=BACK)
    assert result.success, failure(result)
    # What can be had is in the incident; where nothing can, it is written later.
    assert materialized(result) - {"incident"} == {"production_endpoint"}
    assert serving(two) == (1, (2,))


def test_a_rollback_does_not_wait_for_the_remote(
    two: House, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """It is declared here, and asked for again it does nothing twice."""
    local = git_deployments(tmp_path)
    for one in two.deployments.history("small_line", "production"):
        head = local.read("small_line", "production")
        local.declare(
            one.state,
            expected_commit=None if head is None else head.commit,
            trailers={"Actor": one.actor, "Reason": one.reason},
            at=two.clock.now(),
        )
    remote = GitRemote(
        tmp_path / "deployments", str(tmp_path / "gone"), branch="main", now=two.clock.now
    )
    two.deployments = SharedDeployments(local, remote, goes_on_alone=True)  # type: ignore[assignment]
    for _ in range(2):
        assert run(two, "rollback", instance, run_config=BACK).success
    assert serving(two) == (1, (2,))
    assert len(local.history("small_line", "production")) == 3


def _word(op: str, version: int) -> dict[str, Any]:
    config = {"version": version, "by": "Grace", "reason": "it is unfair"}
    return {"ops": {f"small_line_{op}_version": {"config": config}}}


def test_withdrawing_and_lifting_are_jobs_of_a_named_person(
    two: House, instance: dg.DagsterInstance
) -> None:
    """Both end as a materialization of the endpoint; a word of nobody is refused."""
    result = run(two, "withdraw", instance, run_config=_word("withdraw", 2))
    # What can be had is in the incident; where nothing can, it is written later.
    assert materialized(result) - {"incident"} == {"production_endpoint"}
    assert serving(two) == (1, (2,))
    nobody = _word("lift", 2)
    nobody["ops"]["small_line_lift_version"]["config"]["by"] = " "
    assert not run(two, "lift", instance, run_config=nobody).success
    assert serving(two) == (1, (2,))
    assert run(two, "lift", instance, run_config=_word("lift", 2)).success
    assert serving(two) == (1, ())


def test_a_drill_is_an_asset_with_its_checks(two: House, instance: dg.DagsterInstance) -> None:
    """And so is the verification of a rollback, which is inconclusive without traffic."""
    result = run(two, "drill", instance)
    assert result.success, failure(result)
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert checks == {
        "every_round_was_taken_back": True,
        "the_bad_version_is_silent_soon": True,
        "no_request_failed": True,
    }
    assert run(two, "rollback", instance, run_config=BACK).success
    verified = run(two, "monitor", instance, assets=["inference_window", "rollback_verification"])
    assert verified.success, failure(verified)
    passed = {
        one.check_name: one.passed
        for one in verified.get_asset_check_evaluations()
        if one.asset_key.path[-1] == "rollback_verification"
    }
    assert not any(passed.values())
