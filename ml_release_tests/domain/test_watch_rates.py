"""Rates over windows: how rare a false alarm is over a whole watch, and how soon harm is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml_release.domain.verdict import Outcome
from ml_release.domain.watch_rates import RateRule, judge_rate

RULE = RateRule(
    harmful_above=0.01,
    harmless_to=0.01,
    confidence=0.95,
    violations_needed=3,
    window_minimum=20,
    windows=4032,
)


def judged(rate: float, *, windows: int, seed: int, rule: RateRule = RULE) -> Outcome:
    """Of a hundred requests per window that fail by chance."""
    bad = np.random.default_rng(seed).binomial(100, rate, windows).tolist()
    return judge_rate("r", "s", [(count, 100) for count in bad], (), rule).outcome


def test_all_streaks_of_a_watch_together_have_half_the_doubt() -> None:
    """The other half is that of the whole watch's rate."""
    assert RULE.windows * RULE.window_doubt**3 == pytest.approx(0.025)
    assert replace(RULE, violations_needed=1).window_doubt < RULE.window_doubt


def test_a_rate_at_the_limit_is_called_harm_in_no_more_watches_than_declared() -> None:
    """Of two weeks of windows; the exact bounds of small counts make it far fewer."""
    found = [judged(0.01, windows=4032, seed=seed) for seed in range(20)]
    assert found.count(Outcome.FAIL) <= 1
    assert found.count(Outcome.PASS) <= 1


@pytest.mark.parametrize(("rate", "windows"), [(0.02, 300), (0.05, 40), (0.5, 3)])
def test_a_rate_above_the_limit_is_called_harm_the_sooner_the_worse_it_is(
    rate: float, windows: int
) -> None:
    """In every one of ten watches by then, and with no window alone that would do."""
    found = [judged(rate, windows=windows, seed=seed) for seed in range(10)]
    assert set(found) == {Outcome.FAIL}
    assert judged(rate, windows=2, seed=0) is Outcome.INCONCLUSIVE


def test_a_rate_well_below_the_limit_passes() -> None:
    """Within a day."""
    assert {judged(0.003, windows=288, seed=seed) for seed in range(10)} == {Outcome.PASS}


@pytest.mark.parametrize("minimum", [1, 20, 500])
def test_windows_of_few_requests_are_joined(minimum: int) -> None:
    """Three joined windows of nothing but errors are enough, two are not, whatever their number."""
    rule = replace(RULE, window_minimum=minimum)
    few = [(5, 5)] * (-(-minimum // 5))
    assert judge_rate("r", "s", few * 2, (), rule).outcome is not Outcome.FAIL
    assert judge_rate("r", "s", few * 3, (), rule).outcome is Outcome.FAIL
