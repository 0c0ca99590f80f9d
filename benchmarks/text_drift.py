"""How often the text shift test cries for nothing, and what it finds, on seeded made-up texts.

False alarms: both samples are of one language, so every alarm is false; told at the policy's alpha
alone, and together with its least AUC. Power: a share of the newest texts has a new subject,
another spelling, fewer words, or another language. The floor is the plainest thing one could watch
instead: a z-test of the mean length of a text. Prints a table, then one JSON line.

    .venv/bin/python benchmarks/text_drift.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from ml_release.adapters.hashed_ngrams import HashedNgrams
from ml_release.domain.intervals import rate_interval
from ml_release.domain.text_drift import TextDriftPolicy
from ml_release.workflows.text_drift import compared
from ml_release_tests.simulated_texts import SHIFTS, Language, sample_of

if TYPE_CHECKING:
    from ml_release_tests.simulated_texts import Shift

POLICY = TextDriftPolicy()
SIZES = (200, 500)
SHARES = (0.02, 0.05, 0.1, 0.25, 0.5)


def main() -> int:
    """Run, print the table, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repeats")
    quick = parser.parse_args().quick
    repeats, powered = (20, 5) if quick else (200, 20)
    started = time.perf_counter()
    alarms = {size: rates(size, repeats) for size in SIZES}
    for size, found in alarms.items():
        _say(f"{size} texts a side, nothing moved: {found}")
    power: dict[str, dict[str, dict[str, float]]] = {}
    for shift in SHIFTS:
        for share in SHARES:
            found = rates(SIZES[-1], powered, shift=shift, share=share)
            power.setdefault(shift, {})[f"{share:g}"] = found
            _say(f"{shift}, {share * 100:g} % of {SIZES[-1]} texts: {found}")
    false = max(found["told"] for found in alarms.values())
    upper = rate_interval(round(false * repeats), repeats, confidence=0.95).high
    measured = {
        "false_alarms": {str(size): found for size, found in alarms.items()},
        "false_alarms_upper_95": round(upper, 4),
        "power": power,
        "seconds": round(time.perf_counter() - started, 1),
    }
    goals = {"false_alarms": 0.01, "power_of_a_new_subject_in_half": 0.95}
    met = false <= 0.01 and power["topic"]["0.5"]["told"] >= 0.95  # noqa: PLR2004 (the goals)
    sys.stdout.write(
        json.dumps({"benchmark": "text_drift", "measured": measured, "goals": goals, "met": met})
        + "\n"
    )
    return 0 if met else 1


def rates(
    size: int, repeats: int, *, shift: Shift | None = None, share: float = 0.0
) -> dict[str, float]:
    """Shares of the repeats in which a shift is significant, told (large too), seen by length."""
    language, classifier = Language(), HashedNgrams()
    significant = told = longer = 0
    aucs = []
    for repeat in range(repeats):
        before = language.texts(size, seed=2 * repeat)
        after = language.texts(size, seed=2 * repeat + 1, shift=shift, share=share)
        found, p_value = compared(
            "text", sample_of(before), sample_of(after), POLICY, classifier=classifier
        )
        auc = float("nan") if found.auc is None else found.auc
        aucs.append(auc)
        significant += p_value <= POLICY.alpha
        told += p_value <= POLICY.alpha and auc > POLICY.auc_limit
        longer += _length_differs(before, after)
    return {
        "significant": round(significant / repeats, 4),
        "told": round(told / repeats, 4),
        "mean_auc": round(float(np.mean(aucs)), 3),
        "by_length_alone": round(longer / repeats, 4),
    }


def _length_differs(before: list[str], after: list[str]) -> bool:
    """The floor: a two-sided z-test of the mean number of letters, at the policy's alpha."""
    lengths = [
        np.array([len(text) for text in texts], dtype=np.float64) for texts in (before, after)
    ]
    error = np.sqrt(sum(one.var(ddof=1) / len(one) for one in lengths))
    return bool(abs(lengths[1].mean() - lengths[0].mean()) / error > 2.5758)  # noqa: PLR2004


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
