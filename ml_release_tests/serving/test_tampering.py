"""An artefact that was tampered with does not get to answer, whoever declares it."""

from __future__ import annotations

import dataclasses
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.adapters.model_process import ModelProcess
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.signing_keys import PRIVATE_KEY, PUBLIC_KEY, SigningKeys
from ml_release.domain.artefact import (
    EXAMPLE_FILE,
    MODEL_FILE,
    PLAN_FILE,
    SIGNATURE_FILE,
    SKOPS_FILE,
    SKOPS_RECORD_FILE,
)
from ml_release.domain.features import plan_from_json
from ml_release.domain.identity import digest_hex, digest_of_bytes
from ml_release.domain.skops_record import SkopsRecord
from ml_release.errors import IntegrityError
from ml_release.serving.loaders import serving_loader
from ml_release_tests.serving.world import LINE, World
from ml_release_tests.tampering import causes, forge, harmful_pickle, harms

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.serving.model_table import LineState
    from ml_release.serving.server import Parts

NAMES = [MODEL_FILE, PLAN_FILE, SIGNATURE_FILE, EXAMPLE_FILE]


def line_of(parts: Parts) -> LineState:
    return parts.reconciler.table.lines[LINE]


@pytest.mark.parametrize("name", causes(NAMES))
def test_a_declared_artefact_that_was_tampered_with_is_not_served(
    parts: Parts, world: World, tmp_path: Path, name: str
) -> None:
    """The version before goes on to answer, and the problem names the cause."""
    harm, message = harms(NAMES, of_another=tmp_path / "another")[name]
    harm(world.settings.models / digest_hex(world.digests[2]))
    world.declare(2)
    parts.reconciler.reconcile()
    state = line_of(parts)
    assert state.route is not None
    assert state.route.champion.variant.version == 1
    assert message in state.problems[0]


@pytest.mark.parametrize("name", causes(NAMES))
def test_a_server_that_starts_serves_nothing_instead(
    world: World, tmp_path: Path, name: str
) -> None:
    """There is nothing to fall back on, and that is no reason to load it."""
    harm, message = harms(NAMES, of_another=tmp_path / "another")[name]
    harm(world.settings.models / digest_hex(world.digests[1]))
    state = line_of(world.parts())
    assert state.route is None
    assert message in state.problems[0]


def test_a_server_needs_the_public_key_only(world: World) -> None:
    """The private one does not have to be on its machine."""
    (world.settings.keys / PRIVATE_KEY).unlink()
    assert line_of(world.parts()).route is not None


def test_a_server_without_a_key_serves_nothing(world: World) -> None:
    """It cannot tell, and that is not a pass; with the key named it serves."""
    public = world.settings.keys / PUBLIC_KEY
    moved = public.rename(world.settings.home / "moved.pem")
    state = line_of(world.parts())
    assert state.route is None
    assert "expected a public key, found none" in state.problems[0]
    world.settings = dataclasses.replace(world.settings, verify_keys=(moved,))
    assert line_of(world.parts()).route is not None


@pytest.mark.parametrize("place", [MODEL_FILE, SKOPS_FILE, PLAN_FILE, EXAMPLE_FILE, "model.pkl"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_signed_and_declared_pickle_is_never_read(
    parts: Parts, world: World, tmp_path: Path, place: str, protocol: int
) -> None:
    """In the place of any file, with signature and declaration in order."""
    marker = tmp_path / "marker"
    files = {
        **world.models.read(world.digests[2]),
        place: harmful_pickle(marker, protocol=protocol),
    }
    if place == SKOPS_FILE:
        del files[MODEL_FILE]
    world.digests[3] = forge(
        world.settings.models, files, ModelSignatures(SigningKeys(world.settings.keys))
    )
    world.declare(3)
    parts.reconciler.reconcile()
    state = line_of(parts)
    assert state.route is not None
    assert state.route.champion.variant.version == 1
    assert f"{place}: expected " in state.problems[0]
    assert "find out who signed it" in state.problems[0]
    assert not marker.exists()


@pytest.mark.parametrize("place", [MODEL_FILE, SKOPS_FILE, PLAN_FILE, SIGNATURE_FILE])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_loader_that_is_given_a_pickle_does_not_read_it(
    artefacts: dict[int, dict[str, bytes]], tmp_path: Path, place: str, protocol: int
) -> None:
    """Behind the store's back: the loaders of the server, and the process that measures."""
    marker = tmp_path / "marker"
    files = {**artefacts[1], place: harmful_pickle(marker, protocol=protocol)}
    if place == SKOPS_FILE:
        del files[MODEL_FILE]
        record = SkopsRecord(digest=digest_of_bytes(files[place]), types=(), scikit_learn="1")
        files[SKOPS_RECORD_FILE] = record.to_json()
    plan = plan_from_json(artefacts[1][PLAN_FILE])
    values = {feature.name: np.array([1.0]) for feature in plan.features}
    for read in (serving_loader().load, lambda f: ModelProcess().measure(f, values)):
        with pytest.raises(IntegrityError):
            read(files)
    assert not marker.exists()


def test_a_pickle_of_these_tests_would_leave_its_marker(tmp_path: Path) -> None:
    """Otherwise its absence would say nothing."""
    for protocol in (0, 2, 5):
        marker = tmp_path / str(protocol)
        pickle.loads(harmful_pickle(marker, protocol=protocol))  # noqa: S301 (its own, made here)
        assert marker.exists()
