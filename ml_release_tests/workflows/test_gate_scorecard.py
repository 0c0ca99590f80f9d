"""Mutants of the small line before its gates, and honest retrainings: the scorecard, reduced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ml_release.errors import NotFoundError
from ml_release.workflows.gate_scorecard import Bench, run_scorecard
from ml_release_tests import small_line
from ml_release_tests.small_line import SMALL_LINE
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from ml_release.domain.scorecard import Scorecard, Trial
    from ml_release_tests.small_line import House


def bench_of(house: House) -> Bench:
    return Bench(
        line=house.line,
        compiler=house.compiler,
        loader=house.loader,
        probe=house.probe,
        attributor=house.attributor,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A scorecard of one window and two seeds, and what its house held before it."""

    house: House
    recorded: dict[tuple[str, str, str], bytes]
    told: list[str]
    card: Scorecard


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Once, as it takes a while."""
    house = small_line.House(tmp_path_factory.mktemp("log"))
    steps.prepare(house, *("2013-01", "2013-02", "2013-03"))
    recorded = dict(house.evidence._documents)
    told: list[str] = []
    card = run_scorecard(
        bench_of(house),
        tables=house.tables,
        seeds=2,
        on_trial=lambda found: told.append(found.name),
    )
    return Ran(house=house, recorded=recorded, told=told, card=card)


@pytest.fixture(scope="module")
def card(ran: Ran) -> Scorecard:
    return ran.card


def trial(card: Scorecard, name: str) -> Trial:
    (found,) = [t for t in card.trials if name in t.name]
    return found


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("labels are shuffled", "score_is_above_floor"),
        ("labels are turned round", "score_is_above_floor"),
        ("constant", "attributions_are_stable"),
        ("sign flipped", "no_worse_than_champion"),
        ("not the same answer twice", "is_servable"),
        ("above 1 at times", "answers_are_robust"),
        ("answers otherwise than its estimator", "is_servable"),
        ("cannot be loaded", "is_servable"),
        ("half of its file", "is_servable"),
    ],
)
def test_a_mutant_is_stopped_by_the_gate_that_is_there_for_it(
    card: Scorecard, name: str, rule: str
) -> None:
    """Whatever else may stop it too."""
    assert rule in trial(card, name).stopped_by


def test_at_least_fifteen_kinds_of_mutants_are_tried(card: Scorecard) -> None:
    """Names differ, so that a survivor can be found again."""
    names = [t.name for t in card.trials if t.is_mutant]
    assert len(set(names)) == len(names) >= 15


def test_honest_retrainings_pass(card: Scorecard) -> None:
    """The one it would be, and one with another seed."""
    assert [t.name for t in card.trials if not t.is_mutant] == [
        "2013-01 to 2013-03, seed 0",
        "2013-01 to 2013-03, seed 1",
    ]
    assert card.blocked == ()


def test_nothing_is_published_or_recorded(ran: Ran) -> None:
    """The models of a scorecard are no candidates; each trial is told."""
    assert ran.house.models.artefacts == {}
    assert ran.house.evidence._documents == ran.recorded
    assert ran.told == [trial.name for trial in ran.card.trials]
    assert ran.told[-1] == "2013-01 to 2013-03, seed 1"


def test_without_a_window_of_features_there_is_no_scorecard(house: House) -> None:
    """It says what is missing."""
    steps.prepare(house, "2013-01")
    with pytest.raises(NotFoundError, match="expected features of at least 3 partitions"):
        run_scorecard(bench_of(house), tables=house.tables)
    assert SMALL_LINE.policies.scorecard.window_partitions == 3
