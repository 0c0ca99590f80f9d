"""The split, the recorded findings, and what ends an experiment by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.domain.experiment_policy import (
    ExperimentPolicy,
    Guardrail,
    experiment_policy,
    guardrail_limits,
)
from ml_release.domain.experiment_split import overlap_findings, split_findings, void_because
from ml_release.domain.experiment_verdict import (
    DESCRIPTIONS,
    UNHARMFUL,
    Ending,
    decide_ending,
    judge_experiment,
)
from ml_release.domain.regret import report_regret
from ml_release.domain.verdict import Outcome, Verdict, verdict_from_json
from ml_release.errors import InputError
from ml_release_tests.simulated_experiments import (
    a_plan,
    an_experiment,
    bandit_split,
    fixed_split,
    observed,
)

if TYPE_CHECKING:
    from ml_release.domain.experiment_scores import Observed

NOW = datetime(2026, 1, 2, tzinfo=UTC)
POLICY = ExperimentPolicy()


def drawn(*means: float, n: int = 6000, seed: int = 1) -> Observed:
    return fixed_split(means, n, np.random.default_rng(seed))


def without(seen: Observed, share: float, *, reward_only: bool = False) -> Observed:
    """A share of the second arm's units is lost, or of their rewards."""
    lost = (seen.version == 2) & (np.random.default_rng(3).random(len(seen)) < share)
    if reward_only:
        return replace(seen, reward=np.where(lost, np.nan, seen.reward))
    return seen.where(~lost)


def verdict_on(seen: Observed, **limits: Any) -> Verdict:
    experiment = an_experiment()
    plan, _ = a_plan(experiment, **limits)
    _, verdict = judge_experiment(
        "small_line", experiment, seen, plan, now=NOW, evidence={"window": "w"}
    )
    return verdict


def learned(seen: Observed) -> Any:
    return an_experiment(allocation="thompson"), seen


@pytest.mark.parametrize(
    ("case", "outcomes"),
    [
        pytest.param((an_experiment(), drawn(0.1, 0.1)), ("pass", "pass"), id="as declared"),
        pytest.param(
            (an_experiment(), without(drawn(0.1, 0.1), 0.2)), ("fail", "fail"), id="units lost"
        ),
        pytest.param(
            (an_experiment(), without(drawn(0.1, 0.1), 0.2, reward_only=True)),
            ("pass", "fail"),
            id="rewards lost",
        ),
        pytest.param(
            (an_experiment(), drawn(0.1, 0.1, n=0)), ("inconclusive", "inconclusive"), id="none"
        ),
        pytest.param(
            (an_experiment(), drawn(0.1, 0.1).where(drawn(0.1, 0.1).version == 1)),
            ("fail", "fail"),
            id="one arm never met",
        ),
        pytest.param(
            learned(bandit_split((0.1, 0.2), 6000, np.random.default_rng(2))),
            ("pass", "pass"),
            id="learned parts",
        ),
        pytest.param(
            learned(without(bandit_split((0.1, 0.1), 6000, np.random.default_rng(2)), 0.4)),
            ("fail", "fail"),
            id="learned parts, units lost",
        ),
        pytest.param(
            learned(bandit_split((0.1, 0.1), 100, np.random.default_rng(2))),
            ("inconclusive", "inconclusive"),
            id="learned parts, too few",
        ),
    ],
)
def test_the_split_of_units_and_of_rewards(case: Any, outcomes: tuple[str, str]) -> None:
    """Declared parts or logged ones; nothing seen is inconclusive."""
    experiment, seen = case
    found = split_findings(experiment, seen, POLICY)
    assert tuple(one.outcome.value for one in found) == outcomes
    assert bool(void_because(found)) is ("fail" in outcomes)


def test_a_unit_that_asks_often_is_counted_once() -> None:
    """A hundred answers of one unit are no mismatch."""
    seen = drawn(0.1, 0.1, n=1000)
    often = np.concatenate([np.arange(1000), np.zeros(2000, dtype=np.int64)])
    again = observed(
        seen.version[often], seen.bucket[often], seen.propensity[often], seen.reward[often]
    )
    alone, many = (split_findings(an_experiment(), one, POLICY) for one in (seen, again))
    assert [one.observed for one in alone] == [one.observed for one in many]


def test_overlap_warns_and_never_votes() -> None:
    """Answers with very small propensities are worth little; an arm without any is not known."""
    n = 400
    seen = observed(
        np.full(n, 1),
        np.arange(n),
        np.where(np.arange(n) < 4, 0.001, 0.9),
        np.zeros(n),
    )
    rare, none = overlap_findings(an_experiment(), seen, POLICY)
    assert (rare.outcome, none.outcome) == (Outcome.FAIL, Outcome.INCONCLUSIVE)
    assert {rare.votes, none.votes} == {False}
    assert "least propensity 0.001" in rare.detail


@pytest.mark.parametrize(
    ("seen", "limits", "outcome"),
    [
        pytest.param(drawn(0.1, 0.1, n=60_000), {}, Outcome.PASS, id="shown not worse"),
        pytest.param(drawn(0.1, 0.1, n=1000), {}, Outcome.INCONCLUSIVE, id="not known yet"),
        pytest.param(drawn(0.1, 0.1, n=0), {}, Outcome.INCONCLUSIVE, id="no answer"),
        pytest.param(drawn(0.3, 0.2), {}, Outcome.FAIL, id="worse"),
        pytest.param(drawn(0.3, 0.2), {"direction": "lower"}, Outcome.PASS, id="lower is better"),
        pytest.param(without(drawn(0.1, 0.2), 0.2), {}, Outcome.FAIL, id="the split is off"),
    ],
)
def test_what_is_recorded(seen: Observed, limits: dict[str, Any], outcome: Outcome) -> None:
    """Every rule has a finding; the verdict reads back and names the plan it rests on."""
    verdict = verdict_on(seen, **limits)
    assert verdict.outcome is outcome
    assert {one.rule for one in verdict.findings} == set(DESCRIPTIONS)
    assert verdict_from_json(verdict.to_json()) == verdict
    assert set(verdict.evidence) == {"window", "plan_digest", "policy_digest"}


def test_a_guardrail_has_a_finding_of_its_own() -> None:
    """With the difference beside the tolerance."""
    seen = drawn(0.1, 0.1)
    verdict = verdict_on(
        replace(seen, is_error=seen.version == 2),
        guardrails=(Guardrail(metric="error_rate", tolerance=0.01),),
    )
    (found,) = [f for f in verdict.findings if f.subject == "version 2, error_rate"]
    assert (found.rule, found.outcome, found.limit) == (UNHARMFUL, Outcome.FAIL, 0.01)
    assert found.observed == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("experiment", "verdict", "end", "reason"),
    [
        pytest.param(None, None, False, "no experiment is declared", id="none"),
        pytest.param(an_experiment(), None, False, "not judged yet", id="not judged"),
        pytest.param(
            an_experiment(name="other"),
            verdict_on(drawn(0.3, 0.1)),
            False,
            "not judged yet",
            id="another one was judged",
        ),
        pytest.param(
            an_experiment(), verdict_on(drawn(0.1, 0.3)), False, "no harm", id="a better arm"
        ),
        pytest.param(
            an_experiment(), verdict_on(drawn(0.1, 0.1, n=0)), False, "no harm", id="nothing seen"
        ),
        pytest.param(an_experiment(), verdict_on(drawn(0.3, 0.1)), True, "harm: ", id="harm"),
        pytest.param(
            an_experiment(),
            verdict_on(without(drawn(0.1, 0.1), 0.2)),
            False,
            "void: ",
            id="void waits for a person",
        ),
        pytest.param(
            an_experiment(),
            replace(verdict_on(drawn(0.1, 0.1)), judge="experiments/0"),
            False,
            "judged by other rules",
            id="other rules",
        ),
    ],
)
def test_only_harm_ends_an_experiment_by_itself(
    experiment: Any, verdict: Verdict | None, end: bool, reason: str
) -> None:
    """Everything else waits for a person, and says why."""
    found = decide_ending(experiment, verdict)
    assert isinstance(found, Ending)
    assert (found.end, found.run_key is not None) == (end, end)
    assert reason in found.reason


def test_regret_is_what_the_best_arm_would_have_earned_more() -> None:
    """Within its interval lies the truth; a bandit loses less than equal parts would have."""
    means = (0.1, 0.3, 0.5)
    experiment = an_experiment(3, allocation="thompson")
    seen = bandit_split(means, 6000, np.random.default_rng(6))
    plan, _ = a_plan(experiment)
    found = report_regret(experiment, seen, plan)
    truth = float((0.5 - np.array(means)[seen.version - 1]).sum())
    assert found.regret_low[-1] <= truth <= found.regret_high[-1]
    assert found.regret[-1] == pytest.approx(truth, rel=0.3)
    assert found.regret[-1] < found.equal_parts_regret / 3
    assert np.all(np.diff(found.regret) >= 0)
    assert sum(shares[-1] for shares in found.shares.values()) == pytest.approx(1)
    assert sum(arm.probability_best for arm in found.arms) == pytest.approx(1)
    assert max(found.arms, key=lambda arm: arm.probability_best).version == 3


def test_regret_turns_around_where_less_is_better() -> None:
    """The first arm is then the best one."""
    plan, _ = a_plan(an_experiment(), direction="lower")
    found = report_regret(an_experiment(), drawn(0.1, 0.4), plan)
    assert found.arms[0].probability_best > 0.99
    assert found.regret[-1] == pytest.approx(0.3 * 3000, rel=0.2)


def test_nothing_seen_has_no_regret_and_knows_nothing() -> None:
    """Every mean may be anything from 0 to 1."""
    plan, _ = a_plan(an_experiment())
    found = report_regret(an_experiment(), drawn(0.1, 0.1, n=0), plan)
    assert len(found.regret) == 0
    assert [(arm.low, arm.high) for arm in found.arms] == [(0.0, 1.0)] * 2


def test_limits_that_make_no_sense_are_listed_together() -> None:
    """Each with what was found."""
    with pytest.raises(
        InputError, match=r"(?s)metric: .*found 'clicks'.*alpha: .*found 2"
    ) as error:
        experiment_policy({"alpha": 2, "metric": "clicks"})
    assert "power" not in str(error.value)
    limits = guardrail_limits(error_tolerance=0.1, latency_limit_ms=5.0, latency_tolerance=0.2)
    assert len(experiment_policy({"guardrails": limits}).guardrails) == 2
    with pytest.raises(InputError, match="expected latency_limit_ms for latency_exceedance"):
        experiment_policy({"guardrails": [{"metric": "latency_exceedance"}]})
