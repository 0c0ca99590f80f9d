"""The published figures of the canary judge are those of the judge."""

from __future__ import annotations

import importlib
import math
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.domain.canary import (
    ArmPair,
    ArmTally,
    CanaryEvidence,
    CanaryPolicy,
    CanaryStep,
    RateCount,
    Stretch,
    judge_canary,
)
from ml_release.domain.canary_rules import HARM, NO_WORSE, SPLIT
from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "operating_characteristics.md"
RELEASES = 200
POLICY = CanaryPolicy()
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def study() -> Iterator[Any]:
    """The modules of the benchmark, which are scripts beside one another."""
    sys.path.insert(0, str(PROJECT / "benchmarks"))
    yield {name: importlib.import_module(f"canary_{name}") for name in ("traffic", "page", "rules")}
    sys.path.remove(str(PROJECT / "benchmarks"))


def published(study: Any) -> Any:
    return study["page"].figures(PAGE.read_text(encoding="utf-8"))["default"]


def first(study: Any, scenario: Any, looks: Any) -> Any:
    traffic = study["traffic"]
    runs = traffic.simulated(scenario, POLICY, releases=RELEASES, seed=31)
    return np.concatenate([traffic.first_minutes(looks(counts, POLICY)) for counts in runs])


@pytest.mark.parametrize("per_window", [100, 300, 1000])
def test_harm_is_found_as_soon_as_published(study: Any, per_window: int) -> None:
    """Errors from 1 to 5 percent, in fewer releases and by another seed."""
    traffic = study["traffic"]
    scenario = traffic.Scenario(canary_per_window=per_window, hours=1.0, canary_rate=0.05)
    found = float(np.median(first(study, scenario, traffic.harm_looks)))
    stated = published(study)["errors 1 % to 5 %"][str(per_window)]["judge"]["median"]
    # The median of 200 releases is off by some tenths; looks are half a minute apart.
    assert found == pytest.approx(stated, rel=0.25, abs=0.5)


def test_good_canaries_are_rolled_back_no_more_often_than_published(study: Any) -> None:
    """Six hours of 200 releases: no more than chance allows at the published upper end."""
    traffic = study["traffic"]
    scenario = traffic.Scenario(canary_per_window=300, hours=6.0)
    fired = int(np.isfinite(first(study, scenario, traffic.harm_looks)).sum())
    high = published(study)["equal"]["300"]["judge"]["high"]
    # Five standard deviations of a Poisson count above what is published.
    assert fired <= RELEASES * high + 5 * math.sqrt(RELEASES * high)


@pytest.mark.parametrize("per_window", ["100", "300", "1000"])
def test_the_published_figures_keep_the_goals(study: Any, per_window: str) -> None:
    """At most 1 % false rollbacks of 2000 releases each; medians below 12, 4 and 2 minutes."""
    tables = published(study)
    judged = tables["equal"][per_window]["judge"]
    assert judged["releases"] == 2000
    assert judged["share"] <= POLICY.alpha_roll_back
    limit = {"100": 12, "300": 4, "1000": 2}[per_window]
    assert tables["errors 1 % to 5 %"][per_window]["judge"]["median"] < limit
    worse = tables["worse by the tolerance"][per_window]["shown"]
    assert worse["share"] <= POLICY.alpha_advance
    naive = [found["share"] for rule, found in tables["equal"][per_window].items() if "z-" in rule]
    assert max(naive) > 10 * POLICY.alpha_roll_back


def test_the_page_is_written_from_its_figures(study: Any) -> None:
    """Nobody has edited it, and it says how many releases stand behind them."""
    text = PAGE.read_text(encoding="utf-8")
    figures = study["page"].figures(text)
    releases = figures["default"]["equal"]["100"]["judge"]["releases"]
    assert study["page"].page(figures, releases=releases) == text


@pytest.mark.parametrize("canary_rate", [0.01, 0.03])
def test_what_is_simulated_is_what_the_judge_says(study: Any, canary_rate: float) -> None:
    """At some looks of some releases, rule by rule: harm, no worse, split."""
    traffic = study["traffic"]
    scenario = traffic.Scenario(canary_per_window=300, hours=2.0, canary_rate=canary_rate)
    counts = next(traffic.simulated(scenario, POLICY, releases=3, seed=9))
    harm = traffic.harm_looks(counts, POLICY)
    shown = traffic.no_worse_looks(counts, POLICY)
    split = traffic.split_looks(counts, POLICY)
    sums = counts.cumulated()
    agreed = set()
    for release in range(3):
        for look in (0, 5, 20, 60, 120, 239):
            at = (release, look)
            arms = [
                ArmTally(
                    requests=int(n[at]),
                    rates={
                        name: RateCount(n=int(n[at]), events=int(pair[arm][at]))
                        for name, pair in sums.events.items()
                    },
                )
                for arm, n in enumerate((sums.canary, sums.control))
            ]
            pair = ArmPair(canary=arms[0], control=arms[1])
            verdict = judge_canary(
                CanaryEvidence(
                    line="trips",
                    model_digest="a",
                    champion_digest="b",
                    step=0,
                    step_began=NOW - timedelta(hours=1),
                    now=NOW,
                    stretches=(Stretch(step=0, route_commit="c", canary_share=0.05, arms=pair),),
                ),
                POLICY,
                step=CanaryStep(weight_percent=5),
            ).verdict

            def outcomes(rule: str, found: Any = verdict) -> set[Outcome]:
                return {f.outcome for f in found.findings if f.rule == rule and f.votes}

            assert (Outcome.FAIL in outcomes(HARM)) == bool(harm[at])
            assert (outcomes(NO_WORSE) == {Outcome.PASS}) == bool(shown[at])
            assert (Outcome.FAIL in outcomes(SPLIT)) == bool(split[at])
            agreed.add((bool(harm[at]), bool(shown[at])))
    assert len(agreed) > 1
