"""The page a reviewer reads: one file, verdict first, and nothing in it that runs or is fetched."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ml_release.adapters.report_pages import ReportPages
from ml_release.domain.model_card import CardNotes
from ml_release.domain.release_report import Partition, Picture
from ml_release.domain.verdict import Outcome
from ml_release_tests.release_reports import (
    CANDIDATE,
    DIGEST,
    MEASURES,
    NOTES,
    NOTHING,
    PNG,
    finding,
    report,
)

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
EVIL = '<script>alert("x")</script>&\'"><img src=http://evil.example/x>'
VOID = {"meta", "img", "br"}
PHONE_PX = 390
FAIL = finding(Outcome.FAIL)
UNSURE = finding(Outcome.INCONCLUSIVE)


class Page(HTMLParser):
    """Elements, texts and attributes; wrong nesting is remembered."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip() and (not self.open or self.open[-1] != "style"):
            self.texts.append(" ".join(data.split()))


def html_of(*findings: Any, **changes: Any) -> str:
    return ReportPages(Path("nowhere")).page(report(*findings, **changes)).decode()


def evil_everywhere() -> dict[str, Any]:
    """Text of an author, of the data and of a reviewer, all of it hostile."""
    slices = (MEASURES.slices[0].model_copy(update={"column": EVIL, "value": EVIL}),)
    gap = MEASURES.fairness[0].model_copy(update={"column": EVIL, "compared": (EVIL,)})
    return {
        "declared": NOTES.model_copy(
            update={
                "line": EVIL,
                "objective": EVIL,
                "notes": CardNotes(intended_use=EVIL, limitations=(EVIL,), contact=EVIL),
            }
        ),
        "candidate": CANDIDATE.model_copy(
            update={"left_out": {EVIL: EVIL}, "parameters": {EVIL: EVIL}, "algorithm": EVIL}
        ),
        "measures": MEASURES.model_copy(
            update={"slices": slices, "fairness": (gap,), "measured": None, "problem": EVIL}
        ),
        "partitions": (
            Partition(
                name=EVIL, features_digest=EVIL, rows=None, snapshot_digest=EVIL, outcome=None
            ),
        ),
        "pictures": (Picture(title=EVIL, png=PNG),),
        "build": ((EVIL, EVIL),),
    }


CASES: dict[str, str] = {
    "pass": html_of(finding()),
    "fail": html_of(FAIL, finding()),
    "inconclusive": html_of(UNSURE, finding()),
    "error": html_of(finding(Outcome.ERROR)),
    "waived": html_of(FAIL, let_go=(FAIL,)),
    "no finding": html_of(),
    "nothing measured": html_of(finding(), measures=NOTHING, pictures=(), partitions=()),
    "hostile": html_of(
        finding(Outcome.FAIL, subject=EVIL, detail=EVIL, unit=EVIL, rule=EVIL), **evil_everywhere()
    ),
}
every_case = pytest.mark.parametrize("text", CASES.values(), ids=CASES)


@every_case
def test_the_page_is_whole_and_small(text: str) -> None:
    """Every element is closed where it should be."""
    page = Page(text)
    assert page.wrong == []
    assert page.open == []
    assert text.startswith("<!doctype html>")
    assert len(text) < 2_000_000


@every_case
def test_nothing_is_fetched_and_nothing_runs(text: str) -> None:
    """A strict policy stands before all content, and there is nothing for it to forbid."""
    page = Page(text)
    policies = [a for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert [a["content"] for a in policies] == [POLICY]
    assert text.index("Content-Security-Policy") < text.index("<style>")
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "link", "base", "form"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            source = attributes.get(name)
            assert source is None or source.startswith("data:image/png;base64,")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_hostile_text_is_shown_as_text() -> None:
    """A line, a column, a category, a detail, a note, a reason: all of them."""
    text = CASES["hostile"]
    assert "<script" not in text
    assert "<img src=http" not in text
    images = [attributes for tag, attributes in Page(text).tags if tag == "img"]
    assert len(images) == 1
    assert text.count(html.escape("<script>").replace("&quot;", "&#34;")) >= 15


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("pass", "Pass"),
        ("fail", "Fail"),
        ("inconclusive", "Cannot tell"),
        ("error", "Error"),
        ("waived", "Not a pass: waived"),
        ("no finding", "Cannot tell"),
    ],
)
def test_the_verdict_comes_first_and_in_words(case: str, words: str) -> None:
    """Before it stand the title and the name of the line alone."""
    _title, line, _sign, verdict, *_ = Page(CASES[case]).texts
    assert (line, verdict) == ("small_line", words)


def test_a_waived_finding_is_red_and_never_a_pass() -> None:
    """With who let it go, until when and why."""
    text = CASES["waived"]
    objections = text[text.index('id="objections"') : text.index('id="findings"')]
    assert 'class="badge waived"' in objections
    assert "fail, waived: not a pass" in objections
    assert "Ada</b> until 2026-11-23 09:00 UTC: the floor is being revised" in objections
    css = text[text.index("<style>") : text.index("</style>")]
    assert re.search(r"\.badge\.fail, \.badge\.waived \{[^}]*background: #b3211b", css)
    assert 'class="verdict pass"' not in text
    assert "badge pass" not in objections


def test_what_cannot_be_told_looks_unlike_a_failure() -> None:
    """In its words and its edge, not only its colour."""
    css = CASES["pass"]
    assert re.search(r"\.verdict\.inconclusive \{[^}]*dashed", css)
    assert not re.search(r"\.verdict\.fail \{[^}]*dashed", css)
    assert "Cannot be told:" in CASES["inconclusive"]
    assert "Does not hold:" in CASES["fail"]


def test_what_was_not_measured_is_unknown() -> None:
    """Never a zero."""
    tiles = Page(CASES["nothing measured"]).texts
    assert tiles[tiles.index("auc score") + 1] == "unknown"
    assert "how it does on parts of the data is" in CASES["nothing measured"]


def test_findings_show_value_limit_interval_rows_and_subject() -> None:
    """In one row."""
    row = re.search(r'<tr class="fail">.*?</tr>', CASES["fail"], flags=re.DOTALL)
    assert row is not None
    shown = Page(row[0]).texts
    for text in ("auc_score on the holdout", "0.6", "at least 0.65", "(0.6 to 0.8)", "200"):
        assert text in shown


@pytest.mark.parametrize("case", ["pass", "waived"])
def test_an_approver_reads_how_to_approve_and_what(case: str) -> None:
    """The commands as they are typed, and the digests that the word is given on."""
    _, found, rest = CASES[case].partition('<section id="approval">')
    text = rest.partition("</section>")[0]
    assert found
    for part in (
        "ml-release approve small_line VERSION --by YOU --reason WHY",
        "ml-release reject small_line VERSION --by YOU --reason WHY",
        CANDIDATE.model_digest,
        CANDIDATE.digest,
        CANDIDATE.data_digest,
        "it lapses",
    ):
        assert part in text


@pytest.mark.parametrize("case", ["fail", "error", "no finding"])
def test_what_is_not_registered_cannot_be_approved(case: str) -> None:
    """So nobody is told how."""
    assert "ml-release approve" not in CASES[case]


def test_provenance_is_told_in_full() -> None:
    """Digests, data, what was left out, the use of the holdout."""
    text = CASES["pass"]
    for part in (
        CANDIDATE.digest,
        DIGEST,
        "left out: its gate failed",
        "2 candidates were judged on these rows",
        "look back into 2012-12",
        "HistGradientBoostingClassifier",
    ):
        assert part in text


@pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not installed: width was NOT checked"
)
@pytest.mark.parametrize("case", ["fail", "hostile", "nothing measured"])
def test_a_phone_shows_it_without_scrolling_sideways(tmp_path: Path, case: str) -> None:
    """Tables scroll in their boxes; a frame around the page reads its width, since it runs none."""
    frame = (
        f'<!doctype html><iframe id="f" style="border:0;width:{PHONE_PX}px;height:800px" srcdoc='
        f'"{html.escape(CASES[case])}"></iframe><script>onload = () => {{ document.title = "width "'
        ' + document.getElementById("f").contentDocument.documentElement.scrollWidth }</script>'
    )
    (tmp_path / "frame.html").write_text(frame, encoding="utf-8")
    dump = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            (tmp_path / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    width = re.search(r"<title>width (\d+)</title>", dump)
    assert width is not None
    assert 300 < int(width[1]) <= PHONE_PX
