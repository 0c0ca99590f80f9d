"""In memory: the gauges that monitoring shows, and the pages that compare rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from ml_release.domain.gauges import GaugeFile


class InMemoryGauges:
    """`GaugeBoard` that remembers the newest values by environment and line."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, str], GaugeFile] = {}

    def show(self, gauges: GaugeFile) -> None:
        """Put the values in the place of those before."""
        self.shown[gauges.environment, gauges.line] = gauges


class InMemoryDriftPages:
    """`DriftPages` whose page is the numbers of rows and the columns."""

    def page(self, reference: pd.DataFrame, current: pd.DataFrame, *, title: str) -> bytes:
        """A page that says what it was given; `InputError` if nothing can be compared."""
        known = [
            name
            for name in reference.columns.intersection(current.columns)
            if reference[name].notna().any() and current[name].notna().any()
        ]
        if not known:
            message = f"{title}: expected a column with values on both sides, found none"
            raise InputError(message)
        columns = ", ".join(map(str, known))
        return f"{title}: {len(current)} rows beside {len(reference)}: {columns}".encode()
