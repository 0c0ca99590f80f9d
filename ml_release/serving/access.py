"""Who may do what: the token of a request against what its route needs.

Health is open, because those who watch it hold no tokens. Everything else needs a token once a
tokens file is configured; a route that is not in the table needs ``operate``.
"""

from __future__ import annotations

import base64
from collections import Counter
from typing import TYPE_CHECKING, Literal, NoReturn

from ml_release.errors import UnavailableError
from ml_release.serving.replies import HttpError
from ml_release.serving.tokens import TokenScope, holder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from ml_release.serving.replies import Headers
    from ml_release.serving.request_headers import HeaderValues
    from ml_release.serving.routes import Action, Address
    from ml_release.serving.token_file import TokenFile

Need = Literal["nothing", "any"] | TokenScope

NEEDS: Mapping[Action, Need] = {
    "live": "nothing",
    "ready": "nothing",
    "infer": "predict",
    "invocations": "predict",
    "infer_version": "predict",
    "only_invocations": "predict",
    "labels": "label",
    "rewards": "label",
    "metadata": "any",
    "metadata_version": "any",
    "line_ready": "any",
    "version_ready": "any",
    "line_ping": "any",
    "only_ping": "any",
    "server_version": "any",
    "openapi": "any",
    "server": "any",
    "status": "any",
    "page": "any",
    "metrics": "any",
}
_OPENED: Mapping[str, tuple[Action, ...]] = {"metrics": ("metrics",), "status": ("status", "page")}
OPEN_PAGES = tuple(_OPENED)
_MAX_CHARACTERS = 512
_REALM = 'Bearer realm="ml_release"'


def need_of(action: Action) -> Need:
    """What a token has to allow for a route."""
    return NEEDS.get(action, "operate")


class Access:
    """Admits requests by the tokens of a file.

    Parameters
    ----------
    open_pages
        What needs no token besides health: ``metrics``, ``status`` (the page and its JSON).

    Attributes
    ----------
    refused
        Requests that were not admitted, by reason: ``missing``, ``unknown``, ``expired``,
        ``scope``, ``line``, ``unavailable``.
    """

    def __init__(
        self,
        tokens: TokenFile,
        *,
        now: Callable[[], datetime],
        open_pages: Collection[str] = (),
    ) -> None:
        self._tokens = tokens
        self._now = now
        self._open = {action for page in open_pages for action in _OPENED[page]}
        self.refused: Counter[str] = Counter()

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the tokens file."""
        return self._tokens.problems

    def admit(self, address: Address, line: str, headers: HeaderValues) -> str | None:
        """The name of the token that a request carries, None where none is needed.

        Parameters
        ----------
        line
            The release line that the path names, empty if it names none.

        Raises
        ------
        HttpError
            401 without a valid token, 403 if it does not allow this, 503 if tokens cannot be read.
        """
        need = "nothing" if address.action in self._open else need_of(address.action)
        if need == "nothing":
            return None
        # A browser sends no bearer tokens; it asks its user for a password on these pages.
        is_page = address.action in {"page", "status", "metrics"}
        presented = _presented(headers.get("authorization"), takes_password=is_page)
        challenge = _challenge(is_page=is_page)
        if presented is None:
            message = "header authorization: expected Bearer and an access token, found none"
            self._refuse("missing", 401, message, challenge)
        try:
            token = holder_of(presented, self._tokens.tokens())
        except UnavailableError as error:
            self._refuse("unavailable", 503, str(error))
        if token is None:
            message = "header authorization: expected a known access token, found another"
            self._refuse("unknown", 401, message, challenge)
        if token.is_expired(self._now()):
            message = f"access token {token.name}: expected a valid one, it ended {token.expires}"
            self._refuse("expired", 401, message, challenge)
        if need not in {"any", *token.scopes}:
            message = (
                f"access token {token.name}: expected the scope {need}, found"
                f" {', '.join(token.scopes)}"
            )
            scope = ("www-authenticate", f'{_REALM}, error="insufficient_scope", scope="{need}"')
            self._refuse("scope", 403, message, (scope,))
        if line and token.lines is not None and line not in token.lines:
            message = (
                f"access token {token.name}: expected one for {line[:80]!a}, found one for"
                f" {', '.join(token.lines)}"
            )
            self._refuse("line", 403, message)
        return token.name

    def _refuse(self, reason: str, status: int, message: str, headers: Headers = ()) -> NoReturn:
        self.refused[reason] += 1
        raise HttpError(status, message, headers)


def _presented(authorization: str | None, *, takes_password: bool) -> str | None:
    scheme, _, rest = (authorization or "").partition(" ")
    rest = rest.strip()
    if not rest or len(rest) > _MAX_CHARACTERS:
        return None
    if scheme.lower() == "bearer":
        return rest
    if scheme.lower() == "basic" and takes_password:
        try:
            _, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
        # Wrong base64 and wrong UTF-8 are ValueErrors.
        except ValueError:
            return None
        return password or None
    return None


def _challenge(*, is_page: bool) -> Headers:
    bearer = ("www-authenticate", _REALM)
    return (bearer, ("www-authenticate", 'Basic realm="ml_release"')) if is_page else (bearer,)
