"""Rewards as clients state them: one object, or a list under ``rewards``."""

from __future__ import annotations

import msgspec

from ml_release.errors import InputError
from ml_release.serving.request_headers import is_usable_id, utc_time


class StatedReward(msgspec.Struct, forbid_unknown_fields=True):
    """What a client says an answer was worth.

    Attributes
    ----------
    reward
        From 0 to 1.
    version
        That answered, as the header ``x-model-version`` said; needed only for answers that are
        longer ago than the server remembers.
    event_time
        When it was earned, ISO 8601 with zone.
    """

    request_id: str
    reward: float
    version: int | None = None
    event_time: str | None = None


class _StatedRewards(msgspec.Struct, forbid_unknown_fields=True):
    rewards: list[StatedReward]


def decode_rewards(body: bytes) -> list[StatedReward]:
    """Read rewards, all or none, with times in UTC.

    Raises
    ------
    InputError
        If one of them is not usable, naming its position.
    """
    try:
        document = msgspec.json.decode(body)
        if isinstance(document, dict) and "rewards" in document:
            stated = msgspec.convert(document, _StatedRewards).rewards
        else:
            stated = [msgspec.convert(document, StatedReward)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        message = (
            'request body: expected {"rewards": [{"request_id": ..., "reward": 0 to 1}]} or one'
            f" such object, found {error}"
        )
        raise InputError(message) from error
    for position, reward in enumerate(stated):
        _check(f"reward {position}", reward)
    return stated


def _check(subject: str, stated: StatedReward) -> None:
    if not is_usable_id(stated.request_id):
        found = stated.request_id[:128]
        message = f"{subject}, request_id: expected the id of a request, found {found!a}"
        raise InputError(message)
    if not 0 <= stated.reward <= 1:
        message = f"{subject}, reward: expected a number from 0 to 1, found {stated.reward}"
        raise InputError(message)
    if stated.event_time is not None:
        stated.event_time = utc_time(f"{subject}, event_time", stated.event_time)
