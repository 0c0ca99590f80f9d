"""What the monitoring page says in its own words, marks and charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.adapters.report_pages.charts import Curve, chart, sparkline
from ml_release.domain.monitoring_page import ACTIONS
from ml_release.domain.watched_claims import watched_claim_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from markupsafe import Markup

    from ml_release.domain.monitoring_shown import PerformanceNow
    from ml_release.domain.verdict import Finding

_SPARKED = 60
_CHARTED = 120
_NAMED = 8
_STANDINGS = {
    "stable": ("stable", "\N{HEAVY CHECK MARK}"),
    "shifted but harmless": ("harmless", "\N{ALMOST EQUAL TO}"),
    "shifted and hurting": ("hurting", "\N{HEAVY BALLOT X}"),
}


def _spark(values: Sequence[float | None], limit: float | None = 1.0) -> Markup:
    return sparkline(values[-_SPARKED:], limit=limit)


def _standing_class(standing: str) -> str:
    return _STANDINGS.get(standing, ("unknown", "?"))[0]


def _standing_mark(standing: str) -> str:
    return _STANDINGS.get(standing, ("unknown", "?"))[1]


def _action_words(action: str) -> str:
    return ACTIONS[action][0] if action in ACTIONS else action.replace("_", " ")


def _subjects(findings: Sequence[Finding]) -> str:
    names = [finding.subject for finding in findings]
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _compact(value: float | None) -> str | None:
    return None if value is None else f"{value:,.3g}" if abs(value) < 1e4 else f"{value:,.0f}"  # noqa: PLR2004 (digits)


def _budget(left: float) -> str:
    return f"{100 * left:.0f} % left" if left > 0 else f"{-100 * left:.0f} % over"


def _auc_chart(performance: PerformanceNow) -> Markup:
    points = performance.history[-_CHARTED:]
    released = performance.at_release
    return chart(
        "AUC by window",
        [point.end for point in points],
        [
            Curve(
                name="labels in, with interval",
                values=[point.auc for point in points],
                low=[point.auc_low for point in points],
                high=[point.auc_high for point in points],
            ),
            Curve(
                name="estimated without labels",
                values=[point.auc_estimated for point in points],
                style="b",
            ),
        ],
        limit=None if released is None else released.auc,
        limit_name="at release",
    )


def _calibration_chart(performance: PerformanceNow) -> Markup:
    points = performance.history[-_CHARTED:]
    released = performance.at_release
    return chart(
        "Calibration error by window",
        [point.end for point in points],
        [Curve(name="labels in", values=[point.calibration_error for point in points], style="c")],
        limit=None if released is None else released.calibration_error,
        limit_name="at release",
    )


def _loss_chart(performance: PerformanceNow) -> Markup:
    points = performance.history[-_CHARTED:]
    released = performance.at_release
    return chart(
        "Log loss by window",
        [point.end for point in points],
        [Curve(name="labels in", values=[point.log_loss for point in points])],
        limit=None if released is None else released.log_loss,
        limit_name="at release",
    )


FILTERS: Mapping[str, Callable[..., object]] = {
    "spark": _spark,
    "standing_class": _standing_class,
    "standing_mark": _standing_mark,
    "action_words": _action_words,
    "subjects": _subjects,
    "budget": _budget,
    "compact": _compact,
    "watched_claim": watched_claim_of,
    "auc_chart": _auc_chart,
    "calibration_chart": _calibration_chart,
    "loss_chart": _loss_chart,
}
