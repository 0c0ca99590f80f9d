"""Count what the inference log holds by hour and variant, reading only what is new.

What is counted is kept in a `ProfileStore`. The log is what is true: where what was kept is not to
be trusted, it is forgotten and the log is counted again, as far as it still goes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ml_release.domain.artefact import REFERENCE_FILE
from ml_release.domain.reference_profile import profile_from_json
from ml_release.errors import IntegrityError, NotFoundError, StaleWriteError
from ml_release.workflows.bucket_counting import ModelBins, count_buckets
from ml_release.workflows.masked import masked_features

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from ml_release.domain.bucket_profile import BucketProfile
    from ml_release.ports import InferenceLog, ModelStore, ProfileStore
    from ml_release.spec.release_line import ReleaseLine

BYTES_AT_ONCE = 32 * 1024 * 1024
_RESTARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """What one advance has counted.

    Attributes
    ----------
    new_records, torn
        Records that were counted now, and lines of the log that could not be read.
    cursor
        Everything of the log before this is counted.
    recounted
        Whether what was kept could not be trusted, and was counted again from the log.
    """

    new_records: int
    torn: int
    cursor: Mapping[str, int]
    recounted: bool


def advance_profiles(
    line: ReleaseLine,
    *,
    environment: str,
    inference_log: InferenceLog,
    profiles: ProfileStore,
    models: ModelStore,
    bytes_at_once: int = BYTES_AT_ONCE,
) -> Advanced:
    """Count the records that came in since, by the bins of the models that answered.

    The same as counting everything at once, with one exception: a request id that a client repeats
    after it was counted is counted as the further request it is. Records of a model that is gone
    are counted without their features.

    Parameters
    ----------
    bytes_at_once
        About how much of the log is held at a time.

    Raises
    ------
    IntegrityError
        If the artefact of a model that answered was changed: nothing of those records is counted.
    StaleWriteError
        If others keep counting the same log at the same time.
    """
    kept = _Kept(line.name, environment, profiles)
    bins: dict[str, ModelBins] = {}
    new = torn = late = 0
    cursor = kept.cursor()
    while True:
        records, behind = inference_log.records(line.name, after=cursor, enough_bytes=bytes_at_once)
        read = sum(behind.values()) - sum(cursor.get(name, 0) for name in behind)
        if not read:
            break
        _learn(bins, records["model_digest"].unique(), models=models)
        counted = count_buckets(records, line=line.name, time_zone=line.time_zone, bins=bins)
        try:
            kept.add(counted, cursor=behind, expected=cursor)
        except StaleWriteError:
            # Somebody else was first; what they left is counted from where they stopped.
            late += 1
            if late > _RESTARTS:
                raise
            cursor = kept.cursor()
            continue
        if kept.was_lost():
            new = torn = 0
            cursor = {}
            continue
        new, torn, cursor = new + len(records), torn + records.attrs["torn_lines"], behind
        if read < bytes_at_once:
            break
    return Advanced(new_records=new, torn=torn, cursor=cursor, recounted=kept.restarts > 0)


def counted_lately(
    line: ReleaseLine,
    *,
    environment: str,
    profiles: ProfileStore,
    lasting: timedelta,
    now: datetime,
) -> tuple[BucketProfile, ...]:
    """Hours of every model of so long a time, up to the newest one that is not of the future."""
    newest = profiles.newest(line.name, environment, model_digest=None)
    if newest is None:
        return ()
    # An event of the future is a wrong clock: it must not move the window away from what was.
    until = min(newest, now) + timedelta(hours=1)
    return profiles.between(
        line.name, environment, model_digest=None, since=until - lasting, until=until
    )


class _Kept:
    """What is kept of one line, forgotten where it cannot be trusted."""

    def __init__(self, line: str, environment: str, profiles: ProfileStore) -> None:
        self._line, self._environment, self._profiles = line, environment, profiles
        self.restarts = 0
        self._is_lost = False

    def cursor(self) -> dict[str, int]:
        try:
            return self._profiles.cursor(self._line, self._environment)
        except IntegrityError:
            self._forget()
            return {}

    def add(
        self,
        counted: Iterable[BucketProfile],
        *,
        cursor: Mapping[str, int],
        expected: Mapping[str, int],
    ) -> None:
        try:
            self._profiles.add(
                self._line,
                self._environment,
                profiles=tuple(counted),
                cursor=cursor,
                expected=expected,
            )
        except IntegrityError:
            if self.restarts >= _RESTARTS:
                raise
            self._forget()
            self._is_lost = True

    def was_lost(self) -> bool:
        """Whether the last `add` found that nothing kept can be trusted; asked once."""
        found, self._is_lost = self._is_lost, False
        return found

    def _forget(self) -> None:
        self._profiles.clear(self._line, self._environment)
        self.restarts += 1


def _learn(bins: dict[str, ModelBins], digests: Iterable[str], *, models: ModelStore) -> None:
    for digest in digests:
        if digest in bins:
            continue
        try:
            files = models.read(digest)
        except NotFoundError:
            # Gone, or no model at all, as where the kill switch answers.
            bins[digest] = ModelBins()
            continue
        reference = profile_from_json(files[REFERENCE_FILE])
        bins[digest] = ModelBins.of(reference, masked=masked_features(files))
