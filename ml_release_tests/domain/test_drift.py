"""Data drift: bins, distances and the judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.drift import (
    DriftPolicy,
    calibrated_limit_nats,
    drifted_features,
    judge_drift,
)
from ml_release.domain.feature_bins import CATEGORY_BINS, FeatureBins
from ml_release.domain.psi import adjusted_psi_nats, psi_nats
from ml_release.domain.reference_profile import ReferenceProfile, fit_profile, profile_from_json
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.errors import IntegrityError

Counts = npt.NDArray[np.int64]
POLICY = DriftPolicy(minimum_rows=100)
COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=8)


def counts(*values: int) -> Counts:
    return np.array(values, dtype=np.int64)


def days_of(n: int, *, days: int) -> npt.NDArray[np.datetime64]:
    return np.datetime64("2013-01-01", "D") + np.arange(n) * days // n


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A stable reference of ten days with one number and one category."""

    profile: ReferenceProfile
    seed: int = 0

    def values(
        self, n: int, *, shift: float = 0, missing: float = 0, unseen: float = 0
    ) -> dict[str, npt.NDArray[np.generic]]:
        rng = np.random.default_rng(self.seed + 1)
        number = rng.normal(shift, 1, n)
        number[: round(n * missing)] = np.nan
        word = rng.choice(np.array(["a", "b", "c"], dtype=object), n)
        word[: round(n * unseen)] = "unseen"
        return {"number": number, "word": word}

    def judge(
        self,
        values: dict[str, npt.NDArray[np.generic]],
        *,
        policy: DriftPolicy = POLICY,
        days: int = 1,
    ) -> Verdict:
        return judge_drift(
            line="line",
            profile=self.profile,
            current={name: self.profile.bins[name].count(v) for name, v in values.items()},
            days=days,
            subject_digest="window",
            policy=policy,
        )


@pytest.fixture(scope="module")
def world() -> World:
    rng = np.random.default_rng(0)
    values: dict[str, npt.NDArray[np.generic]] = {
        "number": rng.normal(0, 1, 20_000),
        "word": rng.choice(np.array(["a", "b", "c"], dtype=object), 20_000),
    }
    return World(profile=fit_profile(values, days_of(20_000, days=10)))


def of(verdict: Verdict, rule: str, subject: str) -> Finding:
    (found,) = [f for f in verdict.findings if (f.rule, f.subject) == (rule, subject)]
    return found


@given(COUNTS.filter(any), st.integers(1, 5))
def test_equal_shares_have_a_psi_of_zero(values: list[int], times: int) -> None:
    """Whatever the counts; a multiple of them differs by the pseudocount only."""
    reference = counts(*values)
    assert psi_nats(reference, reference) == 0
    assert adjusted_psi_nats(reference, reference * times) == 0


@given(COUNTS.filter(any), st.data())
def test_psi_is_symmetric_and_never_negative(values: list[int], data: st.DataObject) -> None:
    """It is a distance of two samples, with nobody first."""
    other = data.draw(
        st.lists(st.integers(0, 500), min_size=len(values), max_size=len(values)).filter(any)
    )
    one, two = counts(*values), counts(*other)
    assert psi_nats(one, two) == pytest.approx(psi_nats(two, one), abs=1e-12)
    assert psi_nats(one, two) >= 0
    assert 0 <= adjusted_psi_nats(one, two) <= psi_nats(one, two)


def test_psi_is_the_stated_formula() -> None:
    """Pseudocount one half, bins empty on both sides dropped."""
    p, q = np.array([90.5, 10.5]) / 101, np.array([50.5, 50.5]) / 101
    expected = float(np.sum((p - q) * np.log(p / q)))
    found = psi_nats(counts(50, 50, 0), counts(90, 10, 0))
    assert found == pytest.approx(expected)
    adjusted = adjusted_psi_nats(counts(50, 50, 0), counts(90, 10, 0))
    assert adjusted == pytest.approx(expected - (1 / 100 + 1 / 100))


@pytest.mark.parametrize("distance", [psi_nats, adjusted_psi_nats])
def test_psi_against_no_rows_is_undefined(distance: object) -> None:
    """No rows are not a stable distribution."""
    assert callable(distance)
    assert np.isnan(distance(counts(1, 2), counts(0, 0)))
    assert np.isnan(distance(counts(0, 0), counts(1, 2)))


def test_the_adjustment_removes_what_chance_alone_gives() -> None:
    """Of 200 pairs from one distribution the raw mean is clearly above, the adjusted near zero."""
    rng = np.random.default_rng(0)
    pairs = [
        (rng.multinomial(2000, [0.1] * 10), rng.multinomial(200, [0.1] * 10)) for _ in range(200)
    ]
    raw = np.mean([psi_nats(a, b) for a, b in pairs])
    assert raw == pytest.approx(9 * (1 / 2000 + 1 / 200), rel=0.2)
    assert np.mean([adjusted_psi_nats(a, b) for a, b in pairs]) < raw / 3


def test_a_number_falls_into_the_bin_whose_upper_edge_it_reaches() -> None:
    """Ends are open, and missing has the last bin."""
    bins = FeatureBins(edges=(1.0, 2.0))
    values = np.array([-np.inf, 1.0, 1.5, 2.0, 2.5, np.inf, np.nan])
    assert bins.count(values).tolist() == [2, 2, 2, 1]
    assert bins.size == 4


def test_a_word_falls_into_its_own_bin_other_or_missing() -> None:
    """An empty word is a word."""
    bins = FeatureBins(words=("a", "b"))
    values = np.array(["b", "a", "b", "x", "", None], dtype=object)
    assert bins.count(values).tolist() == [1, 2, 2, 1]


@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=40), st.integers(1, 4))
def test_profiles_merge_and_lose_no_row(values: list[float], days: int) -> None:
    """The days of a profile add to the counts of all rows, each row once."""
    column = np.array(values)
    profile = fit_profile({"number": column}, days_of(len(column), days=days))
    table = profile.table("number")
    assert table.shape == (len(profile.days), profile.bins["number"].size)
    assert table.sum() == len(column)
    np.testing.assert_array_equal(table.sum(axis=0), profile.bins["number"].count(column))


def test_bins_are_the_deciles_of_the_reference() -> None:
    """A hundred different numbers fall into ten bins of ten."""
    column = np.arange(100.0)
    profile = fit_profile({"number": column}, days_of(100, days=1))
    assert profile.table("number").tolist() == [[10] * 10 + [0]]


def test_a_category_keeps_its_most_frequent_words() -> None:
    """The rest is other, in the reference as in the window."""
    words = [f"w{rank:03d}" for rank in range(CATEGORY_BINS + 5)]
    column = np.array(words + words[-1:], dtype=object)
    bins = fit_profile({"word": column}, days_of(len(column), days=1)).bins["word"]
    assert bins.words is not None
    assert (bins.words[0], len(bins.words)) == (words[-1], CATEGORY_BINS)
    assert bins.count(column)[-2:].tolist() == [5, 0]


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(np.array([np.nan, np.nan]), id="numbers"),
        pytest.param(np.array([None, None], dtype=object), id="words"),
    ],
)
def test_a_feature_that_was_always_missing_can_be_profiled(
    column: npt.NDArray[np.generic],
) -> None:
    """Everything is in the missing bin, and a value that appears is noticed."""
    profile = fit_profile({"x": column}, days_of(2, days=1))
    bins = profile.bins["x"]
    assert bins.count(column).tolist() == [0, 2]
    appeared = np.array([1.0]) if bins.words is None else np.array(["a"], dtype=object)
    assert bins.count(appeared).tolist() == [1, 0]


def test_a_profile_reads_back_with_its_digest(world: World) -> None:
    """The verdict names the reference it used."""
    read = profile_from_json(world.profile.model_dump_json().encode())
    assert read == world.profile
    assert read.digest == world.profile.digest
    assert world.judge(world.values(500)).evidence["reference_digest"] == read.digest
    with pytest.raises(IntegrityError, match="reference profile"):
        profile_from_json(b"{}")


def test_stable_inputs_pass(world: World) -> None:
    """A window from the same distribution has no finding against it."""
    verdict = world.judge(world.values(2000))
    assert verdict.outcome is Outcome.PASS
    assert drifted_features(verdict) == ()
    assert len(verdict.findings) == 5


@pytest.mark.parametrize(
    ("change", "rule", "subject"),
    [
        pytest.param({"shift": 0.7}, "distribution_is_stable", "number", id="a shift"),
        pytest.param({"shift": 1000}, "distribution_is_stable", "number", id="another unit"),
        pytest.param({"missing": 0.06}, "missing_rate_is_stable", "number", id="values missing"),
        pytest.param({"unseen": 0.03}, "categories_are_known", "word", id="words unseen"),
    ],
)
def test_drift_fails_the_rule_it_breaks(
    world: World, change: dict[str, float], rule: str, subject: str
) -> None:
    """And names the feature."""
    verdict = world.judge(world.values(2000, **change))
    assert of(verdict, rule, subject).outcome is Outcome.FAIL
    assert drifted_features(verdict) == (subject,)


@pytest.mark.parametrize(
    ("change", "rule", "subject"),
    [
        pytest.param({"missing": 0.05}, "missing_rate_is_stable", "number", id="missing"),
        pytest.param({"unseen": 0.02}, "categories_are_known", "word", id="unseen"),
    ],
)
def test_a_share_exactly_at_its_limit_passes(
    world: World, change: dict[str, float], rule: str, subject: str
) -> None:
    """The limit is the last value that is allowed."""
    found = of(world.judge(world.values(2000, **change)), rule, subject)
    assert (found.observed, found.outcome) == (found.limit, Outcome.PASS)


def test_fewer_missing_values_than_in_the_reference_are_no_harm() -> None:
    """Only an increase is."""
    column = np.array([np.nan, 1.0] * 500)
    profile = fit_profile({"number": column}, days_of(1000, days=1))
    world = World(profile=profile)
    found = of(world.judge({"number": np.ones(1000)}), "missing_rate_is_stable", "number")
    assert (found.observed, found.outcome) == (-0.5, Outcome.PASS)


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        pytest.param(0, Outcome.INCONCLUSIVE, id="no rows"),
        pytest.param(99, Outcome.INCONCLUSIVE, id="one too few"),
        pytest.param(100, Outcome.FAIL, id="just enough"),
    ],
)
def test_too_few_rows_are_inconclusive_however_far_they_drifted(
    world: World, n: int, expected: Outcome
) -> None:
    """And never pass."""
    verdict = world.judge(world.values(n, shift=5))
    assert of(verdict, "distribution_is_stable", "number").outcome is expected
    assert verdict.outcome is expected


def test_a_feature_without_counts_is_inconclusive(world: World) -> None:
    """A feature that nobody logged any more is not stable."""
    values = world.values(2000)
    del values["word"]
    verdict = world.judge(values)
    assert of(verdict, "distribution_is_stable", "word").outcome is Outcome.INCONCLUSIVE
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_muted_feature_is_shown_and_has_no_vote(world: World) -> None:
    """Seasonal features never ask for a retraining on their own."""
    policy = POLICY.model_copy(update={"muted": ("number",)})
    verdict = world.judge(world.values(2000, shift=5), policy=policy)
    assert of(verdict, "distribution_is_stable", "number").outcome is Outcome.FAIL
    assert verdict.outcome is Outcome.PASS
    assert drifted_features(verdict) == ()


def test_a_window_of_no_days_is_inconclusive(world: World) -> None:
    """An empty log is judged, not a crash."""
    verdict = world.judge({}, days=0)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_reference_of_no_rows_is_inconclusive() -> None:
    """Nothing can be compared with it."""
    empty: dict[str, npt.NDArray[np.generic]] = {"number": np.empty(0)}
    profile = fit_profile(empty, np.empty(0, dtype="datetime64[D]"))
    verdict = World(profile=profile).judge({"number": np.ones(1000)})
    assert verdict.outcome is Outcome.INCONCLUSIVE


def seasonal_profile(days: int) -> ReferenceProfile:
    """A number that rises through the reference: every window differs from the whole."""
    column = np.repeat(np.arange(days, dtype=np.float64), 100)
    return fit_profile({"number": column}, days_of(len(column), days=days))


@pytest.mark.parametrize(
    ("window_days", "calibrated"),
    [
        pytest.param(1, True, id="one day"),
        pytest.param(5, True, id="two windows"),
        pytest.param(6, False, id="one window and a rest"),
        pytest.param(10, False, id="the whole reference"),
        pytest.param(11, False, id="longer than the reference"),
        pytest.param(0, False, id="no days"),
    ],
)
def test_the_limit_is_what_the_reference_itself_shows(
    window_days: int, *, calibrated: bool
) -> None:
    """From two windows of the same length on; otherwise the policy's limit stands alone."""
    profile = seasonal_profile(10)
    limit = calibrated_limit_nats(profile, "number", days=window_days, policy=POLICY)
    assert (limit > 1) == calibrated
    assert (limit == POLICY.psi_limit_nats) == (not calibrated)


def test_the_calibrated_limit_is_the_largest_window_times_the_factor() -> None:
    """Windows do not overlap, and the window most unlike the whole sets the limit."""
    profile = seasonal_profile(4)
    table = profile.table("number")
    largest = max(
        adjusted_psi_nats(table.sum(axis=0), window)
        for window in (table[:2].sum(axis=0), table[2:].sum(axis=0))
    )
    policy = DriftPolicy(contiguous_factor=1.5)
    found = calibrated_limit_nats(profile, "number", days=2, policy=policy)
    assert found == pytest.approx(1.5 * largest)


@pytest.mark.parametrize(
    "limits",
    [
        {"psi_limit_nats": 0.0},
        {"psi_limit_nats": float("inf")},
        {"contiguous_factor": 0.9},
        {"contiguous_factor": float("inf")},
        {"missing_increase_limit": 1.1},
        {"minimum_rows": 0},
        {"psi_limit": 0.1},
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(limits: dict[str, float]) -> None:
    """No limit switches a rule off by its size."""
    with pytest.raises(ValidationError):
        DriftPolicy.model_validate(limits)


def test_a_masked_feature_is_told_as_masked_and_has_no_vote(world: World) -> None:
    """The hashes in the log are no values of it."""
    (name, *others) = world.profile.bins
    verdict = judge_drift(
        line="line",
        profile=world.profile,
        current={other: world.profile.table(other).sum(axis=0) for other in others},
        days=1,
        subject_digest="window",
        policy=POLICY,
        masked=frozenset({name}),
    )
    (finding,) = [f for f in verdict.findings if f.subject == name]
    assert (finding.outcome, finding.votes) == (Outcome.INCONCLUSIVE, False)
    assert "masked" in finding.detail
    assert verdict.outcome is Outcome.PASS


def test_what_is_no_word_is_missing_and_counted_as_one() -> None:
    """None, NaN and numbers among words; a word that was not known is other, each time it comes."""
    bins = FeatureBins(words=("a", "b"))
    column = np.array(["a", "new", None, float("nan"), 3.0, "new", "b", "a"], dtype=object)
    assert bins.positions(column).tolist() == [0, 2, 3, 3, 3, 2, 1, 0]
    group = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert bins.count_by(group, column, groups=3).tolist() == [
        [1, 0, 1, 2],
        [1, 1, 1, 1],
        [0, 0, 0, 0],
    ]


@pytest.mark.parametrize("edges", [0, 1, 19, 64, 65, 300])
def test_numbers_fall_into_the_same_bins_however_many_there_are(edges: int) -> None:
    """An edge belongs to the bin below it; what is infinite is in the outer bins."""
    bins = FeatureBins(edges=tuple(float(edge) for edge in range(edges)))
    values = np.array([-np.inf, -1.0, 0.0, 0.5, edges - 1.0, float(edges), np.inf, np.nan])
    naive = [sum(edge < value for edge in range(edges)) for value in values[:-1]]
    assert bins.positions(values).tolist() == [*naive, edges + 1]
