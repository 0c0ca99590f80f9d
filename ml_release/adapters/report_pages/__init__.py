"""Pages for reviewers as files: one HTML document each, with nothing outside it.

Everything is escaped by the template engine, and a Content-Security-Policy forbids scripts and
requests besides: a carrier that is called ``<script>`` is a carrier. Same content, same bytes.
"""

from __future__ import annotations

import base64
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ml_release.adapters.report_pages.monitoring_parts import FILTERS
from ml_release.domain.identity import check_line_name
from ml_release.domain.incident import UNKNOWN
from ml_release.domain.incident_timeline import in_words
from ml_release.domain.live_claims import live_claim_of
from ml_release.domain.release_report import claim_of, plain_sentence
from ml_release.domain.verdict import Outcome
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Template

    from ml_release.domain.blast_radius import Changes
    from ml_release.domain.evaluation_measures import Measured
    from ml_release.domain.incident import Incident
    from ml_release.domain.monitoring_page import MonitoringPage
    from ml_release.domain.release_report import ReleaseReport
    from ml_release.domain.verdict import Finding

_TEMPLATE = "report.html.j2"
_INCIDENT = "incident.html.j2"
_MONITORING = "monitoring.html.j2"
_SHOWN_WORDS = 20
_UNKNOWN = "unknown"
# The mark says it without the colour.
_MARKS = {
    "pass": "\N{HEAVY CHECK MARK} pass",
    "inconclusive": "? cannot tell",
    "error": "! error",
    "fail": "\N{HEAVY BALLOT X} fail",
    "waived": "\N{HEAVY BALLOT X} waived, not a pass",
}


class ReportPages:
    """`ReportWriter` in a folder: ``<line>/<name>``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def page(self, report: ReleaseReport) -> bytes:
        """One HTML page that needs nothing else; the same report gives the same bytes."""
        return _template(_TEMPLATE).render(report=report).encode()

    def incident_page(self, incident: Incident) -> bytes:
        """The page of an incident, under the same conditions."""
        return _template(_INCIDENT).render(incident=incident).encode()

    def monitoring_page(self, page: MonitoringPage) -> bytes:
        """The page of what monitoring found, under the same conditions."""
        return _template(_MONITORING).render(page=page).encode()

    def keep(self, line: str, name: str, content: bytes) -> str:
        """Keep a file in one step, in the place of one of that name; return where it is.

        Raises
        ------
        InputError
            If ``name`` is not the plain name of a file.
        """
        if not name or Path(name).name != name or name.startswith("."):
            message = f"report of {line}: expected a plain file name, found {name!r}"
            raise InputError(message)
        folder = self._root / check_line_name(line)
        folder.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=folder, prefix=".draft-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        path = folder / name
        os.replace(draft, path)  # noqa: PTH105 (draft is a plain string)
        return str(path)


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ml_release.adapters.report_pages", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "ends": _ends,
        "mark": _mark,
        "short": _short,
        "data_uri": _data_uri,
        "names": _names,
        "claim": claim_of,
        "live_claim": live_claim_of,
        "sentence": plain_sentence,
        "moment": _moment,
        "failing": _failing,
        "duration": _duration,
        "second": _second,
        "most_changed": _most_changed,
        **FILTERS,
    }
    environment.globals |= {"unknown": UNKNOWN, "shown_words": _SHOWN_WORDS}
    return environment.get_template(name)


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.4g}"


def _ends(measured: Measured | None) -> str:
    if measured is None or measured.low is None or measured.high is None:
        return _UNKNOWN
    return f"{_number(measured.low)} to {_number(measured.high)}"


def _mark(outcome: str | None) -> str:
    return "\N{EN DASH} no vote" if outcome is None else _MARKS[Outcome(outcome).value]


def _short(digest: str) -> str:
    return digest[:19]


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _names(names: Sequence[str | None]) -> str:
    return ", ".join("missing" if name is None else name for name in names) or "none"


def _failing(finding: Finding) -> str:
    """What to read before the claim of a finding that does not pass."""
    return {
        Outcome.FAIL: "Does not hold:",
        Outcome.ERROR: "Could not be judged:",
        Outcome.INCONCLUSIVE: "Cannot be told:",
    }.get(finding.outcome, "")


def _moment(iso: str) -> str:
    """An ISO moment without what nobody reads: fractions of a second."""
    day, _, clock = iso.partition("T")
    return f"{day} {clock[:5]} {'UTC' if clock.endswith(('+00:00', 'Z')) else clock[-6:]}"


def _second(iso: str) -> str:
    """An ISO moment to the second, in its own zone."""
    day, _, clock = iso.partition("T")
    return f"{day} {clock[:8]} {'UTC' if clock.endswith(('+00:00', 'Z')) else clock[-6:]}"


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else in_words(seconds)


def _most_changed(words: Mapping[str, Changes]) -> list[tuple[str, Changes]]:
    """Words of a column by rows decided otherwise, then by rows; only so many fit on a page."""
    order = sorted(words.items(), key=lambda one: (-one[1].differing, -one[1].rows, one[0]))
    return order[:_SHOWN_WORDS]
