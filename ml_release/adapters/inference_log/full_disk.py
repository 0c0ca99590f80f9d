"""What the operating system says when it does not take a write, as our errors."""

from __future__ import annotations

import errno

from ml_release.errors import LogFullError, UnavailableError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def unwritable(subject: str, error: OSError) -> UnavailableError:
    """The error to raise: `LogFullError` where there is no room."""
    if error.errno in _FULL:
        return LogFullError(f"{subject}: the disk is full, nothing can be written ({error})")
    return UnavailableError(f"{subject}: cannot write ({error})")


def short_write(subject: str, *, expected: int, written: int) -> LogFullError:
    """The error to raise after a write in part."""
    return LogFullError(
        f"{subject}: expected to write {expected} bytes, the operating system took {written}. Is"
        " the disk full?"
    )
