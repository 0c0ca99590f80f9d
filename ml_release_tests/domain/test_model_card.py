"""The model card: its form, and when it is stale."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.model_card import (
    CardNotes,
    CardSection,
    CardTable,
    ModelCard,
    card_from_json,
    require_current_card,
)
from ml_release.errors import IntegrityError, RefusedError
from ml_release_tests.release_reports import NOTES

CARD = ModelCard(
    line="small_line",
    model_digest="m",
    candidate_digest="c",
    verdict_digest="v",
    notes_digest="n",
    sections=(
        CardSection(
            title="Details",
            facts=(("Owner", "Ada"),),
            points=("a point",),
            tables=(CardTable(caption="Scores.", columns=("a", "b"), rows=(("1", "2"),)),),
        ),
    ),
)
NOW = {"candidate_digest": "c", "verdict_digest": "v", "notes_digest": "n"}


def test_a_card_about_the_present_things_is_let_through() -> None:
    """It is returned as it is."""
    assert require_current_card(CARD, act="the act", subject="it", **NOW) is CARD


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"candidate_digest": "x"}, ["candidate"]),
        ({"verdict_digest": "x"}, ["verdict"]),
        ({"notes_digest": "x"}, ["declared notes"]),
        ({"verdict_digest": "x", "notes_digest": "y"}, ["verdict", "declared notes"]),
    ],
)
def test_a_stale_card_is_refused_by_all_it_is_stale_in(
    changed: dict[str, str], named: list[str]
) -> None:
    """One message that says what to do."""
    with pytest.raises(RefusedError) as refusal:
        require_current_card(CARD, act="the act", subject="it", **(NOW | changed))
    message = str(refusal.value)
    assert re.findall(r"(candidate|verdict|declared notes): the card is about", message) == named
    assert message.endswith("Materialize model_card again.")


def test_no_card_is_refused() -> None:
    """Cannot tell is never pass."""
    with pytest.raises(RefusedError, match="expected a model card, found none"):
        require_current_card(None, act="the act", subject="it", **NOW)


def test_the_card_as_markdown() -> None:
    """Whole."""
    assert CARD.to_markdown() == (
        "# Model card: small_line\n\n## Details\n\n- **Owner**: Ada\n\n- a point\n\n"
        "Scores.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )


@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    """Neither HTML nor a link nor another column or row."""
    row = (text, "end")
    table = CardTable(caption="", columns=("a", "b"), rows=(row,))
    section = CardSection(title="t", tables=(table,))
    markdown = CARD.model_copy(update={"sections": (section,)}).to_markdown()
    last = markdown.rstrip("\n").split("\n")[-1]
    assert last.endswith(" | end |")
    assert "<" not in last
    assert ">" not in last
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", last)) == 3
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*\[\]]", last)


def test_a_card_is_read_back_as_it_was() -> None:
    """And what is none is refused."""
    assert card_from_json(CARD.to_json()) == CARD
    assert card_from_json(CARD.to_json()).digest == CARD.digest
    with pytest.raises(IntegrityError, match="expected a recorded one"):
        card_from_json(b"{}")


@pytest.mark.parametrize(
    "notes",
    [{"intended_use": " "}, {"limitations": ()}, {"known_issues": ("",)}, {"uses": "x"}],
    ids=["blank", "none", "blank point", "unknown word"],
)
def test_notes_that_say_nothing_are_refused(notes: dict[str, object]) -> None:
    """Left out they are unknown, which is honest."""
    with pytest.raises(ValidationError):
        CardNotes.model_validate(notes)


@pytest.mark.parametrize(
    "changed",
    [{"objective": "another"}, {"owner": "another"}, {"notes": CardNotes()}, {"sensitive": ()}],
)
def test_anything_declared_otherwise_is_another_digest(changed: dict[str, object]) -> None:
    """So that the card is stale."""
    assert NOTES.model_copy(update=changed).digest != NOTES.digest
