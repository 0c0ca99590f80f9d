"""Stages and the moves between them: where a version stands, what comes next, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.declared_rollout import Rollout
from ml_release.domain.rollout import (
    Destination,
    Path,
    Stage,
    Standing,
    gates_of,
    next_place,
    place_of,
    refusals,
)
from ml_release.domain.verdict import Finding, Outcome
from ml_release_tests.domain.test_deployment import EVIDENCE, shadow, state, variant

if TYPE_CHECKING:
    from ml_release.domain.declared_rollout import Leg
    from ml_release.domain.deployment import DeclaredState
    from ml_release.domain.rollout import Gate

AT = datetime(2026, 11, 21, 9, tzinfo=UTC)
FULL = Path(weights_percent=(5.0, 50.0))
BARE = Path(has_staging=False, has_shadow=False)
GATES: tuple[Gate, ...] = ("evidence", "staging", "approval", "shadow", "canary")


def place(name: str) -> Destination:
    """As ``canary 2``; steps count from 1 in words."""
    stage, _, step = name.partition(" ")
    return Destination(stage=Stage(stage), step=int(step) - 1 if step else None)


def rollout(leg: Leg, version: int = 2, *, step: int = 0) -> Rollout:
    digest = "s" if leg == "shadow" else f"sha256:{version:064d}"
    return Rollout(
        version=version,
        model_digest=digest,
        evidence=EVIDENCE,
        leg=leg,
        step=step,
        begun=AT,
        since=AT,
    )


SHADOWED = state(variant(1), shadows=(shadow(2),), rollout=rollout("shadow"))
SHARED = state(
    variant(1, weight_percent=50.0),
    variant(2, role="canary", weight_percent=50.0),
    rollout=rollout("canary", step=1),
)
WATCHED = state(variant(2), rollback_target=variant(1), rollout=rollout("watch"))


def gates(**outcomes: Outcome) -> dict[Gate, Finding]:
    """Every gate open, but for those that are named."""
    return {
        gate: Finding(
            rule=f"{gate}_rule",
            subject="version 2",
            outcome=outcomes.get(gate, Outcome.PASS),
            detail=f"what {gate} says",
        )
        for gate in GATES
    }


def standing(at: str = "registered", **changes: Any) -> Standing:
    known = {"line": "l", "version": 2, "place": place(at), "champion": 1, "gates": gates()}
    return Standing(**{**known, **changes})


@pytest.mark.parametrize(
    ("declared", "version", "was_staged", "expected"),
    [
        pytest.param(None, 1, False, "registered", id="nothing declared"),
        pytest.param(None, 1, True, "staging", id="nothing declared, staged"),
        pytest.param(state(variant(1)), 2, False, "registered", id="beside production"),
        pytest.param(state(variant(1)), 2, True, "staging", id="staged"),
        pytest.param(state(variant(1)), 1, False, "production", id="champion"),
        pytest.param(SHADOWED, 2, True, "shadow", id="shadow"),
        pytest.param(SHADOWED, 3, True, "staging", id="another beside a shadow"),
        pytest.param(SHADOWED, 1, False, "production", id="champion beside a shadow"),
        pytest.param(SHARED, 2, True, "canary 2", id="canary"),
        pytest.param(SHARED, 1, True, "production", id="champion beside a canary"),
        pytest.param(WATCHED, 2, True, "production", id="under watch"),
        pytest.param(WATCHED, 1, False, "registered", id="overtaken"),
        pytest.param(state(variant(1), withdrawn=(2,)), 2, True, "withdrawn", id="withdrawn"),
    ],
)
def test_where_a_version_stands(
    declared: DeclaredState | None, version: int, was_staged: bool, expected: str
) -> None:
    """By what is declared; staging is told apart by its verdict alone."""
    assert place_of(declared, version, was_staged=was_staged) == place(expected)


@pytest.mark.parametrize(
    ("path", "is_first", "expected"),
    [
        pytest.param(FULL, False, "staging, shadow, canary 1, canary 2, production", id="full"),
        pytest.param(FULL, True, "staging, production", id="first"),
        pytest.param(BARE, False, "production", id="bare"),
        pytest.param(BARE, True, "production", id="bare and first"),
        pytest.param(
            Path(has_staging=False, weights_percent=(5.0,)),
            False,
            "shadow, canary 1, production",
            id="no staging",
        ),
        pytest.param(
            Path(has_shadow=False, weights_percent=(5.0,)),
            False,
            "staging, canary 1, production",
            id="no shadow",
        ),
        pytest.param(Path(), False, "staging, shadow, production", id="no canary"),
    ],
)
def test_the_way_is_walked_place_by_place(path: Path, is_first: bool, expected: str) -> None:
    """From registered, each place is the next one of the one before; none after production."""
    way = [place(name) for name in expected.split(", ")]
    assert list(path.all(is_first=is_first)) == way
    at, walked = place("registered"), []
    while (
        following := next_place(standing(champion=None if is_first else 1, place=at), path)
    ) is not None:
        walked.append(following)
        at = following
    assert walked == way


@pytest.mark.parametrize(
    ("at", "path", "expected"),
    [
        pytest.param("withdrawn", FULL, None, id="withdrawn"),
        pytest.param("production", FULL, None, id="there"),
        pytest.param("staging", BARE, "production", id="staging that is no longer declared"),
        pytest.param("shadow", BARE, None, id="lost shadow"),
        pytest.param("canary 2", Path(weights_percent=(5.0,)), None, id="lost step"),
        pytest.param("canary 1", Path(), None, id="lost canary"),
        pytest.param("canary 2", FULL, "production", id="last step"),
    ],
)
def test_the_next_place(at: str, path: Path, expected: str | None) -> None:
    """Nobody goes on from a place the policy no longer declares."""
    assert next_place(standing(at), path) == (None if expected is None else place(expected))


@pytest.mark.parametrize(
    ("to", "path", "is_first", "expected"),
    [
        ("staging", FULL, False, "evidence"),
        ("shadow", FULL, False, "evidence staging"),
        ("canary 1", FULL, False, "evidence staging approval shadow"),
        ("canary 2", FULL, False, "evidence staging approval canary"),
        ("production", FULL, False, "evidence staging approval canary"),
        ("production", FULL, True, "evidence staging approval"),
        ("production", Path(), False, "evidence staging approval shadow"),
        ("production", BARE, False, "evidence approval"),
        ("shadow", Path(has_staging=False), False, "evidence"),
        (
            "canary 1",
            Path(has_shadow=False, weights_percent=(5.0,)),
            False,
            "evidence staging approval",
        ),
    ],
)
def test_what_a_move_asks(to: str, path: Path, is_first: bool, expected: str) -> None:
    """All that was asked before, approval as soon as anybody is answered, and the last verdict."""
    assert " ".join(gates_of(place(to), path, is_first=is_first)) == expected


@pytest.mark.parametrize(
    ("at", "to", "changes", "expected"),
    [
        pytest.param("registered", "staging", {}, (), id="to staging"),
        pytest.param("staging", None, {}, (), id="to shadow"),
        pytest.param("shadow", "canary", {}, (), id="to canary"),
        pytest.param("canary 1", "canary", {}, (), id="next step"),
        pytest.param("canary 2", "production", {}, (), id="to production"),
        pytest.param("registered", "shadow", {}, ("next place is staging",), id="skip staging"),
        pytest.param("registered", "production", {}, ("next place is staging",), id="skip all"),
        pytest.param("staging", "canary", {}, ("next place is shadow",), id="skip shadow"),
        pytest.param("staging", "production", {}, ("next place is shadow",), id="skip both"),
        pytest.param(
            "shadow", "production", {}, ("next place is canary step 1",), id="skip canary"
        ),
        pytest.param(
            "canary 1", "production", {}, ("next place is canary step 2",), id="skip a step"
        ),
        pytest.param("canary 2", "shadow", {}, ("next place is production",), id="backwards"),
        pytest.param("withdrawn", None, {}, ("version 2 was withdrawn",), id="withdrawn"),
        pytest.param(
            "production", None, {"champion": 2}, ("answers all production traffic",), id="there"
        ),
        pytest.param(
            "canary 2",
            None,
            {"path": Path(weights_percent=(5.0,))},
            ("stands at canary step 2, which the present policy does not declare",),
            id="lost step",
        ),
        pytest.param(
            "staging", None, {"under_way": 3}, ("version 3 is being released",), id="another"
        ),
        pytest.param(
            "staging",
            None,
            {"under_way": 3, "is_watched": True},
            ("version 3 answers everybody and is under watch",),
            id="another under watch",
        ),
        pytest.param(
            "registered", "staging", {"under_way": 3, "experiment": "e"}, (), id="staging beside"
        ),
        pytest.param(
            "staging",
            None,
            {"experiment": "colours"},
            ("experiment colours runs",),
            id="experiment",
        ),
        pytest.param(
            "registered",
            "shadow",
            {"gates": gates(staging=Outcome.FAIL)},
            ("next place is staging", "staging: staging_rule [version 2] fail; what staging says"),
            id="the verdict of staging counts no more",
        ),
        pytest.param(
            "shadow",
            "production",
            {
                "under_way": 3,
                "experiment": "e",
                "gates": gates(approval=Outcome.INCONCLUSIVE, shadow=Outcome.FAIL),
            },
            (
                "no stage skipped",
                "version 3 is being",
                "experiment e runs",
                "approval: approval_rule",
                "shadow: shadow_rule",
            ),
            id="every reason at once",
        ),
    ],
)
def test_a_move_is_made_or_refused_with_every_reason(
    at: str, to: str | None, changes: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """A person who is told no learns all that stands in the way."""
    path = changes.pop("path", FULL)
    found = refusals(standing(at, **changes), None if to is None else Stage(to), path)
    assert len(found) == len(expected), found
    for said, part in zip(found, expected, strict=True):
        assert part in said


@pytest.mark.parametrize("at", ["staging", "shadow", "canary 1", "canary 2"])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("outcome", [*Outcome, None])
def test_only_a_pass_opens_a_gate(at: str, gate: Gate, outcome: Outcome | None) -> None:
    """Missing, inconclusive and error hold as a failure does; a gate nobody asks for holds none."""
    found = gates()
    if outcome is None:
        del found[gate]
    else:
        found = gates(**{gate: outcome})
    here = standing(at, gates=found)
    following = next_place(here, FULL)
    assert following is not None
    is_asked = gate in gates_of(following, FULL, is_first=False)
    assert bool(refusals(here, None, FULL)) == (is_asked and outcome is not Outcome.PASS)


def test_evidence_that_holds_is_told_before_what_rests_on_it() -> None:
    """What could not be asked is not called missing."""
    found = gates(evidence=Outcome.FAIL)
    del found["approval"]
    (said,) = refusals(standing("shadow", gates=found), None, FULL)
    assert said.startswith("evidence: ")
    rejected = {**found, "approval": gates(approval=Outcome.FAIL)["approval"]}
    assert len(refusals(standing("shadow", gates=rejected), None, FULL)) == 2


@given(
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 99), max_size=4, unique=True).map(sorted),
    st.booleans(),
    st.lists(st.sampled_from([None, *Stage]), max_size=12),
)
def test_no_stage_that_is_declared_is_skipped(
    has_staging: bool,
    has_shadow: bool,
    weights: list[int],
    is_first: bool,
    wishes: list[Stage | None],
) -> None:
    """Whatever is asked for, in whatever order: the places taken are the first ones of the way."""
    path = Path(
        has_staging=has_staging,
        has_shadow=has_shadow,
        weights_percent=tuple(float(weight) for weight in weights),
    )
    at, taken = place("registered"), []
    for to in wishes:
        here = standing(place=at, champion=None if is_first else 1)
        following = next_place(here, path)
        if not refusals(here, to, path):
            assert following is not None
            assert to in (None, following.stage)
            at = following
            taken.append(at)
    assert tuple(taken) == path.all(is_first=is_first)[: len(taken)]
