"""What people look at: pictures, pages and gauges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.batch_scoring import ScoreSpread
    from ml_release.domain.column_profile import ColumnShares
    from ml_release.domain.drift_record import DriftHistory, DriftRecord
    from ml_release.domain.experiment_analysis import Analysis
    from ml_release.domain.fairness_record import HistoryRow
    from ml_release.domain.gates_attribution import AttributionMethod
    from ml_release.domain.gauges import GaugeFile
    from ml_release.domain.incident import Incident
    from ml_release.domain.label_maturity import Maturity
    from ml_release.domain.monitoring_page import MonitoringPage
    from ml_release.domain.performance_record import PerformanceHistory
    from ml_release.domain.regret import RegretReport
    from ml_release.domain.release_report import ReleaseReport
    from ml_release.domain.scores import ReliabilityBin
    from ml_release.domain.search import Trial as SearchTrial
    from ml_release.domain.shadow_pairs import ScoreSample, SlicePairs
    from ml_release.domain.slice_scores import SliceTable
    from ml_release.domain.slo_record import SloRecord
    from ml_release.domain.threshold_curve import ThresholdPoint
    from ml_release.domain.traffic import TrafficPoint
    from ml_release.domain.verdict import Verdict


class Plotter(Protocol):
    """Draws the pictures that go into reports and asset metadata."""

    def reliability(self, bins: Mapping[str, Sequence[ReliabilityBin]]) -> bytes:
        """PNG of a reliability diagram, one line per model."""

    def roc(
        self, target: npt.NDArray[np.float64], scores: Mapping[str, npt.NDArray[np.float64]]
    ) -> bytes:
        """PNG of the ROC curves of several models on the same labels."""

    def spread(self, columns: Sequence[ColumnShares]) -> bytes:
        """PNG of the shares per bin of every column, beside those of its reference."""

    def slices(self, table: SliceTable) -> bytes:
        """PNG of one score with its interval per slice; slices that are not judged are pale."""

    def costs(self, curve: Sequence[ThresholdPoint], *, threshold: float) -> bytes:
        """PNG of precision, recall and cost per row by threshold, the declared one marked."""

    def importances(
        self,
        candidate: Mapping[str, float],
        champion: Mapping[str, float] | None,
        *,
        method: AttributionMethod,
    ) -> bytes:
        """PNG of how much each feature matters, beside the champion's; the method is named."""

    def traffic(self, points: Sequence[TrafficPoint], *, until: datetime) -> bytes:
        """PNG of the share of every version over time, up to a moment."""

    def error_budgets(self, record: SloRecord) -> bytes:
        """PNG of what is left of every error budget over its window, and of its burn rates."""

    def scores(self, spread: ScoreSpread, *, threshold: float | None) -> bytes:
        """PNG of a histogram of predictions, the threshold of decisions marked if there is one."""

    def maturity(self, maturity: Maturity) -> bytes:
        """PNG of the share of requests whose label is known, by days since the event."""

    def performance(self, history: PerformanceHistory) -> bytes:
        """PNG of AUC and calibration error over time, beside estimates and values at release."""

    def findings(self, verdict: Verdict, rule: str) -> bytes:
        """PNG of one rule's observed values beside their limits, one bar per subject."""

    def drift(self, record: DriftRecord) -> bytes:
        """PNG of every feature's PSI over its limit, coloured by how the feature stands."""

    def drift_history(self, history: DriftHistory) -> bytes:
        """PNG of PSI over its limit by window, of the features that hurt or moved most."""

    def paired_scores(self, sample: ScoreSample) -> bytes:
        """PNG of the scores of champion and shadow on the same requests, and their differences."""

    def agreement(self, slices: Sequence[SlicePairs], *, floor: float) -> bytes:
        """PNG of the share of equal decisions per slice, with its pairs; ``floor`` is marked."""

    def arm_differences(self, analysis: Analysis, *, effect: float) -> bytes:
        """PNG of every arm's difference to the control, between the smallest effects."""

    def regret(self, report: RegretReport) -> bytes:
        """PNG of the regret with its interval, and of the arms' shares, over the days."""

    def search_history(self, trials: Sequence[SearchTrial], *, objective: str) -> bytes:
        """PNG of the value of every trial in their order, and of the best one so far."""

    def gaps_over_time(self, rows: Sequence[HistoryRow]) -> bytes:
        """PNG of every gap with its interval over the windows, the approved one and its limit."""

    def latencies(self, latencies_ms: Sequence[float], *, limit_ms: float) -> bytes:
        """PNG of a histogram of latencies, the limit of the 99th percentile marked."""


class ReportWriter(Protocol):
    """Makes pages for people, and keeps them where they can be opened."""

    def page(self, report: ReleaseReport) -> bytes:
        """One HTML page that needs nothing else; the same report gives the same bytes."""

    def incident_page(self, incident: Incident) -> bytes:
        """The page of an incident, under the same conditions."""

    def monitoring_page(self, page: MonitoringPage) -> bytes:
        """The page of what monitoring found of a line, under the same conditions."""

    def keep(self, line: str, name: str, content: bytes) -> str:
        """Keep a file in one step, in the place of one of that name; return where it is."""


class DriftPages(Protocol):
    """Makes a page, with the tools of a vendor, that compares rows with rows."""

    def page(self, reference: pd.DataFrame, current: pd.DataFrame, *, title: str) -> bytes:
        """One HTML page that fetches nothing; columns are compared by name and type.

        Columns of words are of dtype object, all others are numbers; missing values are allowed.
        At most 10,000 rows of either are looked at, chosen by a fixed seed. A column without a
        value on either side is left out.

        Raises `InputError` if nothing is left to compare.
        """


class GaugeBoard(Protocol):
    """Where the endpoint server finds what monitoring tells Prometheus."""

    def show(self, gauges: GaugeFile) -> None:
        """Put the values of a line and environment in the place of those before, in one step."""
