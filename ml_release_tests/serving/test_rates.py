"""Rates of the last minutes: exact over whole seconds, whatever came before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ml_release.serving.rates import LONGEST, Rate, Rates


def test_without_requests_nobody_can_tell_a_share_of_errors() -> None:
    """Zero per second, and no share."""
    assert Rates(begun=0.0).over(60, now=100.0) == Rate(0.0, None)


def test_a_server_that_has_just_begun_is_not_slower_than_it_is() -> None:
    """The rate is over the time that was counted."""
    rates = Rates(begun=100.0)
    for _ in range(50):
        rates.add(104.5, is_error=False)
    assert rates.over(60, now=110.0).per_second == 5.0


@given(
    st.lists(st.tuples(st.floats(0, 2000), st.booleans()), max_size=60),
    st.integers(1, LONGEST),
    st.floats(0, 3000),
)
def test_rates_are_those_of_a_plain_count(
    requests: list[tuple[float, bool]], seconds: int, later: float
) -> None:
    """A ring of seconds gives what counting all requests would."""
    requests.sort()
    rates = Rates(begun=-10_000.0)
    for at, is_error in requests:
        rates.add(at, is_error=is_error)
    now = (requests[-1][0] if requests else 0.0) + later
    inside = [error for at, error in requests if int(now) - seconds <= int(at) < int(now)]
    expected = sum(inside) / len(inside) if inside else None
    assert rates.over(seconds, now=now) == Rate(len(inside) / seconds, expected)
