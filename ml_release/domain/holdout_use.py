"""How often the same holdout has judged candidates, and when it is worn out.

Each candidate that is chosen by its score on the same rows adapts to them a little, until the
score speaks of the rows and not of the world: Dwork et al. (2015), Science 349(6248).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.identity import canonical_json
from ml_release.domain.verdict import Finding, compare
from ml_release.errors import IntegrityError

RULE = "holdout_is_fresh"
DESCRIPTIONS = {
    RULE: "The holdout has not judged so many candidates that its scores mean little.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""


class HoldoutPolicy(BaseModel):
    """How often a holdout may be used: ``uses_limit`` different candidates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uses_limit: Annotated[int, Field(ge=1)] = 20


class HoldoutUse(BaseModel):
    """Candidates that one holdout has judged, by digest, in the order of their first time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    holdout: str
    candidates: tuple[str, ...]

    def used_by(self, candidate: str) -> HoldoutUse:
        """The same holdout after another candidate; judging one again is no further use.

        >>> use = HoldoutUse(holdout="h", candidates=("a",))
        >>> use.used_by("a").candidates, use.used_by("b").candidates
        (('a',), ('a', 'b'))
        """
        if candidate in self.candidates:
            return self
        return self.model_copy(update={"candidates": (*self.candidates, candidate)})

    def to_json(self) -> bytes:
        """The canonical byte form."""
        return canonical_json(self.model_dump(mode="json"))


def holdout_use_from_json(content: bytes) -> HoldoutUse:
    """Read a recorded count back; `IntegrityError` if it is none."""
    try:
        return HoldoutUse.model_validate_json(content)
    except ValidationError as error:
        message = f"use of a holdout: expected a recorded one, found something else ({error})"
        raise IntegrityError(message) from error


def judge_holdout_use(use: HoldoutUse, policy: HoldoutPolicy) -> Finding:
    """Hold the number of candidates, the one being judged included, against the limit."""
    used = len(use.candidates)
    # The one that is judged counts: a use by nobody was not recorded.
    detail = "" if used else "no candidate was counted, not even this one"
    if used > policy.uses_limit:
        detail = "hold out newer days"
    return compare(
        rule=RULE,
        subject=f"holdout {use.holdout[:19]}",
        observed=float(used) if used else None,
        limit=policy.uses_limit,
        bound="at most",
        unit="candidates judged on it",
        detail=detail,
    )
