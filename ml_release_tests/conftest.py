"""What holds for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest

from ml_release.settings import refuse_telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

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
