"""Rows that arrive, and rows that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from ml_release.domain.history_table import HistoryTable
    from ml_release.domain.identity import SnapshotId
    from ml_release.spec.landing_source import LandingSource


class Landing(Protocol):
    """Where raw data arrives."""

    def partitions(self, source: LandingSource) -> tuple[str, ...]:
        """Names of the partitions that have arrived, in order."""

    def read(self, source: LandingSource, partition: str) -> dict[str, pd.DataFrame]:
        """The rows of one partition under ``rows`` and every companion table under its name.

        Columns of a CSV file hold words, missing where there is nothing between the separators.

        Raises `NotFoundError` if the partition has not arrived, `InputError` if a file cannot be
        read as a table.
        """

    def read_file(self, path: str, *, digest: str) -> pd.DataFrame:
        """The rows of one file, named by its path below the landing zone and known by its digest.

        CSV, whose columns hold words as in `read`, or Parquet, by the end of the path. Raises
        `NotFoundError` if it has not arrived, `IntegrityError` if its bytes do not have the
        digest, `InputError` if they cannot be read as a table.
        """


class Tables(Protocol):
    """Immutable rows per line, table and partition, each known by table version and digest."""

    def write(self, line: str, table: str, partition: str, rows: pd.DataFrame) -> SnapshotId:
        """Replace one partition in one atomic commit; the same rows again write nothing."""

    def write_batches(
        self, line: str, table: str, partition: str, batches: Iterable[pd.DataFrame]
    ) -> SnapshotId:
        """The same for rows that come in batches and may be more than fits into memory.

        Nothing is written if a batch cannot be had: what it raises is passed on. Raises
        `InputError` if there are no rows or batches differ in their columns.
        """

    def read(self, snapshot: SnapshotId, table: str) -> pd.DataFrame:
        """The rows of a snapshot.

        Raises `IntegrityError` if they do not have the snapshot's digest.
        """

    def scan(
        self, snapshot: SnapshotId, table: str, *, rows_per_batch: int
    ) -> Iterator[pd.DataFrame]:
        """The rows of a snapshot in their order, in batches of at most ``rows_per_batch``.

        Raises `IntegrityError` before the first batch if they do not have the snapshot's digest.
        """

    def current(self, line: str, table: str) -> tuple[SnapshotId, ...]:
        """The newest snapshot of every partition, in the order of the partitions."""


class OnlineHistory(Protocol):
    """The history features the endpoint server looks up."""

    def publish(self, line: str, table: HistoryTable) -> None:
        """Replace the table in one step."""

    def read(self, line: str) -> HistoryTable | None:
        """The table, None if none was published."""
