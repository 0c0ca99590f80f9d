"""Error budgets: the worked numbers of the SRE workbook, and counts in whatever order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.error_budget import (
    BurnAlert,
    SliCount,
    budget_left,
    burn_rate,
    burns,
    days_of,
    exceeds,
    total,
)

UNTIL = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def counts(*hours: tuple[int, int]) -> list[SliCount]:
    """Events and bad ones of the hours before `UNTIL`, the newest first."""
    return [
        SliCount(start=UNTIL - (back + 1) * HOUR, events=events, bad=bad)
        for back, (events, bad) in enumerate(hours)
    ]


@pytest.mark.parametrize(
    ("long_hours", "budget_share", "rate"),
    [
        pytest.param(1, 0.02, 14.4, id="2 % in an hour"),
        pytest.param(6, 0.05, 6.0, id="5 % in six hours"),
        pytest.param(24, 0.10, 3.0, id="10 % in a day"),
        pytest.param(72, 0.10, 1.0, id="10 % in three days"),
    ],
)
def test_limits_are_those_of_the_workbook(
    long_hours: int, budget_share: float, rate: float
) -> None:
    """As its tables and rules have them, for a window of 30 days."""
    alert = BurnAlert(level="page", long_hours=long_hours, short_hours=1, budget_share=budget_share)
    assert alert.limit_rate(30) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("error_rate", "burn", "days_to_exhaustion"),
    [(0.001, 1, 30), (0.002, 2, 15), (0.01, 10, 3), (1.0, 1000, 43 / 60 / 24)],
)
def test_burn_rates_are_those_of_the_workbook(
    error_rate: float, burn: float, days_to_exhaustion: float
) -> None:
    """Table 5-4: an objective of 99.9 %, a window of 30 days."""
    found = burn_rate(round(error_rate * 100_000), 100_000, 0.999)
    assert found == pytest.approx(burn)
    assert 30 / (found or 0) == pytest.approx(days_to_exhaustion, rel=0.01)


@pytest.mark.parametrize(
    ("bad", "fires"),
    [
        # 1,000 requests an hour; 14.4 times 0.1 % of them are 14.4.
        pytest.param((14, 0), False, id="just below"),
        pytest.param((15, 0), True, id="just above"),
        pytest.param((1000, 0), True, id="outage"),
    ],
)
def test_an_hour_pages_from_the_workbook_s_rate_on(bad: tuple[int, int], fires: bool) -> None:
    """99.9 %, 30 days, 2 % of the budget in an hour."""
    alert = BurnAlert(level="page", long_hours=1, short_hours=1, budget_share=0.02)
    (burn,) = burns(
        counts((1000, bad[0]), (1000, bad[1])),
        [alert],
        objective=0.999,
        window_days=30,
        until=UNTIL,
        minimum_events=10,
    )
    assert burn.fires is fires
    assert burn.long_rate == pytest.approx(bad[0])


@pytest.mark.parametrize(
    ("hours", "fires"),
    [
        pytest.param([(100, 60), (100, 60)] + [(100, 0)] * 4, True, id="goes on"),
        pytest.param([(100, 0), (100, 100)] + [(100, 100)] * 4, False, id="is over"),
        pytest.param([(100, 100)] + [(10_000, 0)] * 5, False, id="was short"),
        pytest.param([(1, 1)] + [(100, 100)] * 5, True, id="few requests, all bad"),
        pytest.param([(1, 0)] + [(100, 100)] * 5, None, id="too few to say it is over"),
        pytest.param([(0, 0)] + [(100, 100)] * 5, None, id="nothing in the short stretch"),
        pytest.param([(1, 0)] + [(100, 0)] * 5, False, id="few requests, long good"),
        pytest.param([], None, id="nothing at all"),
    ],
)
def test_an_alert_needs_both_stretches(hours: list[tuple[int, int]], fires: bool | None) -> None:
    """Over 6 hours and 1 hour; what cannot be told is not called good."""
    alert = BurnAlert(level="page", long_hours=6, short_hours=1, budget_share=0.05)
    (burn,) = burns(
        counts(*hours), [alert], objective=0.99, window_days=28, until=UNTIL, minimum_events=10
    )
    assert burn.fires is fires


@pytest.mark.parametrize(
    ("bad", "events", "above"),
    [
        pytest.param(0, 0, None, id="nothing"),
        pytest.param(0, 999, None, id="too few good ones"),
        pytest.param(0, 1000, False, id="enough good ones"),
        pytest.param(100, 1000, False, id="spent to the last"),
        pytest.param(101, 1000, True, id="one more"),
        pytest.param(100, 100, None, id="few, which good ones could still outweigh"),
        pytest.param(101, 101, True, id="few, which nothing can outweigh"),
    ],
)
def test_a_budget_is_exceeded(bad: int, events: int, above: bool | None) -> None:
    """90 % of at least 1,000 events; 1 - 0.9 is rounded, the answer is not."""
    found = exceeds(bad, events, objective=0.9, limit_rate=1.0, minimum_events=1000)
    assert found is above


def test_without_events_there_is_no_rate_and_no_budget() -> None:
    """Neither untouched nor spent."""
    assert burn_rate(0, 0, 0.99) is None
    assert budget_left(0, 0, 0.99) is None
    assert days_of(counts((0, 0)), objective=0.99) == ()


def test_a_short_stretch_is_shorter() -> None:
    """A pair in the wrong order says so."""
    with pytest.raises(ValidationError, match="expected at most long_hours = 1, found 2"):
        BurnAlert(level="page", long_hours=1, short_hours=2, budget_share=0.1)


_COUNTS = st.lists(
    st.integers(0, 700).flatmap(
        lambda back: st.integers(0, 50).flatmap(
            lambda events: st.integers(0, events).map(
                lambda bad: SliCount(start=UNTIL - (back + 1) * HOUR, events=events, bad=bad)
            )
        )
    ),
    max_size=30,
)
_ALERTS = (
    BurnAlert(level="page", long_hours=6, short_hours=1, budget_share=0.05),
    BurnAlert(level="ticket", long_hours=72, short_hours=6, budget_share=0.1),
)


@given(_COUNTS, st.randoms(use_true_random=False))
def test_a_budget_depends_on_no_order_of_events(found: list[SliCount], chance: object) -> None:
    """Nor on how the events of an hour were counted together."""
    shuffled = list(found)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    parts = [
        part
        for one in shuffled
        for part in (
            SliCount(start=one.start, events=one.events - one.bad, bad=0),
            SliCount(start=one.start, events=one.bad, bad=one.bad),
        )
    ]
    for other in (shuffled, parts):
        assert total(other) == total(found)
        assert days_of(other, objective=0.99) == days_of(found, objective=0.99)
        assert [_burn(other)] == [_burn(found)]


def _burn(found: list[SliCount]) -> object:
    return burns(found, _ALERTS, objective=0.99, window_days=28, until=UNTIL, minimum_events=10)


@given(_COUNTS)
def test_the_last_day_s_budget_is_the_budget(found: list[SliCount]) -> None:
    """What is left after every day only falls, and ends with what is left."""
    events, bad = total(found)
    left = [row[3] for row in days_of(found, objective=0.99)]
    assert left == sorted(left, reverse=True)
    assert (left[-1] if left else None) == pytest.approx(budget_left(bad, events, 0.99))


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 600))
def test_more_bad_events_never_help(good: int, bad: int, minimum: int) -> None:
    """And without events nothing is told."""
    order = [False, None, True]

    def above(bad: int) -> bool | None:
        return exceeds(bad, good + bad, objective=0.95, limit_rate=1.0, minimum_events=minimum)

    if good >= minimum:
        assert order.index(above(bad)) <= order.index(above(bad + 1))
    if not good and not bad:
        assert above(0) is None
