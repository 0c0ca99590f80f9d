"""What Dagster shows of code and environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.orchestration.build_page import (
    ENVIRONMENT_DRIFT,
    build_metadata,
    environment_drift_metadata,
)
from ml_release.workflows.training import CANDIDATE
from ml_release_tests.domain.test_build_record import BUILD
from ml_release_tests.orchestration.house import run, train
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from ml_release_tests.small_line import House


def shown(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Metadata of an asset that a run has materialized."""
    (found,) = (
        event.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization
        and event.asset_key is not None
        and event.asset_key.path[-1] == asset
    )
    return {name: value.value for name, value in found.items()}


@pytest.mark.parametrize(
    ("change", "commit"),
    [
        pytest.param({}, "a" * 40, id="clean"),
        pytest.param(
            {"code_dirty": True}, "a" * 40 + ", with uncommitted changes", id="with changes"
        ),
        pytest.param({"code_commit": None, "code_dirty": None}, "no checkout", id="no checkout"),
    ],
)
def test_a_commit_is_shown_with_what_it_does_not_hold(change: dict[str, Any], commit: str) -> None:
    """A commit alone would name other code."""
    assert build_metadata(BUILD.model_copy(update=change))["code commit"].value == commit


def test_no_lock_is_said_in_words() -> None:
    """Not None."""
    build = BUILD.model_copy(update={"lock_digest": None})
    assert build_metadata(build)["lock digest"].value == "no lock"


@pytest.mark.parametrize(("drift", "text"), [((), "none"), (None, "unknown: no readable record")])
def test_no_difference_and_no_record_are_two_things(drift: Any, text: str) -> None:
    """Unknown is not none."""
    assert environment_drift_metadata(drift)[ENVIRONMENT_DRIFT].value == text


def test_a_candidate_shows_its_build_and_the_version_no_drift(
    house: House, instance: dg.DagsterInstance
) -> None:
    """It was trained a moment ago, here."""
    result = train(house, instance)
    build = house.workplace.build(())
    candidate = shown(result, "candidate")
    assert candidate["code commit"] == build.code_commit
    assert candidate["code digest"] == build.code_digest
    assert candidate["packages"] == dict(build.packages)
    assert candidate["python"] == "CPython 3.11.7 on Linux glibc2.36, x86_64"
    assert shown(result, "registered_version")[ENVIRONMENT_DRIFT] == "none"


def test_an_endpoint_shows_what_differs_and_is_declared_all_the_same(
    house: House, instance: dg.DagsterInstance
) -> None:
    """A remark, and no gate: neither of a promotion nor of a rollback."""
    assert train(house, instance).success
    house.workplace.move(packages={"numpy": "2.5.0"}, lock_digest=None)
    result = run(house, "promote", instance)
    assert result.success
    rows = shown(result, "production_endpoint")[ENVIRONMENT_DRIFT].records
    assert [row.data["what"] for row in rows] == ["lock", "package numpy"]
    assert rows[1].data == {
        "what": "package numpy",
        "recorded": "2.4.6",
        "found": "2.5.0",
        "detail": "",
    }


def test_a_rollback_needs_no_record_of_the_environment(
    house: House, instance: dg.DagsterInstance
) -> None:
    """It is done, and says that nothing can be compared."""
    assert train(house, instance).success
    assert run(house, "promote", instance).success
    assert train(house, instance, last="2013-04").success
    assert run(house, "promote", instance).success
    digest = house.registry.versions(house.line.name)[0].model_digest
    steps.forget(house, CANDIDATE, digest)
    back = {"ops": {"small_line_roll_back": {"config": {"by": "ada", "reason": "too slow"}}}}
    result = run(house, "rollback", instance, run_config=back)
    assert result.success
    (found,) = (
        event.step_materialization_data.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization
        and event.asset_key == dg.AssetKey(["small_line", "production_endpoint"])
    )
    assert found[ENVIRONMENT_DRIFT].value == "unknown: no readable record"
