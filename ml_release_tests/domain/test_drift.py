"""Data drift: bins, distances and the judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.drift import (
    RULES,
    Judged,
    data_quality_problems,
    drifted_features,
    judge_drift,
    record_of,
)
from ml_release.domain.drift_departure import WindowCounts
from ml_release.domain.drift_limits import Calibration, window_days
from ml_release.domain.drift_policy import DriftPolicy
from ml_release.domain.drift_record import (
    HISTORY_WINDOWS,
    DriftHistory,
    drift_history_from_json,
    drift_record_from_json,
    with_window,
)
from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.feature_bins import CATEGORY_BINS, FeatureBins
from ml_release.domain.holdout_profile import with_holdout
from ml_release.domain.psi import adjusted_psi_nats, psi_nats
from ml_release.domain.reference_profile import (
    SCORE,
    ReferenceProfile,
    fit_profile,
    number_facts,
    profile_from_json,
)
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

    def window(self, values: dict[str, npt.NDArray[np.generic]], *, days: int = 1) -> WindowCounts:
        counts = {name: self.profile.bins[name].count(v) for name, v in values.items()}
        numbers = {}
        for name, known in self.profile.numbers.items():
            if name in values and known.minimum is not None and known.maximum is not None:
                v = values[name].astype(np.float64)
                outside = int(((v < known.minimum) | (v > known.maximum)).sum())
                numbers[name] = number_facts(v).model_copy(update={"outside": outside})
        if self.profile.score is not None and "number" in values:
            counts[SCORE] = self.profile.score.bins.count(score_of(values["number"]))
        return WindowCounts(days=days, counts=counts, numbers=numbers)

    def judged(
        self,
        values: dict[str, npt.NDArray[np.generic]],
        *,
        policy: DriftPolicy = POLICY,
        days: int = 1,
        **more: Any,
    ) -> Judged:
        """Two windows of the same values: what is there now was there before."""
        window = self.window(values, days=days)
        return judge_drift(
            line="line",
            profile=self.profile,
            window=window,
            earlier=[window],
            subject_digest="window",
            policy=policy,
            **more,
        )

    def judge(
        self,
        values: dict[str, npt.NDArray[np.generic]],
        *,
        policy: DriftPolicy = POLICY,
        days: int = 1,
    ) -> Verdict:
        return self.judged(values, policy=policy, days=days).verdict


def score_of(number: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """The answers of a model that knows the number alone."""
    known = np.nan_to_num(number.astype(np.float64), nan=0.0)
    return np.asarray(1 / (1 + np.exp(3 - np.clip(known, -5, 5))))


@pytest.fixture(scope="module")
def world() -> World:
    rng = np.random.default_rng(0)
    values: dict[str, npt.NDArray[np.generic]] = {
        "number": rng.normal(0, 1, 20_000),
        "word": rng.choice(np.array(["a", "b", "c"], dtype=object), 20_000),
    }
    score = score_of(values["number"])
    days = days_of(20_000, days=20)
    profile = with_holdout(
        fit_profile(values, days),
        values=values,
        days=days,
        target=(rng.random(20_000) < score).astype(np.float64),
        scores=score,
        is_probability=True,
    )
    return World(profile=profile)


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
    """A window from the same distribution has no finding against it, and every rule was asked."""
    judged = world.judged(world.values(2000))
    assert judged.verdict.outcome is Outcome.PASS
    assert drifted_features(judged.verdict) == data_quality_problems(judged.verdict) == ()
    assert {finding.rule for finding in judged.verdict.findings} == set(RULES)
    assert [one.feature for one in judged.features] == ["number", "word", SCORE]
    assert {one.standing for one in judged.features} == {DriftStanding.STABLE}
    assert judged.verdict.judge == "drift/2"


def test_a_shift_to_where_the_model_is_worse_hurts(world: World) -> None:
    """Upwards, where labels are less certain: the loss is expected to rise."""
    judged = world.judged(world.values(2000, shift=0.7))
    assert set(drifted_features(judged.verdict)) == {"number", SCORE}
    number = judged.features[0]
    assert (number.standing, number.windows_in_a_row) == (DriftStanding.HURTING, 2)
    assert number.loss_change is not None
    assert number.loss_limit is not None
    assert number.loss_change > number.loss_limit > 0
    assert number.effect_name == "wasserstein_in_sd"
    assert number.effect == pytest.approx(0.7, abs=0.05)
    assert judged.verdict.outcome is Outcome.FAIL


def test_a_shift_to_where_the_model_is_better_is_harmless(world: World) -> None:
    """It is shown, and nothing is held against the window."""
    policy = POLICY.model_copy(update={"weighted_psi_limit_nats": 5.0})
    judged = world.judged(world.values(2000, shift=-0.7), policy=policy)
    assert judged.features[0].standing is DriftStanding.HARMLESS
    assert of(judged.verdict, "distribution_is_stable", "number").outcome is Outcome.FAIL
    assert not of(judged.verdict, "distribution_is_stable", "number").votes
    assert judged.verdict.outcome is Outcome.PASS


def test_a_shift_that_nothing_confirms_is_inconclusive(world: World) -> None:
    """The first window of a release has none before it."""
    judged = judge_drift(
        line="line",
        profile=world.profile,
        window=world.window(world.values(2000, shift=0.7)),
        subject_digest="window",
        policy=POLICY,
    )
    assert judged.features[0].standing is DriftStanding.UNKNOWN
    assert judged.verdict.outcome is Outcome.INCONCLUSIVE
    assert drifted_features(judged.verdict) == ()


def test_the_same_season_is_another_reference(world: World) -> None:
    """A feature that is close to either has not moved; one that is close to neither has."""
    summer = world.values(4000, shift=0.7)
    season = {name: world.profile.bins[name].count(v) for name, v in summer.items()}
    found = world.judged(world.values(2000, shift=0.7), seasonal=season)
    assert found.features[0].standing is DriftStanding.STABLE
    found = world.judged(world.values(2000), seasonal=season)
    assert found.features[0].standing is DriftStanding.STABLE
    found = world.judged(world.values(2000, shift=2.0), seasonal=season)
    assert found.features[0].standing is DriftStanding.HURTING


def test_a_season_of_too_few_rows_is_none(world: World) -> None:
    """It would be close to anything."""
    season = {"number": world.profile.bins["number"].count(world.values(99, shift=0.7)["number"])}
    found = world.judged(world.values(2000, shift=0.7), seasonal=season)
    assert found.features[0].standing is DriftStanding.HURTING


def test_a_profile_of_before_losses_were_kept_cannot_tell_harm(world: World) -> None:
    """A shift is told as unknown; what has not moved is stable all the same."""
    old = World(
        profile=ReferenceProfile(
            bins=world.profile.bins, days=world.profile.days, counts=world.profile.counts
        )
    )
    judged = old.judged(old.values(2000, shift=0.7))
    assert [one.standing for one in judged.features] == [
        DriftStanding.UNKNOWN,
        DriftStanding.STABLE,
    ]
    assert judged.features[0].effect_name == "jensen_shannon"
    found = of(judged.verdict, "values_are_in_range", "number")
    assert (found.outcome, found.votes) == (Outcome.INCONCLUSIVE, False)


@pytest.mark.parametrize(
    ("change", "rule", "subject"),
    [
        pytest.param({"shift": 1000}, "values_are_in_range", "number", id="another unit"),
        pytest.param({"missing": 0.03}, "missing_rate_is_stable", "number", id="values missing"),
        pytest.param({"unseen": 0.03}, "categories_are_known", "word", id="words unseen"),
    ],
)
def test_faults_of_the_data_fail_the_rule_they_break(
    world: World, change: dict[str, float], rule: str, subject: str
) -> None:
    """And name the feature, whatever they cost."""
    verdict = world.judge(world.values(2000, **change))
    assert of(verdict, rule, subject).outcome is Outcome.FAIL
    assert data_quality_problems(verdict)[0] == subject


def test_a_feature_stuck_at_one_value_is_not_fresh(world: World) -> None:
    """One value where the reference had many; many values within one bin are not stuck."""
    values = world.values(2000)
    stuck = {**values, "number": np.full(2000, 0.1), "word": np.full(2000, "a", dtype=object)}
    verdict = world.judge(stuck)
    assert of(verdict, "features_are_fresh", "number").outcome is Outcome.FAIL
    assert of(verdict, "features_are_fresh", "word").outcome is Outcome.FAIL
    assert of(verdict, "features_are_fresh", SCORE).outcome is Outcome.FAIL
    near = {**values, "number": np.linspace(10.0, 10.1, 2000)}
    assert of(world.judge(near), "features_are_fresh", "number").outcome is Outcome.PASS


def test_what_was_always_one_value_is_not_stuck() -> None:
    """As the weekday of windows of one day."""
    column = np.repeat(np.arange(20.0), 200)
    world = World(profile=fit_profile({"number": column}, days_of(4000, days=20)))
    found = of(world.judge({"number": np.full(500, 3.0)}), "features_are_fresh", "number")
    assert (found.observed, found.limit, found.outcome) == (1.0, 1.0, Outcome.PASS)


@pytest.mark.parametrize(
    ("values", "seasonal", "outcome", "votes"),
    [
        pytest.param(np.full(500, 1.2), (), Outcome.FAIL, True, id="most just beyond"),
        pytest.param(np.full(500, 1.2), ("x",), Outcome.FAIL, False, id="as a season may"),
        pytest.param(np.full(500, 1.6), ("x",), Outcome.FAIL, True, id="far beyond any season"),
        pytest.param(
            np.r_[np.full(90, 9.0), np.full(410, 0.5)], ("x",), Outcome.FAIL, True, id="mean far"
        ),
        pytest.param(
            np.r_[np.full(10, 9.0), np.full(490, 0.5)], ("x",), Outcome.PASS, False, id="a storm"
        ),
        pytest.param(np.r_[np.full(10, 1.2), np.full(490, 0.5)], (), Outcome.PASS, True, id="few"),
        pytest.param(np.r_[np.full(10, 9.0), np.full(490, 0.5)], (), Outcome.FAIL, True, id="far"),
        pytest.param(np.r_[np.full(5, 9.0), np.full(495, 0.5)], (), Outcome.PASS, True, id="limit"),
        pytest.param(np.full(500, np.inf), (), Outcome.FAIL, True, id="infinite"),
        pytest.param(np.full(500, np.nan), (), Outcome.PASS, True, id="missing has its own rule"),
    ],
)
def test_numbers_in_another_unit_are_out_of_range(
    values: npt.NDArray[np.float64], seasonal: tuple[str, ...], outcome: Outcome, votes: bool
) -> None:
    """Far beyond the reference's range one in a hundred is a fault, just beyond it half of them."""
    column = np.linspace(0.0, 1.0, 2000)
    world = World(profile=fit_profile({"x": column}, days_of(2000, days=1)))
    policy = POLICY.model_copy(update={"seasonal": seasonal})
    found = of(world.judge({"x": values}, policy=policy), "values_are_in_range", "x")
    assert (found.outcome, found.votes) == (outcome, votes)


@pytest.mark.parametrize(
    ("change", "rule", "subject"),
    [
        pytest.param({"missing": 0.02}, "missing_rate_is_stable", "number", id="missing"),
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
    assert of(verdict, "drift_is_harmless", "number").outcome is expected
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
    policy = POLICY.model_copy(update={"muted": ("number", SCORE)})
    verdict = world.judge(world.values(2000, shift=5), policy=policy)
    assert of(verdict, "drift_is_harmless", "number").outcome is Outcome.FAIL
    assert verdict.outcome is Outcome.PASS
    assert data_quality_problems(verdict) == ()
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


def calibrated(profile: ReferenceProfile, *, days: int, **policy: float) -> float:
    limits = Calibration(profile, DriftPolicy.model_validate(policy))
    return limits.psi_limit_nats("number", days=days)


@pytest.mark.parametrize(
    ("reference_days", "days", "expected"),
    [
        pytest.param(90, 7, 7, id="enough windows"),
        pytest.param(90, 12, 11, id="as long as eight leave"),
        pytest.param(16, 7, 2, id="short reference"),
        pytest.param(3, 7, 1, id="single days"),
        pytest.param(1, 7, 0, id="one day shows nothing"),
        pytest.param(90, 0, 0, id="no days"),
    ],
)
def test_windows_are_shortened_where_the_reference_is_short(
    reference_days: int, days: int, expected: int
) -> None:
    """A shorter window strays further, so its limit errs on the side of silence."""
    assert window_days(reference_days, days=days, windows=8) == expected


@pytest.mark.parametrize(("days", "is_calibrated"), [(1, True), (5, True), (11, True), (0, False)])
def test_the_limit_is_what_the_reference_itself_shows(days: int, *, is_calibrated: bool) -> None:
    """Or the policy's alone, where there are no windows."""
    limit = calibrated(seasonal_profile(10), days=days)
    assert (limit > 1) == is_calibrated
    assert (limit == POLICY.psi_limit_nats) == (not is_calibrated)
    assert calibrated(seasonal_profile(1), days=days) == POLICY.psi_limit_nats


def test_the_calibrated_limit_is_the_largest_window_times_the_factor() -> None:
    """Windows do not overlap, and the window most unlike the rest sets the limit."""
    profile = seasonal_profile(4)
    table = profile.table("number")
    largest = max(
        adjusted_psi_nats(rest, window)
        for window, rest in (
            (table[:2].sum(axis=0), table[2:].sum(axis=0)),
            (table[2:].sum(axis=0), table[:2].sum(axis=0)),
        )
    )
    found = calibrated(profile, days=2, contiguous_factor=1.5, calibration_windows=2)
    assert found == pytest.approx(1.5 * largest)


def test_a_mean_of_a_stable_window_lies_below_its_limit() -> None:
    """Over a thousand references of independent days, at the chance that the policy names."""
    rng = np.random.default_rng(0)
    policy = DriftPolicy(alpha=0.05, calibration_windows=10)
    above = 0
    for _ in range(1000):
        level = rng.normal(0.3, 0.05, 11).clip(0, 1)
        ones = rng.binomial(500, level)
        counts = np.stack([500 - ones, ones, np.zeros(11, dtype=np.int64)], axis=1)
        profile = ReferenceProfile(
            bins={"number": FeatureBins(edges=(0.5,))},
            days=tuple(f"2013-01-{day + 1:02d}" for day in range(10)),
            counts={"number": tuple(map(tuple, counts[:10].tolist()))},
        )
        limits = Calibration(profile, policy)
        limit = limits.mean_change_limit("number", np.array([0.0, 1.0, 0.0]), days=1, n=500)
        above += counts[10, 1] / 500 - counts[:10, 1].sum() / 5000 > limit
    assert 0.03 <= above / 1000 <= 0.07


def test_a_window_of_few_rows_strays_further() -> None:
    """Its rows are a sample too; of none nothing can be said."""
    limits = Calibration(seasonal_profile(10), POLICY)
    missing = np.eye(limits.tables["number"].shape[1])[0]
    of = [limits.mean_change_limit("number", missing, days=1, n=n) for n in (100, 20, 1)]
    assert of[0] < of[1] < of[2]
    assert limits.mean_change_limit("number", missing, days=1, n=0) == np.inf


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
        {"alpha": 0.5},
        {"persistence_windows": 0},
        {"hurting_loss_change": 0.0},
        {"important_share": 0.0},
    ],
)
def test_limits_that_make_no_sense_cannot_be_declared(limits: dict[str, float]) -> None:
    """No limit switches a rule off by its size."""
    with pytest.raises(ValidationError):
        DriftPolicy.model_validate(limits)


def test_a_masked_feature_is_told_as_masked_and_has_no_vote(world: World) -> None:
    """The hashes in the log are no values of it."""
    (name, *others) = world.profile.bins
    values = world.values(2000)
    verdict = world.judged(
        {other: values[other] for other in others}, masked=frozenset({name})
    ).verdict
    (finding,) = [f for f in verdict.findings if f.subject == name]
    assert (finding.outcome, finding.votes) == (Outcome.INCONCLUSIVE, False)
    assert "masked" in finding.detail
    assert verdict.outcome is Outcome.PASS


def recorded(world: World, as_of: str | None, **change: float) -> Any:
    values = world.values(2000, **change)
    return record_of(
        world.judged(values),
        model_digest="sha256:model",
        as_of=as_of,
        window=world.window(values),
        rows=2000,
    )


def test_a_record_reads_back_and_names_its_verdict(world: World) -> None:
    """With the standings and the faults of the data; what is none is refused."""
    record = recorded(world, "2013-04-07", shift=0.7, unseen=0.03)
    assert drift_record_from_json(record.model_dump_json().encode()) == record
    verdict = world.judge(world.values(2000, shift=0.7, unseen=0.03))
    assert record.verdict_digest == verdict.digest
    assert set(record.standing(DriftStanding.HURTING)) == set(drifted_features(verdict))
    assert record.problems == ("categories_are_known [word]",)
    for read in (drift_record_from_json, drift_history_from_json):
        with pytest.raises(IntegrityError, match="drift"):
            read(b'{"rows": 5}')


def test_a_history_keeps_one_word_on_every_day(world: World) -> None:
    """In order of the days; judged again, the newest word on a day counts; no day, no word."""
    history = DriftHistory()
    for day, shift in (("02", 0.0), ("01", 0.0), ("02", 0.7)):
        history = with_window(history, recorded(world, f"2013-04-{day}", shift=shift))
    assert history.windows == ("2013-04-01", "2013-04-02")
    assert [row.feature for row in history.rows] == ["number", "word", SCORE] * 2
    assert [row.standing for row in history.of("number")] == [
        DriftStanding.STABLE,
        DriftStanding.HURTING,
    ]
    assert with_window(history, recorded(world, None)) == history
    assert drift_history_from_json(history.model_dump_json().encode()) == history


def test_a_history_forgets_the_oldest_windows(world: World) -> None:
    """It is bounded, however long a line lives."""
    record, history = recorded(world, "2013-01-01"), DriftHistory()
    for day in range(HISTORY_WINDOWS + 3):
        as_of = str(np.datetime64("2013-01-01", "D") + day)
        history = with_window(history, record.model_copy(update={"as_of": as_of}))
    assert len(history.windows) == HISTORY_WINDOWS
    assert history.windows[0] == "2013-01-04"


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
