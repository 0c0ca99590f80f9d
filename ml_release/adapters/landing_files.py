"""The landing zone as a folder of Parquet and CSV files, read through pandas."""

from __future__ import annotations

import glob
import io
import re
import warnings
from typing import TYPE_CHECKING

from ml_release.domain.identity import digest_of_bytes
from ml_release.errors import InputError, IntegrityError, NotFoundError

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

    def read_file(self, path: str, *, digest: str) -> pd.DataFrame:
        """The rows of one file that has a digest."""
        return self._table(path, digest=digest)

    def _table(self, name: str, *, digest: str | None = None) -> pd.DataFrame:
        import pandas as pd
        import pyarrow as pa

        path = self._root / name
        kind = "CSV" if path.suffix == ".csv" else "Parquet"
        try:
            # Of a file with a digest the very bytes that have it are read.
            source = path if digest is None else io.BytesIO(_with_digest(path, digest))
            return pd.read_parquet(source) if kind == "Parquet" else _csv(source)
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


def _csv(source: Path | io.BytesIO) -> pd.DataFrame:
    """Words only: "007" is no 7, and "NA" may be an airline."""
    import pandas as pd

    with warnings.catch_warnings():
        # A row with more fields than the header would shift or lose its columns.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            source, dtype=str, keep_default_na=False, na_values=[""], index_col=False
        )


def _with_digest(path: Path, digest: str) -> bytes:
    content = path.read_bytes()
    found = digest_of_bytes(content)
    if found != digest:
        message = (
            f"landing file {path}: expected digest {digest}, found {found}. Restore it, or look at"
            " what was changed and declare the new digest."
        )
        raise IntegrityError(message)
    return content
