"""What one hour of one variant's answers held, in a form that adds up.

The event time decides the hour; when a record came in is kept beside. Profiles of the same bucket
add up to that of all their records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping  # noqa: TC003 (msgspec reads the annotation)
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from ml_release.domain.counted_feature import CountedFeature, added
from ml_release.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHADOW = "shadow"
"""The variant of answers that nobody got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketProfile:
    """Everything counted of one hour of one variant's answers by one model.

    Attributes
    ----------
    line, version, model_digest, variant
        Who answered; the variant is `SHADOW` for answers that nobody got.
    bucket
        ISO 8601 in UTC: where the hour begins, by the time of the event. Hours begin as in the
        line's time zone, so that no bucket belongs to two days.
    rows, errors
        Answered rows, and rows whose prediction failed.
    requests, failed_requests
        Requests (the rows of a batch are one), and those of them that failed.
    fallbacks
        Requests that this one answered in the place of another version.
    late
        Records that came in more than an hour after the bucket's end.
    first_received, last_received
        ISO 8601 in UTC, of the records.
    features
        By name, of answered rows; those that are masked, and those of a model that is gone, are
        not known and not here. A record that does not name a feature is not counted in it.
    score
        The predictions over the bins of the reference's `ScoreReference`; None without them.
    decided, positives
        Answered rows with a decision, and with decision 1.
    latency
        Counts of a `LatencySketch`, one value per answered request.
    history_rows, history_misses, history_ages
        Answered rows that say what their history look-ups met, the keys that were not met, and of
        those rows the number per age of the table in days.
    """

    line: str
    version: int
    model_digest: str
    variant: str
    bucket: str
    rows: int = 0
    requests: int = 0
    failed_requests: int = 0
    errors: int = 0
    fallbacks: int = 0
    late: int = 0
    first_received: str = ""
    last_received: str = ""
    features: Mapping[str, CountedFeature] = field(default_factory=dict)
    score: CountedFeature | None = None
    decided: int = 0
    positives: int = 0
    latency: Mapping[int, int] = field(default_factory=dict)
    history_rows: int = 0
    history_misses: int = 0
    history_ages: Mapping[int, int] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, int, str, str]:
        """What is counted: only profiles of one key add up without forgetting anything."""
        return self.line, self.model_digest, self.version, self.variant, self.bucket

    def __add__(self, other: BucketProfile) -> BucketProfile:
        """Both together.

        Raises
        ------
        InputError
            If they are not of the same bucket of the same variant.
        """
        if self.key != other.key:
            message = f"bucket {self.key}: expected one of the same key to add, found {other.key}"
            raise InputError(message)
        return merged((self, other))

    def to_json(self) -> bytes:
        """What `bucket_from_json` reads back."""
        return msgspec.json.encode(self)


_SUMS = (
    "rows",
    "requests",
    "failed_requests",
    "errors",
    "fallbacks",
    "late",
    "decided",
    "positives",
    "history_rows",
    "history_misses",
)
_DECODER = msgspec.json.Decoder(BucketProfile)


def bucket_from_json(content: bytes) -> BucketProfile:
    """Read a kept profile back; `IntegrityError` if it is none."""
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"bucket profile: expected a recorded one, found something else ({error})"
        raise IntegrityError(message) from error


def merged(profiles: Sequence[BucketProfile]) -> BucketProfile:
    """The sum of profiles of one model: of any hours and variants, in whatever order.

    Its bucket is the earliest, its version the newest, its variant that of the first by name.

    Raises
    ------
    InputError
        If there are none, or they are of several models: those count over other bins.
    """
    models = {profile.model_digest for profile in profiles}
    if len(models) != 1:
        message = f"bucket profiles: expected those of one model to merge, found {sorted(models)}"
        raise InputError(message)
    names = dict.fromkeys(name for profile in profiles for name in profile.features)
    received_first = [p.first_received for p in profiles if p.first_received]
    scores = [profile.score for profile in profiles if profile.score is not None]
    sums: dict[str, Any] = {name: sum(getattr(p, name) for p in profiles) for name in _SUMS}
    return BucketProfile(
        line=min(profile.line for profile in profiles),
        version=max(profile.version for profile in profiles),
        model_digest=profiles[0].model_digest,
        variant=min(profile.variant for profile in profiles),
        bucket=min(profile.bucket for profile in profiles),
        first_received=min(received_first, default=""),
        last_received=max(profile.last_received for profile in profiles),
        features={
            name: added([p.features[name] for p in profiles if name in p.features])
            for name in sorted(names)
        },
        score=added(scores) if scores else None,
        latency=_counted(p.latency for p in profiles),
        history_ages=_counted(p.history_ages for p in profiles),
        **sums,
    )


def _counted(tables: Iterable[Mapping[int, int]]) -> dict[int, int]:
    found: Counter[int] = Counter()
    for table in tables:
        found.update(table)
    return dict(sorted(found.items()))
