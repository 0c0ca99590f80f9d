"""What is withdrawn holds whatever is declared later, until it is lifted."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.withdrawal_moves import lifted, without
from ml_release.domain.withdrawals import (
    Withdrawals,
    forgotten,
    keeping,
    known_to,
    known_to_all,
    outdated,
    turns_of,
)
from ml_release.errors import RefusedError
from ml_release_tests.domain.test_deployment import an_experiment, shadow, state, variant

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState

TURNS = st.dictionaries(st.integers(1, 5), st.integers(1, 6), max_size=5)
WITHDRAWN = state(variant(1), withdrawn=(2,))
LIFTED = state(variant(1), lifted=(2,))
AGAIN = state(variant(1), withdrawn=(2,), lifted=(2,))


@pytest.mark.parametrize(
    ("states", "withdrawn"),
    [
        pytest.param([state()], (), id="nothing"),
        pytest.param([WITHDRAWN], (2,), id="withdrawn"),
        pytest.param([WITHDRAWN, LIFTED], (), id="lifted"),
        pytest.param([WITHDRAWN, LIFTED, AGAIN], (2,), id="withdrawn again"),
        pytest.param([WITHDRAWN, state(variant(1), withdrawn=(3,))], (2, 3), id="two"),
    ],
)
def test_the_order_in_which_states_are_met_says_nothing(
    states: list[DeclaredState], withdrawn: tuple[int, ...]
) -> None:
    """An old file that is put back is met last."""
    for order in permutations(states):
        assert known_to_all(order).withdrawn == withdrawn


@given(TURNS, TURNS, TURNS)
def test_what_is_known_only_grows(a: dict[int, int], b: dict[int, int], c: dict[int, int]) -> None:
    """Joining is commutative, associative and idempotent, and no turn is ever lost."""
    x, y, z = (Withdrawals(turns=turns) for turns in (a, b, c))
    assert x.joined(y).turns == y.joined(x).turns
    assert x.joined(y).joined(z).turns == x.joined(y.joined(z)).turns
    assert x.joined(x).turns == x.turns
    assert all(x.joined(y).turns[v] >= turn for v, turn in x.turns.items())


@given(TURNS)
def test_two_lists_say_every_turn(turns: dict[int, int]) -> None:
    """What is written into a state is read back from it."""
    known = Withdrawals(turns=turns)
    assert turns_of(known.withdrawn, known.lifted).turns == turns


@pytest.mark.parametrize(
    ("declared", "bad"),
    [
        pytest.param(state(variant(2)), (2,), id="champion"),
        pytest.param(
            state(variant(1, weight_percent=90.0), variant(2, role="canary", weight_percent=10.0)),
            (2,),
            id="canary",
        ),
        pytest.param(
            state(
                variant(1),
                variant(2, role="treatment", weight_percent=0.0),
                experiment=an_experiment(1, 2),
            ),
            (2,),
            id="arm",
        ),
        pytest.param(state(variant(1), shadows=(shadow(2),)), (2,), id="shadow"),
        pytest.param(state(variant(1), rollback_target=variant(2)), (), id="kept warm"),
        pytest.param(state(variant(1)), (), id="not at all"),
    ],
)
@pytest.mark.parametrize("known", [WITHDRAWN, LIFTED, AGAIN], ids=["out", "lifted", "again"])
def test_a_state_that_serves_a_withdrawn_version_is_outdated(
    declared: DeclaredState, bad: tuple[int, ...], known: DeclaredState
) -> None:
    """Also one from before the version was lifted: it comes back by a release, not by a file."""
    assert outdated(declared, known_to(known)) == bad
    if bad:
        with pytest.raises(RefusedError, match="expected no version that was withdrawn"):
            keeping(declared, known_to(known))
    else:
        kept = keeping(declared, known_to(known))
        assert known_to(kept) == known_to(known)
        assert kept.rollback_target is None or 2 not in kept.withdrawn
        assert forgotten(kept, known_to(known)) == ()


def test_a_version_that_was_lifted_serves_by_a_state_that_knows_it() -> None:
    """That is the new release."""
    declared = state(variant(2), lifted=(2,))
    assert keeping(declared, known_to(LIFTED)) == declared


def test_a_lift_is_undone_by_another_withdrawal_and_lifted_again() -> None:
    """Every turn is another one."""
    found = state(variant(1))
    for _ in range(3):
        found = without(found, 2)
        assert found.withdrawn == (2,)
        found = lifted(found, 2)
        assert found.withdrawn == ()
    assert found.lifted == (2, 2, 2)


def test_what_is_not_withdrawn_is_not_lifted() -> None:
    """And the refusal says what is."""
    with pytest.raises(RefusedError, match=r"found \[3\] withdrawn"):
        lifted(state(variant(1), withdrawn=(3,)), 2)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(
            state(variant(1, weight_percent=90.0), variant(2, role="canary", weight_percent=10.0)),
            id="canary",
        ),
        pytest.param(
            state(
                variant(1),
                variant(2, role="treatment", weight_percent=0.0),
                experiment=an_experiment(1, 2),
            ),
            id="arm",
        ),
        pytest.param(state(variant(1), shadows=(shadow(2),)), id="shadow"),
        pytest.param(state(variant(1), rollback_target=variant(2)), id="kept warm"),
        pytest.param(state(variant(1)), id="nowhere"),
    ],
)
def test_a_version_is_withdrawn_wherever_it_stands(before: DeclaredState) -> None:
    """The champion answers everybody, and the rest stays."""
    found = without(before, 2)
    assert found == state(variant(1), withdrawn=(2,))


def test_the_champion_is_not_withdrawn_without_a_successor() -> None:
    """Somebody has to answer."""
    with pytest.raises(RefusedError, match="roll back instead"):
        without(state(variant(1)), 1)
