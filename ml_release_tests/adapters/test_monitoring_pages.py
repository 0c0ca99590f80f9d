"""The monitoring page: one file that runs and fetches nothing, and says what is not known."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.report_pages import ReportPages
from ml_release.adapters.report_pages.charts import Curve, chart, sparkline
from ml_release.domain.monitoring_shown import (
    DecisionTaken,
    FairnessGap,
    FeatureShift,
    Kpi,
    PerformanceNow,
    PerformancePoint,
    SloState,
    Step,
)
from ml_release.domain.verdict import Outcome
from ml_release_tests.adapters.test_report_pages import EVIL, PHONE_PX, POLICY, Page
from ml_release_tests.monitoring_pages import drift, empty_page, full_page, performance
from ml_release_tests.release_reports import finding

if TYPE_CHECKING:
    from ml_release.domain.monitoring_page import MonitoringPage


def text_of(page: MonitoringPage) -> str:
    return ReportPages(Path("nowhere")).monitoring_page(page).decode()


def hostile() -> MonitoringPage:
    """Every text that a line, a client or a judge could have chosen."""
    point = PerformancePoint(end=EVIL, auc=0.7, n=1)
    return empty_page(
        line=EVIL,
        objective=EVIL,
        version=1,
        model_digest=EVIL,
        as_of=EVIL,
        drift=(
            FeatureShift(
                feature=EVIL, standing=EVIL, why=EVIL, effect_name=EVIL, history=(0.1, 2.0)
            ),
        ),
        performance=PerformanceNow(now=point, at_release=point, history=(point, point)),
        fairness=(FairnessGap(column=EVIL, metric=EVIL, outcome="fail"),),
        slos=(SloState(slo=EVIL, unit=EVIL, events=1, bad=0),),
        decision=DecisionTaken(
            action=EVIL, why=EVIL, at=EVIL, path=(Step(question=EVIL, answer=EVIL, numbers=EVIL),)
        ),
        decisions=(DecisionTaken(action=EVIL, why=EVIL, at=EVIL),),
        kpis=(Kpi(name=EVIL, value=1.0, unit=EVIL),),
        problems=(EVIL,),
        compared_at=EVIL,
    )


CASES = {
    "full": text_of(full_page()),
    "empty": text_of(empty_page()),
    "hostile": text_of(hostile()),
    "no labels": text_of(full_page(performance=None, fairness=None, decision=None)),
    "one window": text_of(
        full_page(performance=replace(performance(), history=performance().history[:1]))
    ),
}
every_case = pytest.mark.parametrize("text", CASES.values(), ids=CASES)


@every_case
def test_the_page_is_whole_small_and_closed(text: str) -> None:
    """Nothing runs, nothing is fetched, every element ends."""
    page = Page(text)
    # Shapes of a chart end in themselves, which the reader of tests does not know.
    assert [tag for tag in page.wrong if tag not in {"line", "circle", "polyline", "polygon"}] == []
    assert text.startswith("<!doctype html>")
    assert len(text) < 300_000
    assert f'content="{POLICY}"' in text
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "link", "base", "form", "image"}
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
        assert "src" not in attributes


@every_case
def test_links_lead_to_what_is_there(text: str) -> None:
    """Also on a page of nothing."""
    ids = set(re.findall(r'id="(\w+)"', text))
    assert set(re.findall(r'href="#(\w+)"', text)) <= ids


def test_hostile_text_is_shown_as_text() -> None:
    """In tables, charts and marks."""
    text = CASES["hostile"]
    assert "<script" not in text
    assert "<img" not in text
    assert text.count(html.escape("<script>")) >= 15


def test_the_same_page_gives_the_same_bytes() -> None:
    """And another one others."""
    assert text_of(full_page()) == text_of(full_page())
    assert text_of(full_page()) != text_of(full_page(rows=1))


def test_what_to_do_comes_first() -> None:
    """Before it stand the title and the name of the line alone."""
    _title, line, headline, why, *_ = Page(CASES["full"]).texts
    assert line == "small_line in production, version 3"
    assert headline == "Retrain"
    assert why.startswith("calibration drifts")
    assert 'class="verdict act"' in CASES["full"]


def test_what_is_not_known_is_said_and_never_a_zero() -> None:
    """Of a page of nothing there is not one number but the time it was made."""
    text = CASES["empty"]
    shown = " ".join(Page(text).texts)
    assert shown.count("not known yet") + shown.count("Not known yet") >= 9
    assert "Nothing was judged yet, which is not the same as nothing found." in shown
    assert re.findall(r"\d+", shown.replace("2014-01-05 06:12", "").replace("30 minutes", "")) == []


def test_a_judge_that_has_found_nothing_is_told_as_that() -> None:
    """Only if there was one."""
    page = full_page(verdicts={"SLOs": full_page().verdicts["SLOs"]})
    assert "Nothing: 1 judges looked" in text_of(page)


def test_a_record_that_cannot_be_read_is_told_above_all() -> None:
    """It is no good news, whatever was decided."""
    text = text_of(
        full_page(
            problems=("drift record: edited. Judge again.",),
            decision=DecisionTaken(action="nothing", why="all is well", at=""),
        )
    )
    assert "<h1>Cannot tell</h1>" in text
    assert "drift record: edited. Judge again." in text


def test_many_findings_of_one_rule_are_one_item() -> None:
    """The rest is in the checks."""
    found = tuple(finding(Outcome.FAIL, subject=f"f{n}") for n in range(20))
    verdict = replace(full_page().verdicts["drift"], findings=found)
    text = text_of(full_page(verdicts={"drift": verdict}))
    attention = text[text.index('id="attention"') : text.index('id="drift"')]
    assert attention.count("<li") == 1
    assert "and 14 more" in attention


def test_a_budget_that_is_overspent_says_so() -> None:
    """Not minus something left."""
    text = CASES["full"]
    assert "47 % over" in text
    assert "42 % left" in text
    assert "-47" not in text


def test_a_chart_leaves_a_gap_where_nothing_was_measured() -> None:
    """A line over it would be made up."""
    drawn = chart("t", ["a", "b", "c", "d", "e"], [Curve(name="n", values=[1, 2, None, 2, 1])])
    assert drawn.count("<polyline") == 2
    assert chart("t", ["a"], [Curve(name="n", values=[None])]) == ""


def test_a_chart_of_one_window_shows_its_point() -> None:
    """And the interval as an upright line."""
    drawn = chart("t", ["2013-04-01"], [Curve(name="n", values=[0.7], low=[0.6], high=[0.8])])
    assert drawn.count("<circle") == 1
    assert 'class="curve a"' in drawn


@pytest.mark.parametrize("values", [(), (None,), (1.0,), (None, 1.0, None)])
def test_a_course_of_less_than_two_values_is_not_drawn(values: tuple[float | None, ...]) -> None:
    """There is nothing to see of it yet."""
    assert sparkline(values) == ""


def test_a_course_that_ends_above_its_limit_is_marked() -> None:
    """By its colour and its place over the dashed line."""
    assert 'class="dot b"' in sparkline((0.5, 1.5))
    assert 'class="dot a"' in sparkline((1.5, 0.5))
    assert "limit" not in sparkline((1.5, 0.5), limit=None)


def test_numbers_of_every_size_are_drawn() -> None:
    """Equal values, tiny and huge ones."""
    for values in ([0.0, 0.0], [1e9, -1e9], [1e-12, 2e-12]):
        drawn = str(chart("t", ["a", "b"], [Curve(name="n", values=values)]))
        assert "nan" not in drawn
        assert "inf" not in drawn.replace("information", "")


@pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not installed: width was NOT checked"
)
@pytest.mark.parametrize("case", ["full", "empty", "hostile"])
def test_a_phone_shows_it_without_scrolling_sideways(tmp_path: Path, case: str) -> None:
    """Tables become cards; no table and no chart is wider than the screen either."""
    frame = (
        f'<!doctype html><iframe id="f" style="border:0;width:{PHONE_PX}px;height:800px" srcdoc='
        f'"{html.escape(CASES[case])}"></iframe><script>onload = () => {{'
        ' const d = document.getElementById("f").contentDocument;'
        ' const boxes = [...d.querySelectorAll(".cards")].map(t => t.scrollWidth);'
        ' document.title = "width " + Math.max(d.documentElement.scrollWidth, ...boxes) }</script>'
    )
    (tmp_path / "frame.html").write_text(frame, encoding="utf-8")
    command: list[Any] = ["chromium", "--headless", "--no-sandbox", "--disable-gpu"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    dump = subprocess.run(
        [*command, (tmp_path / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    width = re.search(r"<title>width (\d+)</title>", dump)
    assert width is not None
    assert 300 < int(width[1]) <= PHONE_PX


def test_a_line_of_many_features_stays_a_page() -> None:
    """Two hundred of them with a year of windows."""
    course = tuple(float(n % 7) / 5 for n in range(400))
    many = tuple(replace(one, history=course) for one in drift() * 20)
    assert len(text_of(full_page(drift=many))) < 1_000_000
