"""What every `DriftPages` and every `GaugeBoard` keeps to, and what Evidently's page is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from ml_release.adapters.evidently_report import MOST_ROWS, EvidentlyPages
from ml_release.adapters.gauge_files import GaugeFiles
from ml_release.adapters.in_memory import InMemoryDriftPages, InMemoryGauges
from ml_release.domain.gauges import GaugeFile, gauges_from_json
from ml_release.domain.monitoring_gauges import gauges_of
from ml_release.errors import DeclarationError, InputError
from ml_release_tests.monitoring_pages import full_page

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.ports import DriftPages

EVIL = "</script><script>document.title='evil'</script>"


def rows(n: int, *, shift: float = 0.0) -> pd.DataFrame:
    """Numbers, words, missing values of every kind, and a column without any value."""
    generator = np.random.default_rng(7)
    distance = generator.normal(shift, 1, n)
    distance[::7] = np.nan
    distance[:1] = np.inf
    words = np.array(["UA", "DL", None, EVIL], dtype=object)
    return pd.DataFrame(
        {
            "distance": distance,
            "carrier": generator.choice(words, n),
            "constant": np.zeros(n),
            "nothing": np.full(n, np.nan),
            EVIL: generator.normal(0, 1, n),
        }
    )


@pytest.fixture(params=["in memory", "evidently"])
def pages(request: pytest.FixtureRequest) -> DriftPages:
    return InMemoryDriftPages() if request.param == "in memory" else EvidentlyPages()


@pytest.fixture(scope="module")
def page() -> str:
    """Evidently's, of a shifted window."""
    made = EvidentlyPages().page(rows(900), rows(500, shift=1.0), title="small_line <b> & co")
    return made.decode()


def test_a_page_is_made_of_rows(pages: DriftPages) -> None:
    """With missing values in them."""
    assert b"carrier" in pages.page(rows(300), rows(200), title="t")


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        (rows(0), rows(10)),
        (rows(10), rows(0)),
        (pd.DataFrame(), pd.DataFrame()),
        (rows(9)[["nothing"]], rows(9)),
        (rows(9)[["distance"]], rows(9)[["carrier"]]),
    ],
)
def test_where_nothing_can_be_compared_that_is_said(
    pages: DriftPages, reference: pd.DataFrame, current: pd.DataFrame
) -> None:
    """Before anything slow is imported."""
    with pytest.raises(InputError, match="expected a column with values on both sides"):
        pages.page(reference, current, title="t")


def test_nothing_is_fetched_and_no_word_becomes_an_element(page: str) -> None:
    """A policy stands before all content, and words of the data can end no script."""
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "http" not in policy[1]
    assert page.index("Content-Security-Policy") < page.index("<script")
    assert EVIL not in page
    assert "document.title='evil'" in page
    assert "<title>small_line \N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}b" in page


def test_a_number_that_moved_is_detected(page: str) -> None:
    """By Evidently's own test, as its page says."""
    assert "Wasserstein distance (normed)" in page or "K-S p_value" in page
    assert "Detected" in page


def test_samples_are_bounded_and_the_same_each_time() -> None:
    """Whatever the traffic."""
    from ml_release.adapters.evidently_report import _sample

    many = rows(MOST_ROWS + 500)
    assert len(_sample(many)) == MOST_ROWS
    pd.testing.assert_frame_equal(_sample(many), _sample(many))
    assert len(_sample(rows(3))) == 3


def test_nothing_heavy_is_imported_before_a_page_is_asked_for() -> None:
    """Nor to find out that there is nothing to compare."""
    code = (
        "import sys, pandas as pd\n"
        "from ml_release.adapters.evidently_report import EvidentlyPages\n"
        "from ml_release.errors import InputError\n"
        "try: EvidentlyPages().page(pd.DataFrame(), pd.DataFrame(), title='t')\n"
        "except InputError: assert 'evidently' not in sys.modules\n"
        "else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_evidently_reports_to_nobody(page: str) -> None:
    """The variable that its telemetry asks for is set, and its name is still that one."""
    from evidently.telemetry import DO_NOT_TRACK_ENV

    assert page
    assert os.environ[DO_NOT_TRACK_ENV] == "true"


@pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not installed: the page was NOT opened"
)
def test_the_page_draws_itself_under_its_policy(tmp_path: Path, page: str) -> None:
    """A browser shows the columns, and no word of the data has run."""
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000"]
    dump = subprocess.run(
        [*command, "--dump-dom", (tmp_path / "page.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    shown = re.sub(r"<script.*?</script>", "", dump, flags=re.DOTALL)
    assert "Drifted Columns" in shown
    assert "A second opinion by Evidently" in shown
    assert "carrier" in shown
    title = re.search(r"<title>([^<]*)</title>", dump)
    assert title is not None
    assert title[1] != "evil"


@pytest.mark.parametrize("kind", ["in memory", "files"])
def test_gauges_take_the_place_of_those_before(tmp_path: Path, kind: str) -> None:
    """Per line and environment; no draft stays."""
    memory, files = InMemoryGauges(), GaugeFiles(tmp_path)
    board = memory if kind == "in memory" else files
    at = datetime(2014, 1, 5, tzinfo=UTC)
    for environment in ("staging", "production"):
        for page_rows in (1, 2):
            board.show(gauges_of(full_page(environment=environment, rows=page_rows), written_at=at))
    if kind == "files":
        found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
        assert found == ["production/small_line.json", "staging/small_line.json"]
        content = (tmp_path / found[0]).read_bytes()
        shown = gauges_from_json(content, line="small_line", environment="production")
    else:
        shown = memory.shown["production", "small_line"]
    assert shown.samples["ml_release_window_rows"][0].value == 2


def test_a_line_of_gauges_is_no_path(tmp_path: Path) -> None:
    """It comes from a declaration."""
    bad = GaugeFile(line="../up", environment="production", written_at=0.0, samples={})
    with pytest.raises(DeclarationError):
        GaugeFiles(tmp_path).show(bad)
    assert list(tmp_path.rglob("*.json")) == []
