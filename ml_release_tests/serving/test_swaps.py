"""Swaps in a row under continuous load: no request fails, and each answer was declared then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.serving.variant_counts import nearest_rank
from ml_release_tests.serving.swapping import swap_under_load

if TYPE_CHECKING:
    from ml_release.domain.deployment import Declaration
    from ml_release_tests.serving.world import World

SWAPS = 12
"""benchmarks/swaps.py does a hundred."""


def test_swaps_under_load_fail_no_request_and_are_seen_at_once(world: World) -> None:
    """The version before is kept warm, as a promotion declares it."""

    def declare(version: int) -> Declaration:
        return world.declare(version, rollback_target=3 - version)

    declare(1)
    with world.server() as (url, _):
        # Machines that run tests may be busy; the benchmark measures the second that is promised.
        seen = swap_under_load(url, declare, swaps=SWAPS, late_s=5)
    assert seen.failed == []
    assert seen.misplaced == []
    assert seen.answers > SWAPS
    for seconds in (seen.first_s, seen.last_s):
        assert len(seconds) == SWAPS
        median_s = nearest_rank(seconds, 0.5)
        assert median_s is not None
        assert median_s < 1
