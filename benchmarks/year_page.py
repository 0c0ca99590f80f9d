"""The page and the picture of the year, from what year_2013.py measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PAGE, PICTURE = "year_2013.md", "images/year_2013.png"
_WAYS = (
    ("never", "never retrained", "#999999", "o"),
    ("monthly", "retrained every month", "#D55E00", "s"),
    ("ours", "as monitoring decided", "#0072B2", "D"),
)
_HEAD = """# The year 2013, lived in minutes

Written by `python benchmarks/year_2013.py{option} --write`; do not edit it by hand.
A model trained on January to March is released on 2 April and then left to itself: real flights are
asked for in the order of their departures, each outcome is told a day later, a month lands on the
second day of the next one. Once a week the monitor job reads the log and decides; what the sensors
ask for is run, on a clock that a file moves.

Three ways answer the very same flights with the same history: the first model for ever; a model
retrained on the second of every month on all months before; and what the line's own governor asks
for, through backtest, gates, registration and promotion. All are made by the same training
function, with the last 18 days of the window held out. Those of every month pass no gates: they
show what retraining could gain.

The line's policy is the shipped one, but for the way of a release: here a version serves on the day
its gates let it, without approval, shadow, canary and watch, since the other two have none either.

![AUC by month]({picture})
"""
_TAIL = """
## What it does not say

- One year, one line. Weekly looks and months that land whole bound how soon anything can be
  learned: a retraining in the middle of a month knows nothing of that month.
- The policy was written by people who know these flights. Its limits were not searched for on this
  page's figures, and not set without having seen the year either.
- AUC with a 95 % interval over days; a month's answers may be of two versions, as they were served.
- Estimated AUC is the mean of the weekly label-free estimates (CBPE). It assumes calibrated
  answers, and cannot see what changes between inputs and outcomes.

The same figures for programs:

```json
{figures}
```
"""


def write(document: dict[str, Any], *, folder: Path) -> None:
    """Write page and picture."""
    (folder / PICTURE).parent.mkdir(parents=True, exist_ok=True)
    (folder / PICTURE).write_bytes(picture(document["measured"]))
    (folder / PAGE).write_text(page(document), encoding="utf-8")


def page(document: dict[str, Any]) -> str:
    """The whole page."""
    measured = document["measured"]
    return "".join(
        [
            _HEAD.format(
                picture=PICTURE,
                option=" --through-endpoint" if measured["through_endpoint"] else "",
            ),
            *_summary(document),
            *_by_month(measured),
            *_happenings(measured),
            _TAIL.format(figures=json.dumps(document)),
        ]
    )


def figures(text: str) -> dict[str, Any]:
    """The figures of a page, read back."""
    found: dict[str, Any] = json.loads(text.split("```json\n")[1].split("\n```", maxsplit=1)[0])
    return found


def _summary(document: dict[str, Any]) -> list[str]:
    measured, goals = document["measured"], document["goals"]
    rows = [
        "\n| | mean of the monthly AUC | mean calibration error | retrainings |\n"
        "|---|---|---|---|\n"
    ]
    rows += [
        f"| {name} | {measured['mean_auc'][way]:.4f} | {measured['mean_ece'][way]:.4f}"
        f" | {measured['retrainings'][way]} |\n"
        for way, name, _, _ in _WAYS
    ]
    share = measured["share_of_gain"]
    said = "not defined: every month gained nothing" if share is None else f"{100 * share:.0f} %"
    ours, monthly = (measured["retrainings"][way] for way in ("ours", "monthly"))
    rows.append(
        f"\nShare of the gain of every month's retraining: **{said}**, with {ours} retrainings"
        f" against {monthly}, of which gates let {measured['released']} through;"
        f" {measured['turned_down_by_backtest']} more were asked for and their backtest saw no use."
        f" The goals are a share of {goals['share_of_gain']} with"
        f" {goals['retrainings']}: {'met' if document['met'] else '**not met**'}.\n"
    )
    how = (
        "over HTTP of the endpoint server in a process of its own"
        if measured["through_endpoint"]
        else "through the request path of the endpoint server in the same process"
    )
    requests = sum(row["ours"]["rows"] for row in measured["months"])
    rows.append(
        f"\nFlights were asked for {how}: {requests:,} requests, {measured['requests_failed']}"
        f" failed. The largest difference between what was answered and what the first version's"
        f" artefact says of the same row is {measured['largest_difference_from_artefact']:g}.\n"
    )
    return rows


def _by_month(measured: dict[str, Any]) -> list[str]:
    rows = [
        "\n## By month\n\n"
        "| month | versions | AUC never | AUC every month | AUC ours "
        "| estimated AUC | ECE ours | drift that hurts | drift that does not | decisions |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n"
    ]
    for row in measured["months"]:
        cells = [
            row["month"],
            ", ".join(map(str, row["versions"])),
            *(_auc(row[way]) for way, *_ in _WAYS),
            "not known" if row["estimated_auc"] is None else f"{row['estimated_auc']:.3f}",
            f"{row['ours']['ece']:.3f}",
            _counts(row["hurting"]),
            _counts(row["harmless"]),
            _counts(row["decisions"]),
        ]
        rows.append(f"| {' | '.join(cells)} |\n")
    rows.append("\nIn brackets: at how many of the month's weekly looks.\n")
    return rows


def _happenings(measured: dict[str, Any]) -> list[str]:
    rows = [
        "\n## What was asked for\n\n| day | trigger | what came of it | why |\n|---|---|---|---|\n"
    ]
    for row in measured["months"]:
        for one in row["happened"]:
            version = f", version {one['version']} serves" if "version" in one else ""
            said = " ".join(one.get("said", "").split()).replace("|", "/")
            rows.append(f"| {one['on']} | {one['trigger']} | {one['kind']}{version} | {said} |\n")
    return rows if len(rows) > 1 else ["\nNothing was asked for.\n"]


def _auc(score: dict[str, float]) -> str:
    return f"{score['auc']:.3f} ({score['low']:.3f} to {score['high']:.3f})"


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in found.items()) or "none"


def picture(measured: dict[str, Any]) -> bytes:
    """AUC by month of the three ways, with the versions that began."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    months = [row["month"] for row in measured["months"]]
    figure = Figure(figsize=(8.4, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = range(len(months))
    for shift, (way, name, colour, marker) in zip((-0.08, 0.0, 0.08), _WAYS, strict=True):
        scores = [row[way] for row in measured["months"]]
        axes.errorbar(
            [place + shift for place in places],
            [score["auc"] for score in scores],
            yerr=[
                [score["auc"] - score["low"] for score in scores],
                [score["high"] - score["auc"] for score in scores],
            ],
            color=colour,
            marker=marker,
            markersize=5,
            linewidth=1.6,
            elinewidth=0.8,
            capsize=2,
            label=f"{name} ({measured['retrainings'][way]} retrainings)",
        )
    low = min(row[way]["low"] for row in measured["months"] for way, *_ in _WAYS)
    for place, row in zip(places, measured["months"], strict=True):
        new = [str(one["version"]) for one in row["happened"] if "version" in one]
        if new:
            axes.annotate(
                f"v{', v'.join(new)}", (place, low), ha="center", fontsize=8, color="#0072B2"
            )
    axes.set_xticks(list(places), months)
    axes.set_ylabel("AUC of what was served, 95 % by days")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": ""})
    return buffer.getvalue()
