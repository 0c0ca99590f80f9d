"""A version in a real server process on a throw-away home, driven by the job of its line."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.inference_tables import InferenceTables
from ml_release.adapters.model_files import ModelFiles
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.online_files import OnlineFiles
from ml_release.adapters.seals import Seals
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.adapters.trial_server import Parts, TrialServerProcess
from ml_release.settings import read_settings
from ml_release_tests.orchestration.house import failure, run, train
from ml_release_tests.small_line import House

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Artefacts are signed files and the server is a process; the rest is in memory."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    settings = read_settings({"ML_RELEASE_HOME": str(tmp_path / "home")})
    house = House(tmp_path / "inference")
    keys = SigningKeys(settings.keys)
    house.models = ModelFiles(settings.models, ModelSignatures(keys))  # type: ignore[assignment]
    house.other_trial_server = TrialServerProcess(
        settings,
        parts=Parts(
            deployments=lambda root: GitDeployments(root, Seals(keys)),
            online=OnlineFiles,
            inference=InferenceTables,
        ),
        now=house.clock.now,
    )
    return house


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Checks that do not pass, with what they say."""
    return {
        check.check_name: check.description or ""
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (found,) = result.asset_materializations_for_node("small_line__staging_endpoint")
    return {name: one.value for name, one in found.metadata.items()}


def test_two_releases_meet_a_server_each(house: House, tmp_path: Path) -> None:
    """The first with nothing beside it, the second with the champion ready to take over."""
    with dg.DagsterInstance.ephemeral() as instance:
        assert train(house, instance).success
        first = run(house, "stage", instance)
        assert first.success, failure(first)
        assert checks_of(first) == {}
        found = metadata_of(first)
        assert (found["requests"], found["failed requests"]) == (2000, 0)
        assert run(house, "promote", instance).success
        assert train(house, instance, last="2013-04").success
        second = run(house, "stage", instance)
        assert second.success, failure(second)
        assert checks_of(second) == {}
    staged = house.deployments.history("small_line", "staging")
    assert [one.state.champion.version for one in staged] == [1, 2]
    assert staged[0].state.rollback_target is None
    assert staged[1].state.rollback_target is not None
    assert staged[1].state.rollback_target.version == 1
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_artefact_whose_signature_is_gone_is_stopped(house: House, tmp_path: Path) -> None:
    """The server verifies with the keys that everybody trusts, so the champion is no way back."""
    with dg.DagsterInstance.ephemeral() as instance:
        assert train(house, instance).success
        assert run(house, "promote", instance).success
        digest = house.registry.versions("small_line")[0].model_digest
        assert train(house, instance, last="2013-04").success
        (tmp_path / "home" / "models" / digest.removeprefix("sha256:") / "model.sig").unlink()
        result = run(house, "stage", instance)
    assert not result.success
    found = checks_of(result)
    assert set(found) == {"rollback_target_is_loadable", "contract_is_kept"}
    assert "signature" in found["rollback_target_is_loadable"]
    assert house.deployments.history("small_line", "staging") == ()
