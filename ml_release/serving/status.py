"""The state of the server as a document: what serves what, since when, why, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.serving.line_counts import LineCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.serving.model_table import LineState, ModelTable, Route
    from ml_release.serving.variant_counts import VariantCounts

MINUTE, FIVE_MINUTES = 60, 300


def status_document(
    table: ModelTable,
    counts: Mapping[str, LineCounts],
    *,
    environment: str,
    started_at: str,
    seconds: float,
    static_answers: Mapping[str, float] | None = None,
    more_problems: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> dict[str, object]:
    """Everything ``GET /status`` tells; only JSON types.

    Parameters
    ----------
    seconds
        Now, in seconds of `time.perf_counter`, which rates are counted by.
    static_answers
        By line what is answered without a model now, because its kill switch is pulled.
    more_problems
        Those the table does not know, of the tokens file for one.
    notes
        What keeps nothing from being served, but somebody should know.
    """
    return {
        "environment": environment,
        "started_at": started_at,
        "ready": table.is_ready,
        "commit": table.commit,
        "problems": [*table.problems, *more_problems],
        "notes": list(notes),
        "lines": {
            name: _line(
                state,
                counts.get(name) or LineCounts(),
                seconds,
                static=(static_answers or {}).get(name),
            )
            for name, state in sorted(table.lines.items())
        },
    }


def _line(
    state: LineState, counts: LineCounts, seconds: float, *, static: float | None
) -> dict[str, object]:
    return {
        "static_answer": static,
        "serving": None if state.route is None else _route(state.route, counts, seconds),
        "declared_commit": state.declared_commit,
        "problems": [*state.problems, *filter(None, (state.history_problem,))],
        "requests": {
            "answered": counts.answered,
            "rejected": counts.rejected,
            "failed": counts.failed,
            "unlogged": counts.unlogged,
            "static": counts.static,
            "rows": counts.rows,
            "labels": counts.labels,
        },
        "latency_ms": {
            "p50": counts.latency_quantile_ms(0.5),
            "p99": counts.latency_quantile_ms(0.99),
            "of_last_requests": len(counts.latencies_ms),
        },
    }


def _route(route: Route, counts: LineCounts, seconds: float) -> dict[str, object]:
    declaration, state = route.declaration, route.declaration.state
    target = state.rollback_target
    return {
        "release": state.release,
        "commit": declaration.commit,
        "committed_at": declaration.committed_at,
        "since": route.since,
        "actor": declaration.actor,
        "reason": declaration.reason,
        "variants": [
            {
                "role": variant.role,
                "version": variant.version,
                "model_digest": variant.model_digest,
                "weight_percent": variant.weight_percent,
                "loaded": variant.version in route.answering,
                "answered": counts.by_version[variant.version],
                **_live(counts.variant(variant.role, variant.version), seconds),
            }
            for variant in state.variants
        ],
        "shadows": [
            {
                "version": shadow.version,
                "sample_percent": shadow.sample_percent,
                "loaded": any(s.shadow.version == shadow.version for s in route.shadows),
            }
            for shadow in state.shadows
        ],
        "shadow_questions": {
            "answered": counts.shadows_asked,
            "failed": counts.shadows_failed,
            "dropped": counts.shadows_dropped,
        },
        "experiment": None
        if state.experiment is None
        else {
            "name": state.experiment.name,
            "share_percent": state.experiment.share_percent,
            "allocation": state.experiment.allocation,
            "arms": {str(arm.version): arm.weight_percent for arm in state.experiment.arms},
        },
        "rollout": None
        if state.rollout is None
        else {
            "version": state.rollout.version,
            "leg": state.rollout.leg,
            "step": state.rollout.step,
            "since": state.rollout.since.isoformat(),
        },
        "threshold": state.threshold,
        "fallbacks": {str(version): n for version, n in counts.fallbacks.items() if n},
        "rollback_target": None
        if target is None
        else {
            "version": target.version,
            "model_digest": target.model_digest,
            "loaded": route.warm is not None,
        },
        "withdrawn": list(state.withdrawn),
        "history": {
            "as_of": None if route.history is None else route.history.as_of,
            "look_ups": counts.history_look_ups,
            "misses": counts.history_misses,
            "age_days": counts.history_age_days,
            "age_largest_days": counts.history_age_largest_days,
        },
    }


def _live(counts: VariantCounts, seconds: float) -> dict[str, object]:
    minute = counts.rates.over(MINUTE, now=seconds)
    five = counts.rates.over(FIVE_MINUTES, now=seconds)
    return {
        "failed": counts.failed,
        "unlogged": counts.unlogged,
        "fallbacks": counts.fallbacks,
        "per_second_1m": minute.per_second,
        "per_second_5m": five.per_second,
        "error_share_1m": minute.error_share,
        "error_share_5m": five.error_share,
        "p50_ms": counts.recent_quantile_ms(0.5),
        "p99_ms": counts.recent_quantile_ms(0.99),
    }
