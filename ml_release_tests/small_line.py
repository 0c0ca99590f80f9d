"""A small release line on synthetic rows, and everything around it in memory.

Four months of a few hundred trips each, late with a probability that distance and carrier decide:
enough to train, judge, register and declare in well under a second.
"""

from __future__ import annotations

import threading
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml_release.adapters.counted_log.answers import SqliteAnswers
from ml_release.adapters.exact_shapley import ExactShapley
from ml_release.adapters.in_memory import (
    InMemoryClock,
    InMemoryDeployments,
    InMemoryDriftPages,
    InMemoryEvidence,
    InMemoryExperiments,
    InMemoryGauges,
    InMemoryLanding,
    InMemoryModels,
    InMemoryNotifier,
    InMemoryOnlineHistory,
    InMemoryProfiles,
    InMemoryRegistry,
    InMemoryReports,
    InMemorySwitches,
    InMemoryTables,
    InMemoryTrialServer,
    InMemoryWorkplace,
    SameProcessProbe,
)
from ml_release.adapters.inference_log import InferenceLogFiles
from ml_release.adapters.inference_tables import InferenceArchiveFiles, InferenceTables
from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.onnx_models import OnnxLoader
from ml_release.adapters.random_search import RandomSearch
from ml_release.domain.approvals import ApprovalPolicy
from ml_release.domain.data_gates import DataGatesPolicy
from ml_release.domain.drift_policy import DriftPolicy
from ml_release.domain.evaluation_gates import EvaluationPolicy
from ml_release.domain.features import Calendar, Category, History, Number
from ml_release.domain.gates_attribution import AttributionPolicy
from ml_release.domain.gates_calendar import CalendarPolicy
from ml_release.domain.gates_distribution import DistributionPolicy
from ml_release.domain.gates_leakage import LeakagePolicy
from ml_release.domain.gates_robustness import RobustnessPolicy
from ml_release.domain.gates_servability import ServabilityPolicy
from ml_release.domain.gates_slices import SlicePolicy
from ml_release.domain.label_maturity import LabelPolicy
from ml_release.domain.performance_policy import PerformancePolicy
from ml_release.domain.quality_policy import QualityPolicy
from ml_release.domain.retraining_policy import RetrainingPolicy
from ml_release.domain.rollout_policy import RolloutPolicy
from ml_release.spec.label_source import LabelSource
from ml_release.spec.landing_source import LandingSource
from ml_release.spec.policies import Policies
from ml_release.spec.release_line import ReleaseLine
from ml_release.spec.search_space import FloatRange, IntRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ml_release.domain.batch_scoring import ScoreSpread
    from ml_release.domain.column_profile import ColumnShares
    from ml_release.domain.drift_record import DriftHistory, DriftRecord
    from ml_release.domain.experiment_analysis import Analysis
    from ml_release.domain.fairness_record import HistoryRow
    from ml_release.domain.gates_attribution import AttributionMethod
    from ml_release.domain.label_maturity import Maturity
    from ml_release.domain.performance_record import PerformanceHistory
    from ml_release.domain.regret import RegretReport
    from ml_release.domain.scores import ReliabilityBin
    from ml_release.domain.search import Trial
    from ml_release.domain.shadow_pairs import ScoreSample, SlicePairs
    from ml_release.domain.slice_scores import SliceTable
    from ml_release.domain.slo_record import SloRecord
    from ml_release.domain.threshold_curve import ThresholdPoint
    from ml_release.domain.traffic import TrafficPoint
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import Attributor, ServabilityProbe, TrialServer

MONTHS = ("2013-01", "2013-02", "2013-03", "2013-04")
ROWS_PER_MONTH = 600


def build_schema() -> Any:
    """The schema of a snapshot."""
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {
            "departure_utc": pa.Column("datetime64[us, UTC]"),
            "departure": pa.Column("datetime64[us]"),
            "trip": pa.Column(int, pa.Check.ge(0)),
            "carrier": pa.Column(str, pa.Check.isin(["AA", "BB", "CC", "DD"]), nullable=True),
            "distance": pa.Column(float, pa.Check.in_range(0, 3000), nullable=True),
            "is_late": pa.Column(float, pa.Check.isin([0.0, 1.0]), nullable=True),
        },
        strict=True,
    )


def assemble(tables: Mapping[str, Any]) -> Any:
    """Trips with the length of their route."""
    joined = tables["rows"].merge(tables["routes"], on="route", how="left")
    return joined[["departure_utc", "departure", "trip", "carrier", "distance", "is_late"]]


def build_estimator(parameters: Mapping[str, Any], seed: int) -> Any:
    """A few small trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**parameters, random_state=seed, early_stopping=False)


SMALL_LINE = ReleaseLine(
    name="small_line",
    objective="Probability that a trip is late.",
    owner="tests",
    landing=LandingSource(
        rows="trips/{partition}.parquet",
        companions={"routes": "routes.parquet"},
        first_partition="2013-01",
        last_partition="2013-12",
    ),
    assemble=assemble,
    # Of the other columns nothing is declared.
    column_sources={"distance": ("routes.distance",), "is_late": ("rows.is_late",)},
    schema_of=build_schema,
    keys=("departure_utc", "trip"),
    event_time="departure_utc",
    event_day="departure",
    time_zone="America/New_York",
    target="is_late",
    label_delay=timedelta(days=1),
    labels=LabelSource(files="labels/{partition}.csv", from_snapshots=True),
    favourable=0,
    slices=("carrier",),
    features=(
        Number(name="distance", column="distance"),
        Category(name="carrier", column="carrier"),
        Calendar(name="minute", column="departure", part="minute_of_day"),
        History(name="carrier_rate", keys=("carrier",), window_days=28),
    ),
    build_estimator=build_estimator,
    parameters={"max_iter": 12, "max_leaf_nodes": 6, "min_samples_leaf": 10, "learning_rate": 0.1},
    search_space={
        "max_leaf_nodes": IntRange(low=3, high=12, log=True),
        "learning_rate": FloatRange(low=0.01, high=0.5, log=True),
    },
    seed=7,
    output="probability_late",
    policies=Policies(
        # One move: what it is allowed to skip is tested where the stages are.
        rollout=RolloutPolicy(stages=(), approval=ApprovalPolicy(needed=0), is_watched=False),
        data_gates=DataGatesPolicy(
            minimum_rows=100,
            maximum_rows=5000,
            volume_change_limit=0.5,
            missing_share_limit=0.0,
            missing_share_limits={"is_late": 0.1, "distance": 0.1},
            # Twenty trips a day, some days by chance very few.
            calendar=CalendarPolicy(day_share_floor=0.05),
            distributions=DistributionPolicy(
                # A trip is numbered within its month. Of a missing distance its own rule speaks.
                muted=("trip", "distance"),
            ),
            leakage=LeakagePolicy(single_auc_limit_score=0.95),
        ),
        evaluation=EvaluationPolicy(
            minimum_rows=100,
            holdout_days=14,
            quality=QualityPolicy(
                floors={"auc_score": 0.6},
                calibration_error_limit=0.2,
                champion_margin=0.02,
                threshold=0.3,
                cost_false_positive=1.0,
                cost_false_negative=2.0,
            ),
            slices=SlicePolicy(
                minimum_rows=30, minimum_per_class=5, limit=0.4, champion_margin=0.2
            ),
            # Of a dozen small trees one feature or another has no effect by chance.
            attribution=AttributionPolicy(rank_correlation_floor=-1.0, heeded_share=0.5),
            robustness=RobustnessPolicy(score_loss_limit=0.1),
            servability=ServabilityPolicy(
                latency_limit_ms=1000.0, latency_p99_limit_ms=5000.0, load_limit_ms=60_000.0
            ),
        ),
        drift=DriftPolicy(minimum_rows=50, muted=("minute",)),
        labels=LabelPolicy(minimum_matured=50, contradicted_share_limit=0.01),
        # Its months are served whole.
        performance=PerformancePolicy(
            window_days=31, minimum_rows=50, auc_margin=0.06, log_loss_margin=0.06
        ),
        retraining=RetrainingPolicy(labels_needed=100, cooldown_days=7),
    ),
)

ROUTES = pd.DataFrame(
    {"route": np.arange(40, dtype=np.int64), "distance": np.linspace(100.0, 2500.0, 40)}
)


def trips(month: str, *, seed: int = 0, rows: int = ROWS_PER_MONTH) -> pd.DataFrame:
    """Synthetic landed trips of one month, the same for the same month and seed."""
    generator = np.random.default_rng([seed, *(int(part) for part in month.split("-"))])
    first = np.datetime64(f"{month}-01", "m")
    length = (np.datetime64(month, "M") + 1).astype("datetime64[m]") - first
    minutes = np.sort(generator.integers(0, length.astype(int), rows)).astype("timedelta64[m]")
    departure = pd.Series((first + minutes).astype("datetime64[us]"))
    route = generator.integers(0, len(ROUTES), rows)
    carrier = generator.choice(np.array(["AA", "BB", "CC"], dtype=object), rows)
    far = ROUTES["distance"].to_numpy()[route] / 2500
    risk = 1 / (1 + np.exp(3.2 - 3.4 * far - 1.2 * (carrier == "AA")))
    late = (generator.uniform(0, 1, rows) < risk).astype(float)
    late[generator.uniform(0, 1, rows) < 0.02] = np.nan
    local = departure.dt.tz_localize(
        "America/New_York", ambiguous=np.zeros(rows, dtype=np.bool_), nonexistent="shift_forward"
    )
    return pd.DataFrame(
        {
            "departure_utc": local.dt.tz_convert("UTC").astype("datetime64[us, UTC]"),
            # Not `departure`: an hour that the change of clocks leaves out is no local time.
            "departure": local.dt.tz_localize(None).astype("datetime64[us]"),
            "trip": np.arange(rows, dtype=np.int64),
            "route": route,
            "carrier": carrier,
            "is_late": late,
        }
    )


class NoPictures:
    """`Plotter` that remembers what it was asked to draw."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def reliability(self, bins: Mapping[str, Sequence[ReliabilityBin]]) -> bytes:
        return self._draw("reliability of " + ", ".join(bins))

    def roc(
        self, target: npt.NDArray[np.float64], scores: Mapping[str, npt.NDArray[np.float64]]
    ) -> bytes:
        return self._draw("ROC of " + ", ".join(scores))

    def spread(self, columns: Sequence[ColumnShares]) -> bytes:
        return self._draw("spread of " + ", ".join(shares.column for shares in columns))

    def slices(self, table: SliceTable) -> bytes:
        return self._draw(f"{len(table.rows)} slices")

    def costs(self, curve: Sequence[ThresholdPoint], *, threshold: float) -> bytes:
        return self._draw(f"costs of {len(curve)} thresholds beside {threshold}")

    def importances(
        self,
        candidate: Mapping[str, float],
        champion: Mapping[str, float] | None,
        *,
        method: AttributionMethod,
    ) -> bytes:
        return self._draw(f"importances by {method} of " + ", ".join(candidate))

    def error_budgets(self, record: SloRecord) -> bytes:
        return self._draw(f"{len(record.standings)} error budgets")

    def scores(self, spread: ScoreSpread, *, threshold: float | None) -> bytes:
        return self._draw(f"{spread.counts.sum()} scores beside {threshold}")

    def traffic(self, points: Sequence[TrafficPoint], *, until: datetime) -> bytes:
        return b""

    def maturity(self, maturity: Maturity) -> bytes:
        return self._draw(f"maturity of {maturity.known} labels")

    def performance(self, history: PerformanceHistory) -> bytes:
        return self._draw(f"performance of {len(history.rows)} windows")

    def findings(self, verdict: Verdict, rule: str) -> bytes:
        return self._draw(f"{rule} of {verdict.judge}")

    def drift(self, record: DriftRecord) -> bytes:
        return self._draw(f"standings of {len(record.features)} features")

    def drift_history(self, history: DriftHistory) -> bytes:
        return self._draw(f"drift of {len(history.windows)} windows")

    def paired_scores(self, sample: ScoreSample) -> bytes:
        return self._draw(f"{sample.n} pairs of scores")

    def agreement(self, slices: Sequence[SlicePairs], *, floor: float) -> bytes:
        return self._draw(f"agreement on {len(slices)} slices beside {floor}")

    def arm_differences(self, analysis: Analysis, *, effect: float) -> bytes:
        return self._draw(f"differences of {len(analysis.arms)} arms beside {effect}")

    def regret(self, report: RegretReport) -> bytes:
        return self._draw(f"regret over {len(report.days)} days")

    def search_history(self, trials: Sequence[Trial], *, objective: str) -> bytes:
        return self._draw(f"{objective} of {len(trials)} trials")

    def latencies(self, latencies_ms: Sequence[float], *, limit_ms: float) -> bytes:
        return self._draw(f"{len(latencies_ms)} latencies beside {limit_ms}")

    def gaps_over_time(self, rows: Sequence[HistoryRow]) -> bytes:
        return self._draw("gaps of " + ", ".join(dict.fromkeys(row.subject for row in rows)))

    def _draw(self, title: str) -> bytes:
        self.drawn.append(title)
        return title.encode()


@dataclass
class House:
    """The small line with all months landed; every port in memory, but for the inference log.

    Attributes
    ----------
    log_folder
        Where the inference log is written and read.
    """

    log_folder: Path
    line: ReleaseLine = SMALL_LINE
    environment: str = "production"
    clock: InMemoryClock = field(
        default_factory=lambda: InMemoryClock(datetime(2026, 11, 21, 9, 0, tzinfo=UTC))
    )
    landing: InMemoryLanding = field(default_factory=InMemoryLanding)
    tables: InMemoryTables = field(default_factory=InMemoryTables)
    evidence: InMemoryEvidence = field(default_factory=InMemoryEvidence)
    models: InMemoryModels = field(default_factory=InMemoryModels)
    loader: OnnxLoader = field(default_factory=OnnxLoader)
    compiler: OnnxCompiler = field(default_factory=OnnxCompiler)
    search: RandomSearch = field(default_factory=RandomSearch)
    experiments: InMemoryExperiments = field(default_factory=InMemoryExperiments)
    deployments: InMemoryDeployments = field(default_factory=InMemoryDeployments)
    online: InMemoryOnlineHistory = field(default_factory=InMemoryOnlineHistory)
    profiles: InMemoryProfiles = field(default_factory=InMemoryProfiles)
    switches: InMemorySwitches = field(default_factory=InMemorySwitches)
    notifier: InMemoryNotifier = field(default_factory=InMemoryNotifier)
    reports: InMemoryReports = field(default_factory=InMemoryReports)
    drift_pages: InMemoryDriftPages = field(default_factory=InMemoryDriftPages)
    gauges: InMemoryGauges = field(default_factory=InMemoryGauges)
    plotter: NoPictures = field(default_factory=NoPictures)
    attributor: Attributor = field(default_factory=ExactShapley)
    workplace: InMemoryWorkplace = field(default_factory=InMemoryWorkplace)
    probe: ServabilityProbe = field(default_factory=lambda: SameProcessProbe(OnnxLoader()))
    other_trial_server: TrialServer | None = None
    registry: InMemoryRegistry = field(init=False)

    def __post_init__(self) -> None:
        self.registry = InMemoryRegistry(self.experiments)
        self.landing.deliver("routes.parquet", ROUTES)
        for month in MONTHS:
            self.land(month, trips(month))

    @property
    def inference_log(self) -> InferenceTables:
        return InferenceTables(self.log_folder)

    @property
    def inference_archive(self) -> InferenceArchiveFiles:
        return InferenceArchiveFiles(self.log_folder)

    @property
    def answers(self) -> SqliteAnswers:
        return SqliteAnswers(self.log_folder.with_name(f"{self.log_folder.name}-answers.db"))

    @property
    def trial_server(self) -> TrialServer:
        """That of the house, unless a test has put another one in its place."""
        return self.other_trial_server or InMemoryTrialServer(
            self.models, self.loader, deployments=InMemoryDeployments
        )

    @property
    def log_writer(self) -> InferenceLogFiles:
        return InferenceLogFiles(self.log_folder, now=self.clock.now)

    def copied(self, log_folder: Path) -> House:
        """An independent house in the same state, with another inference log."""
        locks = (
            self.tables._lock,
            self.registry._lock,
            self.deployments._lock,
            self.profiles._lock,
        )
        other = deepcopy(self, {id(lock): threading.Lock() for lock in locks})
        other.log_folder = log_folder
        return other

    def land(self, month: str, rows: pd.DataFrame) -> None:
        """Let a month arrive, or arrive again."""
        self.landing.deliver(f"trips/{month}.parquet", rows)
