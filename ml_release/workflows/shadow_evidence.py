"""From a tally to what a shadow is judged by, with the labels that are due."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.psi import adjusted_psi_nats
from ml_release.domain.shadow_pairs import (
    LabelledPairs,
    PairedLatency,
    ScoreSample,
    ShadowEvidence,
    SlicePairs,
)
from ml_release.domain.shadow_quality import quality_blocks
from ml_release.workflows.columns import floats_of
from ml_release.workflows.labels import gathered_labels
from ml_release.workflows.shadow_tallying import routes_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from ml_release.domain.scores import Floats
    from ml_release.domain.shadow_pairs import Output
    from ml_release.domain.shadow_policy import ShadowPolicy
    from ml_release.domain.shadow_tally import ShadowTally
    from ml_release.ports import Deployments, Tables
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.shadow_tallying import ShadowStep

DRAWN = 500
"""Pairs that are drawn."""

_BINS = 41
_SECONDS_PER_HOUR = 3600


def shadow_evidence(
    line: ReleaseLine,
    step: ShadowStep,
    tally: ShadowTally,
    policy: ShadowPolicy,
    *,
    environment: str,
    deployments: Deployments,
    tables: Tables,
    now: datetime,
) -> ShadowEvidence:
    """Everything the judge reads.

    Labels count once their delay has passed, as everywhere: those that come early are of one kind.
    Only the pairs in the samples of their days are compared with labels.

    Raises
    ------
    IntegrityError
        If a partition of the labels table was edited.
    """
    output: Output = "value" if line.task == "regression" else "probability"
    if tally.classes:
        output = "classes"
    routes = routes_of(line, step, environment=environment, deployments=deployments)
    sampled = sampled_pairs(tally)
    return ShadowEvidence(
        line=line.name,
        version=step.version,
        model_digest=step.model_digest,
        champion_digest=step.champion_digest,
        routes=tally.routes,
        window_start=tally.first_received,
        window_end=tally.last_received,
        hours=_hours(tally),
        days=len(tally.days),
        age_hours=(now - step.since).total_seconds() / _SECONDS_PER_HOUR,
        output=output,
        decides=output == "probability"
        and any(state.threshold is not None for state in routes.values()),
        sampled_requests=tally.requests.pairs + tally.unanswered,
        requests=tally.requests,
        rows=tally.rows,
        slices=tuple(
            SlicePairs(column=one.column, value=one.value, counts=one.counts)
            for one in tally.slices
        ),
        sample=_score_sample(sampled),
        latency=_latency(sampled),
        labelled=_labelled(line, sampled, policy, tables=tables, now=now)
        if output == "probability"
        else LabelledPairs(),
    )


def sampled_pairs(tally: ShadowTally) -> pd.DataFrame:
    """The samples of all days as columns of `SampledPair`; days in order, then by chance."""
    import pandas as pd

    from ml_release.domain.shadow_tally import SampledPair

    rows = [pair for day in sorted(tally.days) for pair in tally.days[day].sample]
    frame = pd.DataFrame(rows, columns=list(SampledPair._fields))
    moments = pd.to_datetime(frame["event_time"], utc=True, format="ISO8601")
    return frame.assign(event_time=moments.astype("datetime64[us, UTC]"))


def _hours(tally: ShadowTally) -> float:
    if tally.first_received is None or tally.last_received is None:
        return 0.0
    first, last = map(datetime.fromisoformat, (tally.first_received, tally.last_received))
    return (last - first).total_seconds() / _SECONDS_PER_HOUR


def _score_sample(sampled: pd.DataFrame) -> ScoreSample:
    champion, shadow = floats_of(sampled["champion"]), floats_of(sampled["shadow"])
    if not len(sampled):
        return ScoreSample()
    # Deciles of the champion's scores, outer bins open, as drift has them.
    edges = np.unique(np.quantile(champion, np.arange(1, 10) / 10, method="inverted_cdf"))
    difference = shadow - champion
    reach = float(np.abs(difference).max()) or 1.0
    counts, ends = np.histogram(difference, bins=_BINS, range=(-reach, reach))
    # In the order of chance over all days.
    drawn = sampled.sort_values("key", kind="stable")[:DRAWN]
    return ScoreSample(
        n=len(sampled),
        psi_nats=adjusted_psi_nats(_binned(champion, edges), _binned(shadow, edges)),
        edges=tuple(ends.tolist()),
        counts=tuple(counts.tolist()),
        champion=tuple(drawn["champion"].tolist()),
        shadow=tuple(drawn["shadow"].tolist()),
    )


def _binned(scores: Floats, edges: Floats) -> npt.NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, scores, side="left"), minlength=len(edges) + 1)


def _latency(sampled: pd.DataFrame) -> PairedLatency:
    if not len(sampled):
        return PairedLatency()
    champion, shadow = floats_of(sampled["champion_ms"]), floats_of(sampled["shadow_ms"])
    return PairedLatency(
        n=len(sampled),
        champion_p50=float(np.quantile(champion, 0.5)),
        champion_p95=float(np.quantile(champion, 0.95)),
        shadow_p50=float(np.quantile(shadow, 0.5)),
        shadow_p95=float(np.quantile(shadow, 0.95)),
    )


def _labelled(
    line: ReleaseLine,
    sampled: pd.DataFrame,
    policy: ShadowPolicy,
    *,
    tables: Tables,
    now: datetime,
) -> LabelledPairs:
    import pandas as pd

    mature = sampled[sampled["event_time"] + line.label_delay <= pd.Timestamp(now)]
    labels = gathered_labels(line, tables=tables)[["request_id", "label"]]
    # A left join keeps the order, to which later days only add.
    joined = mature.merge(labels, on="request_id", how="left")
    known = joined[joined["label"].notna()]
    return LabelledPairs(
        blocks=quality_blocks(
            floats_of(known["label"]),
            floats_of(known["champion"]),
            floats_of(known["shadow"]),
            block_pairs=policy.block_pairs,
        ),
        labelled=len(known),
        unlabelled=len(joined) - len(known),
        immature=len(sampled) - len(mature),
    )
