"""The landing zone as a folder of Parquet files, read through pandas."""

from __future__ import annotations

import glob
import re
from typing import TYPE_CHECKING

from ml_release.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from ml_release.spec.release_line import LandingSource


class LandingFiles:
    """`Landing` in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def partitions(self, source: LandingSource) -> tuple[str, ...]:
        """Partitions whose file has arrived and that the line declares, in order."""
        before, after = source.rows.split("{partition}")
        arrived = re.compile(re.escape(before) + r"(\d{4}-\d{2})" + re.escape(after))
        paths = self._root.glob(f"{glob.escape(before)}*{glob.escape(after)}")
        names = (arrived.fullmatch(path.relative_to(self._root).as_posix()) for path in paths)
        found = {name[1] for name in names if name}
        last = source.last_partition
        return tuple(
            sorted(
                name
                for name in found
                if name >= source.first_partition and (last is None or name <= last)
            )
        )

    def read(self, source: LandingSource, partition: str) -> dict[str, pd.DataFrame]:
        """The rows of one partition and every companion table."""
        tables = {"rows": self._table(source.rows.replace("{partition}", partition))}
        for name, path in source.companions.items():
            tables[name] = self._table(path)
        return tables

    def _table(self, name: str) -> pd.DataFrame:
        import pandas as pd
        import pyarrow as pa

        path = self._root / name
        try:
            return pd.read_parquet(path)
        except FileNotFoundError as error:
            message = f"landing file {path}: expected a Parquet file, found none. Has it arrived?"
            raise NotFoundError(message) from error
        except (pa.ArrowException, OSError) as error:
            message = (
                f"landing file {path}: expected a readable Parquet file, found {error}. Ask the"
                " source to deliver it again."
            )
            raise InputError(message) from error
