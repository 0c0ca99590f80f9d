"""The page of `drift_alarms.py`, and its figures read back from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_INTRODUCTION = """\
# How often the drift judge cries for nothing, and what it finds

Written by `python benchmarks/drift_alarms.py --write`; do not edit it by hand. Real flights of 2013
through the line's own snapshots, features and reference profiles; every row is scored by gradient
boosting with the line's parameters that was not fitted on its fortnight.

**What is called hurting.** A window is hurting if any feature, or the score, ends as *shifted and
hurting*: in this window and in the one before it, which share no day, the feature

1. differs by more than chance explains (chi-squared, Benjamini and Hochberg over the features at
   {alpha:g}), and its adjusted PSI is above {psi_limit_nats:g} nats and above
   {contiguous_factor:g} times the largest that a window of the same length inside the reference
   shows against the rest of it; and
2. is expected to cost: the log loss is expected to rise by more than {hurting_loss_change:g} nats
   per row and by more than the reference's own windows stray (a one-sided prediction limit at
   {alpha:g} over all features), or the feature has a share of the importance of at least
   {important_share:g} and more than {unknown_share_limit:g} of its rows are where the reference has
   no evidence, or its importance times what its PSI has beyond the limit is above
   {weighted_psi_limit_nats:g} nats.

What meets 1 and not 2 is *shifted but harmless*. Findings on the quality of the data (missing,
unknown, out of range, stuck) are told apart and are no drift. Nothing is muted here, no season is
known to the judge, no label is in, and {minimum_rows} rows are enough for it.
"""

_NO_DRIFT = """
## No drift

Random windows are drawn with replacement from the reference period, and so are the windows before
them. Contiguous windows, and those before them, are held out: a reference is made of the other days
of the three months, and knows nothing of theirs. They begin some days apart
({lengths}), so neighbouring ones
share days: the intervals, which take them for independent, are too narrow for them. A quarter holds
13 weeks, so a share of 1 % of contiguous windows is not proved by any such table; that none of many
is hurting is what can be seen.

The rules were made while looking at windows of this same year, which is all there is. Among them:
what the score's limit adds for the holdout came after windows of August, and the limit of
importance times PSI was raised from 0.1 to 0.3 nats after three-day windows of October. So these
figures say how the judge does on 2013, and another year would be the proof.

"No drift" is what these windows are called, and not quite what they are: in a quarter the season
moves on, and its first and last days lie at the edge of what the rest of it shows.
"""

_POWER = """
## What is found

Weeks held out as above, with a shift put into them and into the weeks before them. *Values + x sd*,
units, missing and other words change what the model is told, and leave outcomes as they were.
*Other rows* are drawn from the same week until the mean of the feature has moved so far: other
flights, measured right. *Seen*: the newest week alone is beyond its limits. *Shifted*: two weeks
in a row are. *Hurting*: by the feature itself, and by any. *Data*: a finding on the quality of the
data names the feature. *Expected*: the median expected change of the log loss in nats; *true*: what
became of it, by the labels.
"""


def page(found: Mapping[str, Any], *, limit: float, lengths: Mapping[int, int]) -> str:
    """The whole page, the figures at its end as JSON."""
    policy = found["policy"]
    told = ", ".join(f"{step} for windows of {length}" for length, step in lengths.items())
    parts = [
        _INTRODUCTION.format(**policy),
        _NO_DRIFT.format(lengths=told),
        *_no_drift(found["no_drift"], limit=limit),
        _POWER,
        *_power(found["power"]),
        "\n## Figures\n\n```json",
        json.dumps(found, separators=(",", ":")),
        "```",
    ]
    return "\n".join(parts) + "\n"


def figures(text: str) -> dict[str, Any]:
    """The figures of a page."""
    found: dict[str, Any] = json.loads(text.rsplit("```json", 1)[1].split("```", 1)[0])
    return found


def _no_drift(tallies: Mapping[str, Mapping[str, Any]], *, limit: float) -> Iterator[str]:
    for name, rows in sorted(tallies.items(), key=lambda item: item[0] != "all"):
        title = "All periods together" if name == "all" else name
        yield f"\n### {title}\n"
        yield "| window | windows | **hurting** | shifted but harmless | without the score | data |"
        yield "|---|---|---|---|---|---|"
        for window in sorted(rows, key=_by_size):
            row = rows[window]
            interval = f"{_percent(row['hurting_low'])} to {_percent(row['hurting_high'])}"
            causes = ", ".join(f"{f} {n}" for f, n in row["causes"].items())
            yield (
                f"| {window} | {row['windows']} | **{_percent(row['hurting'])}** ({interval})"
                f"{f': {causes}' if causes else ''} | {_percent(row['harmless'])} |"
                f" {_percent(row['harmless_features'])} | {_percent(row['quality'])} |"
            )
        if name == "all":
            worst = max(row["hurting"] for row in rows.values())
            verdict = "met" if worst <= limit else "**missed**"
            yield f"\nGoal: at most {_percent(limit)} of each kind; {verdict}: {_percent(worst)}."


def _power(rows: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    yield (
        "| feature: shift | importance | windows | seen | shifted | hurting | hurting by any | data"
        " | expected | true |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name, row in rows.items():
        names = ("moved", "shifted", "hurting", "any_hurting", "quality")
        shares = " | ".join(_percent(row[share], digits=0) for share in names)
        yield (
            f"| {name} | {row['importance']:.2f} | {row['windows']} | {shares} |"
            f" {row['expected']:+.4f} | {row['true']:+.4f} |"
        )


def _by_size(window: str) -> tuple[bool, int]:
    size, unit = window.replace(",", "").split()
    return unit != "rows", int(size)


def _percent(share: float, *, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"
