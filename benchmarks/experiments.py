"""Experiments that are simulated and judged at every look: how often the judge errs, and the cost.

By the shipped judge's own functions. An A/A test is looked at 30 times on its way to the planned
end; beside it stands the z-test at 5 % that is looked at as often. Regret is that of Thompson
sampling beside equal parts, for arms of 10, 12 and 16 % of rewards.

    python benchmarks/experiments.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ml_release.domain.experiment_analysis import ArmOutcome
from ml_release.domain.experiment_split import split_findings, void_because
from ml_release.domain.intervals import rate_interval
from ml_release_tests.simulated_experiments import (
    a_plan,
    an_experiment,
    bandit_split,
    first_finding,
    fixed_split,
    looks,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.experiment import Experiment
    from ml_release.domain.experiment_design import ExperimentPlan
    from ml_release.domain.experiment_policy import ExperimentPolicy
    from ml_release.domain.experiment_scores import Observed

LOOKS = 30
EFFECT = 0.03
MEANS = (0.10, 0.12, 0.16)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
_CONSOLE = Console(stderr=True)


def main() -> int:
    """Measure, and print one JSON line; return 0 if the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 experiments each, not 300")
    count = 40 if parser.parse_args().quick else 300
    fixed = an_experiment()
    thompson = an_experiment(allocation="thompson")
    plan, policy = a_plan(fixed, minimum_detectable_effect=EFFECT)
    n = plan.total_units
    same, other = (0.1, 0.1), (0.1, 0.1 + EFFECT)
    cases: dict[str, tuple[Experiment, Callable[[np.random.Generator], Observed]]] = {
        "aa_fixed": (fixed, lambda g: fixed_split(same, n, g)),
        "aa_repeating_units": (fixed, lambda g: fixed_split(same, n, g, units=500, spread=0.1)),
        "aa_thompson": (thompson, lambda g: bandit_split(same, n, g)),
        "ab_fixed": (fixed, lambda g: fixed_split(other, n, g)),
    }
    measured: dict[str, Any] = {"experiments": count, "looks": LOOKS, "planned_units": n}
    for seed, (name, (experiment, draw)) in enumerate(cases.items()):
        measured[name] = _errors(name, experiment, draw, plan, policy, count=count, seed=seed)
    measured["regret"] = _regret(count=max(20, count // 10), n=n)
    met = (
        all(
            measured[name]["better"] <= policy.alpha
            and measured[name]["better_or_worse"] <= policy.alpha
            for name in ("aa_fixed", "aa_repeating_units", "aa_thompson")
        )
        and measured["ab_fixed"]["better"] >= policy.power
        and measured["regret"]["thompson"] < measured["regret"]["equal_parts"]
    )
    document = {
        "benchmark": "experiments",
        "measured": measured,
        "goals": {
            "false_better_or_worse": f"at most {policy.alpha:g}",
            "power": f"at least {policy.power:g}",
            "regret": "below that of equal parts",
        },
        "met": bool(met),
    }
    print(json.dumps(document))
    return 0 if met else 1


def _errors(
    name: str,
    experiment: Experiment,
    draw: Callable[[np.random.Generator], Observed],
    plan: ExperimentPlan,
    policy: ExperimentPolicy,
    *,
    count: int,
    seed: int,
) -> dict[str, Any]:
    found: list[ArmOutcome | None] = []
    naive = void = 0
    for repeat in track(range(count), description=name, console=_CONSOLE):
        seen = draw(np.random.default_rng([seed, repeat]))
        found.append(first_finding(looks(experiment, seen, plan, count=LOOKS, now=NOW)))
        naive += _naive(seen)
        void += bool(void_because(split_findings(experiment, seen, policy)))
    better = sum(one is ArmOutcome.BETTER for one in found)
    either = sum(one is not None for one in found)
    interval = rate_interval(either, count, confidence=0.95)
    return {
        "better": better / count,
        "better_or_worse": either / count,
        "interval_95": [round(interval.low, 4), round(interval.high, 4)],
        "naive_z_test": naive / count,
        "void": void / count,
    }


def _naive(seen: Observed) -> bool:
    """Whether the textbook's z-test at 5 % finds a difference at any of the looks."""
    for end in np.linspace(0, len(seen), LOOKS + 1)[1:].astype(int):
        arms = [seen.reward[:end][seen.version[:end] == version] for version in (1, 2)]
        pooled = float(np.concatenate(arms).mean())
        error = math.sqrt(pooled * (1 - pooled) * sum(1 / len(arm) for arm in arms if len(arm)))
        if error and abs(arms[1].mean() - arms[0].mean()) > 1.96 * error:
            return True
    return False


def _regret(*, count: int, n: int) -> dict[str, float]:
    losses = max(MEANS) - np.asarray(MEANS)
    total = 0.0
    for repeat in track(range(count), description="regret", console=_CONSOLE):
        seen = bandit_split(MEANS, n, np.random.default_rng([99, repeat]))
        total += float(losses[seen.version - 1].sum())
    return {
        "thompson": round(total / count, 1),
        "equal_parts": round(float(losses.mean() * n), 1),
        "answers": n,
    }


if __name__ == "__main__":
    raise SystemExit(main())
