"""Pages, and gauges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.identity import check_line_name
from ml_release.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from ml_release.domain.gauges import GaugeFile
    from ml_release.domain.incident import Incident
    from ml_release.domain.monitoring_page import MonitoringPage
    from ml_release.domain.release_report import ReleaseReport


class InMemoryReports:
    """`ReportWriter` that keeps files in a dictionary; a page is the text of its report."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def page(self, report: ReleaseReport) -> bytes:
        """The representation of the content."""
        return repr(report).encode()

    def incident_page(self, incident: Incident) -> bytes:
        """The representation of the content."""
        return repr(incident).encode()

    def monitoring_page(self, page: MonitoringPage) -> bytes:
        """The representation of the content."""
        return repr(page).encode()

    def keep(self, line: str, name: str, content: bytes) -> str:
        """Remember a file; its place is its name."""
        place = f"{check_line_name(line)}/{name}"
        self.files[place] = content
        return place


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


class InMemoryGauges:
    """`GaugeBoard` that remembers the newest values by environment and line."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, str], GaugeFile] = {}

    def show(self, gauges: GaugeFile) -> None:
        """Put the values in the place of those before."""
        self.shown[gauges.environment, gauges.line] = gauges
