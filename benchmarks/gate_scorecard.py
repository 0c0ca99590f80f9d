"""What the evaluation gates kill and what they block for nothing, on real flights.

Mutants (models made bad on purpose) meet the gates beside the champion they were made of; honest
retrainings, with other seeds on windows of three months, beside the one of the month before.
Prints a table, then one JSON line.

    .venv/bin/python benchmarks/gate_scorecard.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ml_release.adapters.in_memory import InMemoryEvidence, InMemoryTables
from ml_release.adapters.landing_files import LandingFiles
from ml_release.adapters.model_process import ModelProcess
from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.onnx_models import OnnxLoader
from ml_release.adapters.shap_values import ShapValues
from ml_release.definitions import find_line
from ml_release.workflows.feature_building import build_features
from ml_release.workflows.gate_scorecard import Bench, run_scorecard
from ml_release.workflows.snapshots import take_snapshot

if TYPE_CHECKING:
    from ml_release.domain.scorecard import Scorecard, Trial

DATA = Path(__file__).parents[1] / "data"


def main() -> None:
    """Run, print the table, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one window and one seed")
    quick = parser.parse_args().quick
    line = find_line("flight_delay")
    tables, evidence, landing = InMemoryTables(), InMemoryEvidence(), LandingFiles(DATA)
    months = landing.partitions(line.landing)
    months = months[: line.policies.scorecard.window_partitions] if quick else months
    for month in months:
        take_snapshot(
            line,
            month,
            landing=landing,
            tables=tables,
            evidence=evidence,
            now=datetime(2014, 2, 1, tzinfo=UTC),
        )
        build_features(line, month, tables=tables, evidence=evidence)
        _say(f"features of {month}")
    bench = Bench(
        line=line,
        compiler=OnnxCompiler(),
        loader=OnnxLoader(),
        probe=ModelProcess(),
        attributor=ShapValues(),
    )
    card = run_scorecard(bench, tables=tables, seeds=1 if quick else None, on_trial=_tell)
    _print(card)
    policy = line.policies.scorecard
    kills, blocks = card.rate(mutants=True), card.rate(mutants=False)
    met = kills.estimate >= policy.kill_rate_floor and blocks.estimate <= policy.false_block_limit
    document = {
        "benchmark": "gate_scorecard",
        "measured": {
            "mutants": kills.n,
            "kill_rate": kills.estimate,
            "honest": blocks.n,
            "false_block_rate": blocks.estimate,
            "survivors": [trial.name for trial in card.survivors],
            "blocked": [trial.name for trial in card.blocked],
        },
        "goals": {
            "kill_rate_at_least": policy.kill_rate_floor,
            "false_block_rate_at_most": policy.false_block_limit,
        },
        "met": met,
    }
    sys.stdout.write(json.dumps(document) + "\n")


def _tell(trial: Trial) -> None:
    _say(f"{trial.name}: {', '.join(trial.stopped_by) or 'passes'}")


def _print(card: Scorecard) -> None:
    lines = ["", "| mutant | stopped by |", "|---|---|"]
    lines += [
        f"| {t.name} | {', '.join(t.stopped_by) or '**nothing**'} |"
        for t in card.trials
        if t.is_mutant
    ]
    lines += ["", "| gate | mutants | alone | honest |", "|---|---|---|---|"]
    lines += [f"| {rule} | {k} | {a} | {b} |" for rule, (k, a, b) in card.by_rule().items()]
    for name, mutants in (("mutants stopped", True), ("honest retrainings stopped", False)):
        rate = card.rate(mutants=mutants)
        ends = f"95 % interval {rate.low:.3f} to {rate.high:.3f}"
        lines.append(f"\n{name}: {rate.estimate:.3f} of {rate.n} ({ends})")
    sys.stdout.write("\n".join(lines) + "\n")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
