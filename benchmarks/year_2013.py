"""The year 2013 lived in minutes: trained on January to March, then left to itself.

Flights are asked for in the order of their departures, outcomes told a day later, months land when
they have ended. Once a week the log is monitored by the line's own job, its sensors are looked at,
and what they ask for is run: training on all months that have landed, gates, registration,
promotion. Beside it never retraining, and retraining every month; all three answer the very same
rows with the same history, by artefacts of the same training function, released on the day they are
trained. The gain of a way is its mean of the monthly AUC over that of never retraining.

    python benchmarks/year_2013.py [--quick] [--through-endpoint] [--write]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from year_baselines import FIRST_TRAINED, YEAR, Answered, Baselines, known_at
from year_endpoint import answering
from year_house import YearHouse, released_at_once

from ml_release.adapters.landing_files import LandingFiles
from ml_release.domain.clustered_auc import auc_interval_by_groups
from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.scores import expected_calibration_error
from ml_release.lines.flight_delay.line import LINE
from ml_release.settings import refuse_telemetry
from ml_release.workflows.live_replay import LiveReplay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from year_house import Happened

    from ml_release.spec.release_line import ReleaseLine

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT / "data"
GAIN_GOAL, RETRAININGS_GOAL = 0.95, 0.5
QUICK_MONTHS = 3
OURS, NEVER, MONTHLY = "ours", "never", "monthly"
TRAINED = ("retrained", "refused", "held")
LOOK_EVERY = timedelta(days=7)
HURTING, HARMLESS = DriftStanding.HURTING.value, DriftStanding.HARMLESS.value
_STEP = timedelta(hours=1)
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What monitoring said at one moment.

    Attributes
    ----------
    standings
        Feature to how the drift judge sees it; empty if it has not judged.
    decision, why
        What the decision record says is to be done; empty without one.
    """

    at: datetime
    standings: Mapping[str, str]
    estimated_auc: float | None
    realised_auc: float | None
    decision: str
    why: str

    def sentence(self) -> str:
        """For whoever waits."""
        hurting = [name for name, found in self.standings.items() if found == HURTING]
        return f"{self.at:%Y-%m-%d} {self.decision or 'nothing decided'}: {self.why}" + (
            f" [{', '.join(hurting)}]" if hurting else ""
        )


@dataclass(slots=True, kw_only=True)
class Lived:
    """What came of the months that were lived."""

    months: tuple[str, ...]
    looks: list[Look] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    versions: dict[str, list[int]] = field(default_factory=dict)
    failed: int = 0
    rows: pd.DataFrame | None = None


def moments(
    line: ReleaseLine, months: tuple[str, ...], *, every: timedelta = LOOK_EVERY
) -> list[tuple[datetime, str | None]]:
    """When something besides traffic happens: regular looks, months that land, a look after each.

    With each moment the month that lands then; None where it is looked at what was served.
    """
    begun = known_at(line, FIRST_TRAINED[-1]).tz_localize(line.time_zone)
    landings = {known_at(line, month).tz_localize(line.time_zone): month for month in months[:-1]}
    end = pd.Timestamp(f"{line.landing.following(months[-1])}-01").tz_localize(line.time_zone)
    # What is decided is as of the newest event: one day later there is one after the landing.
    looks = {
        *pd.date_range(begun, end, freq=every, inclusive="right"),
        *(moment + timedelta(days=1) for moment in landings),
        end,
    }
    return [
        *((moment.to_pydatetime(), month) for moment, month in landings.items()),
        *((moment.to_pydatetime(), None) for moment in looks),
    ]


def live(
    house: YearHouse,
    months: tuple[str, ...],
    *,
    through_endpoint: bool,
    progress: Progress,
    every: timedelta = LOOK_EVERY,
) -> Lived:
    """Train, release, and live through the months."""
    line = house.line
    lived = Lived(months=months)
    calendar = sorted(moments(line, months, every=every), key=lambda one: (one[0], one[1] is None))
    task = progress.add_task("first release", total=len(calendar) + 1)
    house.clock.move(known_at(line, FIRST_TRAINED[-1]).tz_localize(line.time_zone).to_pydatetime())
    house.land(*FIRST_TRAINED)
    house.train(FIRST_TRAINED[0], FIRST_TRAINED[-1])
    progress.advance(task)
    frames: list[pd.DataFrame] = []
    cursor: Mapping[str, int] = {}
    with answering(house, through_endpoint=through_endpoint) as endpoint:
        endpoint.refresh()
        replay = LiveReplay(
            line=line,
            first=known_at(line, FIRST_TRAINED[-1]).date(),
            last=(
                pd.Timestamp(f"{line.landing.following(months[-1])}-01") - timedelta(days=1)
            ).date(),
            landing=LandingFiles(house.data),
            endpoint=endpoint,
            step=_STEP,
            concurrency=4 if through_endpoint else 1,
            move=house.clock.move,
        )
        for moment, month in calendar:
            progress.update(task, description=f"{moment:%d %B}, version {house.version}")
            with house.timed("traffic"):
                sent = replay.advance(moment)
            lived.failed += sent.failed
            if house.clock.now() < moment:
                house.clock.move(moment)
            if month is not None:
                house.land(month)
                endpoint.refresh()
                progress.advance(task)
                continue
            house.monitor()
            lived.looks.append(looked(house, moment))
            progress.console.print(lived.looks[-1].sentence(), style="dim", markup=False)
            for one in house.look():
                lived.happened.append(one)
                progress.console.print(f"  {one.kind} by {one.trigger}: {one.said}", markup=False)
            lived.versions.setdefault(f"{moment:%Y-%m}", []).append(house.version or 0)
            endpoint.refresh()
            with house.timed("reading the log"):
                found, cursor = house.wiring.inference_log.records(line.name, after=cursor)
                kept = found[~found["shadow"] & (found["row"] == 0)]
                frames.append(kept[["request_id", "prediction", "version", "outcome"]])
            progress.advance(task)
    lived.rows = pd.concat(frames, ignore_index=True)
    return lived


def looked(house: YearHouse, moment: datetime) -> Look:
    """The newest records of monitoring, those that there are."""
    drift = house.recorded("drift_record") or {}
    performance = house.recorded("performance_record") or {}
    decision = house.recorded("decision_record") or {}
    realised = (performance.get("window") or {}).get("auc") or {}
    return Look(
        at=moment,
        standings={row["feature"]: row["standing"] for row in drift.get("features", ())},
        estimated_auc=(performance.get("newest") or {}).get("auc"),
        realised_auc=realised.get("estimate"),
        decision=str(decision.get("action", "")),
        why=str(decision.get("reason", "")),
    )


def scored(answered: Answered) -> dict[str, float | int]:
    """AUC with an interval by days, and calibration error, of a month."""
    auc = auc_interval_by_groups(
        answered.target, answered.answers, answered.days, confidence=_CONFIDENCE
    )
    return {
        "rows": len(answered.target),
        "auc": round(auc.estimate, 4),
        "low": round(auc.low, 4),
        "high": round(auc.high, 4),
        "ece": round(expected_calibration_error(answered.target, answered.answers), 4),
    }


def ours(lived: Lived, asked: Mapping[str, Answered]) -> dict[str, Answered]:
    """What was served, on the labelled rows that the others answered.

    Raises
    ------
    SystemExit
        If a row was not answered: the three would be scored on different ones.
    """
    assert lived.rows is not None  # noqa: S101 (set by live)
    served = lived.rows[lived.rows["outcome"] != "error"].drop_duplicates("request_id")
    by_id = served.set_index("request_id")["prediction"]
    found = {}
    for month, there in asked.items():
        answers = by_id.reindex(there.ids).to_numpy(dtype=np.float64)
        if np.isnan(answers).any():
            message = f"{month}: {int(np.isnan(answers).sum())} rows were not answered"
            raise SystemExit(message)
        found[month] = Answered(
            ids=there.ids, target=there.target, answers=answers, days=there.days
        )
    return found


def same_as_the_artefact(lived: Lived, frozen: Mapping[str, Answered]) -> float:
    """Largest difference of what version 1 served from what its artefact says of the same rows."""
    assert lived.rows is not None  # noqa: S101 (set by live)
    first = lived.rows[lived.rows["version"] == 1].drop_duplicates("request_id")
    by_id = first.set_index("request_id")["prediction"]
    differences = [
        np.nanmax(np.abs(by_id.reindex(one.ids).to_numpy(dtype=np.float64) - one.answers))
        for one in frozen.values()
        if by_id.index.isin(one.ids).any()
    ]
    return float(max(differences))


def gain_share(means: Mapping[str, float]) -> float | None:
    """Our gain over that of retraining every month; None where that gains nothing."""
    possible = means[MONTHLY] - means[NEVER]
    return None if possible <= 0 else (means[OURS] - means[NEVER]) / possible


def table(lived: Lived, scores: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per month, for people and for the page."""
    rows = []
    for month in lived.months:
        looks = [look for look in lived.looks if f"{look.at - timedelta(seconds=1):%Y-%m}" == month]
        done = [one for one in lived.happened if _local_month(one.at) == month]
        rows.append(
            {
                "month": month,
                "versions": sorted(set(lived.versions.get(month, []))),
                **{name: scores[name][month] for name in (NEVER, MONTHLY, OURS)},
                "estimated_auc": _mean([look.estimated_auc for look in looks]),
                "hurting": _named(looks, HURTING),
                "harmless": _named(looks, HARMLESS),
                "decisions": _counted([look.decision for look in looks if look.decision]),
                "happened": [
                    {"on": f"{one.at:%Y-%m-%d}", "kind": one.kind, "trigger": one.trigger}
                    | ({"version": one.version} if one.version is not None else {})
                    | ({"said": one.said[:400]} if one.said else {})
                    for one in done
                ],
            }
        )
    return rows


def _local_month(moment: datetime) -> str:
    return f"{pd.Timestamp(moment).tz_convert(LINE.time_zone):%Y-%m}"


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None and np.isfinite(value)]
    return round(float(np.mean(known)), 4) if known else None


def _named(looks: list[Look], standing: str) -> dict[str, int]:
    """Features that stood so, with the number of looks at which they did."""
    return _counted(
        [name for look in looks for name, found in look.standings.items() if found == standing]
    )


def _counted(words: list[str]) -> dict[str, int]:
    return {word: words.count(word) for word in sorted(set(words))}


def main() -> int:
    """Live, compare, and print one JSON line; return 0 if the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="April to June only")
    parser.add_argument("--months", type=int, default=None, help="so many months from April on")
    parser.add_argument("--through-endpoint", action="store_true", help="ask a server over HTTP")
    parser.add_argument("--write", action="store_true", help="write docs/year_2013.md")
    parser.add_argument("--keep", type=Path, help="live in this folder, which has to be empty")
    options = parser.parse_args()
    if options.write and (options.quick or options.months):
        parser.error("--write publishes the whole year: leave --quick and --months out")
    # Beside one another trees and linear algebra would take turns on the same cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    refuse_telemetry()
    logging.disable(logging.CRITICAL)
    months = YEAR[: options.months or (QUICK_MONTHS if options.quick else len(YEAR))]
    line = released_at_once(LINE)
    begun = time.perf_counter()
    console = Console(stderr=True)
    folder = tempfile.TemporaryDirectory() if options.keep is None else nullcontext(options.keep)
    with folder as place, _progress(console) as progress:
        task = progress.add_task("never and every month", total=len(months) + 1)
        baselines = Baselines(line, folder=Path(place) / "baselines", data=DATA)
        progress.advance(task)
        for month in months:
            baselines.live(month)
            progress.advance(task)
        house = YearHouse(Path(place), line, data=DATA)
        lived = live(house, months, through_endpoint=options.through_endpoint, progress=progress)
        seconds = {name: round(spent, 1) for name, spent in sorted(house.seconds.items())}
        house.close()
    answered = {**baselines.answered, OURS: ours(lived, baselines.answered[NEVER])}
    scores = {
        name: {month: scored(one) for month, one in found.items()}
        for name, found in answered.items()
    }
    means = {
        name: float(np.mean([one["auc"] for one in found.values()]))
        for name, found in scores.items()
    }
    share = gain_share(means)
    retrainings = {
        **baselines.retrainings,
        # One that its gates refused was trained too: it counts, though it answered nobody.
        OURS: sum(one.kind in TRAINED for one in lived.happened),
    }
    met = (
        share is not None
        and share >= GAIN_GOAL
        and retrainings[OURS] <= RETRAININGS_GOAL * retrainings[MONTHLY]
    )
    measured = {
        "months": table(lived, scores),
        "mean_auc": {name: round(value, 4) for name, value in means.items()},
        "mean_ece": {
            name: round(float(np.mean([one["ece"] for one in found.values()])), 4)
            for name, found in scores.items()
        },
        "retrainings": retrainings,
        "released": sum(one.kind == "retrained" for one in lived.happened),
        "turned_down_by_backtest": sum(one.kind == "turned down" for one in lived.happened),
        "share_of_gain": None if share is None else round(share, 3),
        "through_endpoint": options.through_endpoint,
        "requests_failed": lived.failed,
        "largest_difference_from_artefact": same_as_the_artefact(lived, baselines.answered[NEVER]),
        "seconds": {**seconds, "all": round(time.perf_counter() - begun, 1)},
    }
    document = {
        "benchmark": "year_2013",
        "measured": measured,
        "goals": {
            "share_of_gain": f"at least {GAIN_GOAL}",
            "retrainings": f"at most {RETRAININGS_GOAL} of every month's",
        },
        "met": met,
    }
    if options.write:
        from year_page import write

        write(document, folder=PROJECT / "docs")
    print(json.dumps(document))
    return 0 if met else 1


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
    )


if __name__ == "__main__":
    sys.exit(main())
