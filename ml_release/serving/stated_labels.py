"""Labels as clients state them: one object, or a list under ``labels``."""

from __future__ import annotations

import msgspec

from ml_release.domain.inference import Label
from ml_release.errors import InputError
from ml_release.serving.request_headers import is_usable_id, utc_time


class _StatedLabel(msgspec.Struct, forbid_unknown_fields=True):
    request_id: str
    label: int
    event_time: str | None = None


class _StatedLabels(msgspec.Struct, forbid_unknown_fields=True):
    labels: list[_StatedLabel]


def decode_labels(body: bytes, *, received_time: str) -> list[Label]:
    """Read labels, all or none.

    Parameters
    ----------
    received_time
        When they came in, ISO 8601 in UTC: the event time of those that state none.

    Raises
    ------
    InputError
        If one of them is not usable, naming its position.
    """
    return [
        _label(position, stated, received_time) for position, stated in enumerate(_stated(body))
    ]


def _stated(body: bytes) -> list[_StatedLabel]:
    try:
        document = msgspec.json.decode(body)
        if isinstance(document, dict) and "labels" in document:
            return msgspec.convert(document, _StatedLabels).labels
        return [msgspec.convert(document, _StatedLabel)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        message = (
            'request body: expected {"labels": [{"request_id": ..., "label": 0 or 1}]} or one such'
            f" object, found {error}"
        )
        raise InputError(message) from error


def _label(position: int, stated: _StatedLabel, received_time: str) -> Label:
    subject = f"label {position}"
    if not is_usable_id(stated.request_id):
        found = stated.request_id[:128]
        message = f"{subject}, request_id: expected the id of a request, found {found!a}"
        raise InputError(message)
    if stated.label not in {0, 1}:
        message = f"{subject}, label: expected 0 or 1, found {stated.label}"
        raise InputError(message)
    event_time = received_time
    if stated.event_time is not None:
        event_time = utc_time(f"{subject}, event_time", stated.event_time)
    return Label(
        request_id=stated.request_id,
        label=stated.label,
        event_time=event_time,
        received_time=received_time,
    )
