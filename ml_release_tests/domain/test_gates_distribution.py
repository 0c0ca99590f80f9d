"""The spread of columns against the partitions that passed."""

from __future__ import annotations

import numpy as np
import pytest

from ml_release.domain.column_profile import (
    EXACT,
    ColumnProfile,
    PartitionProfile,
    counts_in,
    partition_profile_from_json,
    profile_numbers,
    profile_words,
    reference_bins,
)
from ml_release.domain.gates_distribution import DistributionPolicy, judge_distributions
from ml_release.domain.psi import adjusted_psi_nats
from ml_release.domain.reference_profile import fit_profile
from ml_release.domain.verdict import Finding, Outcome
from ml_release.errors import IntegrityError

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NUMBERS = np.random.default_rng(1).normal(size=20_000)


def partition(**columns: ColumnProfile) -> PartitionProfile:
    return PartitionProfile(
        partition="2013-01", snapshot_digest="d", columns=columns, positives=1, labelled=2
    )


def judge(
    current: ColumnProfile, *others: ColumnProfile, policy: DistributionPolicy | None = None
) -> dict[str, Finding]:
    found = judge_distributions(
        partition(x=current),
        [partition(x=other) for other in others],
        policy or DistributionPolicy(),
        unseen_examples={"x": "'new' at trip 7"},
    )
    return {finding.rule: finding for finding in found}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda x: x, PASS, id="the same"),
        pytest.param(lambda x: x + 0.02, PASS, id="a harmless shift"),
        pytest.param(lambda x: x * 1.609, FAIL, id="another unit"),
        pytest.param(lambda x: x + 0.5, FAIL, id="half a deviation"),
        pytest.param(lambda x: np.where(np.arange(len(x)) % 10, x, np.nan), FAIL, id="missing"),
        pytest.param(lambda x: x[:99], INCONCLUSIVE, id="too few rows"),
        pytest.param(lambda x: x[:0], INCONCLUSIVE, id="no rows"),
    ],
)
def test_a_spread_is_held_against_the_reference(change: object, expected: Outcome) -> None:
    """A fault of the unit is found, a change nobody could feel is not."""
    assert callable(change)
    found = judge(profile_numbers(change(NUMBERS)), profile_numbers(NUMBERS))
    assert found["distributions_are_expected"].outcome is expected


@pytest.mark.parametrize(
    ("new", "expected"),
    [pytest.param(5, PASS, id="at the limit"), pytest.param(6, FAIL, id="beyond")],
)
def test_words_that_no_reference_held_have_a_limit(new: int, expected: Outcome) -> None:
    """The finding shows one of them."""
    reference = profile_words({"a": 500, "b": 500}, missing=0)
    found = judge(profile_words({"a": 500, "b": 500 - new, "new": new}, missing=3), reference)
    finding = found["categories_are_expected"]
    assert (finding.outcome, finding.n) == (expected, 1000)
    assert finding.detail == "for example 'new' at trip 7"


@pytest.mark.parametrize(
    ("column", "expected", "votes"),
    [
        pytest.param(profile_numbers(np.ones(200)), FAIL, True, id="constant"),
        pytest.param(profile_words({"a": 200}, missing=0), FAIL, True, id="one word"),
        pytest.param(profile_numbers(np.arange(200.0) % 2), PASS, True, id="two values"),
        pytest.param(profile_numbers(np.ones(99)), INCONCLUSIVE, True, id="too few to tell"),
        pytest.param(profile_numbers(np.full(200, np.nan)), INCONCLUSIVE, False, id="all missing"),
    ],
)
def test_a_column_holds_more_than_one_value(
    column: ColumnProfile, expected: Outcome, votes: bool
) -> None:
    """Without any reference; whether a column may be missing is the business of another rule."""
    finding = judge(column)["columns_vary"]
    assert (finding.outcome, finding.votes) == (expected, votes)


def test_a_declared_constant_may_be_one() -> None:
    """Such as the country of a line with one country."""
    policy = DistributionPolicy(constant_columns=("x",))
    assert judge(profile_numbers(np.ones(200)), policy=policy)["columns_vary"].outcome is PASS


def test_the_first_partition_is_inconclusive_without_a_vote() -> None:
    """There is nothing to compare with; the finding says so."""
    finding = judge(profile_numbers(NUMBERS))["distributions_are_expected"]
    assert (finding.outcome, finding.votes) == (INCONCLUSIVE, False)
    assert "no other partition has passed yet" in finding.detail


def test_a_column_that_no_reference_has_is_inconclusive_and_votes() -> None:
    """A new column is nothing to wave through."""
    found = judge_distributions(
        partition(x=profile_numbers(NUMBERS)),
        [partition(y=profile_numbers(NUMBERS))],
        DistributionPolicy(),
        unseen_examples={},
    )
    finding = next(f for f in found if f.rule == "distributions_are_expected")
    assert (finding.outcome, finding.votes) == (INCONCLUSIVE, True)


def test_a_muted_column_is_shown_without_a_vote() -> None:
    """With its own limit, if it has one."""
    policy = DistributionPolicy(muted=("x",), psi_limits_nats={"x": 0.2})
    finding = judge(profile_numbers(NUMBERS + 2), profile_numbers(NUMBERS), policy=policy)[
        "distributions_are_expected"
    ]
    assert (finding.outcome, finding.votes, finding.limit) == (FAIL, False, 0.2)


def test_without_columns_nothing_passes() -> None:
    """An empty profile shows nothing."""
    found = judge_distributions(partition(), [], DistributionPolicy(), unseen_examples={})
    assert {f.outcome for f in found} == {INCONCLUSIVE}


def test_profiles_give_nearly_the_psi_of_the_rows_themselves() -> None:
    """Several partitions summed up, against their rows laid together."""
    parts = [NUMBERS[:7000], NUMBERS[7000:] * 1.2]
    current = NUMBERS * 0.9 + 0.1
    profiles = [profile_numbers(part) for part in parts]
    bins = reference_bins(profiles)
    summed = counts_in(bins, profiles[0]) + counts_in(bins, profiles[1])
    found = adjusted_psi_nats(summed, counts_in(bins, profile_numbers(current)))
    together = np.concatenate(parts)
    exact = fit_profile({"x": together}, np.zeros(len(together), dtype="datetime64[D]"))
    reference = exact.table("x").sum(axis=0)
    expected = adjusted_psi_nats(reference, exact.bins["x"].count(current))
    assert found == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize("distinct", [1, EXACT, EXACT + 1])
def test_a_profile_counts_every_row(distinct: int) -> None:
    """Exactly or as quantiles, missing values apart."""
    profile = profile_numbers(np.append(np.arange(3000.0) % distinct, [np.nan, np.inf]))
    assert (profile.known, profile.missing) == (3000, 2)


def test_an_edited_profile_is_noticed() -> None:
    """Anything but a profile is refused; a good one comes back as it was."""
    good = partition(x=profile_words({"a": 1}, missing=0))
    assert partition_profile_from_json(good.model_dump_json().encode()) == good
    with pytest.raises(IntegrityError, match="expected a recorded profile"):
        partition_profile_from_json(b"{}")


STEPS = np.repeat(np.arange(40) * 1.15, 100)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda x: x, PASS, id="the same steps"),
        pytest.param(lambda x: x[:1000], PASS, id="fewer of them"),
        pytest.param(lambda x: x * 1.609344, FAIL, id="another unit"),
        pytest.param(lambda x: np.append(x, np.full(40, 99.0)), PASS, id="a new step at the limit"),
        pytest.param(lambda x: np.append(x, np.full(41, 99.0)), FAIL, id="beyond the limit"),
        pytest.param(lambda _: NUMBERS, INCONCLUSIVE, id="no steps at all"),
        pytest.param(lambda x: x[:0], INCONCLUSIVE, id="no rows"),
    ],
)
def test_a_stepped_number_takes_steps_it_took_before(change: object, expected: Outcome) -> None:
    """Season moves the shares of the steps, a unit moves the steps."""
    assert callable(change)
    policy = DistributionPolicy(stepped={"x": 40 / 4040}, muted=("x",))
    found = judge(profile_numbers(change(STEPS)), profile_numbers(STEPS), policy=policy)
    assert found["numbers_keep_their_steps"].outcome is expected
    assert found["numbers_keep_their_steps"].votes


def test_without_a_reference_steps_have_no_vote() -> None:
    """The first partition has nothing to be compared with."""
    policy = DistributionPolicy(stepped={"x": 0.01})
    found = judge(profile_numbers(STEPS), policy=policy)["numbers_keep_their_steps"]
    assert (found.outcome, found.votes) == (INCONCLUSIVE, False)
