"""Whether a rebuilt model is the recorded one, and which input diverged if it is not.

Equal bytes need no further question. Otherwise both models have answered the same rows, and what
differs between the record and the present inputs is named as the probable cause.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ml_release.domain.build_record import Difference, differences
from ml_release.domain.divergence import DECLARED, Divergence, Source, divergences

if TYPE_CHECKING:
    from ml_release.domain.divergence import Rebuilt
    from ml_release.domain.provenance import CandidateRecord

TOLERANCE = 1e-6
"""Largest absolute difference of two predictions that are taken as the same."""

NOT_DETERMINISTIC = "not deterministic: every recorded input is the same, the model is not"


class RebuildOutcome(StrEnum):
    """How a rebuilt model stands to the recorded one."""

    EQUAL_BYTES = "equal bytes"
    EQUAL_PREDICTIONS = "equal predictions"
    DIFFERS = "differs"
    CANNOT_TELL = "cannot tell"


class Rebuild(BaseModel):
    """The answer to whether a version can be rebuilt.

    Attributes
    ----------
    recorded_digest, rebuilt_digest
        Model digests; None if no model could be made.
    rows, largest_difference
        Of the predictions on the holdout; None if they were not compared.
    tolerance
        Largest absolute difference that counts as the same.
    divergences
        Inputs that are not as recorded.
    environment
        Everything that differs in code and environment, the commit too: a remark, since a commit
        may change without the sources of the model.
    problem
        Why it cannot be told, empty if it can.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    version: int
    outcome: RebuildOutcome
    recorded_digest: str
    rebuilt_digest: str | None
    rows: int | None = None
    largest_difference: float | None = None
    tolerance: float
    divergences: tuple[Divergence, ...]
    environment: tuple[Difference, ...]
    problem: str = ""

    @property
    def is_same(self) -> bool:
        """Whether it was shown to be the same model, by its bytes or by what it answers."""
        return self.outcome in {RebuildOutcome.EQUAL_BYTES, RebuildOutcome.EQUAL_PREDICTIONS}

    @property
    def causes(self) -> tuple[str, ...]:
        """Probable causes of another model, in words; none if its bytes are equal."""
        if self.outcome is RebuildOutcome.EQUAL_BYTES:
            return ()
        named = tuple(d.sentence() for d in self.divergences if d.explains)
        return named or (() if self.rebuilt_digest is None else (NOT_DETERMINISTIC,))

    def sentence(self) -> str:
        """The outcome in words."""
        if self.outcome is RebuildOutcome.EQUAL_BYTES:
            return "same bytes"
        if self.outcome is RebuildOutcome.CANNOT_TELL:
            return f"cannot tell: {self.problem}"
        gap = f"{self.largest_difference:.3g} on {self.rows} rows"
        if self.outcome is RebuildOutcome.EQUAL_PREDICTIONS:
            return f"same predictions, other bytes: largest difference {gap}"
        return f"differs by up to {gap}; at most {self.tolerance:g} is allowed"


def judge_rebuild(
    candidate: CandidateRecord, rebuilt: Rebuilt, *, version: int, tolerance: float = TOLERANCE
) -> Rebuild:
    """Compare what was rebuilt with the record, and name what diverged.

    A rebuild with the recorded seed and parameters that gives the recorded bytes clears every other
    divergence: those two alone explain the model. Code that was cleared like this, or by equal
    bytes, is no divergence beside a declaration that changed: declarations are code, and of the
    rest it was shown that it makes no difference. It stays among the differences of environment.
    """
    outcome, problem = _outcome(candidate, rebuilt, tolerance)
    environment = differences(candidate.build, rebuilt.build)
    found = divergences(candidate, rebuilt, environment)
    cleared = True
    if outcome is RebuildOutcome.EQUAL_BYTES:
        found = tuple(d.model_copy(update={"explains": False}) for d in found)
    elif rebuilt.digest_as_recorded == candidate.model_digest:
        chosen = {Source.SEED, Source.PARAMETERS}
        found = tuple(d.model_copy(update={"explains": d.source in chosen}) for d in found)
    else:
        cleared = False
    if cleared and any(d.source in DECLARED for d in found):
        found = tuple(d for d in found if d.source is not Source.CODE)
    return Rebuild(
        line=candidate.line,
        version=version,
        outcome=outcome,
        recorded_digest=candidate.model_digest,
        rebuilt_digest=rebuilt.model_digest,
        rows=None if rebuilt.gap is None else rebuilt.gap.rows,
        largest_difference=None if rebuilt.gap is None else rebuilt.gap.largest,
        tolerance=tolerance,
        divergences=found,
        environment=environment,
        problem=problem,
    )


def _outcome(
    candidate: CandidateRecord, rebuilt: Rebuilt, tolerance: float
) -> tuple[RebuildOutcome, str]:
    if rebuilt.model_digest is None:
        return RebuildOutcome.CANNOT_TELL, rebuilt.problem or "no model was made"
    if rebuilt.model_digest == candidate.model_digest:
        return RebuildOutcome.EQUAL_BYTES, ""
    gap = rebuilt.gap
    if gap is None or gap.problem or gap.largest is None or not math.isfinite(gap.largest):
        why = "they were not compared" if gap is None else gap.problem
        return (
            RebuildOutcome.CANNOT_TELL,
            f"the bytes are others, and of the predictions: {why or 'they are no numbers'}",
        )
    if not gap.rows:
        return RebuildOutcome.CANNOT_TELL, "the bytes are others, and no row was there to answer"
    if gap.largest <= tolerance:
        return RebuildOutcome.EQUAL_PREDICTIONS, ""
    return RebuildOutcome.DIFFERS, ""
