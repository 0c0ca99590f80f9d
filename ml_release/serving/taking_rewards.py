"""Rewards that clients post: each finds the arm it was earned by, is logged, and teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.inference import Reward
from ml_release.serving.bandits import Met
from ml_release.serving.stated_rewards import decode_rewards

if TYPE_CHECKING:
    from ml_release.adapters.inference_log import InferenceLogFiles
    from ml_release.domain.experiment import Experiment
    from ml_release.serving.bandits import Bandits
    from ml_release.serving.stated_rewards import StatedReward


def take_rewards(
    line: str,
    experiment: Experiment | None,
    body: bytes,
    *,
    bandits: Bandits,
    log: InferenceLogFiles,
    received_time: str,
) -> tuple[dict[str, object], int | None]:
    """Take rewards, all or none; the first one of a request stands.

    Parameters
    ----------
    experiment
        The declared one, for rewards of answers that are longer ago than is remembered.
    received_time
        When they came in, ISO 8601 in UTC.

    Returns
    -------
    dict
        How many were accepted, how many were there already, and whose arm nobody knows: those are
        kept and teach nothing.
    int or None
        Position in the log, None if nothing was written.

    Raises
    ------
    InputError
        If one of them is not usable.
    UnavailableError
        If they cannot be logged.
    """
    unmatched, repeated, kept = [], 0, []
    for stated in decode_rewards(body):
        met = bandits.met(line, stated.request_id) or _stated_arm(stated, experiment)
        if met is not None and bandits.is_rewarded(line, met.experiment, stated.request_id):
            repeated += 1
            continue
        if met is None:
            unmatched.append(stated.request_id)
        kept.append(
            Reward(
                request_id=stated.request_id,
                reward=stated.reward,
                experiment=None if met is None else met.experiment,
                version=None if met is None else met.version,
                propensity=None if met is None else met.propensity or None,
                event_time=stated.event_time or received_time,
                received_time=received_time,
            )
        )
    written = log.append_rewards(line, kept) if kept else None
    for reward in kept:
        bandits.add(line, reward)
    return {"accepted": len(kept), "repeated": repeated, "unmatched": unmatched}, written


def _stated_arm(stated: StatedReward, experiment: Experiment | None) -> Met | None:
    """The arm by the version the client was told; with which propensity nobody knows any more."""
    if experiment is None or stated.version not in experiment.versions:
        return None
    return Met(experiment.name, stated.version, 0.0)
