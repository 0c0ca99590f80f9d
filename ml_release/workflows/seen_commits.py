"""Which declarations were ever seen, kept beside the repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ml_release.domain.identity import canonical_json
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.deployment import Declaration
    from ml_release.ports import EvidenceStore

SEEN_COMMITS = "seen_commits"


def seen_commits(line: str, environment: str, *, evidence: EvidenceStore) -> tuple[str, ...]:
    """Every commit that was ever seen, in the order of their first sight.

    Raises
    ------
    IntegrityError
        If the record was edited.
    """
    content = evidence.find(line, SEEN_COMMITS, environment)
    if content is None:
        return ()
    try:
        found = json.loads(content)
    except ValueError as error:
        message = f"seen commits of {line}: expected a list of commits, found {error}"
        raise IntegrityError(message) from error
    if not isinstance(found, list) or not all(isinstance(commit, str) for commit in found):
        message = f"seen commits of {line}: expected a list of commits, found something else"
        raise IntegrityError(message)
    return tuple(found)


def remember_commits(
    line: str, environment: str, history: Sequence[Declaration], *, evidence: EvidenceStore
) -> tuple[str, ...]:
    """Add what a history holds to what was seen, and return all of it; nothing is ever removed.

    Raises
    ------
    IntegrityError
        If the record was edited; it then stays as it is.
    """
    before = seen_commits(line, environment, evidence=evidence)
    known = set(before)
    new = [one.commit for one in history if one.commit not in known]
    if not new:
        return before
    after = (*before, *new)
    evidence.record(line, SEEN_COMMITS, environment, canonical_json(list(after)))
    return after
