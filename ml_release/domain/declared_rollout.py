"""What a declared state says of a release on its way: on which evidence, how far, since when."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Leg = Literal["shadow", "canary", "watch"]
"""Asked in secret; answering a share; answering everybody, its predecessor kept warm."""


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Evidence(_Declared):
    """Digests of what the declaration of a version rests on.

    Attributes
    ----------
    verdict_digest, policy_digest
        Of the evaluation, and of the policy it was judged under.
    data_digest
        Of the rows it was trained on.
    staging_digest
        Of the verdict of staging; None where the line has no staging.
    approval_digest
        Of the approvals it went on; None where none were needed.
    """

    verdict_digest: str
    policy_digest: str
    feature_version: str
    data_digest: str | None = None
    staging_digest: str | None = None
    approval_digest: str | None = None


class Rollout(_Declared):
    """A release under way.

    Attributes
    ----------
    version, model_digest
        What is being released.
    evidence
        Of that version; the state's own is that of its champion.
    leg, step
        Where it stands; ``step`` counts the canary's weights from 0 and is 0 on the other legs.
    begun, since
        When it was first put beside production, and when its present step began.
    """

    version: Annotated[int, Field(ge=1)]
    model_digest: str
    evidence: Evidence
    leg: Leg
    step: Annotated[int, Field(ge=0)] = 0
    begun: AwareDatetime
    since: AwareDatetime

    def __str__(self) -> str:
        """In words, with steps counted from 1."""
        step = f" step {self.step + 1}" if self.leg == "canary" else ""
        since = self.since.astimezone(UTC)
        return f"version {self.version}, {self.leg}{step}, since {since:%Y-%m-%d %H:%M} UTC"
