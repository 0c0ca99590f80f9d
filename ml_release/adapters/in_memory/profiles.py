"""`ProfileStore` in a dictionary, for tests."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING

from ml_release.domain.bucket_profile import SHADOW
from ml_release.domain.identity import check_line_name
from ml_release.errors import InputError, StaleWriteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.bucket_profile import BucketProfile

    _Buckets = dict[tuple[str, str, int, str, str], BucketProfile]


class InMemoryProfiles:
    """`ProfileStore` that forgets everything with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursors: dict[tuple[str, str], dict[str, int]] = {}
        self._kept: dict[tuple[str, str], _Buckets] = {}

    def cursor(self, line: str, environment: str) -> dict[str, int]:
        """Everything of the log before this is counted."""
        return dict(self._cursors.get((check_line_name(line), environment), {}))

    def add(
        self,
        line: str,
        environment: str,
        *,
        profiles: Sequence[BucketProfile],
        cursor: Mapping[str, int],
        expected: Mapping[str, int],
    ) -> None:
        """Add profiles and move the cursor, both or neither."""
        where = (check_line_name(line), environment)
        with self._lock:
            found = self._cursors.get(where, {})
            if found != dict(expected):
                message = (
                    f"profiles of {line}: expected the log to be counted up to {dict(expected)},"
                    f" found {found}. Somebody else has counted it; count from there."
                )
                raise StaleWriteError(message)
            kept = dict(self._kept.get(where, {}))
            for profile in profiles:
                if profile.line != line:
                    message = f"profiles of {line}: expected its own, found one of {profile.line}"
                    raise InputError(message)
                before = kept.get(profile.key)
                kept[profile.key] = profile if before is None else before + profile
            self._kept[where] = kept
            self._cursors[where] = dict(cursor)

    def newest(self, line: str, environment: str, *, model_digest: str | None) -> datetime | None:
        """When the newest bucket begins that is no shadow's."""
        begins = [
            profile.bucket
            for profile in self._kept.get((line, environment), {}).values()
            if model_digest in (None, profile.model_digest) and profile.variant != SHADOW
        ]
        return datetime.fromisoformat(max(begins)) if begins else None

    def between(
        self,
        line: str,
        environment: str,
        *,
        model_digest: str | None,
        since: datetime,
        until: datetime,
        shadows: bool = False,
    ) -> tuple[BucketProfile, ...]:
        """Buckets that begin in a time, in its order."""
        found = [
            profile
            for profile in self._kept.get((line, environment), {}).values()
            if model_digest in (None, profile.model_digest)
            and since <= datetime.fromisoformat(profile.bucket) < until
            and (shadows or profile.variant != SHADOW)
        ]
        return tuple(sorted(found, key=lambda profile: (profile.bucket, profile.key)))

    def clear(self, line: str, environment: str) -> None:
        """Forget everything of a line."""
        with self._lock:
            self._kept.pop((line, environment), None)
            self._cursors.pop((line, environment), None)
