"""What the engine asks of the outside, in the engine's words.

Every port has one contract suite in the tests and every adapter passes it. Adapters translate
their vendor's exceptions into `ml_release.errors`; no vendor type crosses a port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

# The endpoint server asks through these two as well; they stand where it may import them.
from ml_release.domain.answering import LoadedModel as LoadedModel  # noqa: PLC0414 (passed on)
from ml_release.domain.answering import ModelLoader as ModelLoader  # noqa: PLC0414 (passed on)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import date, datetime

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.answers import AnswerProgress, AnswerTable, DayCount, NewLabels
    from ml_release.domain.batch_scoring import ScoreSpread
    from ml_release.domain.bucket_profile import BucketProfile
    from ml_release.domain.build_record import BuildRecord
    from ml_release.domain.column_profile import ColumnShares
    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.drift_record import DriftHistory, DriftRecord
    from ml_release.domain.experiment_analysis import Analysis
    from ml_release.domain.fairness_record import HistoryRow
    from ml_release.domain.features import Columns
    from ml_release.domain.gates_attribution import AttributionMethod
    from ml_release.domain.gates_servability import Servability
    from ml_release.domain.gauges import GaugeFile
    from ml_release.domain.history_table import HistoryTable
    from ml_release.domain.identity import ModelVersion, SnapshotId
    from ml_release.domain.incident import Incident
    from ml_release.domain.kill_switch import Pulled
    from ml_release.domain.label_maturity import Maturity
    from ml_release.domain.log_archive import Archived, Deleted
    from ml_release.domain.monitoring_page import MonitoringPage
    from ml_release.domain.notices import Notice
    from ml_release.domain.performance_record import PerformanceHistory
    from ml_release.domain.regret import RegretReport
    from ml_release.domain.release_report import ReleaseReport
    from ml_release.domain.remote_state import RemoteState
    from ml_release.domain.scores import ReliabilityBin
    from ml_release.domain.search import Scalar
    from ml_release.domain.search import Trial as SearchTrial
    from ml_release.domain.shadow_pairs import ScoreSample, SlicePairs
    from ml_release.domain.slice_scores import SliceTable
    from ml_release.domain.slo_record import SloRecord
    from ml_release.domain.threshold_curve import ThresholdPoint
    from ml_release.domain.traffic import TrafficPoint
    from ml_release.domain.trial import LoadMeasured, Served, Trial, TrialLoad, TrialReply
    from ml_release.domain.verdict import Verdict
    from ml_release.spec.landing_source import LandingSource
    from ml_release.spec.search_space import SearchRange


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """The present moment, with a time zone."""


class Workplace(Protocol):
    """Where this process runs: its sources, its interpreter, its packages."""

    def build(self, modules: Sequence[str]) -> BuildRecord:
        """What is here at this moment.

        ``modules`` are those that declare a line. Where they stand outside of the package, the
        files beside them count as sources too.
        """


class Landing(Protocol):
    """Where raw data arrives."""

    def partitions(self, source: LandingSource) -> tuple[str, ...]:
        """Names of the partitions that have arrived, in order."""

    def read(self, source: LandingSource, partition: str) -> dict[str, pd.DataFrame]:
        """The rows of one partition under ``rows`` and every companion table under its name.

        Columns of a CSV file hold words, missing where there is nothing between the separators.

        Raises `NotFoundError` if the partition has not arrived, `InputError` if a file cannot be
        read as a table.
        """

    def read_file(self, path: str, *, digest: str) -> pd.DataFrame:
        """The rows of one file, named by its path below the landing zone and known by its digest.

        CSV, whose columns hold words as in `read`, or Parquet, by the end of the path. Raises
        `NotFoundError` if it has not arrived, `IntegrityError` if its bytes do not have the
        digest, `InputError` if they cannot be read as a table.
        """


class Tables(Protocol):
    """Immutable rows per line, table and partition, each known by table version and digest."""

    def write(self, line: str, table: str, partition: str, rows: pd.DataFrame) -> SnapshotId:
        """Replace one partition in one atomic commit; the same rows again write nothing."""

    def write_batches(
        self, line: str, table: str, partition: str, batches: Iterable[pd.DataFrame]
    ) -> SnapshotId:
        """The same for rows that come in batches and may be more than fits into memory.

        Nothing is written if a batch cannot be had: what it raises is passed on. Raises
        `InputError` if there are no rows or batches differ in their columns.
        """

    def read(self, snapshot: SnapshotId, table: str) -> pd.DataFrame:
        """The rows of a snapshot.

        Raises `IntegrityError` if they do not have the snapshot's digest.
        """

    def scan(
        self, snapshot: SnapshotId, table: str, *, rows_per_batch: int
    ) -> Iterator[pd.DataFrame]:
        """The rows of a snapshot in their order, in batches of at most ``rows_per_batch``.

        Raises `IntegrityError` before the first batch if they do not have the snapshot's digest.
        """

    def current(self, line: str, table: str) -> tuple[SnapshotId, ...]:
        """The newest snapshot of every partition, in the order of the partitions."""


class EvidenceStore(Protocol):
    """Records of what was judged and made, kept by kind and subject."""

    def record(self, line: str, kind: str, subject: str, document: bytes) -> str:
        """Keep a document as the newest of its subject and of its kind; return its digest."""

    def find(self, line: str, kind: str, subject: str) -> bytes | None:
        """The newest document of a subject, None if there is none."""

    def newest_subject(self, line: str, kind: str) -> str | None:
        """The subject recorded last, None if there is none."""


class ModelStore(Protocol):
    """Model artefacts, kept by digest."""

    def publish(self, files: Mapping[str, bytes]) -> str:
        """Keep a set of files; return the model digest. The same files again write nothing."""

    def read(self, model_digest: str) -> dict[str, bytes]:
        """The files of an artefact, each verified.

        Raises `NotFoundError` if there is no such artefact, `IntegrityError` if a file was
        changed.
        """


class ServabilityProbe(Protocol):
    """Loads and asks an artefact the way the endpoint server would, and says what that took."""

    def measure(self, files: Mapping[str, bytes], values: Columns) -> Servability:
        """Ask every row on its own.

        Raises `IntegrityError` if the artefact cannot be loaded, does not answer, or takes its
        process down.
        """


class ModelCompiler(Protocol):
    """Turns a fitted estimator into code-free files."""

    def model_files(self, estimator: object) -> dict[str, bytes]:
        """The files of an artefact that hold the model, in the best form there is for it.

        The same estimator gives the same bytes. Raises `DeclarationError` if it cannot be kept
        without code.
        """

    def compile(self, estimator: object) -> bytes:
        """The exact form alone; raises `DeclarationError` if it cannot be expressed exactly."""


class ParameterSearch(Protocol):
    """Where the parameters of trials come from."""

    def begin(
        self,
        space: Mapping[str, SearchRange],
        *,
        first: Mapping[str, Scalar],
        maximise: bool,
        seed: int,
    ) -> Proposals:
        """A new search; the same arguments and the same results lead to the same proposals.

        ``first`` holds a value inside its range for every parameter of ``space``, and maybe others.
        """


class Proposals(Protocol):
    """One search under way: propose, maybe give up, conclude, and again."""

    def propose(self) -> dict[str, Scalar]:
        """A value for every parameter of the space, at first those the search began with."""

    def is_hopeless(self, fold_values: Sequence[float]) -> bool:
        """Whether the trial under way, with these values so far, is not worth finishing.

        Asked after every fold but the last. The first trial never is.
        """

    def conclude(self, trial: SearchTrial) -> None:
        """Learn how the trial under way has ended."""


class ExperimentRun(Protocol):
    """The experiment-tracking run that belongs to the work being done."""

    @property
    def run_id(self) -> str:
        """Its identifier."""

    @property
    def address(self) -> str | None:
        """Where a browser shows it; None if that is not known."""

    def log(self, *, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Record parameters and metrics; metrics that are not finite are left out."""

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""

    def keep(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Keep files as artefacts of the run."""

    def add_trial(self, trial: SearchTrial, *, objective: str) -> str:
        """Record a trial as a finished run of its own below this one; return its identifier."""


class Experiments(Protocol):
    """Experiment-tracking runs by their identifier."""

    def resume(self, run_id: str) -> ExperimentRun:
        """A run that was opened before, to add to.

        Raises `NotFoundError` if there is none.
        """


class ModelRegistry(Protocol):
    """Numbered, immutable model versions with movable aliases."""

    def register(
        self, line: str, *, model_digest: str, run_id: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Add a version. A model digest that is registered already returns its version."""

    def versions(self, line: str) -> tuple[ModelVersion, ...]:
        """All versions, in the order of their numbers."""

    def point_alias(self, line: str, alias: str, number: int) -> None:
        """Make ``alias`` name the version ``number``.

        Raises `NotFoundError` if there is no such version.
        """

    def named(self, line: str, alias: str) -> int | None:
        """Number of the version an alias names, None if it names none."""

    def run_tags(self, run_id: str) -> dict[str, str]:
        """Tags of an experiment run, to compare a recorded digest with."""


class Deployments(Protocol):
    """Declared state under version control, sealed by whoever may declare."""

    def read(self, line: str, environment: str) -> Declaration | None:
        """What is declared now, None if nothing ever was.

        A declaration that was edited by hand is returned with its ``seal_problem``, and so is an
        earlier one that was put back and serves a version that was withdrawn since.
        """

    def sealed(self, line: str, environment: str) -> Declaration | None:
        """The newest declaration without a seal problem: what counts, and what a server serves."""

    def declare(
        self,
        state: DeclaredState,
        *,
        expected_commit: str | None,
        trailers: Mapping[str, str],
        at: datetime,
    ) -> Declaration:
        """Write the whole file as one commit.

        ``expected_commit`` is the commit of the declaration the writer had read (None: there was
        none). Raises `StaleWriteError` if another one stands there now.

        What sealed declarations before it have withdrawn, or lifted, is written too, whether or not
        the writer knew it, see `ml_release.domain.withdrawals`. Raises `RefusedError` if the state
        serves a version that is withdrawn.
        """

    def history(self, line: str, environment: str) -> tuple[Declaration, ...]:
        """Every declaration, oldest first."""


class DeploymentsRemote(Protocol):
    """The remote through which declared state is shared; nothing here raises because of it."""

    def sync(self) -> RemoteState:
        """Fetch, follow it where nothing is only here, and push what is only here."""

    def state(self) -> RemoteState:
        """As of the last look, by whichever process; asks nobody."""


class Switches(Protocol):
    """Kill switches that were pulled at the endpoint and are not in Git yet."""

    def pull(self, line: str, environment: str, pulled: Pulled) -> None:
        """Keep what was done; raises `UnavailableError` if it cannot be."""

    def lines(self, environment: str) -> tuple[str, ...]:
        """Lines of which something is kept."""

    def read(self, line: str, environment: str) -> Pulled | None:
        """What was done last; None if there is nothing."""

    def clear(self, line: str, environment: str, pulled: Pulled) -> bool:
        """Forget exactly this; False if something else was done since."""


class Notifier(Protocol):
    """Tells people."""

    def send(self, notice: Notice) -> None:
        """Tell a notice, within seconds whatever the other side does.

        Raises `UnavailableError` if nobody took it, naming no secret of an address.
        """


class OnlineHistory(Protocol):
    """The history features the endpoint server looks up."""

    def publish(self, line: str, table: HistoryTable) -> None:
        """Replace the table in one step."""

    def read(self, line: str) -> HistoryTable | None:
        """The table, None if none was published."""


class InferenceLog(Protocol):
    """What was asked and answered, and the labels that came later."""

    def size(self, line: str) -> int:
        """Bytes of all records, labels and rewards, to see cheaply whether anything came in."""

    def records(
        self,
        line: str,
        *,
        after: Mapping[str, int],
        enough_bytes: int | None = None,
        since: datetime | None = None,
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        """Records after a cursor (bytes read per segment) with the cursor behind them.

        What came in before ``since`` may be passed over, so that the first look at something young
        costs no more on a long log: whoever gives it needs nothing older, and may get some of it.

        A record that is still being written is left for the next read. No further segment is begun
        when ``enough_bytes`` were read: what is left comes with the next read, so that a long log
        needs not be held at once.
        """

    def asked(self, line: str) -> pd.DataFrame:
        """Every request that was answered or failed, once: ``request_id`` and ``event_time``.

        The rows of a batch are one request, and what was only asked in secret is none.
        """

    def between(
        self, line: str, since: datetime, until: datetime, *, rows_per_batch: int
    ) -> Iterator[pd.DataFrame]:
        """Records that came in from ``since`` on and before ``until``, in batches.

        What does not fit between them is not held: memory does not grow with the log.
        """

    def labels(self, line: str) -> pd.DataFrame:
        """Every label as it was told, one column per field of `Label`, in the order of arrival."""

    def rewards(self, line: str) -> pd.DataFrame:
        """Every reward as it was posted, one column per field of `Reward`, in order of arrival."""


class ProfileStore(Protocol):
    """What was counted of the inference log, by hour of the event, variant and model.

    The log is what is true: what is kept here only saves reading it, and can be counted again. All
    methods raise `IntegrityError` if what is kept was edited, or is of another version of this
    code, until it is cleared; `UnavailableError` if it cannot be reached.
    """

    def cursor(self, line: str, environment: str) -> dict[str, int]:
        """Everything of the log before this is counted; empty if nothing is."""

    def add(
        self,
        line: str,
        environment: str,
        *,
        profiles: Sequence[BucketProfile],
        cursor: Mapping[str, int],
        expected: Mapping[str, int],
    ) -> None:
        """Add profiles to what is kept of their buckets, and move the cursor, both or neither.

        Raises `StaleWriteError` if the cursor is not the ``expected`` one any more: somebody else
        has counted the same records. `InputError` for a profile of another line.
        """

    def newest(self, line: str, environment: str, *, model_digest: str | None) -> datetime | None:
        """When the newest bucket begins that is no shadow's, None if there is none.

        ``model_digest`` None asks of all models.
        """

    def between(
        self,
        line: str,
        environment: str,
        *,
        model_digest: str | None,
        since: datetime,
        until: datetime,
        shadows: bool = False,
    ) -> tuple[BucketProfile, ...]:
        """Buckets that begin from ``since`` on and before ``until``, in order of time.

        ``model_digest`` None gives those of all models; ``shadows`` adds answers nobody got.
        """

    def clear(self, line: str, environment: str) -> None:
        """Forget everything of a line, the cursor too.

        Where what is kept cannot be read, everything of every line is forgotten.
        """


class InferenceArchive(Protocol):
    """Keeps the inference log small, and forgets what may be forgotten."""

    def finished(self, line: str) -> int:
        """How many segments could be archived now."""

    def archive(self, line: str) -> Archived:
        """Replace every finished segment by its archive; readers notice nothing.

        Raises `IntegrityError` if an archive does not read back as its segment, which then stays.
        """

    def delete_before(self, line: str, moment: datetime) -> Deleted:
        """Delete archived records and labels that came in before a moment."""


class AnswerStore(Protocol):
    """Answers waiting for their label, and labelled ones, so that only what is new is read.

    What is kept here can be had again from the log and the labels table. Every method but `clear`
    raises `IntegrityError` if what is kept cannot be read, and `UnavailableError` if it cannot be
    reached.
    """

    def progress(self, line: str, environment: str) -> AnswerProgress:
        """How far the log and the labels table were read; at first nowhere."""

    def add(
        self,
        line: str,
        environment: str,
        *,
        answers: AnswerTable,
        labels: NewLabels,
        progress: AnswerProgress,
        expected: AnswerProgress,
        keep_from: date,
        received_from_us: int = 0,
    ) -> None:
        """Keep answers, then labels, and forget what is too old; all or nothing.

        Too old are events of days before ``keep_from``, and what came in before
        ``received_from_us``. The first answer to a request id stands, and so does its first label;
        a label of a request that is not kept is left out. Raises `StaleWriteError` if ``expected``
        is not how far it was read when this is written: somebody else counted the same.
        """

    def waiting(self, line: str, environment: str) -> frozenset[str]:
        """Request ids of the answers that have no label."""

    def days(self, line: str, environment: str, *, model_digest: str) -> tuple[DayCount, ...]:
        """Days with answers of one model, in order; costs as much as there are days."""

    def between(
        self, line: str, environment: str, *, model_digest: str, since: date, until: date
    ) -> AnswerTable:
        """Answers of one model with an event day from ``since`` on and before ``until``.

        In the order of their events, then of their request ids.
        """

    def clear(self, line: str, environment: str) -> None:
        """Forget a line; what cannot be read at all is put aside, so that it is counted anew."""


class EndpointClient(Protocol):
    """An endpoint, spoken to as a client."""

    def invoke(
        self, line: str, body: bytes, *, request_id: str, event_time: str, unit: str | None = None
    ) -> tuple[int, str]:
        """Ask for a prediction in MLflow's scoring protocol: HTTP status and body.

        ``unit`` is who asks, always answered by the same variant; None lets each request be its
        own. Raises `UnavailableError` if nothing answers.
        """

    def is_ready(self, line: str) -> bool:
        """Whether something answers for the line, as its server says.

        Raises `UnavailableError` if nothing answers, or it does not tell whoever asks.
        """

    def tell_labels(self, line: str, labels: Sequence[Mapping[str, object]]) -> tuple[int, str]:
        """Tell late labels by request id: HTTP status and body.

        Raises `UnavailableError` if nothing answers.
        """

    def switch(self, line: str, pull: Mapping[str, object]) -> tuple[int, str]:
        """Pull or release the kill switch of a line: HTTP status and body.

        Raises `UnavailableError` if nothing answers.
        """


class TrialServer(Protocol):
    """Starts a real endpoint server, apart from everything that others use."""

    def start(self, trial: Trial) -> AbstractContextManager[RunningTrial]:
        """A server that answers for what is on trial; at the end of the block nothing is left.

        It has declared state, an inference log and kill switches of its own, reads the artefacts
        that everybody reads, and trusts the same keys.

        Raises `UnavailableError` if it ends, or does not answer for the version within
        ``trial.start_limit_s``, with the last lines of its log.
        """


class RunningTrial(Protocol):
    """A server on trial that answers."""

    @property
    def start_s(self) -> float:
        """Seconds from the start of the process until it answered for the version."""

    @property
    def deployments(self) -> Deployments:
        """Its declared state: what is declared there, it serves."""

    def served(self) -> tuple[Served, ...]:
        """Every request in its log so far, in the order in which they came."""

    def ask(
        self, method: str, path: str, *, body: bytes = b"", request_id: str | None = None
    ) -> TrialReply:
        """One request over HTTP; whatever comes back, also nothing, is a reply."""

    def load(
        self, path: str, load: TrialLoad, *, on_progress: Callable[[int, int], None] | None = None
    ) -> LoadMeasured:
        """Many requests at once; ``on_progress`` is told answers so far, and requests in all.

        Requests that a server which is gone does not answer count as failed.
        """

    def logged(self) -> Mapping[str, int]:
        """Rows in its inference log, by request id."""

    def memory_mb(self) -> float | None:
        """Resident memory of its process in 10^6 bytes; None if it cannot be had."""


class TextClassifier(Protocol):
    """Tells two samples of texts apart, if anything does."""

    def out_of_fold(
        self, texts: Sequence[str], is_current: npt.NDArray[np.bool_], *, folds: int, seed: int
    ) -> npt.NDArray[np.float64]:
        """A score per text that grows with its being of the current sample, shape (n,).

        Each is of a classifier that was not fitted on that text. The same arguments give the same
        scores. Raises `InputError` if a side has fewer texts than there are folds.
        """


class Attributor(Protocol):
    """Says how far each feature moves each answer of a model that is only asked."""

    def require_installed(self) -> None:
        """Raise `DeclarationError` if something has to be installed first."""

    def shapley_values(
        self,
        ask: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
        rows: npt.NDArray[np.float64],
        background: npt.NDArray[np.float64],
        *,
        seed: int,
    ) -> npt.NDArray[np.float64]:
        """Shapley value of every feature in every row, shape (rows, features).

        They add up to the answer of the row less the mean answer of the background, and are in the
        unit of the answer. The same arguments give the same values.

        Parameters
        ----------
        ask
            A matrix of shape (n, features) to answers of shape (n,).
        rows, background
            What is explained, and what stands for a feature that is not known; codes as of
            `ml_release.domain.value_codes`, so that different values differ by at least 1.

        Raises `DeclarationError` if something has to be installed first.
        """


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
