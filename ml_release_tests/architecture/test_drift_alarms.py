"""The drift judge on real flights: silent where nothing has changed, heard where it has."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "drift_alarms.md"


@pytest.fixture(scope="module")
def study() -> Iterator[Any]:
    """The modules of the benchmark, which are scripts beside one another."""
    sys.path.insert(0, str(PROJECT / "benchmarks"))
    yield {
        name: importlib.import_module(f"drift_{name}")
        for name in ("alarms", "alarms_page", "injections", "replay")
    }
    sys.path.remove(str(PROJECT / "benchmarks"))


@pytest.fixture(scope="module")
def period(study: Any) -> Any:
    """January to March with small models, each of which knows two months of them."""
    (found,) = study["replay"].periods(
        study["alarms"].QUARTERS[:1], fold_days=30, parameters={"max_iter": 20}
    )
    return found


def test_random_windows_of_the_reference_never_hurt(study: Any, period: Any) -> None:
    """From a hundred rows to ten thousand, none of forty; and every one of them was judged."""
    alarms = study["alarms"]
    found = alarms.random_windows(period, alarms.POLICY, sizes=(100, 1_000, 10_000), each=13)
    for tally in found.values():
        assert tally.windows == 13
        assert (tally.hurting, tally.unknown, tally.problems) == ([], 0, 0)


def test_weeks_that_were_held_out_never_hurt(study: Any, period: Any) -> None:
    """Six pairs of weeks out of January to March, none of which the reference knows."""
    alarms = study["alarms"]
    found = alarms.contiguous_windows(period, alarms.POLICY, lengths={7: 14})
    tally = found["7 days"]
    assert tally.windows == 6
    assert (tally.hurting, tally.unknown) == ([], 0)


def test_a_shift_into_held_out_weeks_is_found(study: Any, period: Any) -> None:
    """Half a standard deviation of what matters hurts, and another unit is a fault of the data."""
    alarms = study["alarms"]
    wanted = study["injections"].injections(quick=True)
    found = alarms.power(period, alarms.POLICY, wanted, step=38)
    shifted = found["departure_minute: values + 0.5 sd"]
    assert len(shifted) == 3
    assert all(one["hurting"] for one in shifted)
    assert all(one["quality"] for one in found["departure_minute: minutes to hours"])
    assert all(one["moved"] for one in found["carrier: 5 % missing"])


def test_the_published_page_keeps_its_goal(study: Any) -> None:
    """At most one in a hundred windows of each kind, and figures of the policy that is declared."""
    alarms = study["alarms"]
    found = study["alarms_page"].figures(PAGE.read_text(encoding="utf-8"))
    assert found["policy"] == alarms.POLICY.model_dump(mode="json")
    together = found["no_drift"]["all"]
    assert {name for name in together if "rows" in name} == {
        f"{size:,} rows" for size in alarms.SIZES
    }
    assert max(row["hurting"] for row in together.values()) <= alarms.HURTING_LIMIT
    assert min(row["windows"] for row in together.values()) >= 50


def test_other_rows_move_the_mean_as_far_as_is_said(study: Any) -> None:
    """What is put in is what the table says was put in."""
    values = np.random.default_rng(0).normal(0, 1, 4000)
    (injection,) = (
        one
        for one in study["injections"].injections()
        if one.is_population and one.feature == "distance" and "0.25" in one.name
    )
    drawn = injection.change(values, values, np.random.default_rng(1))
    assert values[drawn].mean() - values.mean() == pytest.approx(0.25, abs=0.05)
