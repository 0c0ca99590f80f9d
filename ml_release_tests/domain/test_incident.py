"""The incident: its states, its revisions, what people say of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ml_release.domain.incident import (
    LOG_GONE,
    QUESTIONS,
    Incident,
    Trigger,
    Verification,
    as_revision,
    carried_on,
    incident_from_json,
    with_follow_ups,
)
from ml_release.domain.incident_impact import Impact, StageCounts
from ml_release.domain.incident_upkeep import looks_due
from ml_release.domain.incident_words import Words, with_words
from ml_release.domain.verdict import Outcome
from ml_release.errors import InputError, IntegrityError
from ml_release_tests.incidents import HARM, incident

NOW = "2026-11-22T09:00:00+00:00"


def test_a_record_reads_back_as_it_was() -> None:
    """With everything that may be in it."""
    whole = replace(
        with_words(incident(), Words(by="Ada", answers={"root_cause": "a leak"}), at=NOW),
        verification=Verification(outcome=Outcome.PASS, findings=(HARM,), verified_at=NOW),
        open_findings=(HARM,),
    )
    again = incident_from_json(whole.to_json())
    assert again == whole
    assert again.digest == whole.digest


@pytest.mark.parametrize("content", [b"", b"[]", b'{"line": "x"}'])
def test_what_is_no_incident_is_refused(content: bytes) -> None:
    """As every other record."""
    with pytest.raises(IntegrityError, match="expected a recorded one"):
        incident_from_json(content)


@pytest.mark.parametrize(
    ("outcome", "closed_by", "status"),
    [
        (None, None, "open"),
        (Outcome.INCONCLUSIVE, None, "open"),
        (Outcome.FAIL, None, "open"),
        (Outcome.PASS, None, "verified"),
        (Outcome.FAIL, "Ada", "closed"),
    ],
)
def test_only_a_pass_verifies_and_only_a_person_closes(
    outcome: Outcome | None, closed_by: str | None, status: str
) -> None:
    """Cannot tell is not verified."""
    found = None if outcome is None else Verification(outcome=outcome)
    assert incident(verification=found, closed_by=closed_by).status == status


def test_the_same_again_is_no_revision() -> None:
    """Made later, it says the same."""
    before = incident()
    again = incident(made_at="2026-12-01T00:00:00+00:00")
    assert as_revision(again, before) is before


def test_other_content_is_the_next_revision() -> None:
    """Which names the one before by its digest."""
    before = incident()
    kept = as_revision(incident(missing=()), before)
    assert (kept.revision, kept.earlier) == (2, before.digest)
    assert as_revision(before, None) is before


def test_what_cannot_be_counted_any_more_stays() -> None:
    """The log was deleted by its retention."""
    before = incident()
    made = incident(
        impact=Impact(),
        blast_radius=None,
        times=replace(before.times, first_request=None, last_request=None, verified=NOW),
        missing=(),
    )
    found = carried_on(made, before)
    assert found.impact == before.impact
    assert found.blast_radius == before.blast_radius
    assert found.times == replace(before.times, verified=NOW)
    assert found.missing == (LOG_GONE,)


def test_more_that_is_known_takes_the_place_of_less() -> None:
    """Another request came in since."""
    more = Impact(stages={"champion": StageCounts(requests=2000, rows=2000)})
    found = carried_on(incident(impact=more), incident())
    assert found.impact == more


def test_the_verdict_of_a_later_release_does_not_take_its_place() -> None:
    """The reason of the commit is all that is left in Git."""
    before = incident()
    lost = Trigger(is_automatic=True, by="rollout", reason="x")
    assert carried_on(incident(trigger=lost), before).trigger == before.trigger


def test_what_people_wrote_outlives_every_making() -> None:
    """Texts, owners and the end."""
    words = Words(
        by="Ada",
        answers={"root_cause": "a leak"},
        owners={"label": "Bob"},
        closes=True,
    )
    before = with_follow_ups(with_words(incident(), words, at=NOW))
    found = with_follow_ups(carried_on(incident(missing=()), before))
    assert found.said["root_cause"].text == "a leak"
    assert {one.key: one.owner for one in found.follow_ups}["label"] == "Bob"
    assert found.closed_by == "Ada"
    assert "root-cause" not in {one.key for one in found.follow_ups}


def test_the_same_words_again_change_nothing() -> None:
    """A run that is repeated."""
    words = Words(by="Ada", answers={"root_cause": "a leak"})
    once = with_words(incident(), words, at=NOW)
    assert with_words(once, words, at="2027-01-01T00:00:00+00:00") == once


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (Words(by=" "), "by: expected a text"),
        (Words(by="Ada", answers={"cause": "x"}), "found 'cause'"),
        (Words(by="Ada", answers={"root_cause": " "}), "root_cause: expected a text"),
        (Words(by="Ada", owners={"nothing": "Bob"}), "found 'nothing'"),
    ],
)
def test_words_about_nothing_are_refused(words: Words, said: str) -> None:
    """With what there is to say something of."""
    with pytest.raises(InputError, match=said):
        with_words(incident(), words, at=NOW)


def test_every_question_is_asked_until_it_is_answered() -> None:
    """Nobody fills them but people."""
    assert [said for _, said in incident().answers] == [None] * len(QUESTIONS)


def keys(found: Incident) -> list[str]:
    return [one.key for one in found.follow_ups]


FOLLOW_UPS: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {
    "served and compared": ({}, {"consumers", "label", "correct", "gate-errors_are_rare"}, set()),
    "nobody was served": (
        {"impact": Impact()},
        {"root-cause"},
        {"consumers", "label", "not-rescored"},
    ),
    "nothing could be compared": (
        {"blast_radius": None},
        {"consumers", "not-rescored"},
        {"label", "correct"},
    ),
    "other data": ({}, {"retrain-data"}, {"retrain-cause"}),
    "records that cannot be read": (
        {"differences": None},
        {"retrain-cause"},
        {"retrain-data"},
    ),
    "no shadow before everybody": ({"legs": ("canary", "champion")}, {"stages"}, set()),
    "every stage": ({"legs": ("shadow", "canary", "champion")}, set(), {"stages"}),
    "a canary alone": ({"legs": ("canary",)}, set(), {"stages"}),
    "waived": ({"waived": ("WAIVED by Bob",)}, {"waivers"}, set()),
    "by hand": (
        {"trigger": Trigger(is_automatic=False, by="Ada", reason="slow")},
        {"withdrawn"},
        {"gate-errors_are_rare"},
    ),
}


@pytest.mark.parametrize(("changes", "there", "absent"), FOLLOW_UPS.values(), ids=FOLLOW_UPS)
def test_what_is_left_follows_from_what_is_known(
    changes: dict[str, Any], there: set[str], absent: set[str]
) -> None:
    """Each has an owner field, and nobody in it."""
    found = incident(**changes)
    assert there <= set(keys(found))
    assert not absent & set(keys(found))
    assert len(keys(found)) == len(set(keys(found)))
    assert {one.owner for one in found.follow_ups} == {"unassigned"}


COMMITTED = "2026-11-21T09:00:00+00:00"


@pytest.mark.parametrize(
    ("hours", "looks"), [(0, 0), (0.2, 1), (1, 2), (23.9, 2), (24, 3), (47.9, 3), (48, 4), (999, 4)]
)
def test_an_incident_is_looked_at_again_as_more_is_known(hours: float, looks: int) -> None:
    """Ten minutes, an hour, a day, and when the labels of the last answers are due."""
    now = datetime(2026, 11, 21, 9, tzinfo=UTC) + timedelta(hours=hours)
    assert looks_due(COMMITTED, label_delay=timedelta(days=1), now=now) == looks
