"""Somebody pulls or releases the kill switch of a line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ml_release.domain.kill_switch import Pulled, answer_to_pull
from ml_release.errors import RefusedError
from ml_release.serving.replies import HttpError
from ml_release.serving.stated_pull import decode_pull

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.serving.kill_switches import KillSwitches
    from ml_release.serving.model_table import LineState

_LOG = logging.getLogger(__name__)


def pull_switch(
    line: str, state: LineState, body: bytes, *, switches: KillSwitches, now: datetime
) -> dict[str, object]:
    """Let a switch hold from now on, and say what is answered after it.

    Raises
    ------
    InputError
        If the request does not say who and why.
    HttpError
        409 if there is no answer to give without a model.
    UnavailableError
        If it holds but cannot be kept for the next start.
    """
    wanted = decode_pull(body)
    answer = None
    if wanted.engaged:
        kind = None if state.route is None else state.route.champion.loaded.signature.output_kind
        try:
            answer = answer_to_pull(line, state.kill_switch, wanted.answer, kind=kind)
        except RefusedError as error:
            raise HttpError(409, str(error)) from error
    pulled = Pulled(
        engaged=wanted.engaged, answer=answer, by=wanted.by, reason=wanted.reason, at=now
    )
    switches.pull(line, pulled)
    _LOG.warning(
        "kill switch %s by %s",
        "pulled" if pulled.engaged else "released",
        pulled.by,
        extra={"line": line},
    )
    return {
        "line": line,
        "answers": switches.answer(line, state.kill_switch),
        "engaged_in_git": state.kill_switch is not None and state.kill_switch.engaged,
    }
