"""What was seen of a version on trial, in the form that its judge takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.request_contract import RequestContract
    from ml_release.domain.trial import LoadMeasured


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeAnswer:
    """One real row: what the artefact answers in process, and what the server answered.

    Attributes
    ----------
    expected
        One number, or one per class.
    answered
        None if the server gave no answer; ``problem`` says what it gave instead.
    """

    expected: tuple[float, ...]
    answered: tuple[float, ...] | None
    problem: str = ""

    @property
    def is_equal(self) -> bool:
        """Whether both are the same bits: -0.0 is not 0.0, and NaN is NaN."""
        return self.answered is not None and [one.hex() for one in self.answered] == [
            one.hex() for one in self.expected
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the server says of what it serves.

    Attributes
    ----------
    versions, model_digest
        Of what it says that it serves; None for a digest that it does not say.
    named
        Version to how many answers named it; under None those that named none.
    """

    versions: tuple[int, ...]
    model_digest: str | None
    named: Mapping[int | None, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """How malformed requests were met.

    Attributes
    ----------
    cases
        How many were sent.
    taken
        Name to status of those that got no 4xx.
    answers_on
        Whether a good request was answered as before, after all of them.
    """

    cases: int
    taken: Mapping[str, int]
    answers_on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackTarget:
    """Who answers in production, and whether the server has it ready.

    Attributes
    ----------
    version
        None where nobody does: the first release of a line.
    """

    version: int | None
    is_loaded: bool | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingEvidence:
    """What was seen; None for what was not.

    Attributes
    ----------
    problem
        Why no server answered for the version, as its log has it; empty if one did.
    start_s
        Until the server answered.
    unlogged
        Acknowledged requests, of ``acknowledged``, that the inference log does not hold.
    contract_of
        Whose contract ``kept`` is.
    """

    problem: str = ""
    start_s: float | None = None
    described: Described | None = None
    smoke: tuple[SmokeAnswer, ...] = ()
    contract_of: str = "champion"
    kept: RequestContract | None = None
    offered: RequestContract | None = None
    refusals: Refusals | None = None
    load: LoadMeasured | None = None
    acknowledged: int = 0
    unlogged: int | None = None
    memory_mb: float | None = None
    rollback: RollbackTarget | None = None
