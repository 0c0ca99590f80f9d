"""Houses at each step of the way, each made once and copied for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release_tests.small_line import MONTHS, House
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def the_prepared(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("prepared"))
    steps.prepare(house, *MONTHS)
    return house


@pytest.fixture(scope="session")
def the_evaluated(the_prepared: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = the_prepared.copied(tmp_path_factory.mktemp("evaluated"))
    steps.train(house, last="2013-03")
    steps.evaluate(house)
    return house


@pytest.fixture(scope="session")
def the_serving(the_evaluated: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = the_evaluated.copied(tmp_path_factory.mktemp("serving"))
    steps.register(house)
    steps.declare(house)
    return house


@pytest.fixture
def house(tmp_path: Path) -> House:
    """All months have landed, nothing else has happened."""
    return House(tmp_path / "inference")


@pytest.fixture
def prepared(the_prepared: House, tmp_path: Path) -> House:
    """Every month has a good snapshot and features."""
    return the_prepared.copied(tmp_path / "inference")


@pytest.fixture
def evaluated(the_evaluated: House, tmp_path: Path) -> House:
    """A candidate of the first three months has passed its evaluation."""
    return the_evaluated.copied(tmp_path / "inference")


@pytest.fixture
def serving(the_serving: House, tmp_path: Path) -> House:
    """Version 1, of the first three months, answers."""
    return the_serving.copied(tmp_path / "inference")
