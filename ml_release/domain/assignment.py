"""Which variant answers a unit: the same unit meets the same variant as long as the salts stand.

Nothing is stored. A bucket can be recomputed anywhere, without this code::

    printf '%s:%s' "$salt" "$unit" | sha256sum | cut -c1-16   # hexadecimal, modulo 10000

The rule, in this order. A unit whose bucket under ``<salt of the experiment>:part`` lies below the
experiment's share takes part, and its bucket under the salt alone picks the arm. For everybody else
the bucket of the unit (of the request, if it names none) under the release picks the variant.

Whether the observed split is the declared one is judged elsewhere, from the inference log.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.deployment import DeclaredState, Variant
    from ml_release.domain.experiment import Experiment

BUCKETS = 10_000
"""One bucket is 0.01 percent of the units."""

_BUCKETS_PER_PERCENT = BUCKETS // 100
_PART = ":part"


class Assigned(msgspec.Struct, frozen=True, gc=False):
    """Who answers, and by which rule.

    Attributes
    ----------
    version
        Of the variant.
    bucket
        0 to 9999: under the experiment's salt for its units, under the release for all others.
        None where chance had nothing to decide: no unit to be met again, and one variant only.
    experiment
        Its name; None for a unit that takes no part.
    propensity
        The probability with which a unit of the same kind meets this variant, above 0 and at
        most 1: the arm's share within the experiment, or the variant's outside of it.
    """

    version: int
    bucket: int | None
    experiment: str | None
    propensity: float


def bucket_of(unit: str, salt: str) -> int:
    """Where the salted hash of a unit falls, 0 to 9999.

    The first 64 bits of SHA-256 over ``salt``, a colon and ``unit`` in UTF-8, as a big-endian
    number, modulo 10,000. Another salt gives an independent split of the same units.

    >>> bucket_of("passenger-1", "flight_delay-1")
    6790
    >>> bucket_of("passenger-1", "flight_delay-2")
    4813
    """
    digest = hashlib.sha256(f"{salt}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def assign(
    state: DeclaredState,
    *,
    unit: str | None,
    request_id: str,
    arm_percent: Mapping[int, float] | None = None,
) -> Assigned:
    """Who answers this request.

    Parameters
    ----------
    unit
        Who asks; without one the request takes no part in an experiment.
    arm_percent
        The weights of an experiment's arms at present, by version, that add to 100; the declared
        ones for None.

    Examples
    --------
    >>> from ml_release.domain.deployment import DeclaredState, Evidence, Variant
    >>> state = DeclaredState(
    ...     line="flight_delay",
    ...     environment="production",
    ...     release="flight_delay-2",
    ...     variants=(
    ...         Variant(role="champion", version=3, model_digest="a", weight_percent=60),
    ...         Variant(role="canary", version=4, model_digest="b", weight_percent=40),
    ...     ),
    ...     evidence=Evidence(verdict_digest="v", policy_digest="p", feature_version="f"),
    ... )
    >>> assign(state, unit="passenger-1", request_id="r")
    Assigned(version=3, bucket=4813, experiment=None, propensity=0.6)
    """
    experiment = state.experiment
    if experiment is not None and unit is not None and takes_part(experiment, unit):
        bucket = bucket_of(unit, experiment.salt)
        declared = {arm.version: arm.weight_percent for arm in experiment.arms}
        version, share = pick(declared if arm_percent is None else arm_percent, bucket)
        return Assigned(version, bucket, experiment.name, share)
    if unit is None and len(state.variants) == 1:
        return Assigned(state.variants[0].version, None, None, 1.0)
    bucket = bucket_of(request_id if unit is None else unit, state.release)
    if len(state.variants) == 1:
        return Assigned(state.variants[0].version, bucket, None, 1.0)
    version, share = pick(_weights(state.variants), bucket)
    return Assigned(version, bucket, None, share)


def takes_part(experiment: Experiment, unit: str) -> bool:
    """Whether a unit is one of an experiment."""
    bound = round(experiment.share_percent * _BUCKETS_PER_PERCENT)
    return bucket_of(unit, experiment.salt + _PART) < bound


def is_sampled(request_id: str, *, version: int, sample_percent: float) -> bool:
    """Whether a shadow is asked as well; each shadow has a sample of its own.

    >>> [is_sampled(f"r{i}", version=2, sample_percent=50.0) for i in range(4)]
    [False, True, True, False]
    """
    bound = round(sample_percent * _BUCKETS_PER_PERCENT)
    return bucket_of(request_id, f"shadow-{version}") < bound


def pick(percent: Mapping[int, float], bucket: int) -> tuple[int, float]:
    """The version whose share of the buckets contains ``bucket``, and that share from 0 to 1.

    Shares follow one another in their order, so that the buckets of the last one stay its own while
    its weight grows. Weights are rounded to whole buckets; a version whose weight rounds to none is
    never picked.

    Parameters
    ----------
    percent
        Version to weight, that add to 100.
    bucket
        0 to 9999, from `bucket_of`.

    Examples
    --------
    >>> [pick({3: 95.0, 4: 5.0}, bucket) for bucket in (0, 9499, 9500, 9999)]
    [(3, 0.95), (3, 0.95), (4, 0.05), (4, 0.05)]
    """
    reached_percent = 0.0
    below = 0
    for version, weight_percent in percent.items():
        reached_percent += weight_percent
        bound = round(reached_percent * _BUCKETS_PER_PERCENT)
        if bucket < bound:
            return version, (bound - below) / BUCKETS
        below = bound
    # Weights that add to 99.999999 % leave a bucket to nobody: the last version with a share.
    last = [v for v, weight_percent in percent.items() if weight_percent > 0][-1]
    return last, percent[last] / 100


def _weights(variants: Sequence[Variant]) -> dict[int, float]:
    return {variant.version: variant.weight_percent for variant in variants}
