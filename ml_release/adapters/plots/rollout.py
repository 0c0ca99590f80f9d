"""A version on its way into traffic: its share, its speed, and its answers beside another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.adapters.plots.canvas import COLOURS, new_figure, new_figures, png_of
from ml_release.domain.traffic import ends_of_stretches
from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml_release.domain.shadow_pairs import ScoreSample, SlicePairs
    from ml_release.domain.traffic import TrafficPoint
    from ml_release.domain.verdict import Verdict

_OUTCOME_COLOURS = {
    Outcome.PASS: "#009E73",
    Outcome.INCONCLUSIVE: "#999999",
    Outcome.ERROR: "#E69F00",
    Outcome.FAIL: "#D55E00",
}
_CHANGES_SHOWN = 8


def traffic(points: Sequence[TrafficPoint], *, until: datetime) -> bytes:
    """PNG of the share of every version over time, stacked; the newest changes only."""
    figure, axes = new_figure(6.4, 2.6)
    points = points[-_CHANGES_SHOWN:]
    versions = list(dict.fromkeys(version for point in points for version in point.percent))
    moments = ends_of_stretches(points, until=until)
    shares = [
        [point.percent.get(version, 0.0) for point in points] + [0.0] * bool(points)
        for version in versions
    ]
    for row in shares:
        # A share holds until the next commit.
        row[-1:] = row[-2:-1]
    if points:
        axes.stackplot(
            np.array(moments, dtype=object),
            *shares,
            labels=[f"version {version}" for version in versions],
            colors=[COLOURS[index % len(COLOURS)] for index in range(len(versions))],
            step="post",
            alpha=0.85,
        )
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_ylim(0, 100)
    axes.set_ylabel("percent of requests")
    axes.set_title("Declared traffic")
    figure.autofmt_xdate()
    return png_of(figure)


def findings(verdict: Verdict, rule: str) -> bytes:
    """PNG of one rule's observed values beside their limits, one bar per subject."""
    found = [f for f in verdict.findings if f.rule == rule]
    figure, axes = new_figure(6.4, 1.2 + 0.27 * len(found))
    for position, finding in enumerate(reversed(found)):
        axes.barh(
            position,
            finding.observed or 0.0,
            color=_OUTCOME_COLOURS[finding.outcome],
            alpha=1.0 if finding.votes else 0.35,
            height=0.62,
        )
        if finding.limit is not None:
            axes.plot(
                [finding.limit, finding.limit],
                [position - 0.42, position + 0.42],
                color="black",
                linewidth=1.5,
            )
    names = [f.subject if f.votes else f"{f.subject} (muted)" for f in reversed(found)]
    axes.set_yticks(range(len(found)), names)
    # Zero has to be visible, and values reach over several orders of magnitude.
    axes.set_xscale("symlog", linthresh=0.05)
    axes.set_xlim(left=0)
    unit = found[0].unit if found else ""
    axes.set_xlabel(f"observed{f', {unit}' if unit else ''}; the black mark is the limit")
    axes.set_title(rule.replace("_", " "))
    return png_of(figure)


def latencies(latencies_ms: Sequence[float], *, limit_ms: float) -> bytes:
    """PNG of a histogram of latencies, the limit of the 99th percentile marked."""
    figure, axes = new_figure(5.4, 3.2)
    found = np.asarray(latencies_ms, dtype=np.float64)
    if found.size:
        # One answer that took seconds is counted in the last bar, and flattens none.
        end = max(float(np.quantile(found, 0.995)), np.finfo(np.float64).tiny)
        axes.hist(np.minimum(found, end), bins=40, range=(0.0, end), color=COLOURS[0])
        p99 = float(np.quantile(found, 0.99))
        axes.axvline(p99, color="black", linewidth=1.2, label=f"99th percentile {p99:.3g} ms")
        if limit_ms <= 2 * end:
            axes.axvline(limit_ms, color=COLOURS[1], linewidth=1.2, linestyle="--", label="limit")
        axes.legend(edgecolor="none", framealpha=1.0)
    axes.set_title(f"Latency of {found.size} requests; limit {limit_ms:g} ms", fontsize=10)
    axes.set_xlabel("ms")
    axes.set_ylabel("requests")
    return png_of(figure)


def paired_scores(sample: ScoreSample) -> bytes:
    """PNG of both scores of the same requests, and a histogram of their differences."""
    figure, (axes, differences) = new_figures(7.6, 3.6, 2)
    both = (*sample.champion, *sample.shadow)
    if both:
        ends = [min(both), max(both)]
        axes.plot(ends, ends, color="#999999", linewidth=1, linestyle="--")
    axes.scatter(sample.champion, sample.shadow, color=COLOURS[0], s=9, alpha=0.4)
    axes.set_xlabel("score of the champion")
    axes.set_ylabel("score of the shadow")
    axes.set_title(f"{len(sample.champion)} requests, answered by both", fontsize=10)
    if sample.counts:
        differences.stairs(sample.counts, sample.edges, fill=True, color=COLOURS[0])
    differences.axvline(0, color="black", linewidth=1, linestyle="--")
    differences.set_xlabel("shadow less champion")
    differences.set_ylabel("requests")
    differences.set_title(f"Differences of {sample.n} requests", fontsize=10)
    return png_of(figure)


def agreement(slices: Sequence[SlicePairs], *, floor: float) -> bytes:
    """PNG of the share of equal decisions per slice; slices without a decision have no bar."""
    rows = list(reversed(slices))
    figure, axes = new_figure(6.4, 1.2 + 0.24 * len(rows))
    shares = [
        1 - one.counts.disagreeing / one.counts.decided if one.counts.decided else 0.0
        for one in rows
    ]
    axes.barh(
        range(len(rows)),
        shares,
        0.62,
        color=[COLOURS[0] if share >= floor else COLOURS[1] for share in shares],
    )
    axes.axvline(floor, color="black", linewidth=1.2, linestyle="--")
    axes.set_yticks(range(len(rows)), [f"{one.name} ({one.counts.decided})" for one in rows])
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of requests with the same decision; the line is the limit")
    axes.set_title("Agreement of shadow and champion by slice (decisions)", loc="left")
    return png_of(figure)
