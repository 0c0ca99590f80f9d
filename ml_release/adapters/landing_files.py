"""The landing zone as a folder of Parquet and CSV files, read through pandas."""

from __future__ import annotations

import glob
import re
import warnings
from typing import TYPE_CHECKING

from ml_release.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from ml_release.spec.landing_source import LandingSource


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
        kind = "CSV" if path.suffix == ".csv" else "Parquet"
        try:
            if kind == "Parquet":
                return pd.read_parquet(path)
            return _csv(path)
        except FileNotFoundError as error:
            message = f"landing file {path}: expected a {kind} file, found none. Has it arrived?"
            raise NotFoundError(message) from error
        # What pandas raises for a CSV file that is none is a ValueError.
        except (pa.ArrowException, OSError, ValueError, pd.errors.ParserWarning) as error:
            message = (
                f"landing file {path}: expected a readable {kind} file, found {error}. Ask the"
                " source to deliver it again."
            )
            raise InputError(message) from error


def _csv(path: Path) -> pd.DataFrame:
    """Words only: "007" is no 7, and "NA" may be an airline."""
    import pandas as pd

    with warnings.catch_warnings():
        # A row with more fields than the header would shift or lose its columns.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], index_col=False)
