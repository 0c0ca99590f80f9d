"""How often the drift judge cries for nothing on real flights, and what it finds.

No-drift replay of three months at a time: random windows of the reference period, and contiguous
days that were held out of it. Then shifts put into held-out weeks. A window is called hurting if
any feature, or the score, ends as shifted and hurting, which two windows in a row have to show;
nothing is muted. Prints the page and one JSON line; ``--write`` publishes it.

    python benchmarks/drift_alarms.py [--quick] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the figures are about no speed

import numpy as np
from drift_alarms_page import page
from drift_injections import injections
from drift_replay import periods

from ml_release.domain.drift import data_quality_problems, drifted_features, judge_drift
from ml_release.domain.drift_limits import Calibration
from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.intervals import rate_interval
from ml_release.domain.reference_profile import SCORE
from ml_release.lines.flight_delay.line import LINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from drift_injections import Injection
    from drift_replay import Period, Rows

    from ml_release.domain.drift import Judged
    from ml_release.domain.drift_departure import WindowCounts
    from ml_release.domain.drift_policy import DriftPolicy

QUARTERS = tuple(tuple(f"2013-{q + m:02d}" for m in range(3)) for q in (1, 4, 7, 10))
SIZES = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
LENGTHS = {1: 5, 3: 3, 7: 2}
"""Days of a contiguous window, and days from one to the next."""
HURTING_LIMIT = 0.01
PAGE = Path(__file__).parents[1] / "docs" / "drift_alarms.md"
# Shown without what hides alarms: no feature is muted, and hundred rows are enough to judge.
POLICY = LINE.policies.drift.model_copy(
    update={"muted": (), "seasonal": (), "seasonal_lag_days": None, "minimum_rows": 100}
)
_SEED = 20261121


class Tally:
    """What the judge said of many windows."""

    def __init__(self) -> None:
        self.windows = 0
        self.hurting: list[tuple[str, ...]] = []
        self.harmless = self.harmless_features = self.unknown = self.problems = 0

    def add(self, judged: Judged) -> None:
        """Count one window."""
        of = defaultdict(list)
        for one in judged.features:
            of[one.standing].append(one.feature)
        self.windows += 1
        hurting = drifted_features(judged.verdict)
        if hurting:
            self.hurting.append(hurting)
        self.harmless += bool(of[DriftStanding.HARMLESS])
        self.harmless_features += any(f != SCORE for f in of[DriftStanding.HARMLESS])
        self.unknown += bool(of[DriftStanding.UNKNOWN])
        self.problems += bool(data_quality_problems(judged.verdict))

    def figures(self) -> dict[str, Any]:
        """Shares, the hurting one with its 95 % interval."""
        interval = rate_interval(len(self.hurting), self.windows, confidence=0.95)
        causes: dict[str, int] = defaultdict(int)
        for one in self.hurting:
            for feature in one:
                causes[feature] += 1
        return {
            "windows": self.windows,
            "hurting": len(self.hurting) / self.windows,
            "hurting_low": interval.low,
            "hurting_high": interval.high,
            "harmless": self.harmless / self.windows,
            "harmless_features": self.harmless_features / self.windows,
            "unknown": self.unknown / self.windows,
            "quality": self.problems / self.windows,
            "causes": dict(causes),
        }


def judged(calibration: Calibration, windows: Sequence[WindowCounts]) -> Judged:
    """The newest of some windows, which stands first, as the monitor judges it."""
    return judge_drift(
        line=LINE.name,
        profile=calibration.profile,
        window=windows[0],
        earlier=windows[1:],
        subject_digest="replay",
        policy=calibration.policy,
        calibration=calibration,
    )


def random_windows(
    period: Period, policy: DriftPolicy, *, sizes: Sequence[int], each: int
) -> dict[str, Tally]:
    """Windows drawn with replacement from the whole reference, the ones before them too."""
    profile = period.reference(np.empty(0, dtype=np.int64))
    calibration = Calibration(profile, policy)
    rng = np.random.default_rng(_SEED)
    window_of, found = period.drawn_windows(profile), {}
    for size in sizes:
        tally = found[f"{size:,} rows"] = Tally()
        for _ in range(each):
            windows = [
                window_of(rng.integers(0, len(period.day), size))
                for _ in range(policy.persistence_windows)
            ]
            tally.add(judged(calibration, windows))
    return found


def held_out(
    period: Period, policy: DriftPolicy, *, length: int, step: int
) -> Iterator[tuple[Calibration, list[Rows]]]:
    """Contiguous windows with those before them, and a reference that knows none of their days."""
    block = length * policy.persistence_windows
    for first in range(0, period.days - block + 1, step):
        profile = period.reference(period.rows(first, first + block))
        ends = range(first + block, first, -length)
        yield (
            Calibration(profile, policy),
            [period.rows(end - length, end) for end in ends],
        )


def contiguous_windows(
    period: Period, policy: DriftPolicy, *, lengths: Mapping[int, int]
) -> dict[str, Tally]:
    """Days held out of the reference."""
    found = {}
    for length, step in lengths.items():
        tally = found[f"{length} days" if length > 1 else "1 day"] = Tally()
        for calibration, windows in held_out(period, policy, length=length, step=step):
            counted = [period.window(rows, calibration.profile) for rows in windows]
            tally.add(judged(calibration, counted))
    return found


def power(
    period: Period, policy: DriftPolicy, wanted: Sequence[Injection], *, step: int = 7
) -> dict[str, list[dict[str, Any]]]:
    """What the judge says of held-out weeks into which a shift was put."""
    rng = np.random.default_rng(_SEED)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for calibration, windows in held_out(period, policy, length=7, step=step):
        for one in wanted:
            rows, changed = list(windows), []
            for at, own in enumerate(windows):
                column, every = period.values[one.feature][own], period.values[one.feature]
                made = one.change(column, every, rng)
                if one.is_population:
                    rows[at] = own[made]
                else:
                    changed.append({one.feature: made})
            counted = [
                period.window(own, calibration.profile, changed=changed[at] if changed else None)
                for at, own in enumerate(rows)
            ]
            said = judged(calibration, counted)
            (feature,) = (f for f in said.features if f.feature == one.feature)
            before = period.loss(windows[0], period.scores[windows[0]])
            answers = period.answers(rows[0], changed[0] if changed else {})
            found[f"{one.feature}: {one.name}"].append(
                {
                    "moved": feature.windows_in_a_row > 0,
                    "shifted": feature.standing in {DriftStanding.HARMLESS, DriftStanding.HURTING},
                    "hurting": feature.standing is DriftStanding.HURTING,
                    "any_hurting": bool(drifted_features(said.verdict)),
                    "quality": one.feature in data_quality_problems(said.verdict),
                    "importance": feature.importance,
                    "expected": feature.loss_change,
                    "true": period.loss(rows[0], answers) - before,
                }
            )
    return found


def measure(*, quick: bool, say: Any = print) -> dict[str, Any]:  # noqa: ANN401 (any function)
    """Every figure of the page."""
    tallies: dict[str, dict[str, dict[str, Any]]] = {}
    shifts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    pooled: dict[str, Tally] = {}
    groups = QUARTERS[:1] if quick else QUARTERS
    parameters = {"max_iter": 30} if quick else {}
    for period in periods(groups, fold_days=30 if quick else 14, parameters=parameters):
        say(f"{period.name}: {len(period.day)} rows scored")
        found = random_windows(
            period,
            POLICY,
            sizes=SIZES[:5] if quick else SIZES,
            each=10 if quick else 50,
        )
        say(f"{period.name}: random windows {[t.figures()['hurting'] for t in found.values()]}")
        found |= contiguous_windows(period, POLICY, lengths={7: 7} if quick else LENGTHS)
        say(f"{period.name}: contiguous windows")
        for name, rows in power(
            period, POLICY, injections(quick=quick), step=21 if quick else 14
        ).items():
            shifts[name] += rows
        say(f"{period.name}: shifts")
        tallies[period.name] = {name: tally.figures() for name, tally in found.items()}
        say(json.dumps(tallies[period.name]))
        for name, tally in found.items():
            _pool(pooled.setdefault(name, Tally()), tally)
    tallies["all"] = {name: tally.figures() for name, tally in pooled.items()}
    return {
        "no_drift": tallies,
        "power": {name: _summary(rows) for name, rows in shifts.items()},
        "policy": POLICY.model_dump(mode="json"),
    }


def _pool(whole: Tally, part: Tally) -> None:
    for name in ("windows", "harmless", "harmless_features", "unknown", "problems"):
        setattr(whole, name, getattr(whole, name) + getattr(part, name))
    whole.hurting += part.hurting


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    shares = ("moved", "shifted", "hurting", "any_hurting", "quality")
    found = {name: float(np.mean([row[name] for row in rows])) for name in shares}
    found |= {
        name: float(np.median([row[name] for row in rows if row[name] is not None]))
        for name in ("importance", "expected", "true")
    }
    return {**found, "windows": len(rows)}


def main() -> None:
    """Measure, print, write if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="January to March, few windows")
    parser.add_argument("--write", action="store_true", help=f"publish {PAGE.name}")
    asked = parser.parse_args()
    found = measure(quick=asked.quick, say=lambda text: print(text, file=sys.stderr, flush=True))
    text = page(found, limit=HURTING_LIMIT, lengths={7: 7} if asked.quick else LENGTHS)
    print(text)
    if asked.write:
        PAGE.write_text(text, encoding="utf-8")
    no_drift = found["no_drift"]["all"]
    worst = max(row["hurting"] for row in no_drift.values())
    print(
        json.dumps(
            {
                "benchmark": "drift_alarms",
                "measured": {name: row["hurting"] for name, row in no_drift.items()},
                "goals": {"hurting_at_most": HURTING_LIMIT},
                "met": worst <= HURTING_LIMIT,
            }
        )
    )


if __name__ == "__main__":
    main()
