"""The model card: what a model is for, what it was made from, how well it does, what it cannot do.

Mitchell, M. et al. (2019), Model Cards for Model Reporting, FAT* '19, whose sections it keeps. A
card is about one candidate, one verdict and one set of declared notes, by digest: with another of
them it is stale. What nobody declared or measured is the word "unknown". What a card says is put
together in `card_sections`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from ml_release.domain.identity import digest_of_json
from ml_release.domain.recorded import Recorded, read_recorded
from ml_release.errors import RefusedError

UNKNOWN = "unknown"

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Texts = Annotated[tuple[_Text, ...], Field(min_length=1)]
_MARKUP = re.compile(r"([\\`*\[\]|#~])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class CardNotes(Recorded):
    """What only the author can say of a model; what is not said stays unknown.

    Attributes
    ----------
    intended_use
        What decisions it is for, and whose.
    out_of_scope
        Uses it is not for.
    limitations, known_issues
        What it cannot do, and what is wrong with it; say "none known" if none is.
    ethical_considerations
        Whom it may harm, and what was done about it.
    contact
        Whom to ask.
    """

    intended_use: _Text | None = None
    out_of_scope: _Texts | None = None
    limitations: _Texts | None = None
    known_issues: _Texts | None = None
    ethical_considerations: _Texts | None = None
    contact: _Text | None = None


class LineNotes(Recorded):
    """What a release line declares that its card and report show.

    Attributes
    ----------
    label_delay
        Time from the event until its label is known.
    slices, sensitive
        Columns by which scores are told apart, and those of groups that are compared.
    """

    line: str
    objective: str
    owner: str
    task: str
    target: str
    output: str
    label_delay: timedelta
    slices: tuple[str, ...]
    sensitive: tuple[str, ...]
    notes: CardNotes

    @property
    def digest(self) -> str:
        """Of all of it: declared otherwise, a card is stale."""
        return digest_of_json(self.model_dump(mode="json"))


class CardTable(Recorded):
    """A table of texts, every row as long as ``columns``."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class CardSection(Recorded):
    """A title with facts (name and text), then points, then tables."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    points: tuple[str, ...] = ()
    tables: tuple[CardTable, ...] = ()


class ModelCard(Recorded):
    """One card.

    Attributes
    ----------
    candidate_digest, verdict_digest, notes_digest
        Of the candidate's record, of the verdict on it and of what the line declares.
    """

    line: str
    model_digest: str
    candidate_digest: str
    verdict_digest: str
    notes_digest: str
    sections: tuple[CardSection, ...]

    def to_markdown(self) -> str:
        """The card for reading; no text of it can turn into markup."""
        parts = [f"# Model card: {_escaped(self.line)}"]
        for section in self.sections:
            parts.append(f"## {_escaped(section.title)}")
            if section.facts:
                facts = (f"- **{_escaped(name)}**: {_escaped(v)}" for name, v in section.facts)
                parts.append("\n".join(facts))
            if section.points:
                parts.append("\n".join(f"- {_escaped(point)}" for point in section.points))
            parts.extend(_markdown_table(table) for table in section.tables)
        return "\n\n".join(parts) + "\n"


def card_from_json(content: bytes) -> ModelCard:
    """Read a recorded card back; `IntegrityError` if it is none."""
    return read_recorded(ModelCard, content, "model card")


def require_current_card(
    card: ModelCard | None,
    *,
    act: str,
    subject: str,
    candidate_digest: str,
    verdict_digest: str,
    notes_digest: str,
) -> ModelCard:
    """Return the card if it is about this very candidate, verdict and declaration.

    Raises
    ------
    RefusedError
        If there is none or it is stale, naming everything it is stale in.
    """
    if card is None:
        message = (
            f"{act} of {subject} refused: expected a model card, found none."
            " Materialize model_card again."
        )
        raise RefusedError(message)
    stale = [
        f"{name}: the card is about {about[:19]}, now it is {now[:19]}"
        for name, about, now in (
            ("candidate", card.candidate_digest, candidate_digest),
            ("verdict", card.verdict_digest, verdict_digest),
            ("declared notes", card.notes_digest, notes_digest),
        )
        if about != now
    ]
    if stale:
        message = (
            f"{act} of {subject} refused: its model card is stale ({'; '.join(stale)})."
            " Materialize model_card again."
        )
        raise RefusedError(message)
    return card


def _markdown_table(table: CardTable) -> str:
    head, *rows = (
        "| " + " | ".join(_escaped(cell) for cell in row) + " |"
        for row in (table.columns, *table.rows)
    )
    rule = "|" + "---|" * len(table.columns)
    return "\n".join((f"{_escaped(table.caption)}\n", head, rule, *rows))


def _escaped(text: str) -> str:
    """One line of text without a character that Markdown or HTML would read as markup."""
    line = "".join(_ENTITIES.get(c, c) for c in " ".join(text.split()))
    return _MARKUP.sub(r"\\\1", line)
