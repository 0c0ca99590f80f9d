"""Where raw rows arrive, by month."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.errors import InputError

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class LandingSource(BaseModel):
    """Where raw rows arrive, relative to the landing zone.

    Attributes
    ----------
    rows
        Path of one partition's rows with ``{partition}`` in it once, as
        ``flights/{partition}.parquet``.
    companions
        Tables the rows are joined with: name to path.
    first_partition, last_partition
        Months, as ``2013-01``; ``last_partition`` None means that they go on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: str
    companions: Mapping[str, str] = Field(default_factory=dict)
    first_partition: str
    last_partition: str | None = None

    @model_validator(mode="after")
    def _names_partitions(self) -> Self:
        problems = []
        if self.rows.count("{partition}") != 1:
            problems.append(f"rows: expected {{partition}} once in the path, found {self.rows!r}")
        problems += [
            f"partition {month!r}: expected a month as 2013-01"
            for month in (self.first_partition, self.last_partition)
            if month is not None and not _MONTH.fullmatch(month)
        ]
        if not problems and (self.last_partition or self.first_partition) < self.first_partition:
            problems.append(
                f"last_partition: expected {self.first_partition} or later, found"
                f" {self.last_partition}"
            )
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    def with_earlier(self, partition: str, *, count: int) -> tuple[str, ...]:
        """A partition, last, with up to ``count`` declared ones before it.

        >>> source = LandingSource(rows="{partition}.parquet", first_partition="2013-01")
        >>> source.with_earlier("2013-03", count=1)
        ('2013-02', '2013-03')
        >>> source.with_earlier("2013-01", count=1)
        ('2013-01',)
        """
        last = _number(partition)
        names = [_month(number) for number in range(last - count, last + 1)]
        return tuple(name for name in names if name >= self.first_partition)

    def between(self, first: str, last: str) -> tuple[str, ...]:
        """Every month from ``first`` to ``last``, both included.

        >>> source = LandingSource(rows="{partition}.parquet", first_partition="2013-01")
        >>> source.between("2013-11", "2014-01")
        ('2013-11', '2013-12', '2014-01')
        """
        return tuple(_month(number) for number in range(_number(first), _number(last) + 1))

    def following(self, partition: str) -> str:
        """The month after a partition.

        >>> source = LandingSource(rows="{partition}.parquet", first_partition="2013-01")
        >>> source.following("2013-12")
        '2014-01'
        """
        return _month(_number(partition) + 1)


def _number(partition: str) -> int:
    if not _MONTH.fullmatch(partition):
        message = f"partition {partition!r}: expected a month as 2013-01"
        raise InputError(message)
    year, month = partition.split("-")
    return int(year) * 12 + int(month) - 1


def _month(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"
