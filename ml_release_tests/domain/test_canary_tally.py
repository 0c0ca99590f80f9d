"""The record of a tally: read back as it was, and never mistaken for another one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml_release.domain.canary_counts import ArmPair, ArmTally, RateCount, Stretch
from ml_release.domain.canary_tally import CanaryTally, Yardstick, tally_from_json
from ml_release.domain.mean_sequences import Moments
from ml_release.errors import IntegrityError

ARM = ArmTally(
    requests=3,
    rates={"errors": RateCount(n=3, events=1)},
    means={"score": Moments(n=2, total=0.75, total_squares=0.3)},
    histograms={"shape": (1, 0, 1)},
)
PAIR = ArmPair(canary=ARM, control=ARM + ARM)
TALLY = CanaryTally(
    line="trips",
    canary_digest="a",
    control_digest="b",
    step_began=datetime(2026, 11, 21, 9, tzinfo=UTC),
    policy_digest="p",
    cursor={"records-1.jsonl": 10},
    yardstick=Yardstick(n=100, latency_limits_ms={"p95": 3.5}, score_edges=(0.1, 0.2)),
    shares={"c0": 0.05, "c1": None},
    stretches=(
        Stretch(step=0, route_commit="c0", canary_share=0.05, arms=PAIR, slices={"o=JFK": PAIR}),
    ),
    canary_last_seen=datetime(2026, 11, 21, 9, 5, tzinfo=UTC),
    recent_ids=("00ff",),
)


def test_a_tally_reads_back_as_it_was() -> None:
    """With all its nested counts."""
    assert tally_from_json(TALLY.to_json()) == TALLY


@pytest.mark.parametrize("content", [b"", b"[]", b'{"line": "trips"}'])
def test_something_else_is_no_tally(content: bytes) -> None:
    """It is refused and not read as an empty one."""
    with pytest.raises(IntegrityError, match="expected a recorded one"):
        tally_from_json(content)


def test_arms_add_up_metric_by_metric() -> None:
    """A metric that one of them lacks is that of the other."""
    both = ARM + ArmTally(requests=1, rates={"slow": RateCount(n=1, events=1)})
    assert both.requests == 4
    assert dict(both.rates) == {
        "errors": RateCount(n=3, events=1),
        "slow": RateCount(n=1, events=1),
    }
    assert PAIR.control.histograms["shape"] == (2, 0, 2)
    assert PAIR.control.means["score"].n == 4
