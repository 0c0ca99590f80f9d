"""A home folder that serves flight_delay, and the same model as one scikit-learn pipeline.

January to March 2013 go through the line's own gates, features and estimator; what the peers of
serving.py serve is a pipeline of the same estimator with the same seed on the same rows, which
answers like ours. The home also holds a few smaller fits of the line, for swaps.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.in_memory import InMemoryEvidence, InMemoryTables
from ml_release.adapters.landing_files import LandingFiles
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
from ml_release.domain.features import Category, encode, fit_plan, plan_from_json
from ml_release.domain.identity import canonical_json
from ml_release.lines.flight_delay.line import LINE
from ml_release.settings import read_settings
from ml_release.workflows.columns import columns_of, floats_of, values_of
from ml_release.workflows.feature_building import (
    FEATURES_TABLE,
    build_features,
    publish_online_history,
)
from ml_release.workflows.model_artefact import plain_records
from ml_release.workflows.snapshots import SNAPSHOT_TABLE, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.deployment import Declaration
    from ml_release.domain.features import FeaturePlan
    from ml_release.settings import Settings

MONTHS = ("2013-01", "2013-02", "2013-03")
ROWS = 2_000
"""So many different rows are asked for, drawn with a seed from the flights of March."""
_PROJECT = Path(__file__).resolve().parents[1]
_DECLARED_AT = datetime(2013, 5, 1, tzinfo=UTC)

Record = dict[str, str | float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flights:
    """Fitted, published, not declared yet.

    Attributes
    ----------
    digests
        Model digest per version number; version 1 is the whole model.
    raw
        Rows as a client of ours sends them: columns of the signature.
    prepared
        The same rows as a client of a peer sends them: the features, computed by the client.
    """

    settings: Settings
    digests: Mapping[int, str]
    pipeline: Pipeline
    raw: list[Record]
    prepared: list[Record]

    @property
    def line(self) -> str:
        """Its name."""
        return LINE.name

    def declare(self, version: int, *, rollback_target: int | None = None) -> Declaration:
        """Let a version serve all traffic, by one commit."""
        deployments = GitDeployments(
            self.settings.deployments, Seals(SigningKeys(self.settings.keys))
        )
        current = deployments.read(LINE.name, "production")
        state = DeclaredState(
            line=LINE.name,
            environment="production",
            release=f"{LINE.name}-{version}",
            variants=(self._champion(version),),
            rollback_target=None if rollback_target is None else self._champion(rollback_target),
            evidence=Evidence(
                verdict_digest="benchmark",
                policy_digest="benchmark",
                feature_version=self._feature_version(version),
            ),
        )
        return deployments.declare(
            state,
            expected_commit=None if current is None else current.commit,
            trailers={"Actor": "benchmark", "Reason": "measured"},
            at=_DECLARED_AT,
        )

    def _feature_version(self, version: int) -> str:
        models = ModelFiles(self.settings.models, ModelSignatures(SigningKeys(self.settings.keys)))
        return plan_from_json(models.read(self.digests[version])[PLAN_FILE]).version

    def _champion(self, version: int) -> Variant:
        return Variant(
            role="champion",
            version=version,
            model_digest=self.digests[version],
            weight_percent=100,
        )


def publish_flights(home: Path, *, smaller: tuple[int, ...] = ()) -> Flights:
    """Fit and publish.

    Parameters
    ----------
    smaller
        Boosting rounds of further versions: 2, 3, ... in this order.
    """
    settings = read_settings({"ML_RELEASE_HOME": str(home)})
    tables, evidence = InMemoryTables(), InMemoryEvidence()
    landing = LandingFiles(_PROJECT / "data")
    built, snapshots = [], []
    for month in MONTHS:
        taken = take_snapshot(
            LINE, month, landing=landing, tables=tables, evidence=evidence, now=_DECLARED_AT
        )
        snapshots.append(taken.snapshot)
        built.append(build_features(LINE, month, tables=tables, evidence=evidence).features)
    publish_online_history(
        LINE, tables=tables, evidence=evidence, online=OnlineFiles(settings.online)
    )
    frame = pd.concat([tables.read(one, FEATURES_TABLE) for one in built], ignore_index=True)
    target = floats_of(frame[LINE.target])
    frame, target = frame[~np.isnan(target)], target[~np.isnan(target)]
    values = values_of(frame, LINE.features)
    plan = fit_plan(LINE.features, values)
    march = tables.read(snapshots[-1], SNAPSHOT_TABLE)
    drawn = np.sort(np.random.default_rng(7).choice(len(march), ROWS, replace=False))
    raw = plain_records(columns_of(march.iloc[drawn], plan.request_fields(), subject=LINE.name))
    features = tables.read(built[-1], FEATURES_TABLE).iloc[drawn]
    prepared = plain_records(values_of(features, LINE.features))
    models = ModelFiles(settings.models, ModelSignatures(SigningKeys(settings.keys)))
    digests = {}
    for version, rounds in enumerate((LINE.parameters["max_iter"], *smaller), start=1):
        estimator = LINE.build_estimator({**LINE.parameters, "max_iter": rounds}, LINE.seed)
        estimator.fit(encode(plan, values), target.astype(np.int64))
        files = {
            MODEL_FILE: OnnxCompiler().compile(estimator),
            PLAN_FILE: canonical_json(plan.model_dump(mode="json")),
            SIGNATURE_FILE: signature_of(LINE.name, plan, output=LINE.output).to_json(),
            EXAMPLE_FILE: json.dumps({"dataframe_records": raw[:1]}).encode(),
        }
        digests[version] = models.publish(files)
    pipeline = _pipeline(plan)
    pipeline.fit(pd.DataFrame(values), target.astype(np.int64))
    return Flights(
        settings=settings, digests=digests, pipeline=pipeline, raw=raw, prepared=prepared
    )


def _pipeline(plan: FeaturePlan) -> Pipeline:
    """What a data scientist would log: words to codes by the vocabularies, then the trees."""
    steps: list[Any] = []
    for feature in plan.features:
        if isinstance(feature, Category):
            words = plan.vocabularies[feature.name]
            coded = OrdinalEncoder(
                categories=[np.array(words, dtype=object)],
                handle_unknown="use_encoded_value",
                unknown_value=len(words),
            )
            steps.append((feature.name, coded, [feature.name]))
        else:
            steps.append((feature.name, "passthrough", [feature.name]))
    return Pipeline(
        [
            ("columns", ColumnTransformer(steps)),
            ("trees", LINE.build_estimator(dict(LINE.parameters), LINE.seed)),
        ]
    )
