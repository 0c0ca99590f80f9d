"""What the engine asks of the outside, in the engine's words.

Every port has one contract suite in the tests and every adapter passes it. Adapters translate
their vendor's exceptions into `ml_release.errors`; no vendor type crosses a port.
"""

# The endpoint server asks through these two as well; they stand where it may import them.
from ml_release.domain.answering import LoadedModel, ModelLoader
from ml_release.ports.data import Landing, OnlineHistory, Tables
from ml_release.ports.deployments import Deployments, DeploymentsRemote, Switches
from ml_release.ports.endpoints import EndpointClient, RunningTrial, TrialServer
from ml_release.ports.experiments import ExperimentRun, Experiments, ParameterSearch, Proposals
from ml_release.ports.inference import AnswerStore, InferenceArchive, InferenceLog, ProfileStore
from ml_release.ports.models import (
    Attributor,
    ModelCompiler,
    ModelRegistry,
    ModelStore,
    ServabilityProbe,
    TextClassifier,
)
from ml_release.ports.place import Clock, EvidenceStore, Notifier, Workplace
from ml_release.ports.reports import DriftPages, GaugeBoard, Plotter, ReportWriter

__all__ = [
    "AnswerStore",
    "Attributor",
    "Clock",
    "Deployments",
    "DeploymentsRemote",
    "DriftPages",
    "EndpointClient",
    "EvidenceStore",
    "ExperimentRun",
    "Experiments",
    "GaugeBoard",
    "InferenceArchive",
    "InferenceLog",
    "Landing",
    "LoadedModel",
    "ModelCompiler",
    "ModelLoader",
    "ModelRegistry",
    "ModelStore",
    "Notifier",
    "OnlineHistory",
    "ParameterSearch",
    "Plotter",
    "ProfileStore",
    "Proposals",
    "ReportWriter",
    "RunningTrial",
    "ServabilityProbe",
    "Switches",
    "Tables",
    "TextClassifier",
    "TrialServer",
    "Workplace",
]
