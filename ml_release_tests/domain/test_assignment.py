"""Assignment: the same unit meets the same variant, in the declared shares."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.assignment import (
    BUCKETS,
    assign,
    bucket_of,
    is_sampled,
    pick,
    takes_part,
)
from ml_release.domain.deployment import DeclaredState
from ml_release.domain.experiment import Arm, Experiment


def state(*weights: float, experiment: Experiment | None = None) -> DeclaredState:
    roles = ("champion", *("canary",) * (len(weights) - 1))
    return DeclaredState.model_validate(
        {
            "line": "flights",
            "environment": "production",
            "release": "r1",
            "variants": tuple(
                {"role": role, "version": i, "model_digest": "d", "weight_percent": float(weight)}
                for i, (role, weight) in enumerate(zip(roles, weights, strict=True), start=1)
            ),
            "evidence": {"verdict_digest": "v", "policy_digest": "p", "feature_version": "f"},
            "experiment": experiment,
        }
    )


def split(*weights: float) -> dict[int, float]:
    return {version: float(weight) for version, weight in enumerate(weights, start=1)}


def an_experiment(*weights: float, share_percent: float = 100.0) -> Experiment:
    arms = tuple(Arm(version=v, weight_percent=w) for v, w in split(*weights).items())
    return Experiment(name="colours", salt="colours-1", share_percent=share_percent, arms=arms)


UNITS = [f"user-{i}" for i in range(20_000)]


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
    assert pick(split(*weights), bucket)[0] == version


def test_a_growing_canary_keeps_its_units() -> None:
    """Every bucket of a canary at 5 percent is a bucket of it at 25 percent."""
    small = {b for b in range(BUCKETS) if pick(split(95, 5), b)[0] == 2}
    large = {b for b in range(BUCKETS) if pick(split(75, 25), b)[0] == 2}
    assert (len(small), len(large)) == (500, 2500)
    assert small <= large


@given(weights=st.lists(st.integers(0, 50), min_size=1, max_size=5).filter(any))
def test_the_propensity_is_the_share_of_buckets(weights: list[int]) -> None:
    """The share that is logged is the one of all buckets that pick this version."""
    percent = split(*(100 * weight / sum(weights) for weight in weights))
    met = [pick(percent, bucket) for bucket in range(BUCKETS)]
    for version in percent:
        shares = {share for found, share in met if found == version}
        count = sum(found == version for found, _ in met)
        assert not shares or max(shares) == pytest.approx(count / BUCKETS, abs=1e-3)


def test_without_an_experiment_the_release_splits() -> None:
    """The documented bucket of unit and release decides, and stands in the assignment."""
    found = assign(state(95, 5), unit="user-1", request_id="r")
    bucket = bucket_of("user-1", "r1")
    assert (found.bucket, found.experiment) == (bucket, None)
    assert found.version == (2 if bucket >= 9500 else 1)


def test_a_request_without_a_unit_takes_no_part() -> None:
    """It is split by its own name, outside of the experiment."""
    found = assign(state(100, 0, experiment=an_experiment(0, 100)), unit=None, request_id="r7")
    assert (found.version, found.experiment) == (1, None)
    assert found.bucket == bucket_of("r7", "r1")


def test_an_experiment_takes_its_share_of_units_and_splits_them() -> None:
    """Of all units 30 percent take part, half of them meet each arm, all others the champion."""
    declared = state(100, 0, experiment=an_experiment(50, 50, share_percent=30.0))
    found = [assign(declared, unit=unit, request_id="r") for unit in UNITS]
    part = [a for a in found if a.experiment == "colours"]
    assert len(part) / len(UNITS) == pytest.approx(0.30, abs=0.015)
    assert sum(a.version == 2 for a in part) / len(part) == pytest.approx(0.5, abs=0.03)
    assert {a.propensity for a in part} == {0.5}
    assert {a.version for a in found if a.experiment is None} == {1}


def test_taking_part_and_the_arm_are_independent() -> None:
    """Growing the experiment moves no unit from one arm to another."""
    small = state(100, 0, experiment=an_experiment(50, 50, share_percent=10.0))
    large = state(100, 0, experiment=an_experiment(50, 50, share_percent=60.0))
    for unit in UNITS[:2000]:
        before = assign(small, unit=unit, request_id="r")
        after = assign(large, unit=unit, request_id="r")
        assert before.experiment is None or before == after


def test_present_weights_of_arms_stand_in_for_the_declared_ones() -> None:
    """A bandit moves the split; what it assigns carries the propensity of then."""
    declared = state(100, 0, experiment=an_experiment(50, 50))
    found = [
        assign(declared, unit=unit, request_id="r", arm_percent={1: 10.0, 2: 90.0})
        for unit in UNITS[:5000]
    ]
    assert sum(a.version == 2 for a in found) / 5000 == pytest.approx(0.9, abs=0.02)
    assert {a.propensity for a in found} == {0.1, 0.9}


def test_a_unit_meets_the_same_arm_again() -> None:
    """The same unit is assigned the same, whatever its request is called."""
    declared = state(100, 0, experiment=an_experiment(50, 50, share_percent=50.0))
    for unit in UNITS[:200]:
        assert assign(declared, unit=unit, request_id="a") == assign(
            declared, unit=unit, request_id="b"
        )


def test_shadows_have_samples_of_their_own() -> None:
    """Two shadows at 20 percent each see their share, and together no more than chance has it."""
    ids = [f"r{i}" for i in range(20_000)]
    first = {i for i in ids if is_sampled(i, version=2, sample_percent=20.0)}
    second = {i for i in ids if is_sampled(i, version=3, sample_percent=20.0)}
    assert len(first) / len(ids) == pytest.approx(0.2, abs=0.01)
    assert len(first & second) / len(ids) == pytest.approx(0.04, abs=0.01)
    assert takes_part(an_experiment(50, 50), "anybody")
