"""Which versions a history of declared states let answer anybody, and how that ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ml_release.domain.taken_back import TakenBack, taken_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.deployment import Declaration

_ANSWERING = frozenset({"canary", "champion"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredAttempt:
    """A version that was let answer anybody, as the history tells it.

    Attributes
    ----------
    began_at, promoted_at
        When it was first declared to answer, and to answer everybody; None for never.
    taken
        How it was taken back; None if it was not.
    """

    version: int
    model_digest: str
    began_at: datetime
    promoted_at: datetime | None = None
    taken: TakenBack | None = None


def declared_attempts(history: Sequence[Declaration]) -> tuple[DeclaredAttempt, ...]:
    """Every release that answered anybody, in the order in which they began.

    What a rollback restores is none: it was released before. Arms of an experiment and shadows are
    none before they are released. Declarations without a good seal do not count.

    Parameters
    ----------
    history
        Oldest first.
    """
    sealed = [one for one in history if not one.seal_problem]
    found: list[DeclaredAttempt] = []
    going: dict[int, int] = {}
    answering: set[int] = set()
    ends = {(one.after.commit, one.version): one for one in taken_back(sealed)}
    restoring = {commit for commit, _ in ends}
    for one in sealed:
        at = datetime.fromisoformat(one.committed_at)
        for version in [version for commit, version in ends if commit == one.commit]:
            if version in going:
                ended = going.pop(version)
                found[ended] = replace(found[ended], taken=ends[one.commit, version])
        now = {v.version for v in one.state.variants if v.role in _ANSWERING}
        for variant in one.state.variants:
            version = variant.version
            if variant.role not in _ANSWERING or one.commit in restoring:
                continue
            if version not in going and version not in answering:
                going[version] = len(found)
                found.append(
                    DeclaredAttempt(version=version, model_digest=variant.model_digest, began_at=at)
                )
            place = going.get(version)
            if place is not None and variant.role == "champion":
                promoted = found[place].promoted_at
                found[place] = replace(found[place], promoted_at=promoted or at)
        answering = now
    return tuple(found)
