"""Pull or release a kill switch at the endpoint; for its next start where it does not answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ml_release.domain.identity import check_line_name
from ml_release.domain.kill_switch import Pulled, answer_to_pull, static_answer
from ml_release.errors import (
    InputError,
    MlReleaseError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from ml_release.domain.artefact import OutputKind
    from ml_release.ports import Clock, Deployments, EndpointClient, Switches

_OK = 200
_ERRORS: dict[int, type[MlReleaseError]] = {
    400: InputError,
    401: RefusedError,
    403: RefusedError,
    404: NotFoundError,
    409: RefusedError,
    413: InputError,
    422: InputError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """What became of it.

    Attributes
    ----------
    by_server
        Whether a running server has done it. If not, it waits in a file for one.
    answers
        What every row is answered now; None if models answer.
    said
        Why the server has not done it; empty if it has.
    """

    by_server: bool
    answers: float | None
    said: str = ""


def pull_kill_switch(
    line: str,
    *,
    engaged: bool,
    by: str,
    reason: str,
    answer: float | None,
    environment: str,
    endpoint: EndpointClient,
    switches: Switches,
    deployments: Deployments,
    clock: Clock,
) -> Switched:
    """Ask the running server; where none answers, keep it for the next one.

    Only the name of the line is needed: a switch has to work while the line's code does not. A
    server that runs and did not answer in time finds the file as well.

    Parameters
    ----------
    engaged
        True pulls it, False releases it.
    answer
        For every row while it is pulled; the declared one for None.

    Raises
    ------
    InputError
        If who, why or the answer cannot be used, or the line is not known.
    RefusedError
        If the server refuses, for want of a token or of an answer to give.
    UnavailableError
        If it can neither be done nor kept.
    """
    pulled = _pulled(
        check_line_name(line), engaged=engaged, by=by, reason=reason, answer=answer, clock=clock
    )
    wanted = {"engaged": engaged, "by": pulled.by, "reason": pulled.reason}
    wanted |= {"answer": answer} if engaged and answer is not None else {}
    try:
        status, reply = endpoint.switch(line, wanted)
    except UnavailableError as error:
        return _kept(
            line,
            pulled,
            environment=environment,
            switches=switches,
            deployments=deployments,
            said=str(error),
        )
    if status != _OK:
        message = f"kill switch of {line}: the endpoint answered {status}: {reply}"
        raise _ERRORS.get(status, UnavailableError)(message)
    return Switched(by_server=True, answers=json.loads(reply)["answers"])


def _pulled(
    line: str, *, engaged: bool, by: str, reason: str, answer: float | None, clock: Clock
) -> Pulled:
    try:
        return Pulled(
            engaged=engaged,
            answer=answer if engaged else None,
            by=by,
            reason=reason,
            at=clock.now(),
        )
    except ValidationError as error:
        found = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        message = f"kill switch of {line}: expected who, why and a finite answer, found {found}"
        raise InputError(message) from error


def _kept(
    line: str,
    pulled: Pulled,
    *,
    environment: str,
    switches: Switches,
    deployments: Deployments,
    said: str,
) -> Switched:
    try:
        declaration = deployments.sealed(line, environment)
    except MlReleaseError as error:
        # Whatever is wrong with Git must not keep a model answering.
        declared, said = None, f"{said} {error}"
    else:
        if declaration is None:
            message = (
                f"kill switch of {line}: expected a line that is declared in {environment}, found"
                f" nothing declared for it. {said}"
            )
            raise NotFoundError(message)
        declared = declaration.state.kill_switch
        if pulled.engaged:
            # Decisions are given on probabilities alone.
            kind: OutputKind | None = None if declaration.state.threshold is None else "probability"
            answer = answer_to_pull(line, declared, pulled.answer, kind=kind)
            pulled = pulled.model_copy(update={"answer": answer})
    if pulled.engaged and pulled.answer is None:
        answer_to_pull(line, declared, None, kind=None)
    switches.pull(line, environment, pulled)
    return Switched(by_server=False, answers=static_answer(declared, pulled), said=said)
