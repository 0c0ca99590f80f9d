"""``ml-release token``: a new access token for the endpoint server.

No Dagster job runs for it: its run would keep what was asked for beside the token's name, and the
token must not pass through anybody's storage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast, get_args

from ml_release.errors import InputError
from ml_release.serving.token_file import add_token
from ml_release.serving.tokens import TokenScope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ml_release.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """What the command tells, once."""

    token: str = field(repr=False)
    file: Path
    expires: str | None


def make_token(
    name: str,
    *,
    scopes: Sequence[str],
    lines: Sequence[str],
    days: float | None,
    file: Path | None,
    settings: Settings,
) -> NewToken:
    """Make a token and keep its hash in ``file``, or in that of ``settings``.

    Parameters
    ----------
    days
        How long it is valid, more than 0; None for ever.

    Raises
    ------
    InputError
        If there is no file to keep it in, or a name, scope or line cannot be used.
    """
    path = file or settings.endpoint.tokens
    if path is None:
        message = (
            "tokens file: expected one, found neither --file nor ML_RELEASE_TOKENS. Name the file"
            " that the endpoint server reads; it is made if it is not there."
        )
        raise InputError(message)
    unknown = sorted(set(scopes) - set(get_args(TokenScope)))
    if unknown:
        message = f"scope: expected {', '.join(get_args(TokenScope))}, found {', '.join(unknown)}"
        raise InputError(message)
    try:
        expires = None if days is None else _in_days(days)
    except (OverflowError, ValueError) as error:
        message = f"days: expected more than 0 and less than 36500, found {days}"
        raise InputError(message) from error
    token = add_token(
        path,
        name=name,
        scopes=cast("Sequence[TokenScope]", scopes),
        lines=lines,
        expires=expires,
    )
    return NewToken(token=token, file=path, expires=expires)


def _in_days(days: float) -> str:
    if not 0 < days < 36_500:  # noqa: PLR2004
        raise ValueError(days)
    return (datetime.now(tz=UTC) + timedelta(days=days)).isoformat(timespec="seconds")
