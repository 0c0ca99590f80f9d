"""What every `ReportWriter` keeps to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.in_memory import InMemoryReports
from ml_release.adapters.report_pages import ReportPages
from ml_release.domain.verdict import Outcome
from ml_release.errors import DeclarationError, InputError
from ml_release_tests.incidents import incident
from ml_release_tests.release_reports import finding, report

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.ports import ReportWriter


@pytest.fixture(params=["in memory", "files"])
def reports(request: pytest.FixtureRequest, tmp_path: Path) -> ReportWriter:
    return InMemoryReports() if request.param == "in memory" else ReportPages(tmp_path)


def test_the_same_report_gives_the_same_bytes(reports: ReportWriter) -> None:
    """And another one others."""
    page = reports.page(report(finding()))
    assert page == reports.page(report(finding()))
    assert page != reports.page(report(finding(Outcome.FAIL)))


def test_the_same_incident_gives_the_same_bytes(reports: ReportWriter) -> None:
    """And another one others."""
    page = reports.incident_page(incident())
    assert page == reports.incident_page(incident())
    assert page != reports.incident_page(incident(missing=()))


def test_a_file_is_kept_apart_by_line_and_name(reports: ReportWriter) -> None:
    """Kept again, it is where it was."""
    places = {
        reports.keep(line, name, b"x") for line in ("one", "two") for name in ("a.html", "b.md")
    }
    assert len(places) == 4
    assert reports.keep("one", "a.html", b"y") in places


def test_a_line_is_no_path(reports: ReportWriter) -> None:
    """It comes from a declaration."""
    with pytest.raises(DeclarationError):
        reports.keep("../one", "a.html", b"x")


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    """No draft stays beside them."""
    pages = ReportPages(tmp_path)
    pages.keep("one", "a.html", b"long content")
    place = pages.keep("one", "a.html", b"short")
    assert [(str(p), p.read_bytes()) for p in (tmp_path / "one").iterdir()] == [(place, b"short")]


@pytest.mark.parametrize("name", ["../a.html", "a/b.html", ".hidden", "", "/etc/a"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    """Nothing is written anywhere."""
    with pytest.raises(InputError, match="expected a plain file name"):
        ReportPages(tmp_path).keep("one", name, b"x")
    assert list(tmp_path.iterdir()) == []
