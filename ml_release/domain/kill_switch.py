"""The kill switch: pulled by a person at the server, and declared in Git afterwards.

What a person pulls holds at once and outlives a restart. It is one of two reasons to answer
without a model; the other one is the declared state. Either is enough: who wants models to answer
again has to release both, so that neither hides the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    FiniteFloat,
    StringConstraints,
    ValidationError,
)

from ml_release.domain.deployment import KillSwitch
from ml_release.domain.identity import canonical_json
from ml_release.errors import IntegrityError, RefusedError

if TYPE_CHECKING:
    from ml_release.domain.artefact import OutputKind

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Pulled(BaseModel):
    """What somebody did to the switch of one line at the server.

    Attributes
    ----------
    engaged
        True: answer without a model. False: what was pulled before is released.
    answer
        For every row; None while released.
    by, reason, at
        Who, why and when.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engaged: bool
    answer: FiniteFloat | None
    by: _Text
    reason: _Text
    at: AwareDatetime

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))


def pulled_from_json(content: bytes) -> Pulled:
    """Read back what was kept; `IntegrityError` if it is something else."""
    try:
        return Pulled.model_validate_json(content)
    except ValidationError as error:
        message = f"kill switch: expected a recorded pull, found something else ({error})"
        raise IntegrityError(message) from error


def static_answer(declared: KillSwitch | None, pulled: Pulled | None) -> float | None:
    """What every row is answered without a model; None while models answer.

    Examples
    --------
    >>> from ml_release.domain.deployment import KillSwitch
    >>> static_answer(KillSwitch(answer=0.1), None)
    >>> static_answer(KillSwitch(answer=0.1, engaged=True), None)
    0.1
    """
    if pulled is not None and pulled.engaged and pulled.answer is not None:
        return pulled.answer
    return declared.answer if declared is not None and declared.engaged else None


def switch_in_words(declared: KillSwitch | None, pulled: Pulled | None) -> str | None:
    """What a reader has to know of the switch; None while it stands off and Git knows it.

    Examples
    --------
    >>> from ml_release.domain.deployment import KillSwitch
    >>> switch_in_words(KillSwitch(answer=0.1, engaged=True), None)
    'engaged in Git: every row is answered with 0.1'
    """
    answer = static_answer(declared, pulled)
    holds = "models answer" if answer is None else f"every row is answered with {answer:g}"
    in_git = declared is not None and declared.engaged
    if pulled is not None:
        done = "pulled" if pulled.engaged else "released"
        where = "in Git it is still engaged" if in_git else "not in Git yet"
        return (
            f"{done} by {pulled.by} at {pulled.at:%Y-%m-%d %H:%M}: {pulled.reason}; {holds}; "
            + (where)
        )
    return f"engaged in Git: {holds}" if in_git else None


def answer_to_pull(
    line: str, declared: KillSwitch | None, wanted: float | None, *, kind: OutputKind | None
) -> float:
    """The answer a pulled switch gives: the one wanted, otherwise the declared one.

    Parameters
    ----------
    kind
        Of the answers of this line; None if no version is loaded that would say.

    Raises
    ------
    RefusedError
        If neither is there, or what is wanted cannot be an answer of this line.
    """
    if kind == "probabilities":
        message = (
            f"kill switch of {line}: expected a line that answers one number per row, found one"
            " that answers the probabilities of several classes, for which there is no static"
            " answer. Declare another version instead."
        )
        raise RefusedError(message)
    answer = wanted if wanted is not None else declared.answer if declared is not None else None
    if answer is None:
        message = (
            f"kill switch of {line}: expected an answer to give without a model, found none in the"
            ' request and none declared. Send {"answer": ...} with it.'
        )
        raise RefusedError(message)
    if kind == "probability" and not 0 <= answer <= 1:
        message = f"kill switch of {line}: expected an answer from 0 to 1, found {answer}"
        raise RefusedError(message)
    return answer


def adopted(declared: KillSwitch | None, pulled: Pulled) -> KillSwitch | None:
    """What Git has to declare so that it says the same as the server."""
    answer = pulled.answer
    if answer is None:
        answer = None if declared is None else declared.answer
    if answer is None:
        return None
    return KillSwitch(answer=answer, engaged=pulled.engaged)
