"""The tokens file on disk: read at start and on change, and how a token gets into it."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ml_release.errors import InputError, UnavailableError
from ml_release.serving.tokens import Token, TokenScope, hash_of, parse_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHECK_SECONDS = 1.0
_PREFIX = "mlr_"
"""Lets a scanner of repositories recognize a token that was committed by mistake."""
_OTHERS_MAY_WRITE = 0o002
_LOG = logging.getLogger(__name__)


class TokenFile:
    """The entries of a tokens file, read again at most `CHECK_SECONDS` after it has changed.

    Once the server runs, an entry that cannot be read admits nobody and the others go on; a file
    that cannot be read admits nobody at all. So a token that was taken out is out, whatever else
    is wrong.

    Parameters
    ----------
    seconds
        A clock that never goes back.

    Raises
    ------
    InputError
        At the start, if the file or one of its entries cannot be used, or anybody may write it.
    """

    def __init__(self, path: Path, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._seconds = seconds
        self._tokens: tuple[Token, ...] = ()
        self._is_readable = True
        self.problems: tuple[str, ...] = ()
        self._state = self._look()
        self._read()
        self._next_check = seconds() + CHECK_SECONDS
        if self.problems:
            message = f"tokens file {path}: {'; '.join(self.problems)}"
            raise InputError(message)
        if not self._tokens:
            message = (
                f"tokens file {path}: expected at least one token, found none. Make one with"
                " `ml-release token NAME --scope predict`."
            )
            raise InputError(message)

    def tokens(self) -> tuple[Token, ...]:
        """The usable entries now.

        Raises
        ------
        UnavailableError
            If the file cannot be read.
        """
        if (moment := self._seconds()) >= self._next_check:
            self._next_check = moment + CHECK_SECONDS
            state = self._look()
            if state != self._state or state is None:
                self._state = state
                known = self.problems
                self._read()
                for problem in self.problems:
                    if problem not in known:
                        _LOG.error("tokens file %s: %s", self._path, problem)
        if not self._is_readable:
            message = f"access tokens: the server cannot read them ({self.problems[0]})"
            raise UnavailableError(message)
        return self._tokens

    def _look(self) -> tuple[int, int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
            mode = self._path.stat().st_mode
        except OSError as error:
            self._is_readable = False
            self.problems = (f"expected a readable file, found none ({error.strerror})",)
            return
        if mode & _OTHERS_MAY_WRITE:
            self._is_readable = False
            self.problems = (
                f"expected a file that not everybody may write, found mode {mode & 0o777:o};"
                " run chmod 600 on it",
            )
            return
        self._is_readable = True
        self._tokens, self.problems = parse_tokens(content)


def add_token(
    path: Path,
    *,
    name: str,
    scopes: Sequence[TokenScope],
    lines: Sequence[str] = (),
    expires: str | None = None,
) -> str:
    """Make a token, add its hash to the file, whole or not at all, and return the token.

    The file is made if it is not there, readable for its owner alone; comments in it stay.

    Raises
    ------
    InputError
        If the entry, or one that is there already, cannot be used, or the file cannot be written.
    """
    token = _PREFIX + secrets.token_urlsafe(32)
    entry = Token(
        name=name,
        sha256=hash_of(token),
        scopes=tuple(dict.fromkeys(scopes)),
        lines=tuple(lines) or None,
        expires=expires,
    )
    try:
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(target.parent):
            before = target.read_bytes() if target.exists() else b""
            if before and not before.endswith(b"\n"):
                before += b"\n"
            content = before + msgspec.json.encode(entry) + b"\n"
            _, problems = parse_tokens(content)
            if problems:
                message = f"tokens file {path}: {'; '.join(problems)}. Nothing was changed."
                raise InputError(message)
            _replace(target, content)
    except OSError as error:
        message = f"tokens file {path}: it cannot be written ({error})"
        raise InputError(message) from error
    return token


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep two commands from overwriting each other's entry."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(target: Path, content: bytes) -> None:
    # mkstemp makes it with mode 600.
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".tokens-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
