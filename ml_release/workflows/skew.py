"""Send served requests through the offline path again and compare their features."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.artefact import PLAN_FILE
from ml_release.domain.features import feature_values, plan_from_json
from ml_release.domain.history_table import history_table_from_json, look_up
from ml_release.domain.inference import feature_columns
from ml_release.domain.performance import WINDOW_DAYS, window_start
from ml_release.domain.skew import SkewEvidence, judge_skew
from ml_release.errors import NotFoundError
from ml_release.workflows.columns import columns_of
from ml_release.workflows.feature_building import ONLINE_HISTORY
from ml_release.workflows.masked import masked_features
from ml_release.workflows.replay import request_ids
from ml_release.workflows.snapshots import read_landed

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.features import Columns, FeaturePlan
    from ml_release.domain.performance import WindowRecord
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import (
        Deployments,
        EvidenceStore,
        InferenceLog,
        Landing,
        ModelStore,
    )
    from ml_release.spec.release_line import ReleaseLine

SKEW_VERDICT = "skew_verdict"
_ROWS_PER_BATCH, _MOST_ROWS = 20_000, 100_000


def check_skew(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    landing: Landing,
    evidence: EvidenceStore,
    models: ModelStore,
    deployments: Deployments,
    window: WindowRecord | None = None,
) -> Verdict | None:
    """Compare the champion's served features with what the landed rows give; None undeclared.

    A served row is matched with a landed one by its request id, if that is made of the row's keys
    as a replay makes it. The history features are looked up in the very table the request met.

    Parameters
    ----------
    window
        Only its events are compared, and of those the ones that came in last; of the log, only
        what came in when they did is read. None compares everything there is.
    """
    declaration = deployments.sealed(line.name, environment)
    if declaration is None:
        return None
    digest = declaration.state.champion.model_digest
    served = _served(line, declaration.state, inference_log=inference_log, window=window)
    rows = _landed(line, served, landing=landing)
    matched = served[served["request_id"].isin(rows.index)]
    files = models.read(digest)
    plan = plan_from_json(files[PLAN_FILE])
    offline = _offline(line, plan, matched, rows, evidence=evidence)
    logged = feature_columns(list(matched["features"]))
    nothing = np.full(len(matched), None, dtype=object)
    verdict = judge_skew(
        SkewEvidence(
            line=line.name,
            model_digest=digest,
            served={name: logged.get(name, nothing) for name in plan.names},
            offline=offline,
            request_ids=tuple(matched["request_id"]),
            unmatched=len(served) - len(matched),
            masked=masked_features(files),
        )
    )
    evidence.record(line.name, SKEW_VERDICT, environment, verdict.to_json())
    return verdict


def _served(
    line: ReleaseLine,
    state: DeclaredState,
    *,
    inference_log: InferenceLog,
    window: WindowRecord | None,
) -> pd.DataFrame:
    """First rows of the champion's answered requests, those of the window if there is one."""
    import pandas as pd

    if window is None:
        return _first_rows(inference_log.records(line.name, after={})[0], state)
    found: list[pd.DataFrame] = []
    if window.first_received is not None and window.last_received is not None:
        first_day = window_start(window.as_of or date.max, days=WINDOW_DAYS)
        for batch in inference_log.between(
            line.name,
            window.first_received,
            window.last_received + timedelta(microseconds=1),
            rows_per_batch=_ROWS_PER_BATCH,
        ):
            days = batch["event_time"].dt.tz_convert(line.time_zone).dt.date
            found.append(_first_rows(batch[days >= first_day], state))
            # The newest answers say whether the two paths are alike now.
            while sum(len(frame) for frame in found[1:]) >= _MOST_ROWS:
                found.pop(0)
    if not found:
        # What was counted outlives the records, which are deleted at their age.
        return _first_rows(inference_log.records(line.name, after={}, enough_bytes=0)[0], state)
    return pd.concat(found, ignore_index=True)


def _first_rows(records: pd.DataFrame, state: DeclaredState) -> pd.DataFrame:
    """What the present champion answered, of a batch the first row."""
    return records[
        (records["model_digest"] == state.champion.model_digest)
        & ~records["shadow"]
        & (records["outcome"] != "error")
        & (records["row"] == 0)
    ]


def _landed(line: ReleaseLine, served: pd.DataFrame, *, landing: Landing) -> pd.DataFrame:
    """Assembled rows of the served months by the request id a replay gives them."""
    import pandas as pd

    local = served["event_time"].dt.tz_convert(line.time_zone).dt.strftime("%Y-%m")
    frames = []
    for partition in sorted(set(local) & set(landing.partitions(line.landing))):
        rows = read_landed(line, partition, landing=landing)
        frames.append(rows.set_index(pd.Index(request_ids(line, rows))))
    found = pd.concat(frames) if frames else pd.DataFrame()
    # Rows that share a key cannot be told apart: they are not compared.
    return found[~found.index.duplicated(keep=False)]


def _offline(
    line: ReleaseLine,
    plan: FeaturePlan,
    matched: pd.DataFrame,
    rows: pd.DataFrame,
    *,
    evidence: EvidenceStore,
) -> dict[str, npt.NDArray[np.generic]]:
    if matched.empty:
        return {name: np.array([], dtype=np.float64) for name in plan.names}
    columns: Columns = columns_of(
        rows.loc[matched["request_id"]], plan.request_fields(), subject=line.name
    )
    histories = {f.name: np.full(len(matched), np.nan) for f in plan.history_features}
    tables = matched["history_digest"]
    for digest in tables.dropna().unique():
        content = evidence.find(line.name, ONLINE_HISTORY, digest)
        if content is None:
            message = (
                f"{line.name}: served requests met the history table {digest[:19]}, which was never"
                " recorded. Publish tables by materializing features."
            )
            raise NotFoundError(message)
        chosen = (tables == digest).to_numpy()
        part = {name: column[chosen] for name, column in columns.items()}
        found, _ = look_up(plan.history_features, history_table_from_json(content), part)
        for name, values in found.items():
            histories[name][chosen] = values
    return feature_values(plan.features, {**columns, **histories})
