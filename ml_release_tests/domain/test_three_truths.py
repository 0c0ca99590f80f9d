"""Every way in which Git, the registry and the log can disagree, and what nobody can tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.assignment import BUCKETS, pick
from ml_release.domain.deployment import Declaration, KillSwitch
from ml_release.domain.kill_switch import Pulled
from ml_release.domain.three_truths import (
    DESCRIPTIONS,
    RULES,
    LogSays,
    RegistrySays,
    ThreeTruths,
    TruthsPolicy,
    judge_truths,
    version_rows,
)
from ml_release.domain.truth_shares import bucket_shares, least_share
from ml_release.domain.truth_tally import ServedMinute, Split, TruthTally, tally_from_json
from ml_release.domain.verdict import Outcome, worst
from ml_release.errors import InputError, IntegrityError
from ml_release_tests.domain.test_deployment import an_experiment, shadow, state, variant

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.verdict import Verdict

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
POLICY = TruthsPolicy()
ALONE = state(variant(1))
BOTH = state(variant(1, weight_percent=90), variant(2, role="canary", weight_percent=10))
SECOND = state(variant(2), withdrawn=(1,))


def declared(what: DeclaredState, minutes: float, commit: str, **fields: Any) -> Declaration:
    """So many minutes before now."""
    at = (NOW - timedelta(minutes=minutes)).isoformat()
    known = {"actor": "ada", "reason": "r", "seal_problem": "", **fields}
    return Declaration(state=what, commit=commit, committed_at=at, **known)


def served(
    number: int, minutes: float, commit: str = "c1", *, requests: int = 50, **fields: Any
) -> ServedMinute:
    """Requests of one second, so many minutes before now."""
    at = int((NOW - timedelta(minutes=minutes)).timestamp() * 1_000_000)
    known: dict[str, Any] = {
        "version": number,
        "model_digest": f"sha256:{number:064d}",
        "variant": "champion",
        "route_commit": commit,
        "minute": at // 60_000_000,
        "requests": requests,
        "first_us": at,
        "last_us": at + 1_000_000,
        **fields,
    }
    return ServedMinute(**known)


def split(commit: str = "c1", **fields: Any) -> Split:
    return Split(route_commit=commit, **{"by_chance": {1: 100}, **fields})


def digests(*numbers: int) -> dict[int, str]:
    return {number: f"sha256:{number:064d}" for number in numbers}


AGREED = ThreeTruths(
    line="flight_delay",
    environment="production",
    now=NOW,
    history=(declared(ALONE, 90, "c1"),),
    registry=RegistrySays(digests=digests(1, 2), champion=1),
    log=LogSays(served=(served(1, 30), served(1, 10)), splits=(split(),)),
)
IN_TWO = replace(
    AGREED,
    history=(declared(ALONE, 300, "c0"), declared(BOTH, 90, "c1")),
    log=LogSays(
        served=(served(1, 30, requests=900), served(2, 30, requests=100, variant="canary")),
        splits=(split(by_chance={1: 900, 2: 100}),),
    ),
)
ENGAGED = ALONE.model_copy(update={"kill_switch": KillSwitch(answer=0.1, engaged=True)})
BY_HAND = declared(BOTH, 5, "c2", seal_problem="by x")
PULLED = Pulled(engaged=True, answer=0.1, by="ada", reason="nonsense", at=NOW)


def judged(truths: ThreeTruths) -> Verdict:
    return judge_truths(truths, POLICY)


def outcome(truths: ThreeTruths, rule: str) -> Outcome:
    return worst(f.outcome for f in judged(truths).findings if f.rule == rule)


def with_log(truths: ThreeTruths, **fields: Any) -> ThreeTruths:
    return replace(truths, log=replace(truths.log, **fields))


def with_registry(truths: ThreeTruths, **fields: Any) -> ThreeTruths:
    return replace(truths, registry=replace(truths.registry, **fields))


def at_the_end(truths: ThreeTruths, *more: ServedMinute) -> ThreeTruths:
    return with_log(truths, served=(*truths.log.served, *more))


@pytest.mark.parametrize("truths", [AGREED, IN_TWO])
def test_what_agrees_passes(truths: ThreeTruths) -> None:
    """Every rule, each of which has something to say."""
    verdict = judged(truths)
    assert verdict.outcome is Outcome.PASS, verdict.objections
    assert {f.rule for f in verdict.findings} == set(RULES) == set(DESCRIPTIONS)


_ONCE_FIRST = replace(AGREED, history=(declared(ALONE, 300, "c0"), declared(SECOND, 90, "c1")))
_THEN_SECOND = with_registry(
    with_log(_ONCE_FIRST, served=(served(2, 30),), splits=(split(by_chance={2: 100}),)),
    champion=2,
)


@pytest.mark.parametrize(
    ("truths", "rule"),
    [
        pytest.param(at_the_end(AGREED, served(2, 5)), "served_versions_were_declared", id="never"),
        pytest.param(
            at_the_end(AGREED, served(1, 95)), "served_versions_were_declared", id="too early"
        ),
        pytest.param(
            at_the_end(_THEN_SECOND, served(1, 60)), "served_versions_were_declared", id="too late"
        ),
        pytest.param(
            at_the_end(AGREED, served(1, 5, model_digest="sha256:x")),
            "served_versions_were_declared",
            id="another digest",
        ),
        pytest.param(
            at_the_end(AGREED, served(1, 5, variant="shadow")),
            "served_versions_were_declared",
            id="a shadow that was none",
        ),
        pytest.param(
            at_the_end(AGREED, served(1, 5, model_digest="sha256:x")),
            "digests_agree",
            id="digest in the log",
        ),
        pytest.param(
            with_registry(AGREED, digests={1: "sha256:x"}), "digests_agree", id="in the registry"
        ),
        pytest.param(
            with_log(IN_TWO, served=(served(1, 30, requests=1000),)),
            "declared_versions_are_served",
            id="canary gets nothing",
        ),
        pytest.param(
            with_registry(AGREED, champion=2), "champion_alias_follows_git", id="alias elsewhere"
        ),
        pytest.param(
            with_registry(AGREED, champion=None), "champion_alias_follows_git", id="no alias"
        ),
        pytest.param(
            at_the_end(_THEN_SECOND, served(1, 60)), "withdrawn_versions_are_silent", id="withdrawn"
        ),
        pytest.param(
            at_the_end(_THEN_SECOND, served(1, 60, variant="shadow")),
            "withdrawn_versions_are_silent",
            id="withdrawn and asked in secret",
        ),
        pytest.param(
            with_log(IN_TWO, splits=(split(by_chance={1: 700, 2: 300}),)),
            "shares_are_as_declared",
            id="shares",
        ),
        pytest.param(
            with_log(AGREED, splits=(split(by_chance={1: 100, 2: 1}),)),
            "shares_are_as_declared",
            id="a share nobody declared",
        ),
        pytest.param(
            with_log(IN_TWO, splits=(split(by_chance={}, units=500, misrouted=1),)),
            "shares_are_as_declared",
            id="one unit",
        ),
        pytest.param(
            with_registry(AGREED, digests=digests(2)),
            "declared_versions_are_registered",
            id="not registered",
        ),
        pytest.param(
            replace(
                AGREED, history=(*AGREED.history, declared(BOTH, 5, "c2", seal_problem="by x"))
            ),
            "declaration_is_sealed",
            id="unsealed",
        ),
        pytest.param(
            replace(AGREED, pulled=PULLED.model_copy(update={"at": NOW - timedelta(minutes=5)})),
            "kill_switch_is_declared",
            id="pulled and not in Git",
        ),
        pytest.param(
            at_the_end(AGREED, served(0, 5, variant="kill_switch", model_digest="none")),
            "kill_switch_is_declared",
            id="answered and never in Git",
        ),
        pytest.param(
            at_the_end(AGREED, served(1, 5, "c9")), "route_commits_are_known", id="commit"
        ),
    ],
)
def test_each_disagreement_fails_under_its_name(truths: ThreeTruths, rule: str) -> None:
    """And nothing that fails passes as a whole."""
    assert outcome(truths, rule) is Outcome.FAIL
    assert judged(truths).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("truths", "rule"),
    [
        pytest.param(replace(AGREED, history=()), "all_three_can_be_read", id="nothing declared"),
        pytest.param(replace(AGREED, history=()), "declaration_is_sealed", id="nothing sealed"),
        pytest.param(
            with_registry(AGREED, digests={}, champion=None, problem="down"),
            "champion_alias_follows_git",
            id="registry down, alias",
        ),
        pytest.param(
            with_registry(AGREED, digests={}, champion=None, problem="down"),
            "declared_versions_are_registered",
            id="registry down, versions",
        ),
        pytest.param(
            with_log(AGREED, served=(), splits=(), problem="torn"),
            "served_versions_were_declared",
            id="log unreadable",
        ),
        pytest.param(
            with_log(AGREED, served=(), splits=(), problem="torn"),
            "kill_switch_is_declared",
            id="log unreadable, switch",
        ),
        pytest.param(with_log(AGREED, served=()), "traffic_is_enough", id="nothing served"),
        pytest.param(
            with_log(AGREED, served=()), "withdrawn_versions_are_silent", id="nobody answered"
        ),
        pytest.param(
            with_log(AGREED, served=(), splits=()), "shares_are_as_declared", id="no split"
        ),
        pytest.param(
            with_log(IN_TWO, served=(served(1, 30, requests=21),)),
            "declared_versions_are_served",
            id="too few to meet the canary",
        ),
        pytest.param(replace(AGREED, switch_problem="half"), "kill_switch_is_declared", id="half"),
        pytest.param(replace(AGREED, pulled=PULLED), "kill_switch_is_declared", id="on its way"),
    ],
)
def test_what_cannot_be_told_is_no_pass(truths: ThreeTruths, rule: str) -> None:
    """Neither is it a failure."""
    assert outcome(truths, rule) is Outcome.INCONCLUSIVE
    assert judged(truths).outcome is not Outcome.PASS


@pytest.mark.parametrize(
    ("seconds", "found"),
    [(100, Outcome.PASS), (119, Outcome.PASS), (121, Outcome.FAIL), (600, Outcome.FAIL)],
)
def test_a_server_may_finish_within_the_grace(seconds: float, found: Outcome) -> None:
    """After that the version that was replaced is silent."""
    late = served(1, 90 - seconds / 60, first_us=0, last_us=0)
    at = int((NOW - timedelta(minutes=90) + timedelta(seconds=seconds)).timestamp() * 1_000_000)
    late = late.model_copy(update={"first_us": at, "last_us": at})
    truths = at_the_end(_THEN_SECOND, late)
    assert outcome(truths, "served_versions_were_declared") is found
    assert outcome(truths, "withdrawn_versions_are_silent") is found


def test_a_declared_kill_switch_is_expected_to_answer() -> None:
    """Nobody else has to, and its answers need no version."""
    truths = replace(
        AGREED,
        history=(*AGREED.history, declared(ENGAGED, 40, "c2")),
        log=LogSays(served=(served(0, 30, "c2", variant="kill_switch", model_digest="none"),)),
    )
    assert outcome(truths, "kill_switch_is_declared") is Outcome.PASS
    assert outcome(truths, "declared_versions_are_served") is Outcome.PASS


def test_an_unsealed_declaration_declares_nothing() -> None:
    """What it names was not declared, and the alias follows the sealed one."""
    by_hand = declared(state(variant(2)), 40, "c2", seal_problem="by hand")
    truths = at_the_end(replace(AGREED, history=(*AGREED.history, by_hand)), served(2, 5, "c2"))
    assert outcome(truths, "served_versions_were_declared") is Outcome.FAIL
    assert outcome(truths, "route_commits_are_known") is Outcome.FAIL
    assert outcome(truths, "champion_alias_follows_git") is Outcome.PASS


def test_a_declared_shadow_may_be_asked() -> None:
    """Under its digest; nobody gets its answers."""
    asked = state(variant(1), shadows=(shadow(2),))
    truths = replace(AGREED, history=(declared(asked, 90, "c1"),))
    own = served(2, 5, variant="shadow", model_digest="s")
    found = at_the_end(truths, own)
    assert outcome(found, "served_versions_were_declared") is Outcome.PASS
    as_champion = at_the_end(truths, own.model_copy(update={"variant": "champion"}))
    assert outcome(as_champion, "served_versions_were_declared") is Outcome.FAIL


def test_in_staging_the_alias_is_nobodys_concern() -> None:
    """It names who answers in production."""
    truths = with_registry(replace(AGREED, environment="staging"), champion=2)
    assert judged(truths).outcome is Outcome.PASS


def test_the_same_truths_have_the_same_verdict_and_others_another_subject() -> None:
    """A verdict says what it was given on."""
    again = judge_truths(AGREED, POLICY)
    assert again.digest == judged(AGREED).digest
    other = judged(at_the_end(AGREED, served(1, 5)))
    assert other.subject_digest != again.subject_digest


def test_each_version_has_a_row() -> None:
    """Declared, registered or served: what each of the three says."""
    rows = {row.version: row for row in version_rows(at_the_end(IN_TWO, served(7, 5)))}
    assert set(rows) == {1, 2, 7}
    assert rows[2].declared == "canary, 10 %"
    assert (rows[2].requests, rows[7].declared, rows[7].registry_digest) == (100, "", "")


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5))
def test_shares_are_those_that_the_buckets_give(parts: list[float]) -> None:
    """The judge expects what assignment does, bucket by bucket."""
    total = sum(parts)
    weights = [min(100 * part / total, 100.0) for part in parts]
    roles = ["champion", *["treatment"] * (len(parts) - 1)]
    variants = [
        variant(number, role=role, weight_percent=weight)
        for number, (role, weight) in enumerate(zip(roles, weights, strict=True), 1)
    ]
    what = state(*variants)
    percent = {one.version: one.weight_percent for one in what.variants}
    picked = [pick(percent, bucket)[0] for bucket in range(BUCKETS)]
    found = bucket_shares(what)
    if len(parts) > 1:
        for number in percent:
            assert found[number] == pytest.approx(picked.count(number) / BUCKETS, abs=1.1e-4)
    assert sum(found.values()) == pytest.approx(1, abs=1.1e-4)


def test_who_takes_part_in_an_experiment_promises_no_share() -> None:
    """Only those outside of it surely meet a variant by its weight."""
    assert least_share(BOTH, 2) == pytest.approx(0.1)
    both = BOTH.model_copy(update={"experiment": an_experiment(1, 2)})
    assert least_share(both, 2) == pytest.approx(0.05)


MINUTES = st.builds(
    lambda number, minutes, requests: served(number, minutes, requests=requests),
    st.integers(1, 3),
    st.integers(0, 5),
    st.integers(1, 9),
)
SPLITS = st.builds(
    lambda commit, counts, units: split(commit, by_chance=counts, units=units, last_us=units),
    st.sampled_from(["c1", "c2"]),
    st.dictionaries(st.integers(1, 3), st.integers(0, 9), max_size=3),
    st.integers(0, 9),
)
TALLIES = st.builds(
    lambda minutes, splits: (
        TruthTally(line="l", environment="production")
        + TruthTally(
            line="l", environment="production", served=tuple(minutes), splits=tuple(splits)
        )
    ),
    st.lists(MINUTES, max_size=6),
    st.lists(SPLITS, max_size=4),
)


@given(TALLIES, TALLIES, TALLIES)
def test_tallies_add_up_in_any_order(a: TruthTally, b: TruthTally, c: TruthTally) -> None:
    """So that reading what is new gives what reading all would."""
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert tally_from_json((a + b).to_json()) == a + b


def test_what_is_older_than_the_window_is_forgotten() -> None:
    """Minutes and declarations alike; an edited record is none."""
    tally = TruthTally(
        line="l",
        environment="production",
        served=(served(1, 90), served(1, 10)),
        splits=(split("c0", last_us=1), split("c1", last_us=served(1, 10).last_us)),
    ).since(NOW - timedelta(minutes=60))
    assert [one.requests for one in tally.served] == [50]
    assert [one.route_commit for one in tally.splits] == ["c1"]
    with pytest.raises(IntegrityError, match="truth tally"):
        tally_from_json(b"{}")
    with pytest.raises(InputError, match="begin anew"):
        tally + TruthTally(line="other", environment="production")
