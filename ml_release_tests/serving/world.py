"""A home folder with real models of a small line, and a server over it, in or out of process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.inference_tables import InferenceTables
from ml_release.adapters.model_files import ModelFiles
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.online_files import OnlineFiles
from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.seals import Seals
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.domain.artefact import (
    EXAMPLE_FILE,
    MODEL_FILE,
    PLAN_FILE,
    SIGNATURE_FILE,
    signature_of,
)
from ml_release.domain.deployment import DeclaredState, Evidence, Variant
from ml_release.domain.features import (
    Calendar,
    Category,
    History,
    Number,
    encode,
    feature_values,
    fit_plan,
)
from ml_release.domain.history_table import HistoryTable
from ml_release.serving.server import Parts, build
from ml_release.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_release.domain.deployment import Declaration
    from ml_release.domain.features import Feature

LINE = "small_line"
ROOT = Path(__file__).parents[2]
START_SECONDS = 20

FEATURES: tuple[Feature, ...] = (
    Number(name="distance", column="distance"),
    Category(name="carrier", column="carrier"),
    Calendar(name="weekday", column="departure", part="weekday"),
    Calendar(name="minute", column="departure", part="minute_of_day"),
    History(name="carrier_rate", keys=("carrier",)),
)
ROW: dict[str, Any] = {"distance": 733.0, "carrier": "UA", "departure": "2013-10-01T06:30:00"}
HISTORY = HistoryTable(
    as_of="2013-10-01",
    values={"carrier_rate": {"UA": 0.2, "DL": 0.1}},
    defaults={"carrier_rate": 0.15},
    time_zone="America/New_York",
)


def make_files(seed: int) -> dict[str, bytes]:
    """Files of a model artefact, fitted on synthetic rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    generator = np.random.default_rng(seed)
    n = 400
    minutes = generator.integers(0, 60 * 24 * 90, n).astype("timedelta64[m]")
    columns: dict[str, Any] = {
        "distance": generator.uniform(100, 2500, n),
        "carrier": generator.choice(np.array(["UA", "DL", "B6"], dtype=object), n),
        "departure": np.datetime64("2013-01-01T00:00", "us") + minutes,
        "carrier_rate": generator.uniform(0, 0.5, n),
    }
    values = feature_values(FEATURES, columns)
    plan = fit_plan(FEATURES, values)
    target = (columns["distance"] / 2500 + generator.uniform(0, 1, n) > 1).astype(int)
    model = HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=7, random_state=seed)
    model.fit(encode(plan, values), target)
    return {
        MODEL_FILE: OnnxCompiler().compile(model),
        PLAN_FILE: plan.model_dump_json().encode(),
        SIGNATURE_FILE: signature_of(LINE, plan, output="probability_late").to_json(),
        EXAMPLE_FILE: json.dumps({"dataframe_records": [ROW]}).encode(),
    }


def v2_body(rows: list[dict[str, Any]], **more: object) -> dict[str, Any]:
    """Rows as a request of protocol v2."""
    types = {"distance": "FP64", "carrier": "BYTES", "departure": "BYTES"}
    return {
        "inputs": [
            {
                "name": name,
                "shape": [len(rows)],
                # Fields of other lines by the value in the first row.
                "datatype": types.get(name, "BYTES" if isinstance(rows[0][name], str) else "FP64"),
                "data": [row[name] for row in rows],
            }
            for name in rows[0]
        ],
        **more,
    }


@dataclass
class World:
    """One home folder, of one line."""

    settings: Settings
    line: str = LINE
    digests: dict[int, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    _declared: int = 0

    @classmethod
    def at(cls, home: Path, *, line: str = LINE) -> World:
        return cls(read_settings({"ML_RELEASE_HOME": str(home)}), line=line)

    @property
    def deployments(self) -> GitDeployments:
        return GitDeployments(self.settings.deployments, Seals(SigningKeys(self.settings.keys)))

    @property
    def models(self) -> ModelFiles:
        return ModelFiles(self.settings.models, ModelSignatures(SigningKeys(self.settings.keys)))

    def publish(self, number: int, files: Mapping[str, bytes]) -> str:
        self.digests[number] = self.models.publish(files)
        return self.digests[number]

    def publish_history(self, table: HistoryTable = HISTORY) -> None:
        OnlineFiles(self.settings.online).publish(self.line, table)

    def variant(self, number: int, *, role: Any = "champion", weight: float = 100) -> Variant:
        digest = self.digests.get(number, "sha256:" + "0" * 64)
        return Variant(role=role, version=number, model_digest=digest, weight_percent=weight)

    def declare(
        self,
        *variants: Variant | int,
        rollback_target: int | None = None,
        reason: str = "for the test",
        **more: Any,
    ) -> Declaration:
        """Declare variants, or one champion by its number."""
        self._declared += 1
        state = DeclaredState(
            line=self.line,
            environment="production",
            release=f"release-{self._declared}",
            variants=tuple(self.variant(v) if isinstance(v, int) else v for v in variants),
            evidence=Evidence(verdict_digest="v", policy_digest="p", feature_version="f"),
            rollback_target=None if rollback_target is None else self.variant(rollback_target),
            **more,
        )
        current = self.deployments.read(self.line, "production")
        return self.deployments.declare(
            state,
            expected_commit=current.commit if current else None,
            trailers={"Actor": "tester", "Reason": reason},
            at=datetime(2013, 10, 1, tzinfo=UTC) + timedelta(seconds=self._declared),
        )

    def parts(self) -> Parts:
        """A server without network, reconciled once."""
        parts = build(self.settings)
        parts.reconciler.reconcile()
        return parts

    def logged(self) -> Any:
        """All records of the line."""
        frame, _ = InferenceTables(self.settings.inference).records(self.line, after={})
        return frame

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "ml_release.serving", *arguments]

    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "ML_RELEASE_HOME": str(self.settings.home),
            "ML_RELEASE_ENVIRONMENT": "production",
            "PYTHONPATH": str(ROOT),
            **self.more,
        }

    @contextmanager
    def server(
        self, *arguments: str, **variables: str
    ) -> Iterator[tuple[str, subprocess.Popen[str]]]:
        """A server process on a free port, with its address."""
        process = subprocess.Popen(
            self.command("--port", "0", *arguments),
            env={**self.environ(), **variables},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            announced = process.stdout.readline()
            assert " at http" in announced, process.communicate(timeout=START_SECONDS)[1]
            yield announced.split(" at ")[1].split(": ")[0], process
        finally:
            process.terminate()
            process.communicate(timeout=START_SECONDS)
