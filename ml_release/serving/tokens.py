"""Access tokens: what a line of the tokens file says, and whose token a request carries.

One JSON object per line; empty lines and lines that begin with ``#`` are skipped::

    {"name": "shop", "sha256": "2c26b4...", "scopes": ["predict"], "lines": ["flight_delay"]}

Only hashes are kept. A token is 256 random bits, so a plain SHA-256 of it cannot be turned round.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from ml_release.domain.identity import check_line_name
from ml_release.errors import InputError, MlReleaseError
from ml_release.serving.request_headers import is_usable_id, utc_time

if TYPE_CHECKING:
    from collections.abc import Sequence

TokenScope = Literal["predict", "label", "operate"]
SCOPES: tuple[TokenScope, ...] = ("predict", "label", "operate")
_HASH = re.compile(r"[0-9a-f]{64}")


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the tokens file.

    Attributes
    ----------
    name
        Who holds it; goes to the logs. 1 to 128 printable ASCII characters.
    sha256
        Of the token, 64 hexadecimal digits in lower case.
    scopes
        What it allows: ``predict``, ``label`` and ``operate``; none includes another.
    lines
        The release lines it is good for; None for all.
    expires
        From when on it is not valid, ISO 8601 with a zone; None for never.
    """

    name: str
    sha256: str
    scopes: tuple[TokenScope, ...]
    lines: tuple[str, ...] | None = None
    expires: str | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether it has ended."""
        return self.expires is not None and now >= datetime.fromisoformat(self.expires)


def hash_of(token: str) -> str:
    """What the tokens file keeps of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def parse_tokens(content: bytes) -> tuple[tuple[Token, ...], tuple[str, ...]]:
    """The usable entries of a tokens file, and what is wrong with the others, by line number.

    An entry that cannot be read, or that has the name or the hash of one before it, admits nobody.
    """
    found: dict[str, Token] = {}
    problems = []
    for number, text in enumerate(content.splitlines(), start=1):
        if not text.strip() or text.lstrip().startswith(b"#"):
            continue
        try:
            token = msgspec.json.decode(text, type=Token)
            problem = _problem(token, found)
        # UnicodeDecodeError is a ValueError, msgspec's errors are too.
        except (ValueError, MlReleaseError) as error:
            problem = str(error)
        if problem is None:
            found[token.name] = token
        else:
            problems.append(f"line {number}: {problem}")
    return tuple(found.values()), tuple(problems)


def _problem(token: Token, before: dict[str, Token]) -> str | None:
    if not is_usable_id(token.name):
        return f"name: expected 1 to 128 printable ASCII characters, found {token.name[:128]!a}"
    if not _HASH.fullmatch(token.sha256):
        # What stands here may be a token that somebody took for its hash: it is not repeated.
        return f"sha256 of {token.name}: expected 64 hexadecimal digits in lower case"
    if not token.scopes:
        return f"scopes of {token.name}: expected one or more of {list(SCOPES)}, found none"
    _check_lines_and_end(token)
    if token.name in before:
        return f"name: expected each once, found {token.name} again"
    if any(token.sha256 == other.sha256 for other in before.values()):
        return f"sha256 of {token.name}: expected a token of its own, found that of another entry"
    return None


def _check_lines_and_end(token: Token) -> None:
    if token.lines is not None and not token.lines:
        message = f"lines of {token.name}: expected line names or no such key, found none"
        raise InputError(message)
    for line in token.lines or ():
        check_line_name(line)
    if token.expires is not None:
        utc_time(f"expires of {token.name}", token.expires)


def holder_of(presented: str, tokens: Sequence[Token]) -> Token | None:
    """Whose token this is, None if nobody's.

    Takes the same time whether and where it is found: each entry is compared, each in constant
    time.
    """
    digest = hash_of(presented)
    found = None
    for token in tokens:
        if hmac.compare_digest(token.sha256, digest):
            found = token
    return found
