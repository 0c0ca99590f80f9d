"""The history tables of the lines, read again only when their file is another one than before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.errors import MlReleaseError

if TYPE_CHECKING:
    from ml_release.adapters.online_files import OnlineFiles
    from ml_release.domain.history_table import HistoryTable


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenHistory:
    """What is known of the table of a line.

    Attributes
    ----------
    mark
        Time of change, inode and size of the file that was read last.
    table
        The last one that could be read; None if there never was one.
    problem
        Why the file that is there now is not the one in use.
    """

    mark: tuple[int, int, int] | None = None
    table: HistoryTable | None = None
    problem: str | None = None


class Histories:
    """Keeps the last table that could be read: an old value is better than none."""

    def __init__(self, online: OnlineFiles) -> None:
        self._online = online
        self._seen: dict[str, SeenHistory] = {}

    def current(self, line: str) -> SeenHistory:
        """The table of a line; the very same object as long as the file is the same."""
        seen = self._seen.get(line, SeenHistory())
        path = self._online.path(line)
        try:
            stat = path.stat()
        except OSError as error:
            if seen.table is None:
                return seen
            problem = (
                f"history of {line}: the file cannot be read any more ({error}); the table as of"
                f" {seen.table.as_of} goes on to answer"
            )
            return SeenHistory(table=seen.table, problem=problem)
        mark = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if mark != seen.mark:
            try:
                seen = SeenHistory(mark=mark, table=self._online.read(line))
            except (MlReleaseError, OSError) as error:
                problem = f"history of {line}: {error}"
                seen = SeenHistory(mark=mark, table=seen.table, problem=problem)
            self._seen[line] = seen
        return seen
