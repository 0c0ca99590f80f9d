"""Hours of answers add up: in any order, in any grouping, to what counting all at once gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.bucket_profile import BucketProfile, bucket_from_json, merged
from ml_release.domain.counted_feature import CountedFeature, added
from ml_release.domain.feature_bins import FeatureBins
from ml_release.errors import InputError, IntegrityError

BINS = FeatureBins(edges=(-1.0, 0.0, 5.0))
VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), max_size=30)


def counted(values: list[float]) -> CountedFeature:
    """What a careful person would count."""
    column = np.array(values, dtype=np.float64)
    known = column[np.isfinite(column)]
    facts: dict[str, Any] = {}
    if len(known):
        facts = {
            "n": len(known),
            "mean": float(known.mean()),
            "m2": float(((known - known.mean()) ** 2).sum()),
            "minimum": float(known.min()),
            "maximum": float(known.max()),
        }
    return CountedFeature(bins=tuple(BINS.count(column).tolist()), **facts)


def bucket(values: list[float], **changes: Any) -> BucketProfile:
    found = BucketProfile(
        line="line",
        version=1,
        model_digest="a",
        variant="champion",
        bucket="2013-04-02T03:00:00+00:00",
        rows=len(values),
        requests=len(values),
        late=len(values) // 2,
        first_received=f"2013-04-02T03:{len(values):02}:00+00:00",
        last_received=f"2013-04-02T04:{len(values):02}:00+00:00",
        features={"x": counted(values)},
        score=counted(values[::2]),
        latency={len(values): 1},
        history_ages={-1: len(values)},
    )
    return replace(found, **changes)


def about(one: CountedFeature) -> tuple[object, ...]:
    """Counts exactly; mean and variance to what rounding leaves."""
    # Squares of what is a million away from its mean round to a thousandth.
    near = tuple(
        None if value is None else pytest.approx(value, rel=1e-9, abs=1e-2)
        for value in (one.mean, one.m2)
    )
    return (one.bins, one.n, one.minimum, one.maximum, one.outside, *near)


@given(VALUES, VALUES, VALUES)
def test_adding_is_commutative_and_associative(
    a: list[float], b: list[float], c: list[float]
) -> None:
    """Every count to the last one; the order of two is not even seen in a rounding."""
    x, y, z = bucket(a), bucket(b), bucket(c)
    assert x + y == y + x
    left, right = (x + y) + z, x + (y + z)
    nothing: dict[str, Any] = {"features": {}, "score": None}
    assert replace(left, **nothing) == replace(right, **nothing)
    assert merged([x, y, z]) == merged([z, x, y])
    for one, other in ((left, right), (left, merged([x, y, z]))):
        found = (one.features["x"], one.score)
        for mine, theirs in zip(found, (other.features["x"], other.score), strict=True):
            assert mine is not None
            assert theirs is not None
            assert (mine.bins, mine.n, mine.minimum, mine.maximum) == about(theirs)[:4]
            assert (mine.mean, mine.m2) == about(theirs)[5:]


@given(VALUES, VALUES)
def test_parts_add_up_to_the_whole(a: list[float], b: list[float]) -> None:
    """Bins, numbers and range are those of all values together."""
    found, whole = added([counted(a), counted(b)]), counted(a + b)
    assert (found.bins, found.n, found.minimum, found.maximum) == about(whole)[:4]
    assert (found.mean, found.m2) == about(whole)[5:]


def test_a_bucket_reads_back_as_it_was() -> None:
    """With everything it holds."""
    found = bucket([1.0, 2.0, float("nan")])
    assert bucket_from_json(found.to_json()) == found
    for other in (b'{"line": 3}', b"no JSON", b'{"line": "\xff"}'):
        with pytest.raises(IntegrityError, match="bucket profile"):
            bucket_from_json(other)


def test_only_one_bucket_of_one_variant_adds_up() -> None:
    """Hours may be merged on purpose, models never: their bins are others."""
    a = bucket([1.0])
    with pytest.raises(InputError, match="same key"):
        a + bucket([1.0], variant="canary")
    both = merged([a, bucket([1.0], bucket="2013-04-02T02:00:00+00:00")])
    assert (both.rows, both.bucket) == (2, "2013-04-02T02:00:00+00:00")
    with pytest.raises(InputError, match="one model"):
        merged([a, bucket([1.0], model_digest="b")])
    with pytest.raises(InputError, match="one model"):
        merged([])


def test_counts_over_other_bins_are_not_added() -> None:
    """Also where a profile says that they are of one model."""
    with pytest.raises(InputError, match="same bins"):
        added([CountedFeature(bins=(1, 2)), CountedFeature(bins=(1, 2, 3))])


@pytest.mark.parametrize("greatest", [1e308, 1e200])
def test_what_no_float_holds_is_not_known(greatest: float) -> None:
    """No mean and no variance, and adding more does not make them up; counts stay."""
    one = CountedFeature(bins=(1,), n=1, mean=greatest, m2=0.0, minimum=greatest, maximum=greatest)
    other = CountedFeature(
        bins=(1,), n=1, mean=-greatest, m2=0.0, minimum=-greatest, maximum=-greatest
    )
    found = added([one, other, one])
    assert (found.n, found.mean, found.m2, found.minimum) == (3, None, None, None)
    more = added([found, one])
    assert (more.n, more.mean) == (4, None)
    assert more.facts.sd is None
