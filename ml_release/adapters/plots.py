"""Pictures drawn with matplotlib, without a display and without its global state."""

from __future__ import annotations

import io
from datetime import date
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.gates_attribution import IMPORTANCE
from ml_release.domain.search import TrialState, best_trial
from ml_release.domain.search_objectives import grows_with_quality
from ml_release.domain.traffic import ends_of_stretches
from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from ml_release.domain.batch_scoring import ScoreSpread
    from ml_release.domain.column_profile import ColumnShares
    from ml_release.domain.drift_record import DriftHistory, DriftRecord
    from ml_release.domain.experiment_analysis import Analysis
    from ml_release.domain.fairness_record import HistoryRow as GapRow
    from ml_release.domain.gates_attribution import AttributionMethod
    from ml_release.domain.label_maturity import Maturity
    from ml_release.domain.performance_record import HistoryRow, PerformanceHistory
    from ml_release.domain.regret import RegretReport
    from ml_release.domain.scores import ReliabilityBin
    from ml_release.domain.search import Trial
    from ml_release.domain.shadow_pairs import ScoreSample, SlicePairs
    from ml_release.domain.slice_scores import SliceTable
    from ml_release.domain.slo_record import SloRecord
    from ml_release.domain.threshold_curve import ThresholdPoint
    from ml_release.domain.traffic import TrafficPoint
    from ml_release.domain.verdict import Verdict

# Okabe and Ito (2008): told apart with any kind of colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_OUTCOME_COLOURS = {
    Outcome.PASS: "#009E73",
    Outcome.INCONCLUSIVE: "#999999",
    Outcome.ERROR: "#E69F00",
    Outcome.FAIL: "#D55E00",
}
_BUDGET_COLOURS = {
    "availability": _COLOURS[0],
    "latency": _COLOURS[1],
    "correctness": _COLOURS[2],
    "freshness": _COLOURS[3],
    "fairness": "#000000",
}
_LEAST_BUDGET_SHOWN = -1.0
_STANDING_COLOURS = {
    DriftStanding.STABLE: "#009E73",
    DriftStanding.HARMLESS: "#E69F00",
    DriftStanding.HURTING: "#D55E00",
    DriftStanding.UNKNOWN: "#999999",
}
_DPI = 110
_CHANGES_SHOWN = 8
_DAYS_MARKED = 5
_GAPS_SHOWN = 4


class Plots:
    """`Plotter` on matplotlib's Agg canvas."""

    def reliability(self, bins: Mapping[str, Sequence[ReliabilityBin]]) -> bytes:
        """PNG of a reliability diagram, one line per model, dots sized by rows."""
        figure, axes = _figure(4.6, 4.2)
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
        for colour, (name, points) in zip(_COLOURS, bins.items(), strict=False):
            probability = [b.mean_probability for b in points]
            observed = [b.observed_rate for b in points]
            rows = np.array([b.n for b in points], dtype=np.float64)
            axes.plot(probability, observed, color=colour, linewidth=1.5, label=name)
            axes.scatter(
                probability, observed, color=colour, s=12 + 90 * np.sqrt(rows / rows.sum())
            )
        top = max(
            (max(b.mean_probability, b.observed_rate) for p in bins.values() for b in p), default=1
        )
        axes.set_xlim(0, min(1, top * 1.08))
        axes.set_ylim(0, min(1, top * 1.08))
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("observed rate")
        axes.set_title("Reliability")
        axes.legend(frameon=False, loc="upper left")
        return _png(figure)

    def roc(
        self, target: npt.NDArray[np.float64], scores: Mapping[str, npt.NDArray[np.float64]]
    ) -> bytes:
        """PNG of the ROC curves of several models on the same labels."""
        figure, axes = _figure(4.6, 4.2)
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
        for colour, (name, score) in zip(_COLOURS, scores.items(), strict=False):
            order = np.argsort(-score, kind="stable")
            positives = np.cumsum(target[order]) / max(1.0, target.sum())
            negatives = np.cumsum(1 - target[order]) / max(1.0, (1 - target).sum())
            axes.plot(negatives, positives, color=colour, linewidth=1.5, label=name)
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.set_title("ROC")
        axes.legend(frameon=False, loc="lower right")
        return _png(figure)

    def spread(self, columns: Sequence[ColumnShares]) -> bytes:
        """PNG of the shares per bin of every column, one strip each, beside its reference."""
        figure, axes = _figure(6.4, 1.2 + 0.36 * len(columns))
        for position, shares in enumerate(reversed(columns)):
            both = (shares.current, shares.reference)
            top = max(float(part.max(initial=0)) for part in both if part is not None) or 1.0
            ends = np.linspace(0, 1, len(shares.current) + 1)
            for part, colour, filled in zip(both, _COLOURS, (True, False), strict=False):
                if part is not None:
                    heights = position + 0.85 * part / top
                    axes.stairs(
                        heights, ends, baseline=position, fill=filled, color=colour, linewidth=1.2
                    )
        axes.set_yticks(
            [position + 0.3 for position in range(len(columns))],
            [shares.column for shares in reversed(columns)],
        )
        axes.set_xticks([0, 1], ["low or\nmost frequent", "high or others,\nthen missing"])
        axes.set_ylim(0, max(1, len(columns)))
        axes.set_title("Share of rows per bin; the line is the reference", loc="left", fontsize=10)
        return _png(figure)

    def slices(self, table: SliceTable) -> bytes:
        """PNG of one score with its interval per slice; slices that are not judged are pale."""
        rows = list(reversed(table.rows))
        figure, axes = _figure(6.4, 1.2 + 0.24 * len(rows))
        for position, row in enumerate(rows):
            interval, alpha = row.interval, 1.0 if row.judged else 0.3
            axes.plot(
                [interval.low, interval.high],
                [position] * 2,
                color=_COLOURS[0],
                linewidth=2,
                alpha=alpha,
            )
            axes.plot(interval.estimate, position, "o", color=_COLOURS[0], ms=5, alpha=alpha)
        names = [f"{r.column} {'missing' if r.value is None else r.value} ({r.n})" for r in rows]
        axes.set_yticks(range(len(rows)), names)
        # A slice of a few rows has an interval from anything to anything.
        ends = [end for r in rows if r.judged for end in (r.interval.low, r.interval.high)]
        if ends and np.isfinite(ends).all():
            room = 0.1 * (max(ends) - min(ends))
            axes.set_xlim(min(ends) - room, max(ends) + room)
        score = rows[0].score.replace("_", " ") if rows else ""
        axes.set_xlabel(f"{score}; all intervals together hold with {table.confidence * 100:g} %")
        axes.set_title("Slices (rows); pale ones have too few rows to be judged", loc="left")
        return _png(figure)

    def costs(self, curve: Sequence[ThresholdPoint], *, threshold: float) -> bytes:
        """PNG of precision, recall and cost per row by threshold, the declared one marked."""
        figure, axes = _figure(6.4, 3.8)
        at = [point.threshold for point in curve]
        shares = (
            ("precision", [p.precision for p in curve]),
            ("recall", [p.recall for p in curve]),
        )
        for colour, (name, values) in zip(_COLOURS, shares, strict=False):
            axes.plot(at, values, color=colour, linewidth=1.5, label=name)
        cost = axes.twinx()
        costs = [point.cost_per_row for point in curve]
        cost.plot(at, costs, color=_COLOURS[2], linewidth=1.8, label="cost per row")
        axes.axvline(threshold, color="black", linewidth=1, linestyle="--", label="declared")
        axes.set_xlabel("threshold")
        axes.set_ylabel("precision, recall")
        cost.set_ylabel("cost per row, declared unit", color=_COLOURS[2])
        cost.set_ylim(bottom=0)
        axes.set_title("What a threshold costs", loc="left")
        axes.legend(frameon=False, loc="upper right")
        return _png(figure)

    def importances(
        self,
        candidate: Mapping[str, float],
        champion: Mapping[str, float] | None,
        *,
        method: AttributionMethod,
    ) -> bytes:
        """PNG of how much each feature matters, beside the champion's; the method is named."""
        names = sorted(candidate, key=lambda name: candidate[name])
        figure, axes = _figure(6.4, 1.2 + 0.26 * len(names))
        positions = np.arange(len(names))
        axes.barh(
            positions,
            [candidate[name] for name in names],
            0.62,
            color=_COLOURS[0],
            label="candidate",
        )
        if champion is not None:
            costs = [champion.get(name, np.nan) for name in names]
            axes.plot(costs, positions, "D", color=_COLOURS[1], ms=5, label="champion")
            axes.legend(frameon=False, loc="lower right")
        axes.set_yticks(positions, names)
        axes.set_xlabel(IMPORTANCE[method])
        axes.set_title(f"Importances ({method})", loc="left")
        return _png(figure)

    def traffic(self, points: Sequence[TrafficPoint], *, until: datetime) -> bytes:
        """PNG of the share of every version over time, stacked; the newest changes only."""
        figure, axes = _figure(6.4, 2.6)
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
                colors=[_COLOURS[index % len(_COLOURS)] for index in range(len(versions))],
                step="post",
                alpha=0.85,
            )
            axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes.set_ylim(0, 100)
        axes.set_ylabel("percent of requests")
        axes.set_title("Declared traffic")
        figure.autofmt_xdate()
        return _png(figure)

    def error_budgets(self, record: SloRecord) -> bytes:
        """PNG of what is left of every error budget over its window, and of its burn rates."""
        figure, (left, right) = _figures(9.6, 3.6, 2)
        _draw_budgets(left, record)
        _draw_burn_rates(right, record)
        if any(standing.days for standing in record.standings):
            _mark_days(left)
        return _png(figure)

    def scores(self, spread: ScoreSpread, *, threshold: float | None) -> bytes:
        """PNG of a histogram of predictions, the threshold of decisions marked if there is one."""
        figure, axes = _figure(5.4, 3.2)
        axes.stairs(spread.counts, spread.edges, fill=True, color=_COLOURS[0])
        if threshold is not None:
            axes.axvline(threshold, color=_COLOURS[1], linewidth=1.2, linestyle="--")
            axes.set_title(f"Predictions; decisions from {threshold:g} on", fontsize=10)
        else:
            axes.set_title("Predictions", fontsize=10)
        axes.set_xlabel("prediction")
        axes.set_ylabel("rows")
        return _png(figure)

    def latencies(self, latencies_ms: Sequence[float], *, limit_ms: float) -> bytes:
        """PNG of a histogram of latencies, the limit of the 99th percentile marked."""
        figure, axes = _figure(5.4, 3.2)
        found = np.asarray(latencies_ms, dtype=np.float64)
        if found.size:
            # One answer that took seconds is counted in the last bar, and flattens none.
            end = max(float(np.quantile(found, 0.995)), np.finfo(np.float64).tiny)
            axes.hist(np.minimum(found, end), bins=40, range=(0.0, end), color=_COLOURS[0])
            p99 = float(np.quantile(found, 0.99))
            axes.axvline(p99, color="black", linewidth=1.2, label=f"99th percentile {p99:.3g} ms")
            if limit_ms <= 2 * end:
                axes.axvline(
                    limit_ms, color=_COLOURS[1], linewidth=1.2, linestyle="--", label="limit"
                )
            axes.legend(edgecolor="none", framealpha=1.0)
        axes.set_title(f"Latency of {found.size} requests; limit {limit_ms:g} ms", fontsize=10)
        axes.set_xlabel("ms")
        axes.set_ylabel("requests")
        return _png(figure)

    def maturity(self, maturity: Maturity) -> bytes:
        """PNG of the share of requests whose label is known, the declared delay marked."""
        figure, axes = _figure(6.4, 3.6)
        due = maturity.due_days
        # Labels that came years late are not to flatten what happens around the declared delay.
        last = min(max(maturity.days, default=0.0), 5 * due)
        end = 1.1 * max(2 * due, last) or 1.0
        days = [0.0, *(day for day in maturity.days if day < end), end]
        axes.step(
            days,
            [maturity.share_known(day) for day in days],
            where="post",
            color=_COLOURS[0],
            linewidth=1.8,
            label=f"{maturity.requests} requests, {maturity.known} labels known",
        )
        for day, style, name in (
            (maturity.delay_days, "--", "declared delay"),
            (due, ":", "due, with grace"),
        ):
            axes.axvline(day, color="black", linewidth=1, linestyle=style, label=name)
        axes.set_xlim(0, end)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("days since the event")
        axes.set_ylabel("share with a known label")
        axes.set_title("Label maturity")
        axes.legend(frameon=False, loc="lower right")
        return _png(figure)

    def performance(self, history: PerformanceHistory) -> bytes:
        """PNG of AUC and calibration error over time, beside estimates and values at release."""
        figure, (left, right) = _figures(10.0, 3.6, 2)
        models = list(dict.fromkeys(row.model_digest for row in history.rows))
        for colour, digest in zip(cycle(_COLOURS[::2]), models, strict=False):
            rows = [row for row in history.rows if row.model_digest == digest]
            _auc_over_time(left, rows, colour)
            _calibration_over_time(right, rows, colour)
        left.set_title("AUC of windows, by their last day; dashed is estimated", loc="left")
        right.set_title("Calibration error; grey is less than chance", loc="left")
        right.set_ylim(bottom=0)
        for axes in (left, right):
            axes.title.set_fontsize(10)
            if models:
                axes.legend(frameon=False, fontsize=8)
                _mark_days(axes)
            axes.tick_params(axis="x", rotation=30)
        return _png(figure)

    def findings(self, verdict: Verdict, rule: str) -> bytes:
        """PNG of one rule's observed values beside their limits, one bar per subject."""
        found = [f for f in verdict.findings if f.rule == rule]
        figure, axes = _figure(6.4, 1.2 + 0.27 * len(found))
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
        return _png(figure)

    def drift(self, record: DriftRecord) -> bytes:
        """PNG of every feature's PSI over its limit, coloured by how the feature stands."""
        features = list(reversed(record.features))
        figure, axes = _figure(6.4, 1.3 + 0.27 * len(features))
        for position, one in enumerate(features):
            ratio = _over_limit(one.psi_nats, one.limit_nats)
            axes.barh(position, ratio or 0.0, color=_STANDING_COLOURS[one.standing], height=0.62)
            if ratio is None:
                axes.text(0.02, position, "not known", va="center", fontsize=8)
        axes.axvline(1.0, color="black", linewidth=1.2)
        axes.set_yticks(range(len(features)), [one.feature for one in features])
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(left=0)
        axes.set_xticks(*_times_limit(axes.get_xlim()[1]))
        axes.set_xlabel("PSI over the limit that the reference shows of itself")
        axes.set_title(f"Drift of the {record.days} days to {record.as_of or 'no events'}")
        axes.legend(
            handles=[_patch(colour, name.value) for name, colour in _STANDING_COLOURS.items()],
            frameon=False,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
        )
        return _png(figure)

    def drift_history(self, history: DriftHistory) -> bytes:
        """PNG of PSI over its limit by window, of the features that hurt or moved most."""
        figure, axes = _figure(6.4, 3.2)
        ends = {end: place for place, end in enumerate(history.windows)}
        weight: dict[str, tuple[int, float]] = {}
        for row in history.rows:
            hurt, largest = weight.get(row.feature, (0, 0.0))
            ratio = _over_limit(row.psi_nats, row.limit_nats) or 0.0
            hurt += row.standing is DriftStanding.HURTING
            weight[row.feature] = hurt, max(largest, ratio)
        shown = sorted(weight, key=lambda name: weight[name], reverse=True)[: len(_COLOURS)]
        for colour, name in zip(_COLOURS, shown, strict=False):
            rows = history.of(name)
            places = [ends[row.as_of] for row in rows]
            ratios = [_over_limit(row.psi_nats, row.limit_nats) for row in rows]
            heights = [np.nan if ratio is None else ratio for ratio in ratios]
            axes.plot(places, heights, color=colour, linewidth=1.3, label=name, zorder=2)
            axes.scatter(
                places,
                heights,
                color=[_STANDING_COLOURS[row.standing] for row in rows],
                s=16,
                zorder=3,
            )
        axes.axhline(1.0, color="black", linewidth=1, linestyle="--")
        # As many dates as can be read.
        labelled = list(ends)[:: max(1, len(ends) // 6)]
        axes.set_xticks([ends[end] for end in labelled], labelled)
        axes.set_yscale("symlog", linthresh=1.0)
        axes.set_ylim(bottom=0)
        axes.set_yticks(*_times_limit(axes.get_ylim()[1]))
        axes.set_ylabel("PSI over its limit")
        axes.set_title("Drift over time, by the end of the window; dots by standing", fontsize=10)
        if shown:
            axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        figure.autofmt_xdate()
        return _png(figure)

    def paired_scores(self, sample: ScoreSample) -> bytes:
        """PNG of both scores of the same requests, and a histogram of their differences."""
        figure, single = _figure(7.6, 3.6)
        single.remove()
        axes, differences = figure.subplots(1, 2)
        for each in (axes, differences):
            each.spines[["top", "right"]].set_visible(False)
        both = (*sample.champion, *sample.shadow)
        if both:
            ends = [min(both), max(both)]
            axes.plot(ends, ends, color="#999999", linewidth=1, linestyle="--")
        axes.scatter(sample.champion, sample.shadow, color=_COLOURS[0], s=9, alpha=0.4)
        axes.set_xlabel("score of the champion")
        axes.set_ylabel("score of the shadow")
        axes.set_title(f"{len(sample.champion)} requests, answered by both", fontsize=10)
        if sample.counts:
            differences.stairs(sample.counts, sample.edges, fill=True, color=_COLOURS[0])
        differences.axvline(0, color="black", linewidth=1, linestyle="--")
        differences.set_xlabel("shadow less champion")
        differences.set_ylabel("requests")
        differences.set_title(f"Differences of {sample.n} requests", fontsize=10)
        return _png(figure)

    def agreement(self, slices: Sequence[SlicePairs], *, floor: float) -> bytes:
        """PNG of the share of equal decisions per slice; slices without a decision have no bar."""
        rows = list(reversed(slices))
        figure, axes = _figure(6.4, 1.2 + 0.24 * len(rows))
        shares = [
            1 - one.counts.disagreeing / one.counts.decided if one.counts.decided else 0.0
            for one in rows
        ]
        axes.barh(
            range(len(rows)),
            shares,
            0.62,
            color=[_COLOURS[0] if share >= floor else _COLOURS[1] for share in shares],
        )
        axes.axvline(floor, color="black", linewidth=1.2, linestyle="--")
        axes.set_yticks(range(len(rows)), [f"{one.name} ({one.counts.decided})" for one in rows])
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of requests with the same decision; the line is the limit")
        axes.set_title("Agreement of shadow and champion by slice (decisions)", loc="left")
        return _png(figure)

    def search_history(self, trials: Sequence[Trial], *, objective: str) -> bytes:
        """PNG of the trials in their order, the best so far as steps, the others as marks below."""
        from matplotlib.ticker import MaxNLocator

        maximise = grows_with_quality(objective)
        figure, axes = _figure(6.4, 3.6)
        complete = [(t.number, t.value) for t in trials if t.value is not None]
        if complete:
            numbers, values = zip(*complete, strict=True)
            axes.scatter(numbers, values, color=_COLOURS[0], s=18, label="complete")
            best = [best_trial(trials[: i + 1], maximise=maximise) for i in range(len(trials))]
            steps = [(t.number, b.value) for t, b in zip(trials, best, strict=True) if b]
            numbers, values = zip(*steps, strict=True)
            axes.step(numbers, values, where="post", color=_COLOURS[1], label="best so far")
        for state, colour, mark in (
            (TrialState.PRUNED, "#999999", "|"),
            (TrialState.FAILED, _COLOURS[1], "x"),
        ):
            ended = [t.number for t in trials if t.state is state]
            if ended:
                # On the lower edge: they have no value to be compared by.
                axes.scatter(
                    ended,
                    [0.03] * len(ended),
                    transform=axes.get_xaxis_transform(),
                    color=colour,
                    marker=mark,
                    label=state.value,
                )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trial; 0 has the declared parameters")
        axes.set_ylabel(
            f"{objective.replace('_', ' ')}, {'more' if maximise else 'less'} is better"
        )
        axes.set_title("Search")
        if trials:
            axes.legend(frameon=False)
        return _png(figure)

    def arm_differences(self, analysis: Analysis, *, effect: float) -> bytes:
        """PNG of every arm's difference to the control, between the smallest effects."""
        arms = list(reversed(analysis.arms))
        figure, axes = _figure(6.4, 1.4 + 0.4 * len(arms))
        axes.axvspan(-effect, effect, color="#eeeeee")
        axes.axvline(0, color="#999999", linewidth=1, linestyle="--")
        for position, arm in enumerate(arms):
            if np.isfinite([arm.low, arm.high]).all():
                axes.plot([arm.low, arm.high], [position] * 2, color=_COLOURS[0], linewidth=2)
                axes.plot(arm.difference, position, "o", color=_COLOURS[0], ms=5)
        axes.set_yticks(range(len(arms)), [f"version {arm.version}" for arm in arms])
        axes.set_ylim(-0.6, len(arms) - 0.4)
        axes.set_xlabel(
            f"mean reward less that of version {analysis.control}; grey is less than the smallest"
            " effect"
        )
        axes.set_title("Difference to the control, at every look", loc="left", fontsize=10)
        return _png(figure)

    def gaps_over_time(self, rows: Sequence[GapRow]) -> bytes:
        """PNG of every gap with its interval by the last day of its window, one panel each.

        The band is from the approved gap to the limit; those nearest beyond it come first.
        """
        subjects: dict[str, list[GapRow]] = {}
        for row in rows:
            subjects.setdefault(row.subject, []).append(row)
        chosen = sorted(subjects, key=lambda name: -_reach(subjects[name][-1]))[:_GAPS_SHOWN]
        figure, panels = _figures(3.6 * max(1, len(chosen)), 3.4, max(1, len(chosen)))
        for axes, name in zip(panels, chosen, strict=False):
            seen = subjects[name]
            days = np.array([np.datetime64(row.last_day) for row in seen])
            value, low, high, baseline, limit = (
                np.array([np.nan if v is None else v for v in column], dtype=np.float64)
                for column in zip(
                    *((r.value, r.low, r.high, r.baseline, r.limit) for r in seen), strict=True
                )
            )
            axes.fill_between(
                days, baseline, limit, color="#009E73", alpha=0.18, label="approved to limit"
            )
            axes.plot(days, baseline, color="#009E73", linewidth=1, linestyle="--")
            # Ends that are not known leave a point without a bar.
            reach = np.nan_to_num(np.abs([value - low, high - value]))
            axes.errorbar(
                days, value, yerr=reach, color=_COLOURS[0], marker="o", markersize=4, linewidth=1.2
            )
            shown = np.array([row.standing == "wider than approved" for row in seen])
            axes.plot(
                days[shown],
                value[shown],
                "o",
                color=_COLOURS[1],
                markersize=7,
                linestyle="none",
                label="shown to be wider",
            )
            axes.set_ylim(bottom=0)
            axes.set_title(name, loc="left", fontsize=9)
            axes.tick_params(axis="x", rotation=45, labelsize=7)
            axes.set_xlabel("last day of the window")
            _mark_days(axes)
        if chosen:
            panels[0].legend(frameon=False, fontsize=7)
        left = len(subjects) - len(chosen)
        if left:
            figure.suptitle(f"and {left} more, further within their limits", fontsize=8)
        return _png(figure)

    def regret(self, report: RegretReport) -> bytes:
        """PNG of the regret with its interval, and of the arms' shares, over the days."""
        figure, (left, right) = _figures(9.0, 3.4, 2)
        numbers = np.arange(1, len(report.days) + 1)
        left.fill_between(
            numbers, report.regret_low, report.regret_high, color=_COLOURS[0], alpha=0.2
        )
        left.plot(numbers, report.regret, color=_COLOURS[0], marker="o", markersize=3)
        left.set_ylabel("rewards lost to the best arm")
        left.set_title("Regret", loc="left", fontsize=10)
        for colour, (version, shares) in zip(_COLOURS, report.shares.items(), strict=False):
            right.plot(
                numbers, shares, color=colour, marker="o", markersize=3, label=f"version {version}"
            )
        right.set_ylim(0, 1)
        right.set_ylabel("share of the day's answers")
        right.set_title("Allocation", loc="left", fontsize=10)
        right.legend(frameon=False)
        for axes in (left, right):
            axes.set_xlabel(f"day, 1 is {report.days[0]}" if len(report.days) else "day")
        return _png(figure)


def _reach(row: GapRow) -> float:
    """How far the newest gap is from the approved one, in either direction of its measure."""
    if row.value is None or row.baseline is None or row.limit is None:
        return -np.inf
    sign = 1.0 if row.limit >= row.baseline else -1.0
    return sign * (row.value - row.limit)


def _draw_budgets(axes: Axes, record: SloRecord) -> None:
    """What is left of every budget at the end of every day; below the line it is exceeded."""
    for standing in record.standings:
        if not standing.days:
            continue
        days = [date.fromisoformat(one.day) for one in standing.days]
        # A budget exceeded a hundredfold is not to flatten all others.
        left = [max(_LEAST_BUDGET_SHOWN, one.left) for one in standing.days]
        axes.plot(
            days,  # type: ignore[arg-type] # matplotlib takes dates
            [100 * value for value in left],
            color=_BUDGET_COLOURS[standing.name],
            marker="o",
            markersize=3,
            linewidth=1.5,
            label=f"{standing.name}, {100 * standing.objective:g} %",
        )
    axes.axhline(0, color="black", linewidth=1, linestyle="--")
    axes.set_ylim(top=105)
    axes.set_ylabel("percent of the budget left")
    axes.set_title(f"Error budgets of {record.window_days} days", loc="left", fontsize=10)
    if any(standing.days for standing in record.standings):
        axes.legend(edgecolor="none", framealpha=0.8, fontsize=8)


def _draw_burn_rates(axes: Axes, record: SloRecord) -> None:
    """The lower of both burn rates of every alert, one bar each, its limit as a black mark."""
    bars = [
        (standing.name, burn)
        for standing in record.standings
        for burn in standing.burns
        if burn.long_rate is not None and burn.short_rate is not None
    ]
    for place, (name, burn) in enumerate(reversed(bars)):
        rate = min(burn.long_rate or 0.0, burn.short_rate or 0.0)
        axes.barh(place, rate, 0.62, color=_BUDGET_COLOURS[name], alpha=1.0 if burn.fires else 0.45)
        axes.plot([burn.limit_rate] * 2, [place - 0.42, place + 0.42], color="black", linewidth=1.5)
    names = [f"{name}, {b.level} {b.long_hours} h / {b.short_hours} h" for name, b in bars]
    axes.set_yticks(range(len(bars)), list(reversed(names)), fontsize=8)
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xlim(left=0)
    axes.set_xlabel("burn rate; 1 spends the budget, the mark is the limit")
    axes.set_title("Burn rates", loc="left", fontsize=10)


def _auc_over_time(axes: Axes, rows: Sequence[HistoryRow], colour: str) -> None:
    days, version = _days(rows), f"version {rows[0].version}"
    ends = rows[0].baseline_auc_low, rows[0].baseline_auc_high
    if None not in ends:
        low, high = (_numbers([end])[0] for end in ends)
        axes.fill_between(
            days[[0, -1]],
            low,
            high,
            color="#999999",
            alpha=0.15,
            label=f"{version} at release",
        )
    low, high = ([getattr(row, name) for row in rows] for name in ("auc_low", "auc_high"))
    axes.fill_between(days, _numbers(low), _numbers(high), color=colour, alpha=0.2)
    auc, estimated = [row.auc for row in rows], [row.estimated_auc for row in rows]
    axes.plot(days, _numbers(auc), color=colour, marker="o", markersize=3, label=version)
    axes.plot(days, _numbers(estimated), color=colour, linestyle="--", linewidth=1)


def _calibration_over_time(axes: Axes, rows: Sequence[HistoryRow], colour: str) -> None:
    days = _days(rows)
    chance = _numbers([row.calibration_upper for row in rows])
    axes.fill_between(days, 0, chance, color="#999999", alpha=0.15)
    error = _numbers([row.calibration_error for row in rows])
    axes.plot(
        days, error, color=colour, marker="o", markersize=3, label=f"version {rows[0].version}"
    )
    released = _numbers([row.baseline_calibration_error for row in rows])
    axes.plot(days, released, color=colour, linestyle=":", linewidth=1)


def _days(rows: Sequence[HistoryRow]) -> npt.NDArray[np.datetime64]:
    return np.array([row.until for row in rows], dtype="datetime64[D]")


def _numbers(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """NaN in the place of what is not known, which is drawn as a gap."""
    return np.array(values, dtype=np.float64)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure, (axes,) = _figures(width, height, 1)
    return figure, axes


def _figures(width: float, height: float, count: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = [figure.add_subplot(1, count, number + 1) for number in range(count)]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _mark_days(axes: Axes) -> None:
    """Some of the days of a time axis by their date, whether it has one of them or years."""
    from matplotlib.dates import DateFormatter
    from matplotlib.ticker import FixedLocator

    first, last = axes.get_xlim()
    days = np.unique(np.round(np.linspace(np.ceil(first), max(np.ceil(first), last), _DAYS_MARKED)))
    axes.xaxis.set_major_locator(FixedLocator(days.tolist()))
    axes.xaxis.set_major_formatter(DateFormatter("%Y-%m-%d"))  # type: ignore[no-untyped-call]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the software stamp equal pictures are equal bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _over_limit(psi_nats: float | None, limit_nats: float | None) -> float | None:
    """How many times its limit a PSI is; None where it is not known."""
    return None if psi_nats is None or not limit_nats else psi_nats / limit_nats


def _times_limit(end: float) -> tuple[list[float], list[str]]:
    """Where an axis of multiples of a limit has its marks, and what they say."""
    places = [place for place in (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0) if place <= end]
    return places, [f"{place:g}" for place in places]


def _patch(colour: str, name: str) -> Patch:
    from matplotlib.patches import Patch

    return Patch(color=colour, label=name)
