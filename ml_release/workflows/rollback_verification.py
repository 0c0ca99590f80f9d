"""Read from the inference log whether the last rollback has worked, and record the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.inference import feature_columns
from ml_release.domain.rollback_verification import (
    Answered,
    RollbackSeen,
    judge_rollback,
    last_rollback,
)
from ml_release.domain.withdrawals import served_by
from ml_release.errors import MlReleaseError, UnavailableError
from ml_release.workflows.masked import masked_features
from ml_release.workflows.monitoring import newest_window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.deployment import Declaration
    from ml_release.domain.rollback_verification import RolledBack
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import (
        Deployments,
        EndpointClient,
        EvidenceStore,
        InferenceLog,
        LoadedModel,
        ModelLoader,
        ModelStore,
    )
    from ml_release.spec.release_line import ReleaseLine

ROLLBACK_VERIFICATION = "rollback_verification"
_NOBODY_ELSE = ("kill_switch",)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRollback:
    """A rollback, what was seen of it, and the verdict."""

    rolled_back: RolledBack
    seen: RollbackSeen
    verdict: Verdict


def verify_rollback(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    models: ModelStore,
    loader: ModelLoader,
    evidence: EvidenceStore,
    endpoint: EndpointClient | None = None,
) -> VerifiedRollback | None:
    """Judge the last rollback by the answers since; None if nothing was rolled back.

    Parameters
    ----------
    endpoint
        Asked whether it is ready; None where there is none within reach.

    Raises
    ------
    IntegrityError, NotFoundError
        If the restored artefact cannot be read any more.
    """
    history = [d for d in deployments.history(line.name, environment) if not d.seal_problem]
    found = last_rollback(history)
    if found is None:
        return None
    champion = found.restored.state.champion
    files = models.read(champion.model_digest)
    model = loader.load(files)
    is_masked = bool(masked_features(files))
    rolled_back_at = datetime.fromisoformat(found.restored.committed_at)
    policy = line.policies.rollout.verification
    began = _first_declared(history, {champion.version, *found.withdrawn})
    records, _ = inference_log.records(line.name, after={}, since=began)
    answers = records[~records["shadow"] & ~records["variant"].isin(_NOBODY_ELSE)]
    of_restored = answers[answers["version"] == champion.version]
    is_since = of_restored["route_commit"].isin(found.commits)
    since = of_restored[is_since]
    before = of_restored[~is_since & (of_restored["received_time"] < rolled_back_at)]
    of_withdrawn = answers[answers["version"].isin(found.withdrawn)]
    late_from = rolled_back_at + timedelta(seconds=policy.grace_s)
    rescored = _rescored(since, model, is_masked=is_masked)
    window = newest_window(line, environment=environment, evidence=evidence)
    seen = RollbackSeen(
        version=champion.version,
        withdrawn=found.withdrawn,
        rolled_back_at=rolled_back_at,
        is_ready=_readiness(line, endpoint),
        before=_answered(before),
        since=_answered(since),
        first_restored_at=_moment(since["received_time"].min()),
        last_withdrawn_at=_moment(of_withdrawn["received_time"].max()),
        late=int((of_withdrawn["received_time"] > late_from).sum()),
        rescored=len(rescored),
        unequal=int((~rescored).sum()),
        is_masked=is_masked,
        foreign=_foreign(since, champion.model_digest, model),
        window_version=None if window is None else window.version,
        window_rows=0 if window is None else window.rows,
    )
    verdict = judge_rollback(seen, policy, line=line.name, commit=found.restored.commit)
    evidence.record(line.name, ROLLBACK_VERIFICATION, found.restored.commit, verdict.to_json())
    return VerifiedRollback(rolled_back=found, seen=seen, verdict=verdict)


def _first_declared(history: Iterable[Declaration], versions: AbstractSet[int]) -> datetime:
    """When the first of some versions was: nothing that they answered came in before."""
    return min(
        datetime.fromisoformat(one.committed_at)
        for one in history
        if versions & served_by(one.state)
    )


def _readiness(line: ReleaseLine, endpoint: EndpointClient | None) -> bool | None:
    if endpoint is None:
        return None
    try:
        return endpoint.is_ready(line.name)
    except UnavailableError:
        return None


def _answered(rows: pd.DataFrame) -> Answered:
    # What was asked together was answered, and failed, together.
    requests = rows[rows["row"] == 0]
    if requests.empty:
        return Answered()
    latency = requests["latency_ms"].to_numpy(dtype=np.float64)
    scores = rows["prediction"].to_numpy(dtype=np.float64)
    scores = scores[np.isfinite(scores)]
    return Answered(
        requests=len(requests),
        failed=int((requests["outcome"] != "ok").sum()),
        latency_p95_ms=float(np.quantile(latency, 0.95)) if np.isfinite(latency).all() else None,
        mean_score=float(scores.mean()) if len(scores) else None,
    )


def _rescored(rows: pd.DataFrame, model: LoadedModel, *, is_masked: bool) -> npt.NDArray[np.bool_]:
    """Per row that was answered whether the artefact says the same, bit for bit, shape (n,)."""
    answered = rows[rows["outcome"] == "ok"]
    names = model.plan.names
    complete = answered[[set(f) == set(names) for f in answered["features"]]]
    if is_masked or complete.empty:
        return np.zeros(0, dtype=np.bool_)
    logged: list[Mapping[str, float | str | None]] = list(complete["features"])
    columns = feature_columns(logged)
    try:
        again = model.predict({name: columns[name] for name in names})
    except (MlReleaseError, ValueError, TypeError):
        return np.zeros(len(complete), dtype=np.bool_)
    if again.ndim > 1:
        said = np.array(complete["probabilities"].tolist(), dtype=np.float64)
        return np.asarray((again == said).all(axis=1), dtype=np.bool_)
    return np.asarray(again == complete["prediction"].to_numpy(dtype=np.float64), dtype=np.bool_)


def _foreign(rows: pd.DataFrame, model_digest: str, model: LoadedModel) -> int:
    names = set(model.plan.names)
    is_own = rows["model_digest"] == model_digest
    # A request that failed may have come to nothing before its features were known.
    fits = [
        set(f) == names or outcome != "ok"
        for f, outcome in zip(rows["features"], rows["outcome"], strict=True)
    ]
    return int((~(is_own.to_numpy(dtype=np.bool_) & np.array(fits, dtype=np.bool_))).sum())


def _moment(value: pd.Timestamp) -> datetime | None:
    # The one value that differs from itself is that of no rows.
    return value.to_pydatetime() if value == value else None  # noqa: PLR0124
