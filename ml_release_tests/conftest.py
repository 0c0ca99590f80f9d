"""What holds for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest

from ml_release.settings import refuse_telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ml_release_tests.small_line import House

refuse_telemetry()
# A busy machine is no failure: nothing here is tested by the time it takes.
hypothesis.settings.register_profile("without_deadline", deadline=None)
hypothesis.settings.load_profile("without_deadline")


@pytest.fixture(scope="session", autouse=True)
def _one_thread_per_process() -> Iterator[None]:
    """OpenMP threads of parallel test processes wait for one another: seconds per training."""
    # Only what is loaded already can be limited.
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def the_released(tmp_path_factory: pytest.TempPathFactory) -> dict[str, House]:
    from ml_release_tests.full_rollout import at_every_place

    return at_every_place(tmp_path_factory.mktemp)


@pytest.fixture
def at(the_released: dict[str, House], tmp_path: Path) -> Callable[[str], House]:
    """A house whose version 2 stands at a place of `PLACES`, or is registered only."""

    def copied(place: str) -> House:
        return the_released[place].copied(tmp_path / "inference")

    return copied
