"""Assignment: the same unit meets the same variant, in the declared shares."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.assignment import BUCKETS, assign, bucket_of
from ml_release.domain.deployment import Variant


def variants(*weights: float) -> tuple[Variant, ...]:
    roles = ("champion", *("canary",) * (len(weights) - 1))
    return tuple(
        Variant.model_validate(
            {"role": role, "version": i, "model_digest": "d", "weight_percent": float(weight)}
        )
        for i, (role, weight) in enumerate(zip(roles, weights, strict=True), start=1)
    )


def test_a_bucket_can_be_recomputed_with_sha256_alone() -> None:
    """The documented recipe gives the same bucket as the function."""
    digest = hashlib.sha256(b"salt:unit").hexdigest()
    assert bucket_of("unit", "salt") == int(digest[:16], 16) % 10_000


@given(unit=st.text(), salt=st.text(alphabet="abc-1"))
def test_every_unit_has_one_bucket(unit: str, salt: str) -> None:
    """Any text falls into a bucket from 0 to 9999, twice into the same."""
    assert 0 <= bucket_of(unit, salt) < BUCKETS
    assert bucket_of(unit, salt) == bucket_of(unit, salt)


def test_units_spread_evenly_over_the_buckets() -> None:
    """Of 20,000 units about a tenth falls into each tenth of the buckets."""
    counts = [0] * 10
    for unit in range(20_000):
        counts[bucket_of(f"user-{unit}", "s") // 1000] += 1
    assert max(abs(count - 2000) for count in counts) < 200


def test_another_salt_is_an_independent_split() -> None:
    """Units of the lowest tenth under one salt are spread under another."""
    low = [unit for unit in map(str, range(20_000)) if bucket_of(unit, "a") < 1000]
    again = sum(bucket_of(unit, "b") < 1000 for unit in low)
    assert 0.05 < again / len(low) < 0.15


@pytest.mark.parametrize(
    ("weights", "bucket", "version"),
    [
        pytest.param((100,), 0, 1, id="one variant takes the first bucket"),
        pytest.param((100,), 9999, 1, id="one variant takes the last bucket"),
        pytest.param((95, 5), 9499, 1, id="last bucket of the champion"),
        pytest.param((95, 5), 9500, 2, id="first bucket of the canary"),
        pytest.param((100, 0), 9999, 1, id="weight 0 is never assigned at the end"),
        pytest.param((0, 100), 0, 2, id="weight 0 is never assigned at the beginning"),
        pytest.param((99.99, 0.01), 9999, 2, id="one bucket is 0.01 percent"),
        pytest.param((33.33, 33.33, 33.34), 3333, 2, id="thirds: second begins"),
        pytest.param((33.33, 33.33, 33.34), 6666, 3, id="thirds: third begins"),
        pytest.param((33.33, 33.33, 33.34), 9999, 3, id="thirds: third ends"),
    ],
)
def test_shares_follow_one_another(weights: tuple[float, ...], bucket: int, version: int) -> None:
    """A bucket belongs to the variant whose cumulated weight first exceeds it."""
    assert assign(variants(*weights), bucket).version == version


def test_a_growing_canary_keeps_its_units() -> None:
    """Every bucket of a canary at 5 percent is a bucket of it at 25 percent."""
    small = {b for b in range(BUCKETS) if assign(variants(95, 5), b).version == 2}
    large = {b for b in range(BUCKETS) if assign(variants(75, 25), b).version == 2}
    assert (len(small), len(large)) == (500, 2500)
    assert small <= large
