"""``GET /metrics``: what the server has counted, as Prometheus reads it.

Rendered when somebody asks. Labels are declared lines, roles, versions and features, and fixed
words: nothing that a client sends becomes one.
"""

from __future__ import annotations

import time
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ml_release.serving.line_counts import LineCounts
from ml_release.serving.log_sizes import log_size
from ml_release.serving.replies import Reply
from ml_release.serving.variant_counts import LATENCY_BOUNDS_MS, PREDICTION_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from prometheus_client.core import Metric

    from ml_release.serving.model_table import LineState, ModelTable, Route
    from ml_release.serving.monitoring_gauges import MonitoringGauges
    from ml_release.serving.variant_counts import VariantCounts
    from ml_release.serving.vitals import Vitals

_LINE = ("line",)
_VARIANT = ("line", "variant", "version")
_REASONS = {
    400: "unusable",
    401: "no_valid_token",
    403: "not_allowed",
    404: "unknown",
    405: "wrong_method",
    413: "too_large",
    415: "not_json",
}
_SERVER_ERROR = 500


def metrics_reply(
    table: ModelTable,
    counts: Mapping[str, LineCounts],
    vitals: Vitals,
    *,
    inference: Path,
    gauges: MonitoringGauges,
    now: float,
) -> Reply:
    """Everything, in Prometheus' text format 0.0.4.

    Parameters
    ----------
    inference
        Folder of the inference log.
    gauges
        What monitoring has left of the lines.
    now
        Seconds since 1970.
    """
    families = _Families(table, counts, vitals, inference)
    return Reply(
        200,
        generate_latest(families) + gauges.text(sorted(table.lines), now=now),
        (("content-type", CONTENT_TYPE_PLAIN_0_0_4), ("cache-control", "no-store")),
    )


class _Families:
    """What prometheus_client takes for a registry."""

    def __init__(
        self,
        table: ModelTable,
        counts: Mapping[str, LineCounts],
        vitals: Vitals,
        inference: Path,
    ) -> None:
        self._table = table
        self._vitals = vitals
        self._inference = inference
        self._lines = sorted(table.lines.items())
        self._counts = {name: counts.get(name) or LineCounts() for name, _ in self._lines}
        self._variants = [
            ((name, role, str(version)), of_variant)
            for name, of_line in self._counts.items()
            for (role, version), of_variant in _with_declared(of_line, table.lines[name].route)
        ]

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._of_variants()
        yield from self._of_lines()
        yield from self._of_server()
        yield from ProcessCollector(registry=None).collect()

    def _of_variants(self) -> Iterator[Metric]:
        yield _counter(
            "requests",
            "Requests that a version was chosen for.",
            (*_VARIANT, "outcome"),
            (
                ((*labels, outcome), count)
                for labels, counts in self._variants
                for outcome, count in (
                    ("answered", counts.answered),
                    ("failed", counts.failed),
                    ("unlogged", counts.unlogged),
                )
            ),
        )
        yield _counter(
            "fallbacks",
            "Requests answered in the place of the variant they were assigned to.",
            _VARIANT,
            ((labels, counts.fallbacks) for labels, counts in self._variants),
        )
        yield _counter(
            "rows",
            "Rows that were predicted.",
            _VARIANT,
            ((labels, counts.rows) for labels, counts in self._variants),
        )
        yield _counter(
            "missing_features",
            "Rows without a value of the feature.",
            (*_VARIANT, "feature"),
            (
                ((*labels, feature), counts.missing[feature])
                for labels, counts in self._variants
                for feature in sorted({*self._features(labels), *counts.missing})
            ),
        )
        latency = HistogramMetricFamily(
            "ml_release_request_duration_seconds",
            "Time from the decoded request to the answer, the write to the log included.",
            labels=_VARIANT,
        )
        predicted = HistogramMetricFamily(
            "ml_release_predictions", "Predicted probabilities.", labels=_VARIANT
        )
        for labels, counts in self._variants:
            latency.add_metric(
                labels,
                _buckets([bound / 1e3 for bound in LATENCY_BOUNDS_MS], counts.latency_buckets),
                counts.latency_sum_ms / 1e3,
            )
            if any(counts.prediction_buckets):
                buckets = [*counts.prediction_buckets, 0]
                predicted.add_metric(
                    labels, _buckets(PREDICTION_BOUNDS, buckets), counts.prediction_sum
                )
        yield latency
        yield predicted

    def _features(self, labels: tuple[str, str, str]) -> tuple[str, ...]:
        line, role, version = labels
        route = self._table.lines[line].route
        answering = None if route is None else route.answering.get(int(version))
        if answering is None or answering.variant.role != role:
            return ()
        return answering.loaded.model.plan.names

    def _of_lines(self) -> Iterator[Metric]:
        names = [name for name, _ in self._lines]
        counts = self._counts
        yield _gauge(
            "line_ready",
            "Whether a version of the line is loaded.",
            _LINE,
            (((name,), state.route is not None) for name, state in self._lines),
        )
        yield _gauge(
            "line_problems",
            "What keeps the line from serving exactly what is declared, in number.",
            _LINE,
            (
                ((name,), len(state.problems) + (state.history_problem is not None))
                for name, state in self._lines
            ),
        )
        info = InfoMetricFamily(
            "ml_release_loaded_version", "Versions that can answer.", labels=_VARIANT
        )
        share = GaugeMetricFamily(
            "ml_release_traffic_share", "Declared share of traffic, 0 to 1.", labels=_VARIANT
        )
        for name, role, version, digest in _loaded(self._lines):
            info.add_metric((name, role, version), {"digest": digest})
        for name, state in self._lines:
            for variant in () if state.route is None else state.route.declaration.state.variants:
                labels = (name, variant.role, str(variant.version))
                share.add_metric(labels, variant.weight_percent / 100)
        yield info
        yield share
        for metric, documentation, field in (
            ("labels", "Labels that were taken.", "labels"),
            ("history_look_ups", "Look-ups of history features.", "history_look_ups"),
            ("history_misses", "Look-ups that met no key.", "history_misses"),
            ("static_answers", "Requests that the kill switch answered.", "static"),
            ("shadow_answers", "Questions that shadows answered.", "shadows_asked"),
            ("shadow_failures", "Questions that shadows failed on.", "shadows_failed"),
            ("shadow_drops", "Questions to shadows that did not fit.", "shadows_dropped"),
        ):
            taken = (((name,), getattr(counts[name], field)) for name in names)
            yield _counter(metric, documentation, _LINE, taken)
        yield _counter(
            "failed_over",
            "Requests that another version answered in the place of this one.",
            ("line", "version"),
            (
                ((name, str(version)), n)
                for name in names
                for version, n in sorted(counts[name].fallbacks.items())
            ),
        )
        yield _counter(
            "swaps",
            "How often another set of versions began to answer.",
            _LINE,
            (((name,), self._vitals.swaps[name]) for name in names),
        )
        sizes = {name: log_size(self._inference / name) for name in names}
        yield _gauge(
            "inference_log_bytes",
            "Size of the segments of the inference log.",
            _LINE,
            (((name,), size.size_bytes) for name, size in sizes.items()),
        )
        yield _gauge(
            "inference_log_last_write_timestamp_seconds",
            "When a record or a label was last written.",
            _LINE,
            (
                ((name,), size.written_at)
                for name, size in sizes.items()
                if size.written_at is not None
            ),
        )

    def _of_server(self) -> Iterator[Metric]:
        vitals = self._vitals
        responses = sorted(vitals.responses.items())
        yield _counter(
            "http_responses",
            "Responses; the line is empty where the path names none that is declared.",
            ("line", "route", "status"),
            (((line, route, str(status)), n) for (line, route, status), n in responses),
        )
        yield _counter(
            "rejected",
            "Requests that were not usable or not allowed, by reason.",
            ("line", "route", "reason"),
            (
                ((line, route, _REASONS[status]), n)
                for (line, route, status), n in responses
                if status in _REASONS
            ),
        )
        yield _counter(
            "errors",
            "Requests that the server failed on.",
            ("line", "kind"),
            self._errors(),
        )
        yield _counter(
            "token_refusals",
            "Requests that were not admitted by their token.",
            ("reason",),
            (((reason,), n) for reason, n in sorted(vitals.refused.items())),
        )
        yield _gauge(
            "token_file_problems",
            "Entries of the tokens file that cannot be used.",
            (),
            [((), len(vitals.access_problems()))],
        )
        yield _gauge(
            "notes",
            "What keeps nothing from being served, but somebody should know, in number.",
            (),
            [((), len(vitals.notes()))],
        )
        yield _gauge("ready", "Whether every declared line is answered.", (), [((), self._ready)])
        yield _gauge(
            "reconciler_problems",
            "What keeps declared state from being read, in number.",
            (),
            [((), len(self._table.problems))],
        )
        if vitals.reconciled_at is not None:
            yield _gauge(
                "reconciliation_age_seconds",
                "Time since declared state was last compared with what is served.",
                (),
                [((), time.monotonic() - vitals.reconciled_at)],
            )

    @property
    def _ready(self) -> bool:
        return self._table.is_ready and not self._vitals.is_draining

    def _errors(self) -> Iterator[tuple[tuple[str, str], float]]:
        for name, of_line in self._counts.items():
            by_kind = {"model": of_line.failed, "log": of_line.unlogged}
            seen = sum(
                n
                for (line, _, status), n in self._vitals.responses.items()
                if line == name and status >= _SERVER_ERROR
            )
            # Not loaded, or a fault of the server's own.
            by_kind["other"] = max(0, seen - sum(by_kind.values()))
            yield from (((name, kind), n) for kind, n in by_kind.items())


def _with_declared(
    counts: LineCounts, route: Route | None
) -> Sequence[tuple[tuple[str, int], VariantCounts]]:
    """Those that were counted and those that answer now: a series is there before its first."""
    for answering in () if route is None else route.answering.values():
        counts.variant(answering.variant.role, answering.variant.version)
    return sorted(counts.by_variant.items())


def _loaded(lines: Sequence[tuple[str, LineState]]) -> Iterator[tuple[str, str, str, str]]:
    for name, state in lines:
        if state.route is None:
            continue
        for number, answering in state.route.answering.items():
            yield name, answering.variant.role, str(number), answering.loaded.model_digest
        target = state.route.declaration.state.rollback_target
        if state.route.warm is not None and target is not None:
            digest = state.route.warm.model_digest
            yield name, "rollback_target", str(target.version), digest


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Cumulated, as Prometheus has them; the last count is of what is above all bounds."""
    ends = [*(f"{bound:g}" for bound in bounds), "+Inf"]
    return list(zip(ends, map(float, accumulate(counts)), strict=True))


def _counter(
    name: str,
    documentation: str,
    labels: Sequence[str],
    values: Iterable[tuple[Sequence[str], float]],
) -> Metric:
    family = CounterMetricFamily(f"ml_release_{name}", documentation, labels=labels)
    for of_labels, value in values:
        family.add_metric(of_labels, value)
    return family


def _gauge(
    name: str,
    documentation: str,
    labels: Sequence[str],
    values: Iterable[tuple[Sequence[str], float]],
) -> Metric:
    family = GaugeMetricFamily(f"ml_release_{name}", documentation, labels=labels)
    for of_labels, value in values:
        family.add_metric(of_labels, float(value))
    return family
