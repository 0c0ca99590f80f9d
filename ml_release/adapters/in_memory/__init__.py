"""Every port in memory, for tests and for trying things out; nothing outlives the process.

They keep the duties their ports document, so that a workflow tested on them meets the same
refusals as on the real ones. What they leave out is only what a process cannot lose.
"""

from ml_release.adapters.in_memory.answers import InMemoryAnswers
from ml_release.adapters.in_memory.data import (
    InMemoryLanding,
    InMemoryOnlineHistory,
    InMemoryTables,
)
from ml_release.adapters.in_memory.deployments import (
    InMemoryDeployments,
    InMemoryRemote,
    InMemorySwitches,
)
from ml_release.adapters.in_memory.experiments import (
    InMemoryExperiments,
    InMemoryRegistry,
    InMemoryRun,
)
from ml_release.adapters.in_memory.models import InMemoryModels, SameProcessProbe
from ml_release.adapters.in_memory.place import (
    InMemoryClock,
    InMemoryEvidence,
    InMemoryNotifier,
    InMemoryWorkplace,
)
from ml_release.adapters.in_memory.profiles import InMemoryProfiles
from ml_release.adapters.in_memory.reports import (
    InMemoryDriftPages,
    InMemoryGauges,
    InMemoryReports,
)
from ml_release.adapters.in_memory.trial import InMemoryTrialServer, RunningInMemory

__all__ = [
    "InMemoryAnswers",
    "InMemoryClock",
    "InMemoryDeployments",
    "InMemoryDriftPages",
    "InMemoryEvidence",
    "InMemoryExperiments",
    "InMemoryGauges",
    "InMemoryLanding",
    "InMemoryModels",
    "InMemoryNotifier",
    "InMemoryOnlineHistory",
    "InMemoryProfiles",
    "InMemoryRegistry",
    "InMemoryRemote",
    "InMemoryReports",
    "InMemoryRun",
    "InMemorySwitches",
    "InMemoryTables",
    "InMemoryTrialServer",
    "InMemoryWorkplace",
    "RunningInMemory",
    "SameProcessProbe",
]
