"""Which inputs of a rebuild are not as they were recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ml_release.domain.build_record import BuildRecord, Difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.search import Scalar


class Source(StrEnum):
    """What a model is made of, as a divergence names it."""

    DATA = "data"
    CODE = "code"
    LOCK = "lock"
    ENVIRONMENT = "environment"
    FEATURES = "features"
    SEED = "seed"
    PARAMETERS = "parameters"
    POLICY = "policy"


DECLARED = {Source.FEATURES, Source.SEED, Source.PARAMETERS, Source.POLICY}
"""What a line declares, in code or in its policies."""


class Divergence(BaseModel):
    """One input that is not as it was recorded.

    Attributes
    ----------
    subject
        Which one of its kind: a partition, a parameter, a package; empty if there is only one.
    recorded, found
        None where there was or is none.
    explains
        Whether it can be why the model is another one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source
    subject: str = ""
    recorded: str | None
    found: str | None
    detail: str = ""
    explains: bool = True

    def sentence(self) -> str:
        """In words.

        >>> Divergence(source=Source.SEED, recorded="7", found="8").sentence()
        'seed: recorded 7, found 8'
        """
        name = f"{self.source} {self.subject}".rstrip()
        return Difference(
            name=name, recorded=self.recorded, found=self.found, detail=self.detail
        ).sentence()


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionGap:
    """How far the predictions of two models are apart.

    Attributes
    ----------
    rows
        Rows that both have answered.
    largest
        Largest absolute difference, in the unit of the predictions; None with a ``problem``.
    """

    rows: int
    largest: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild has found, and made.

    Attributes
    ----------
    snapshots, missing
        Partition to the digest of what has landed for it now, or to why it cannot be read.
    features
        Partition to the digest of its feature rows; none if a snapshot is missing.
    built_from
        Partition to the partitions whose snapshots its features are built from.
    declarations, declaration
        Digest of the features that were declared when each partition was built, and now.
    parameters
        What was fitted with: the declared ones, and those that the recorded search has chosen.
    training_policy_digest
        Of the present policy, with the budget of the recorded search: it is not repeated.
    holdout_from
        First day of the holdout under the present policy, None without a window.
    model_digest, problem
        None with a ``problem`` if no model could be made.
    gap
        None if the bytes are equal, or no model could be made.
    digest_as_recorded
        Of the model with the recorded seed and parameters instead of the present ones; None if
        they are the same, or it was not asked for.
    """

    build: BuildRecord
    snapshots: Mapping[str, str]
    missing: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)
    built_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    declarations: Mapping[str, str] = field(default_factory=dict)
    declaration: str
    seed: int
    parameters: Mapping[str, Scalar]
    policy_digest: str
    training_policy_digest: str
    holdout_from: str | None = None
    feature_version: str | None = None
    model_digest: str | None = None
    problem: str = ""
    gap: PredictionGap | None = None
    digest_as_recorded: str | None = None


def divergences(
    candidate: CandidateRecord, rebuilt: Rebuilt, environment: Sequence[Difference]
) -> tuple[Divergence, ...]:
    """Every input that differs, each by itself: what only follows from another is left out.

    ``environment`` is what differs between the two builds.
    """
    return (
        *_data(candidate, rebuilt),
        *_environment(environment),
        *_features(candidate, rebuilt),
        *_declared(candidate, rebuilt),
    )


def _data(candidate: CandidateRecord, rebuilt: Rebuilt) -> Iterator[Divergence]:
    for partition, digest in sorted(candidate.snapshots.items()):
        found = rebuilt.snapshots.get(partition)
        if found != digest:
            yield Divergence(
                source=Source.DATA,
                subject=partition,
                recorded=digest,
                found=found,
                detail=rebuilt.missing.get(partition, ""),
            )


def _environment(found: Sequence[Difference]) -> Iterator[Divergence]:
    """The digest of the code stands for the commit and its uncommitted changes."""
    for one in found:
        if one.name in {"code commit", "uncommitted changes"}:
            continue
        known = {"code": Source.CODE, "lock": Source.LOCK}.get(one.name)
        yield Divergence(
            source=known or Source.ENVIRONMENT,
            subject="" if known else one.name,
            recorded=one.recorded,
            found=one.found,
            detail=one.detail,
        )


def _features(candidate: CandidateRecord, rebuilt: Rebuilt) -> Iterator[Divergence]:
    """Declared features, and rows that differ though all that they are built from is the same."""
    other = sorted(set(rebuilt.declarations.values()) - {rebuilt.declaration})
    for digest in other:
        yield Divergence(
            source=Source.FEATURES,
            subject="as declared",
            recorded=digest,
            found=rebuilt.declaration,
        )
    explained = bool(other)
    for partition, digest in sorted(rebuilt.features.items()):
        below = rebuilt.built_from.get(partition, ())
        same_data = all(rebuilt.snapshots.get(p) == candidate.snapshots.get(p) for p in below)
        if digest == candidate.partitions.get(partition):
            continue
        explained = True
        if same_data and not other:
            yield Divergence(
                source=Source.FEATURES,
                subject=partition,
                recorded=candidate.partitions.get(partition),
                found=digest,
            )
    # What is learned of the same rows, up to the same day, is the same.
    explained |= rebuilt.holdout_from != candidate.holdout_from
    if rebuilt.feature_version not in {None, candidate.feature_version} and not explained:
        yield Divergence(
            source=Source.FEATURES,
            subject="as learned",
            recorded=candidate.feature_version,
            found=rebuilt.feature_version,
        )


def _declared(candidate: CandidateRecord, rebuilt: Rebuilt) -> Iterator[Divergence]:
    if rebuilt.seed != candidate.seed:
        yield Divergence(source=Source.SEED, recorded=str(candidate.seed), found=str(rebuilt.seed))
    for name in sorted({*candidate.parameters, *rebuilt.parameters}):
        pair = [
            repr(values[name]) if name in values else None
            for values in (candidate.parameters, rebuilt.parameters)
        ]
        if pair[0] != pair[1]:
            yield Divergence(
                source=Source.PARAMETERS, subject=name, recorded=pair[0], found=pair[1]
            )
    if rebuilt.training_policy_digest != candidate.training_policy_digest:
        yield Divergence(
            source=Source.POLICY,
            subject="of training",
            recorded=candidate.training_policy_digest,
            found=rebuilt.training_policy_digest,
        )
    if rebuilt.policy_digest != candidate.policy_digest:
        moved = rebuilt.holdout_from != candidate.holdout_from
        yield Divergence(
            source=Source.POLICY,
            subject="of evaluation",
            recorded=candidate.policy_digest,
            found=rebuilt.policy_digest,
            detail=f"holdout from {rebuilt.holdout_from or 'unknown'}, then"
            f" {candidate.holdout_from}"
            if moved
            else "the holdout is the same",
            # Gates decide what is released; only where the holdout begins changes what is fitted.
            explains=moved,
        )
