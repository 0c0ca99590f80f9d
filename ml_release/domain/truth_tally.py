"""What the inference log says was served, counted in a form that adds up.

The tally of some records added to the tally of others is that of all, so that only new records are
read. Who answered is counted by the minute and forgotten when the window has passed. How requests
were split is counted over the whole life of a declaration: a test that is valid at every look needs
all of its counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.identity import canonical_json
from ml_release.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable

Count = Annotated[int, Field(ge=0)]
KILL_SWITCH = "kill_switch"
"""Variant in records that no model answered."""
SHADOW = "shadow"
"""Variant in records of a version that was asked in secret."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServedMinute(_Record):
    """Requests that one version answered in one minute.

    Attributes
    ----------
    version, model_digest, variant
        As in the inference log: ``shadow`` for answers nobody got, ``kill_switch`` with version 0
        for answers without a model.
    route_commit
        Of the declaration by which the server routed.
    minute
        Whole minutes since 1970, UTC.
    first_us, last_us
        Of the first and the last request, in microseconds since 1970, UTC.
    """

    version: Count
    model_digest: str
    variant: str
    route_commit: str
    minute: int
    requests: Count
    first_us: int
    last_us: int

    @property
    def key(self) -> tuple[int, str, str, str, int]:
        """What is counted together."""
        return (self.version, self.model_digest, self.variant, self.route_commit, self.minute)

    @property
    def first(self) -> datetime:
        """When the first request came in."""
        return moment(self.first_us)

    @property
    def last(self) -> datetime:
        """When the last request came in."""
        return moment(self.last_us)

    def __add__(self, other: ServedMinute) -> ServedMinute:
        return self.model_copy(
            update={
                "requests": self.requests + other.requests,
                "first_us": min(self.first_us, other.first_us),
                "last_us": max(self.last_us, other.last_us),
            }
        )


class Split(_Record):
    """How the requests of one declaration were split over its variants, since it was declared.

    Requests of an experiment count in none of these: their shares are those of its arms.

    Attributes
    ----------
    by_chance
        Assigned version to requests that named no unit: each met its variant on its own.
    units
        Requests that named a unit. Its bucket decides alone who answers.
    misrouted
        Of those, assigned to another version than the bucket says.
    last_us
        Of the newest request, in microseconds since 1970, UTC.
    """

    route_commit: str
    by_chance: Mapping[int, Count] = Field(default_factory=dict)
    units: Count = 0
    misrouted: Count = 0
    last_us: int = 0

    def __add__(self, other: Split) -> Split:
        versions = sorted({*self.by_chance, *other.by_chance})
        return Split(
            route_commit=self.route_commit,
            by_chance={v: self.by_chance.get(v, 0) + other.by_chance.get(v, 0) for v in versions},
            units=self.units + other.units,
            misrouted=self.misrouted + other.misrouted,
            last_us=max(self.last_us, other.last_us),
        )


class TruthTally(_Record):
    """Everything counted of one line in one environment.

    Attributes
    ----------
    cursor
        Of the inference log: everything before it is counted.
    served
        In the order of their keys.
    splits
        In the order of their commits.
    """

    line: str
    environment: str
    cursor: Mapping[str, Count] = Field(default_factory=dict)
    served: tuple[ServedMinute, ...] = ()
    splits: tuple[Split, ...] = ()

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))

    def __add__(self, later: TruthTally) -> TruthTally:
        """Both together, with the cursor of the later one; `InputError` for another line's."""
        if (self.line, self.environment) != (later.line, later.environment):
            message = (
                f"truth tally of {self.line} in {self.environment}: expected one of the same to"
                f" add, found {later.line} in {later.environment}; begin anew"
            )
            raise InputError(message)
        return TruthTally(
            line=self.line,
            environment=self.environment,
            cursor=later.cursor,
            served=summed_minutes((*self.served, *later.served)),
            splits=_summed_splits((*self.splits, *later.splits)),
        )

    def since(self, begin: datetime) -> TruthTally:
        """Without the minutes, and the declarations, that saw no request from ``begin`` on."""
        kept = int(begin.timestamp() * 1_000_000)
        return self.model_copy(
            update={
                "served": tuple(one for one in self.served if one.last_us >= kept),
                "splits": tuple(one for one in self.splits if one.last_us >= kept),
            }
        )


def tally_from_json(content: bytes) -> TruthTally:
    """Read a recorded tally back; `IntegrityError` if it is none."""
    try:
        return TruthTally.model_validate_json(content)
    except ValidationError as error:
        message = f"truth tally: expected a recorded one, found something else ({error})"
        raise IntegrityError(message) from error


def summed_minutes(minutes: Iterable[ServedMinute]) -> tuple[ServedMinute, ...]:
    """Those of the same key as one, in the order of their keys."""
    found: dict[tuple[int, str, str, str, int], ServedMinute] = {}
    for one in minutes:
        found[one.key] = found[one.key] + one if one.key in found else one
    return tuple(found[key] for key in sorted(found))


def moment(microseconds: int) -> datetime:
    """A time from microseconds since 1970, UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _summed_splits(splits: Iterable[Split]) -> tuple[Split, ...]:
    found: dict[str, Split] = {}
    for one in splits:
        before = found.get(one.route_commit)
        found[one.route_commit] = one if before is None else before + one
    return tuple(found[commit] for commit in sorted(found))
