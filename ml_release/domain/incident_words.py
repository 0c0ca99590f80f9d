"""What people add to an incident: answers to its questions, owners of what is left, its end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ml_release.domain.incident import QUESTIONS, Said
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.incident import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What somebody says.

    Attributes
    ----------
    answers
        Name in `QUESTIONS` to its text.
    owners
        Key of a follow-up to who takes it.
    closes
        Whether the incident is over with this.
    """

    by: str
    answers: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False


def with_words(incident: Incident, words: Words, *, at: str) -> Incident:
    """The incident with what somebody says; the same words again change nothing.

    Parameters
    ----------
    at
        ISO time of saying so.

    Raises
    ------
    InputError
        If nobody says them, a text is empty, or there is no such question or follow-up, listing
        every problem.
    """
    keys = [one.key for one in incident.follow_ups]
    problems = [
        f"{what}: expected some of {', '.join(known) or 'none'}, found {name!r}"
        for what, found, known in (
            ("answers", words.answers, list(QUESTIONS)),
            ("owners", words.owners, keys),
        )
        for name in found
        if name not in known
    ]
    texts = {**words.answers, **words.owners, "by": words.by}
    problems += [
        f"{name}: expected a text, found none" for name in texts if not texts[name].strip()
    ]
    if problems:
        message = f"incident {incident.incident_id}: {'; '.join(problems)}"
        raise InputError(message)
    said = {
        name: Said(text=text.strip(), by=words.by.strip(), at=at)
        for name, text in words.answers.items()
        if name not in incident.said or incident.said[name].text != text.strip()
    }
    return replace(
        incident,
        said={**incident.said, **said},
        follow_ups=tuple(
            replace(one, owner=words.owners.get(one.key, one.owner)) for one in incident.follow_ups
        ),
        closed_by=words.by.strip() if words.closes else incident.closed_by,
    )
