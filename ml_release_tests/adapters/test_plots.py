"""Pictures: a PNG whatever there is to show, and equal bytes for equal values."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.adapters.plots import Plots
from ml_release.domain.column_profile import ColumnShares
from ml_release.domain.search import Trial, TrialState

HALVES = np.array([0.5, 0.5, 0.0])


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param((), id="no column"),
        pytest.param((ColumnShares(column="x", current=HALVES, reference=HALVES),), id="both"),
        pytest.param((ColumnShares(column="x", current=HALVES, reference=None),), id="the first"),
        pytest.param(
            (ColumnShares(column="x", current=np.zeros(2), reference=None),), id="no rows"
        ),
    ],
)
def test_a_spread_is_drawn_with_and_without_a_reference(columns: tuple[ColumnShares, ...]) -> None:
    """The first partition of a line has none."""
    png = Plots().spread(columns)
    assert png.startswith(b"\x89PNG")
    assert Plots().spread(columns) == png


def trial(number: int, state: TrialState) -> Trial:
    values = (0.5 - 0.01 * number,) if state is TrialState.COMPLETE else ()
    return Trial(number=number, parameters={}, fold_values=values, state=state, seconds=1.0)


@pytest.mark.parametrize(
    "states",
    [
        pytest.param([], id="none"),
        pytest.param(["complete"], id="one"),
        pytest.param(["failed", "failed"], id="all failed"),
        pytest.param(["failed", "complete", "pruned", "complete"], id="of every kind"),
    ],
)
@pytest.mark.parametrize("objective", ["log_loss", "auc_score"])
def test_a_search_is_drawn_however_its_trials_ended(states: list[str], objective: str) -> None:
    """Also one that found nothing."""
    trials = [trial(number, TrialState(state)) for number, state in enumerate(states)]
    png = Plots().search_history(trials, objective=objective)
    assert png.startswith(b"\x89PNG")
    assert Plots().search_history(trials, objective=objective) == png
