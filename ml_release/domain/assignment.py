"""Which variant answers a unit: the same unit meets the same variant as long as the salt stands.

Nothing is stored. A bucket can be recomputed anywhere, without this code::

    printf '%s:%s' "$salt" "$unit" | sha256sum | cut -c1-16   # hexadecimal, modulo 10000

Whether the observed split is the declared one is judged elsewhere, from the inference log.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.deployment import Variant

BUCKETS = 10_000
"""One bucket is 0.01 percent of the units."""

_BUCKETS_PER_PERCENT = BUCKETS // 100


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


def assign(variants: Sequence[Variant], bucket: int) -> Variant:
    """The variant whose share of the buckets contains ``bucket``.

    Shares follow one another in declared order, so that the buckets of the last variant stay its
    own while its weight grows. Weights are rounded to whole buckets; a variant whose weight rounds
    to none is never assigned.

    Parameters
    ----------
    variants
        With weights that add to 100 percent, as `DeclaredState` guarantees.
    bucket
        0 to 9999, from `bucket_of`.

    Examples
    --------
    >>> from ml_release.domain.deployment import Variant
    >>> champion = Variant(role="champion", version=3, model_digest="a", weight_percent=95)
    >>> canary = Variant(role="canary", version=4, model_digest="b", weight_percent=5)
    >>> [assign((champion, canary), bucket).version for bucket in (0, 9499, 9500, 9999)]
    [3, 3, 4, 4]
    """
    if len(variants) == 1:
        return variants[0]
    reached_percent = 0.0
    for variant in variants:
        reached_percent += variant.weight_percent
        if bucket < round(reached_percent * _BUCKETS_PER_PERCENT):
            return variant
    # Weights that add to 99.999999 % leave a bucket to nobody: the last variant with a share.
    return next(variant for variant in reversed(variants) if variant.weight_percent > 0)
