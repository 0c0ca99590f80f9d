"""The page of an incident: every field filled or said to be unknown, and nothing that runs."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_release.adapters.report_pages import ReportPages
from ml_release.domain.blast_radius import BlastRadius, Changes
from ml_release.domain.incident import (
    QUESTIONS,
    UNKNOWN,
    Incident,
    Release,
    Said,
    Trigger,
    Verification,
)
from ml_release.domain.incident_causes import VersionDifference
from ml_release.domain.incident_followups import FollowUp
from ml_release.domain.incident_impact import Impact, StageCounts
from ml_release.domain.incident_timeline import Times
from ml_release.domain.verdict import Outcome
from ml_release_tests.adapters.test_report_pages import EVIL, POLICY, Page
from ml_release_tests.incidents import HARM, digest_of, incident


def html_of(found: Incident) -> str:
    return ReportPages(Path("nowhere")).incident_page(found).decode()


WHOLE = incident(
    said={
        name: Said(text=f"about {name}", by="Ada", at="2026-11-22T09:00:00+00:00")
        for name in QUESTIONS
    },
    verification=Verification(
        outcome=Outcome.PASS, findings=(HARM,), verified_at="2026-11-21T11:00:00+00:00"
    ),
    open_findings=(HARM, replace(HARM, votes=False)),
    waived=("WAIVED by Bob until tomorrow",),
    closed_by="Ada",
    times=replace(incident().times, verified="2026-11-21T11:00:00+00:00"),
)
NOTHING = incident(
    bad=Release(version=2, model_digest=digest_of(2)),
    trigger=Trigger(is_automatic=False, by="Ada", reason="slow"),
    times=Times(declared="2026-11-21T09:00:00+00:00", committed="2026-11-21T10:00:00+00:00"),
    impact=Impact(),
    blast_radius=None,
    threshold=None,
    threshold_before=None,
    differences=None,
    open_findings=None,
    missing=(),
)
EVIL_FINDING = replace(HARM, rule=EVIL, subject=EVIL, detail=EVIL, unit=EVIL)
HOSTILE = incident(
    incident_id=EVIL,
    trigger=Trigger(is_automatic=False, by=EVIL, reason=EVIL, findings=(EVIL_FINDING,)),
    impact=Impact(stages={EVIL: StageCounts(requests=1)}),
    blast_radius=BlastRadius(
        total=Changes(rows=1, largest=1.0, largest_request=EVIL),
        days={EVIL: Changes()},
        slices={EVIL: {EVIL: Changes()}},
        not_rescored={EVIL: 1},
    ),
    differences=(VersionDifference(about=EVIL, what=EVIL, bad=EVIL, restored=EVIL),),
    open_findings=(EVIL_FINDING,),
    waived=(EVIL,),
    said={"root_cause": Said(text=EVIL, by=EVIL, at="2026-11-22T09:00:00+00:00")},
    missing=(EVIL,),
    closed_by=EVIL,
)
HOSTILE = replace(HOSTILE, follow_ups=(FollowUp(key=EVIL, what=EVIL, why=EVIL, owner=EVIL),))
CASES = {
    "open": incident(),
    "whole": WHOLE,
    "nothing known": NOTHING,
    "hostile": HOSTILE,
    "nobody served": incident(impact=Impact(), blast_radius=BlastRadius()),
}
every_case = pytest.mark.parametrize("found", CASES.values(), ids=CASES)


@every_case
def test_the_page_is_whole_and_holds_nothing_that_runs(found: Incident) -> None:
    """One file, every element closed, the policy before all content."""
    text = html_of(found)
    page = Page(text)
    assert (page.wrong, page.open) == ([], [])
    assert len(text) < 200_000
    policies = [a for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert [a["content"] for a in policies] == [POLICY]
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "link", "base", "form", "img"}
        assert not any(name.startswith("on") or name in {"src", "href"} for name in attributes)
    assert "None" not in " ".join(page.texts)
    assert text == html_of(found)


def test_hostile_text_is_shown_as_text() -> None:
    """A request id, a reason, a day, a word of a slice, what somebody wrote."""
    text = html_of(HOSTILE)
    assert "<script" not in text
    assert text.count(html.escape("<script>")) >= 15


def test_everything_that_is_known_is_there() -> None:
    """Value beside limit, times, counts, directions, costs, both versions, what is left."""
    texts = " ".join(Page(html_of(WHOLE)).texts)
    for words in (
        "Version 2 taken back",
        "0.08",
        "2026-11-21 10:16:00 UTC",
        "1 h 15 min",
        "38",
        "30",
        "not in the record: distance",
        "snapshot of 2013-04",
        "about root_cause",
        "Label the 38 rows",
        "MLflow does not answer",
        "WAIVED by Bob",
        "closed by Ada",
    ):
        assert words in texts
    # Two runs that MLflow did not tell, and the time of training of one version.
    assert texts.count(UNKNOWN) == 3


def test_nothing_is_left_empty() -> None:
    """What nobody knows says so, and looks so."""
    page = Page(html_of(NOTHING))
    texts = " ".join(page.texts)
    assert texts.count(UNKNOWN) > 20
    for question in QUESTIONS.values():
        assert f"{question} {UNKNOWN}" in texts


@pytest.mark.parametrize(
    ("changes", "colour"),
    [
        ({}, "fail"),
        ({"verification": Verification(outcome=Outcome.PASS)}, "inconclusive"),
        ({"closed_by": "Ada"}, "pass"),
    ],
)
def test_only_a_closed_incident_is_green(changes: dict[str, Any], colour: str) -> None:
    """An open one is red whatever was restored."""
    page = Page(html_of(incident(**changes)))
    (banner,) = [a["class"] for tag, a in page.tags if a.get("id") == "verdict"]
    assert banner == f"verdict {colour}"


def test_of_many_words_the_most_changed_are_shown() -> None:
    """The others are counted."""
    words = {f"w{n:02d}": Changes(rows=1, to_yes=n) for n in range(25)}
    blast = BlastRadius(total=Changes(rows=25), slices={"route": words})
    texts = " ".join(Page(html_of(incident(blast_radius=blast))).texts)
    assert "w24" in texts
    assert "w04" not in texts
    assert "5 more with fewer changes" in texts
