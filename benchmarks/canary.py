"""How often the canary judge is wrong, and how soon it is right, beside rules that teams use.

Seeded simulations of whole releases, looked at every 30 seconds, through the functions that the
judge itself calls: false rollbacks of canaries that are as good as the control, minutes until harm
is found, minutes until a good canary is shown to be no worse, and how often one that is worse by
the tolerance is shown so all the same. ``--write`` publishes the tables.

    python benchmarks/canary.py [--quick] [--write]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from canary_page import page
from canary_rules import RULES
from canary_traffic import (
    LOOKS_PER_WINDOW,
    Scenario,
    first_minutes,
    harm_looks,
    no_worse_looks,
    simulated,
    split_looks,
)
from rich.console import Console

from ml_release.definitions import find_line
from ml_release.domain.canary import CanaryPolicy
from ml_release.domain.intervals import rate_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from canary_traffic import Counts

    Floats = npt.NDArray[np.float64]
    Rule = Callable[[Counts], Floats]

TRAFFIC = (100, 300, 1000)
FALSE_LIMIT = 0.01
MEDIAN_LIMITS_MINUTES = {100: 12.0, 300: 4.0, 1000: 2.0}
RELEASES, QUICK_RELEASES = 2000, 200
PAGE = Path(__file__).parents[1] / "docs" / "operating_characteristics.md"
_SEED = 20261121
_DAY, _SHORT = 24.0, 4.0


class Study:
    """Runs scenarios of one policy; every scenario has a seed of its own."""

    def __init__(self, policy: CanaryPolicy, *, releases: int, console: Console) -> None:
        self.policy = policy
        self._releases = releases
        self._console = console
        rates = [metric for metric in policy.metrics if metric.kind == "error_rate"]
        self._errors = rates[0].name
        self._tolerance = rates[0].tolerance

    def all(self) -> dict[str, Any]:
        """Every table: name to traffic to figures."""
        found: dict[str, Any] = {}
        for traffic in TRAFFIC:
            base = Scenario(canary_per_window=traffic, hours=_DAY)
            key = str(traffic)
            found.setdefault("equal", {})[key] = self.false_alarms(base)
            for slow in (1.1, 1.25):
                name = f"latency x {slow:g}"
                scenario = replace(base, hours=_SHORT, slowdown=slow)
                found.setdefault(name, {})[key] = self.delays(scenario, rules=False)
            for rate in (0.02, 0.03, 0.05):
                name = f"errors 1 % to {rate:.0%}".replace("%", " %").replace("  ", " ")
                scenario = replace(base, hours=_SHORT, canary_rate=rate)
                found.setdefault(name, {})[key] = self.delays(scenario)
            found.setdefault("shown no worse", {})[key] = self.shown(base)
            worse = replace(base, canary_rate=base.control_rate + self._tolerance)
            found.setdefault("worse by the tolerance", {})[key] = self.shown(worse)
        base = Scenario(canary_per_window=300, hours=_DAY)
        rare = replace(base, control_rate=0.001, canary_rate=0.001)
        found["equal, errors 0.1 %"] = {"300": self.false_alarms(rare)}
        found["equal, errors move threefold"] = {"300": self.false_alarms(replace(base, wander=3))}
        late = replace(base, hours=16.0, canary_rate=0.05, onset_hours=12.0)
        found["errors 1 % to 5 %, after 12 hours"] = {"300": self.delays(late, rules=False)}
        return found

    def false_alarms(self, scenario: Scenario) -> dict[str, Any]:
        """Releases rolled back within the day, by the judge and by every rule."""
        rules = {"judge": self._judge, "split called off": self._split, **self._rules()}
        runs = self._run(scenario, rules)
        return {name: _share(minutes) for name, minutes in runs.items()}

    def delays(self, scenario: Scenario, *, rules: bool = True) -> dict[str, Any]:
        """Minutes from the beginning of harm until it is found."""
        runs = self._run(scenario, {"judge": self._judge, **(self._rules() if rules else {})})
        return {
            name: _minutes(minutes - scenario.onset_hours * 60) for name, minutes in runs.items()
        }

    def shown(self, scenario: Scenario) -> dict[str, Any]:
        """Minutes until it is shown to be no worse, at a look each five minutes, before any harm.

        Each five minutes and not each 30 seconds only because it is the slowest of the tests.
        """
        found = []
        for counts in simulated(
            scenario, self.policy, releases=self._releases, seed=self._seed(scenario)
        ):
            windows = counts.every(LOOKS_PER_WINDOW)
            shown = first_minutes(no_worse_looks(windows, self.policy), minutes_per_look=5.0)
            harmed = first_minutes(harm_looks(windows, self.policy), minutes_per_look=5.0)
            found.append(np.where(shown < harmed, shown, np.inf))
        minutes = np.concatenate(found)
        self._console.print(f"  {scenario}")
        return {"shown": _share(minutes), "minutes": _minutes(minutes)}

    def _judge(self, counts: Counts) -> Floats:
        return first_minutes(harm_looks(counts, self.policy))

    def _split(self, counts: Counts) -> Floats:
        return first_minutes(split_looks(counts, self.policy))

    def _rules(self) -> dict[str, Rule]:
        return {name: self._on_errors(rule) for name, rule in RULES.items()}

    def _on_errors(self, rule: Callable[[Counts, str], Floats]) -> Rule:
        return lambda counts: rule(counts, self._errors)

    def _run(self, scenario: Scenario, rules: dict[str, Rule]) -> dict[str, Floats]:
        found: dict[str, list[Floats]] = {name: [] for name in rules}
        for counts in simulated(
            scenario, self.policy, releases=self._releases, seed=self._seed(scenario)
        ):
            for name, rule in rules.items():
                found[name].append(rule(counts))
        self._console.print(f"  {scenario}")
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _seed(self, scenario: Scenario) -> int:
        # The same for the same scenario, whatever was run before it.
        words = [
            int(1000 * value)
            for value in (
                scenario.canary_per_window,
                scenario.hours,
                scenario.control_rate * 1000,
                scenario.canary_rate * 1000,
                scenario.slowdown,
                scenario.onset_hours,
                scenario.wander,
            )
        ]
        return int(np.random.SeedSequence([_SEED, *words]).generate_state(1)[0])


def _share(minutes: Floats) -> dict[str, float]:
    fired = int(np.isfinite(minutes).sum())
    found = rate_interval(fired, len(minutes), confidence=0.95)
    return {
        "releases": len(minutes),
        "share": round(found.estimate, 5),
        "low": round(found.low, 5),
        "high": round(found.high, 5),
    }


def _minutes(minutes: Floats) -> dict[str, float | None]:
    """Median and 90th percentile over all releases; None where so many never were found."""
    ends = np.quantile(minutes, [0.5, 0.9], method="inverted_cdf")
    median, most = (float(end) if np.isfinite(end) else None for end in ends)
    return {"median": median, "p90": most, "early": float(np.mean(minutes <= 0))}


def policies() -> dict[str, CanaryPolicy]:
    """The one that ships, and that of flight_delay where it declares another one."""
    found = {"default": CanaryPolicy()}
    rollout = getattr(find_line("flight_delay").policies, "rollout", None)
    declared = getattr(rollout, "canary", None)
    if isinstance(declared, CanaryPolicy) and declared != found["default"]:
        found["flight_delay"] = declared
    return found


def goals_met(tables: dict[str, Any]) -> bool:
    """Whether false rollbacks and medians of one policy keep the limits."""
    medians = {t: tables["errors 1 % to 5 %"][str(t)]["judge"]["median"] for t in TRAFFIC}
    return all(
        tables["equal"][str(traffic)]["judge"]["share"] <= FALSE_LIMIT
        and medians[traffic] is not None
        and medians[traffic] < MEDIAN_LIMITS_MINUTES[traffic]
        for traffic in TRAFFIC
    )


def main() -> int:
    """Simulate, print progress and one JSON line; return 0 if the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RELEASES} releases each")
    parser.add_argument("--write", action="store_true", help=f"publish them in {PAGE.name}")
    arguments = parser.parse_args()
    releases = QUICK_RELEASES if arguments.quick else RELEASES
    console = Console(stderr=True, highlight=False)
    measured = {}
    for name, policy in policies().items():
        console.print(f"policy {name}, {releases} releases of each kind")
        measured[name] = Study(policy, releases=releases, console=console).all()
    document = {
        "benchmark": "canary",
        "measured": measured,
        "goals": {
            "false_rollbacks_at_most": FALSE_LIMIT,
            "median_minutes_1_to_5_percent_below": {
                str(t): m for t, m in MEDIAN_LIMITS_MINUTES.items()
            },
        },
        "met": all(goals_met(tables) for tables in measured.values()),
    }
    if arguments.write:
        PAGE.write_text(page(measured, releases=releases), encoding="utf-8")
        console.print(f"wrote {PAGE}")
    sys.stdout.write(json.dumps(document) + "\n")
    return 0 if document["met"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
