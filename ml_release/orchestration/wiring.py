"""The adapters of one machine, chosen once from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.adapters.apprise_notifier import AppriseNotifier
from ml_release.adapters.counted_log.answers import SqliteAnswers
from ml_release.adapters.counted_log.profiles import ProfileFile
from ml_release.adapters.delta_tables import DeltaTables
from ml_release.adapters.evidence_files import EvidenceFiles
from ml_release.adapters.evidently_report import EvidentlyPages
from ml_release.adapters.gauge_files import GaugeFiles
from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.git_deployments.remote import GitRemote
from ml_release.adapters.git_deployments.shared import SharedDeployments
from ml_release.adapters.hashed_ngrams import HashedNgrams
from ml_release.adapters.inference_tables import InferenceArchiveFiles, InferenceTables
from ml_release.adapters.landing_files import LandingFiles
from ml_release.adapters.mlflow_registry import MlflowExperiments, MlflowRegistry
from ml_release.adapters.model_files import ModelFiles
from ml_release.adapters.model_ladder import LadderCompiler, LadderLoader
from ml_release.adapters.model_process import ModelProcess
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.moved_clock import MovedClock
from ml_release.adapters.notice_file import NoticeFile
from ml_release.adapters.online_files import OnlineFiles
from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.onnx_models import OnnxLoader
from ml_release.adapters.optuna_search import OptunaSearch
from ml_release.adapters.plots import Plots
from ml_release.adapters.report_pages import ReportPages
from ml_release.adapters.seals import Seals
from ml_release.adapters.shap_values import ShapValues
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.adapters.skops_compiler import SkopsCompiler
from ml_release.adapters.skops_models import SkopsLoader
from ml_release.adapters.switch_files import SwitchFiles
from ml_release.adapters.system_clock import SystemClock
from ml_release.adapters.trial_server import Parts, TrialServerProcess
from ml_release.adapters.workplace import LocalWorkplace
from ml_release.domain.artefact import MODEL_FILE, SKOPS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.ports import (
        AnswerStore,
        Attributor,
        Clock,
        Deployments,
        DeploymentsRemote,
        DriftPages,
        EndpointClient,
        EvidenceStore,
        Experiments,
        GaugeBoard,
        InferenceArchive,
        InferenceLog,
        Landing,
        ModelCompiler,
        ModelLoader,
        ModelRegistry,
        ModelStore,
        Notifier,
        OnlineHistory,
        ParameterSearch,
        Plotter,
        ProfileStore,
        ReportWriter,
        ServabilityProbe,
        Switches,
        Tables,
        TextClassifier,
        TrialServer,
        Workplace,
    )
    from ml_release.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Every port with the adapter behind it, and which environment is declared to."""

    environment: str
    clock: Clock
    landing: Landing
    tables: Tables
    evidence: EvidenceStore
    models: ModelStore
    loader: ModelLoader
    probe: ServabilityProbe
    trial_server: TrialServer
    compiler: ModelCompiler
    search: ParameterSearch
    experiments: Experiments
    registry: ModelRegistry
    deployments: Deployments
    switches: Switches
    online: OnlineHistory
    inference_log: InferenceLog
    inference_archive: InferenceArchive
    profiles: ProfileStore
    answers: AnswerStore
    plotter: Plotter
    attributor: Attributor
    text_classifier: TextClassifier
    reports: ReportWriter
    drift_pages: DriftPages
    gauges: GaugeBoard
    workplace: Workplace
    notifier: Notifier
    urgent: Deployments | None = None
    """As ``deployments``, for what does not wait for the remote; None if it is the same."""
    remote: DeploymentsRemote | None = None
    endpoint: Callable[[], EndpointClient] | None = None
    """The running endpoint as a client; made when it is asked, None where none is within reach."""

    @property
    def urgent_deployments(self) -> Deployments:
        """Where a rollback, a restored state and a kill switch are declared."""
        return self.urgent or self.deployments


def local_wiring(settings: Settings) -> Wiring:
    """Adapters below the home folder; nothing is opened or made until it is used."""
    clock = local_clock(settings)
    keys = SigningKeys(
        settings.keys, signing_key=settings.signing_key, verify_keys=settings.verify_keys
    )
    local = GitDeployments(settings.deployments, Seals(keys))
    deployments: Deployments = local
    urgent, remote = None, None
    if settings.remote is not None:
        remote = GitRemote(
            settings.deployments,
            settings.remote.address,
            branch=settings.remote.branch,
            now=clock.now,
        )
        deployments = SharedDeployments(local, remote, goes_on_alone=False)
        urgent = SharedDeployments(local, remote, goes_on_alone=True)
    return Wiring(
        environment=settings.environment,
        clock=clock,
        landing=LandingFiles(settings.data),
        tables=DeltaTables(settings.lake),
        evidence=EvidenceFiles(settings.evidence),
        models=ModelFiles(settings.models, ModelSignatures(keys)),
        loader=LadderLoader({MODEL_FILE: OnnxLoader(), SKOPS_FILE: SkopsLoader()}),
        probe=ModelProcess(),
        trial_server=TrialServerProcess(
            settings,
            parts=Parts(
                deployments=lambda root: GitDeployments(root, Seals(keys)),
                online=OnlineFiles,
                inference=InferenceTables,
            ),
            now=clock.now,
        ),
        compiler=LadderCompiler(OnnxCompiler(), SkopsCompiler()),
        search=OptunaSearch(),
        experiments=MlflowExperiments(settings.tracking_uri, now=clock.now),
        registry=MlflowRegistry(settings.tracking_uri),
        deployments=deployments,
        urgent=urgent,
        remote=remote,
        switches=SwitchFiles(settings.switches),
        online=OnlineFiles(settings.online),
        inference_log=InferenceTables(settings.inference),
        inference_archive=InferenceArchiveFiles(settings.inference),
        profiles=ProfileFile(settings.monitoring / "profiles.db"),
        answers=SqliteAnswers(settings.monitoring / "answers.db"),
        plotter=Plots(),
        attributor=ShapValues(),
        text_classifier=HashedNgrams(),
        reports=ReportPages(settings.reports),
        drift_pages=EvidentlyPages(),
        gauges=GaugeFiles(settings.gauges),
        workplace=LocalWorkplace(),
        notifier=AppriseNotifier(settings.notify)
        if settings.notify
        else NoticeFile(settings.notices, now=clock.now),
        endpoint=lambda: _endpoint(settings),
    )


def local_clock(settings: Settings) -> SystemClock | MovedClock:
    """The machine's clock, or the one that a file moves."""
    machine = SystemClock()
    return machine if settings.clock is None else MovedClock(settings.clock, real=machine.now)


def _endpoint(settings: Settings) -> EndpointClient:
    # Its HTTP client takes a while to import, and most runs never ask.
    from ml_release.adapters.http_endpoint import HttpEndpoint

    chosen = settings.endpoint
    return HttpEndpoint(
        settings.server_url,
        timeout_seconds=2.0,
        token=chosen.token,
        certificate=chosen.tls_certificate,
    )
