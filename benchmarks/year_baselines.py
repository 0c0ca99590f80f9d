"""What never retraining and retraining every month would have answered in 2013, month by month.

Both are made by the line's own training function, on every month that has ended, with the last days
held out as in any training; the artefact that a release would serve gives the answers. A month is
known on the second day of the next one, with the labels of its last day: from then on the history
that serving looks up is the newer one, for whichever model answers, and the monthly model serves.
So the first model is released on 2 April, which is where the year begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml_release.adapters.in_memory import (
    InMemoryEvidence,
    InMemoryExperiments,
    InMemoryOnlineHistory,
    InMemoryTables,
    InMemoryWorkplace,
)
from ml_release.adapters.landing_files import LandingFiles
from ml_release.adapters.model_files import ModelFiles
from ml_release.adapters.model_ladder import LadderCompiler, LadderLoader
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.onnx_models import OnnxLoader
from ml_release.adapters.optuna_search import OptunaSearch
from ml_release.adapters.plots import Plots
from ml_release.adapters.shap_values import ShapValues
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.adapters.skops_compiler import SkopsCompiler
from ml_release.adapters.skops_models import SkopsLoader
from ml_release.domain.artefact import MODEL_FILE, SKOPS_FILE
from ml_release.domain.features import History, feature_values, request_fields
from ml_release.domain.history_table import look_up
from ml_release.workflows.columns import columns_of, floats_of
from ml_release.workflows.feature_building import build_features, publish_online_history
from ml_release.workflows.replay import request_ids
from ml_release.workflows.snapshots import read_landed, take_snapshot
from ml_release.workflows.training import train_candidate

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from ml_release.domain.answering import LoadedModel
    from ml_release.domain.features import Columns
    from ml_release.spec.release_line import ReleaseLine

    Floats = npt.NDArray[np.float64]

FIRST_TRAINED = ("2013-01", "2013-02", "2013-03")
YEAR = tuple(f"2013-{number:02d}" for number in range(4, 13))


def known_at(line: ReleaseLine, month: str) -> pd.Timestamp:
    """Local moment when a month has ended and the labels of its last day have matured."""
    moment: pd.Timestamp = pd.Timestamp(f"{line.landing.following(month)}-01") + line.label_delay
    return moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one way to run the year answered on the labelled rows of a month.

    Attributes
    ----------
    ids
        Request ids, shape (n,).
    target, answers
        Shape (n,): 0 or 1; probability.
    days
        Shape (n,): local day of the event.
    """

    ids: npt.NDArray[np.str_]
    target: Floats
    answers: Floats
    days: npt.NDArray[np.datetime64]


class Baselines:
    """Trains, answers and remembers, month after month.

    Attributes
    ----------
    answered
        By name of the way, by month.
    retrainings
        By name of the way: versions made after the first.
    """

    def __init__(self, line: ReleaseLine, *, folder: Path, data: Path) -> None:
        self.line = line
        self.answered: dict[str, dict[str, Answered]] = {"never": {}, "monthly": {}}
        self.retrainings = {"never": 0, "monthly": 0}
        self._landing = LandingFiles(data)
        self._models = ModelFiles(folder / "models", ModelSignatures(SigningKeys(folder / "keys")))
        self._tables, self._evidence = InMemoryTables(), InMemoryEvidence()
        self._online, self._experiments = InMemoryOnlineHistory(), InMemoryExperiments()
        self._know(*FIRST_TRAINED)
        self._frozen = self._newest = self._train(FIRST_TRAINED[-1])

    def live(self, month: str) -> None:
        """Answer the flights of a month; the month before is known on its second day."""
        line = self.line
        before = line.landing.with_earlier(month, count=1)[0]
        rows = traffic(line, month, landing=self._landing)
        rows = rows[~np.isnan(floats_of(rows[line.target]))].reset_index(drop=True)
        early = (rows[line.event_day] < known_at(line, before)).to_numpy()
        found = {name: np.full(len(rows), np.nan) for name in self.answered}
        for chosen in (early, ~early):
            if chosen is not early and before not in FIRST_TRAINED:
                self._know(before)
                self._newest = self._train(before)
                self.retrainings["monthly"] += 1
            if chosen.any():
                values = self._served(rows[chosen])
                found["never"][chosen] = self._frozen.predict(values)
                found["monthly"][chosen] = self._newest.predict(values)
        for name, answers in found.items():
            self.answered[name][month] = Answered(
                ids=np.array(request_ids(line, rows)),
                target=floats_of(rows[line.target]),
                answers=answers,
                days=rows[line.event_day].to_numpy(dtype="datetime64[D]"),
            )

    def _know(self, *months: str) -> None:
        """Snapshots and features of months that have ended, and the history up to the last one."""
        line, tables, evidence = self.line, self._tables, self._evidence
        for month in months:
            now = known_at(line, month).tz_localize(line.time_zone).to_pydatetime()
            take_snapshot(
                line, month, landing=self._landing, tables=tables, evidence=evidence, now=now
            )
        for month in months:
            build_features(line, month, tables=tables, evidence=evidence)
        publish_online_history(line, tables=tables, evidence=evidence, online=self._online)

    def _train(self, last: str) -> LoadedModel:
        """What a release would serve, trained on every month up to one."""
        trained = train_candidate(
            self.line,
            first=None,
            last=last,
            tables=self._tables,
            evidence=self._evidence,
            models=self._models,
            compiler=LadderCompiler(OnnxCompiler(), SkopsCompiler()),
            search=OptunaSearch(),
            plotter=Plots(),
            attributor=ShapValues(),
            workplace=InMemoryWorkplace(),
            run=self._experiments.start(),
            now=known_at(self.line, last).tz_localize(self.line.time_zone).to_pydatetime(),
            by="benchmark",
        )
        loader = LadderLoader({MODEL_FILE: OnnxLoader(), SKOPS_FILE: SkopsLoader()})
        return loader.load(self._models.read(trained.record.model_digest))

    def _served(self, rows: pd.DataFrame) -> Columns:
        """Feature values as the endpoint server makes them, history by the table of that day."""
        line = self.line
        columns = columns_of(rows, request_fields(line.features), subject=line.name)
        histories = tuple(f for f in line.features if isinstance(f, History))
        found, _ = look_up(histories, self._online.read(line.name), columns)
        return feature_values(line.features, {**columns, **found})


def traffic(line: ReleaseLine, month: str, *, landing: LandingFiles) -> pd.DataFrame:
    """The flights of a month that are asked for: those of April from the first release on."""
    rows = read_landed(line, month, landing=landing)
    begun: pd.DataFrame = rows[rows[line.event_day] >= known_at(line, FIRST_TRAINED[-1])]
    return begun
