"""Withdrawn for ever, lifted by name; gone back to what fits now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.domain.artefact import PLAN_FILE
from ml_release.domain.features import plan_from_json
from ml_release.domain.history_table import HistoryTable
from ml_release.errors import NotFoundError, RefusedError, UnavailableError
from ml_release.workflows import rollback_target
from ml_release.workflows.approving import on_the_table
from ml_release.workflows.promotion import Moved, Request
from ml_release.workflows.request_contracts import recorded_contract
from ml_release.workflows.withdrawing import lift, withdraw
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_promotion import candidate_version, history

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

REQUEST = Request(by="Grace", reason="it is unfair", run_id="run-3")


def withdrawn(house: House, number: int) -> Moved:
    return withdraw(
        house.line,
        number,
        environment="production",
        request=REQUEST,
        models=house.models,
        loader=house.loader,
        online=house.online,
        registry=house.registry,
        deployments=house.deployments,
        clock=house.clock,
    )


def lifted(house: House, number: int) -> Moved:
    return lift(
        house.line,
        number,
        environment="production",
        request=REQUEST,
        evidence=house.evidence,
        registry=house.registry,
        deployments=house.deployments,
        clock=house.clock,
    )


def releases(house: House, times: int = 1) -> None:
    """So many more versions take all traffic."""
    for _ in range(times):
        candidate_version(house)
        steps.declare(house)


def test_a_version_that_does_not_serve_is_barred_before_it_does(serving: House) -> None:
    """One commit by a named person; the champion stays; promotion is refused."""
    candidate_version(serving)
    moved = withdrawn(serving, 2)
    assert (moved.changed, moved.declaration.actor) == (True, "Grace")
    assert moved.declaration.state.champion.version == 1
    assert moved.declaration.state.withdrawn == (2,)
    assert withdrawn(serving, 2).changed is False
    assert len(history(serving)) == 2
    with pytest.raises(RefusedError, match="withdrawn"):
        steps.declare(serving, 2)


def test_a_withdrawn_champion_is_rolled_back(serving: House) -> None:
    """It is the same act."""
    releases(serving)
    moved = withdrawn(serving, 2)
    assert moved.declaration.state.champion.version == 1
    assert moved.declaration.state.withdrawn == (2,)
    assert "version pin" in moved.methods


def test_the_only_version_is_not_withdrawn(serving: House) -> None:
    """Somebody has to answer, and that is said."""
    with pytest.raises(RefusedError, match="expected an earlier version"):
        withdrawn(serving, 1)


def test_a_rollback_after_a_withdrawal_elsewhere_is_still_made(serving: House) -> None:
    """Barring a version that did not serve is no rollback that was made already."""
    releases(serving, 2)
    withdrawn(serving, 1)
    moved = steps.go_back(serving)
    assert (moved.changed, moved.declaration.state.champion.version) == (True, 2)
    assert moved.declaration.state.withdrawn == (1, 3)


def test_a_slip_of_the_pen_is_not_withdrawn(serving: House) -> None:
    """A number nobody knows; nothing is declared."""
    with pytest.raises(NotFoundError, match="expected version 22"):
        withdrawn(serving, 22)
    assert len(history(serving)) == 1


def test_a_lifted_version_is_released_anew(serving: House) -> None:
    """It serves nobody by the lift, and nobody goes back to what it was before."""
    releases(serving)
    steps.go_back(serving)
    moved = lifted(serving, 2)
    assert (moved.declaration.state.withdrawn, moved.declaration.state.lifted) == ((), (2,))
    assert moved.declaration.state.champion.version == 1
    assert lifted(serving, 2).changed is False
    assert steps.go_back(serving).changed is False
    with pytest.raises(RefusedError, match="expected version 2 that has served"):
        steps.go_back(serving, 2)
    state = steps.declare(serving, 2).declaration.state
    assert (state.champion.version, state.lifted) == (2, (2,))
    back = steps.go_back(serving).declaration.state
    assert (back.withdrawn, back.lifted) == ((2,), (2,))


def test_what_was_approved_before_the_lift_counts_no_more(serving: House) -> None:
    """The lift is on the table since; where its record is lost, nothing before it counts."""
    releases(serving)
    found = steps.gate(serving)
    before = on_the_table(serving.line, found, evidence=serving.evidence)
    steps.go_back(serving)
    lifted(serving, 2)
    after = on_the_table(serving.line, found, evidence=serving.evidence)
    assert after.keys() - before.keys() == {"lift"}
    steps.forget(serving, "lift", found.candidate.model_digest)
    lost = on_the_table(serving.line, found, evidence=serving.evidence, was_lifted=True)
    assert lost["lift"] == "not recorded"


def test_what_was_never_withdrawn_is_not_lifted(serving: House) -> None:
    """And nothing is recorded."""
    with pytest.raises(RefusedError, match="expected a version that is withdrawn"):
        lifted(serving, 1)


def test_the_next_older_version_is_taken_where_the_newest_does_not_load(serving: House) -> None:
    """The commit says why."""
    releases(serving, 2)
    steps.tamper(serving, history(serving)[1].state.champion.model_digest)
    moved = steps.go_back(serving)
    assert moved.declaration.state.champion.version == 1
    assert moved.declaration.state.withdrawn == (3,)
    assert "version 2 is not fit: it does not load" in moved.why


def test_a_rollback_is_refused_with_the_reason_for_every_version(serving: House) -> None:
    """Nothing is declared."""
    releases(serving, 2)
    for one in history(serving)[:2]:
        steps.tamper(serving, one.state.champion.model_digest)
    before = history(serving)
    with pytest.raises(RefusedError, match=r"(?s)version 2 is not fit.*version 1 is not fit"):
        steps.go_back(serving)
    assert history(serving) == before


@pytest.mark.parametrize("lacks", ["both", "the older one"])
def test_a_version_whose_history_is_not_published_is_passed_over(
    serving: House, lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its features would all be missing; not so where the present version lacks them as well."""
    releases(serving)
    serving.online.publish(steps.LINE, HistoryTable(as_of="2013-04-01", values={}, defaults={}))
    if lacks == "both":
        assert steps.go_back(serving).declaration.state.champion.version == 1
        return
    present = history(serving)[-1].state.champion.model_digest
    plan = plan_from_json(serving.models.read(present)[PLAN_FILE])
    without = plan.model_copy(update={"features": plan.features[:1]})
    assert plan.history_features
    assert not without.history_features
    real = plan_from_json
    monkeypatch.setattr(
        rollback_target,
        "plan_from_json",
        lambda content: without if real(content).version == plan.version else real(content),
    )
    with pytest.raises(RefusedError, match="the history table has nothing for its features"):
        steps.go_back(serving)


def test_a_table_that_cannot_be_read_holds_no_rollback(serving: House) -> None:
    """The present version lacks it as well."""
    releases(serving)

    class Broken:
        def publish(self, line: str, table: HistoryTable) -> None: ...

        def read(self, line: str) -> HistoryTable | None:
            message = "gone"
            raise UnavailableError(message)

    serving.online = Broken()  # type: ignore[assignment]
    assert steps.go_back(serving).changed


def test_a_version_that_would_break_its_clients_is_passed_over(
    serving: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest one is not what its clients rely on now."""
    releases(serving, 2)
    real = recorded_contract
    second = history(serving)[1].state.champion.model_digest

    def renamed(digest: str, **more: object) -> object:
        contract = real(digest, **more)  # type: ignore[arg-type]
        assert contract is not None
        return contract.model_copy(update={"output": "x"}) if digest == second else contract

    monkeypatch.setattr(rollback_target, "recorded_contract", renamed)
    moved = steps.go_back(serving)
    assert moved.declaration.state.champion.version == 1
    assert "version 2 is not fit: its clients would be broken" in moved.why


def test_a_champion_that_cannot_be_read_is_left_all_the_same(serving: House) -> None:
    """Its clients still ask what the line declares."""
    releases(serving)
    steps.tamper(serving, history(serving)[-1].state.champion.model_digest)
    assert steps.go_back(serving).declaration.state.champion.version == 1
