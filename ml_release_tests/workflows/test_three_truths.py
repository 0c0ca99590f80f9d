"""The three truths of a house: gathered tick by tick, judged, recorded; the alias healed."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.assignment import bucket_of, pick
from ml_release.domain.deployment import Variant
from ml_release.domain.truth_tally import TruthTally
from ml_release.domain.verdict import Outcome, worst
from ml_release.errors import IntegrityError, UnavailableError
from ml_release.workflows.champion import CHAMPION_ALIAS
from ml_release.workflows.healing import heal_alias
from ml_release.workflows.seen_commits import SEEN_COMMITS, seen_commits
from ml_release.workflows.three_truths import (
    TRUTH_VERDICT,
    Compared,
    compare_truths,
    newest_truth_verdict,
)
from ml_release.workflows.truth_tally import TRUTH_TALLY, recorded_tally, tally_of
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.inference import InferenceRecord
    from ml_release_tests.small_line import House


def compare(house: House) -> Compared:
    return compare_truths(
        house.line,
        environment=house.environment,
        evidence=house.evidence,
        registry=house.registry,
        deployments=house.deployments,
        switches=house.switches,
        inference_log=house.inference_log,
        clock=house.clock,
    )


def standing(house: House) -> Declaration:
    found = house.deployments.read(steps.LINE, "production")
    assert found is not None
    return found


def answered(house: House, name: str, **changes: Any) -> InferenceRecord:
    """An answer of now, routed by what is declared."""
    now = house.clock.now().isoformat()
    known = {"received_time": now, "route_commit": standing(house).commit, **changes}
    return a_record(house, name, now, **known)


def serve(house: House, prefix: str, n: int = 30, **changes: Any) -> None:
    """Some minutes later, n answers."""
    house.clock.move(timedelta(minutes=5))
    write(house, [answered(house, f"{prefix}{k}", **changes) for k in range(n)])
    house.clock.move(timedelta(seconds=5))


def outcome(found: Compared, rule: str) -> Outcome:
    return worst(f.outcome for f in found.verdict.findings if f.rule == rule)


def test_a_line_that_serves_as_declared_passes(serving: House) -> None:
    """The verdict is recorded and read back."""
    serve(serving, "a")
    found = compare(serving)
    assert found.verdict.outcome is Outcome.PASS, found.verdict.objections
    again = newest_truth_verdict(serving.line, environment="production", evidence=serving.evidence)
    assert again == found.verdict
    assert not found.healed.changed


def test_nothing_served_is_no_pass(serving: House) -> None:
    """Nobody can tell."""
    assert compare(serving).verdict.outcome is Outcome.INCONCLUSIVE


def test_a_tick_reads_only_what_is_new_and_finds_what_reading_all_would(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cursor is behind all that was counted."""
    asked: list[dict[str, int]] = []
    kind = type(serving.inference_log)
    read = kind.records

    def records(log: Any, line: str, *, after: dict[str, int]) -> Any:
        asked.append(dict(after))
        return read(log, line, after=after)

    monkeypatch.setattr(kind, "records", records)
    for tick in range(3):
        serve(serving, f"t{tick}-")
        compare(serving)
    assert [bool(after) for after in asked] == [False, True, True]
    counted = recorded_tally(steps.LINE, "production", evidence=serving.evidence)
    frame, cursor = serving.inference_log.records(steps.LINE, after={})
    whole = tally_of(
        frame,
        line=steps.LINE,
        environment="production",
        history=serving.deployments.history(steps.LINE, "production"),
        cursor=cursor,
    )
    assert counted == whole
    assert sum(one.requests for one in counted.served) == 90


def test_old_minutes_are_forgotten(serving: House) -> None:
    """The tally does not grow with the log."""
    serve(serving, "a")
    compare(serving)
    serving.clock.move(timedelta(hours=2))
    serve(serving, "b")
    compare(serving)
    counted = recorded_tally(steps.LINE, "production", evidence=serving.evidence)
    assert sum(one.requests for one in counted.served) == 30


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"version": 7, "model_digest": steps.NOWHERE}, "served_versions_were_declared"),
        ({"model_digest": steps.NOWHERE}, "digests_agree"),
        ({"route_commit": "c9"}, "route_commits_are_known"),
        (
            {"variant": "kill_switch", "version": 0, "model_digest": "none"},
            "kill_switch_is_declared",
        ),
    ],
)
def test_what_the_log_shows_is_held_against_git(
    serving: House, changes: dict[str, Any], rule: str
) -> None:
    """One strange request among good ones."""
    serve(serving, "a")
    serve(serving, "b", 1, **changes)
    assert outcome(compare(serving), rule) is Outcome.FAIL


def test_the_alias_follows_git(serving: House) -> None:
    """What was found is recorded, and healed; asked again it finds nothing."""
    serving.registry.register(steps.LINE, model_digest=steps.NOWHERE, run_id="run-1", tags={})
    serving.registry.point_alias(steps.LINE, CHAMPION_ALIAS, 2)
    serve(serving, "a")
    found = compare(serving)
    assert outcome(found, "champion_alias_follows_git") is Outcome.FAIL
    assert (found.healed.before, found.healed.after, found.healed.changed) == (2, 1, True)
    assert serving.registry.named(steps.LINE, CHAMPION_ALIAS) == 1
    again = compare(serving)
    assert again.verdict.outcome is Outcome.PASS
    assert not again.healed.changed


def test_an_alias_without_a_declaration_stays(evaluated: House) -> None:
    """It may be all that is left of a repository that was lost; staging has none."""
    version = steps.register(evaluated)
    evaluated.registry.point_alias(steps.LINE, CHAMPION_ALIAS, version.number)
    for environment in ("production", "staging"):
        healed = heal_alias(
            evaluated.line,
            environment=environment,
            registry=evaluated.registry,
            deployments=evaluated.deployments,
        )
        assert healed.problem
        assert not healed.changed
    assert evaluated.registry.named(steps.LINE, CHAMPION_ALIAS) == version.number


def unavailable(*_: object, **__: object) -> None:
    message = "nobody answers"
    raise UnavailableError(message)


@pytest.mark.parametrize(
    ("part", "method", "rule"),
    [
        ("registry", "versions", "champion_alias_follows_git"),
        ("inference_log", "records", "served_versions_were_declared"),
        ("switches", "read", "kill_switch_is_declared"),
    ],
)
def test_what_cannot_be_asked_is_no_pass(
    serving: House, monkeypatch: pytest.MonkeyPatch, part: str, method: str, rule: str
) -> None:
    """And it raises nothing: the other two are compared."""
    serve(serving, "a")
    monkeypatch.setattr(type(getattr(serving, part)), method, unavailable)
    found = compare(serving)
    assert outcome(found, rule) is Outcome.INCONCLUSIVE
    assert outcome(found, "all_three_can_be_read") is Outcome.INCONCLUSIVE
    assert found.verdict.outcome is Outcome.INCONCLUSIVE


def test_an_edited_tally_is_counted_again(serving: House) -> None:
    """The log is what is true."""
    serve(serving, "a")
    first = compare(serving)
    changes: tuple[dict[str, Any], ...] = ({"line": "other_line"}, {"served": 1})
    for change in changes:
        key = (steps.LINE, TRUTH_TALLY, "production")
        document = json.loads(serving.evidence._documents[key])
        serving.evidence._documents[key] = json.dumps({**document, **change}).encode()
        assert recorded_tally(steps.LINE, "production", evidence=serving.evidence) == TruthTally(
            line=steps.LINE, environment="production"
        )
        assert compare(serving).truths.log == first.truths.log


def test_every_declaration_is_remembered(serving: House) -> None:
    """Also one that is in the history no more; an edited record is said, not replaced."""
    serve(serving, "a")
    compare(serving)
    commit = standing(serving).commit
    serving.deployments._histories.clear()
    compare(serving)
    assert seen_commits(steps.LINE, "production", evidence=serving.evidence) == (commit,)
    steps.edit(serving, SEEN_COMMITS, "production", lambda found: found.append(1))
    with pytest.raises(IntegrityError, match="seen commits"):
        compare(serving)


def in_two(house: House) -> Declaration:
    """A declaration of which version 2 has a tenth, as canary."""
    before = standing(house)
    champion = before.state.champion.model_copy(update={"weight_percent": 90.0})
    canary = Variant(role="canary", version=2, model_digest=steps.NOWHERE, weight_percent=10.0)
    state = before.state.model_copy(update={"variants": (champion, canary)})
    return house.deployments.declare(
        state, expected_commit=before.commit, trailers={"Actor": "a"}, at=house.clock.now()
    )


def test_units_count_by_their_bucket_and_others_by_chance(serving: House) -> None:
    """Experiments, shadows, pinned requests and further rows of a batch count in no split."""
    declared = in_two(serving)
    weights = {1: 90.0, 2: 10.0}
    units = {f"u{n}": bucket_of(f"u{n}", declared.state.release) for n in range(200)}
    serving.clock.move(timedelta(minutes=5))
    good = [
        answered(serving, name, bucket=bucket, version=pick(weights, bucket)[0])
        for name, bucket in units.items()
    ]
    fell_back = next(name for name, b in units.items() if pick(weights, b)[0] == 2)
    others = [
        answered(serving, "chance"),
        answered(serving, "chance", row=1),
        answered(serving, "x", experiment="e", bucket=1, version=2),
        answered(serving, "s", shadow=True, variant="shadow", version=2),
        answered(serving, "p", variant="pinned"),
        answered(
            serving,
            "f",
            bucket=units[fell_back],
            version=1,
            assigned_version=2,
            outcome="fallback",
        ),
    ]
    write(serving, [*good, *others])
    (split,) = compare(serving).truths.log.splits
    assert (split.units, split.misrouted, split.by_chance) == (201, 0, {1: 1})
    write(serving, [answered(serving, "wrong", bucket=units[fell_back], version=1)])
    found = compare(serving)
    assert found.truths.log.splits[0].misrouted == 1
    assert outcome(found, "shares_are_as_declared") is Outcome.FAIL


def test_the_verdict_says_when_and_on_what_it_was_given(serving: House) -> None:
    """So that a later reader can tell how old it is."""
    serve(serving, "a")
    said = compare(serving).verdict.evidence
    assert said["declared_commit"] == standing(serving).commit
    assert datetime.fromisoformat(said["judged_at"]) == serving.clock.now()
    assert serving.evidence.newest_subject(steps.LINE, TRUTH_VERDICT) == "production"
