"""Two fitted models, made once, and a home folder per test that serves the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release_tests.serving.world import World, make_files

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.serving.server import Parts


@pytest.fixture(scope="session")
def artefacts() -> dict[int, dict[str, bytes]]:
    return {number: make_files(seed=number) for number in (1, 2)}


@pytest.fixture
def world(tmp_path: Path, artefacts: dict[int, dict[str, bytes]]) -> World:
    """Both versions are published, version 1 is declared, the history table is there."""
    world = World.at(tmp_path)
    for number, files in artefacts.items():
        world.publish(number, files)
    world.publish_history()
    world.declare(1)
    return world


@pytest.fixture
def parts(world: World) -> Parts:
    return world.parts()
