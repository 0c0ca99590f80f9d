"""Bring a kill switch that was pulled at the endpoint into Git, where everybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.kill_switch import adopted
from ml_release.errors import RefusedError
from ml_release.workflows.champion import seal_refusal

if TYPE_CHECKING:
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.kill_switch import Pulled
    from ml_release.ports import Clock, Deployments, Switches
    from ml_release.spec.release_line import ReleaseLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What became of a pulled switch.

    Attributes
    ----------
    pulled
        None if there was nothing to bring into Git.
    declaration
        What Git declares after it; None if nothing is declared for the line at all.
    changed
        Whether a commit was made: Git may have said the same already.
    """

    pulled: Pulled | None
    declaration: Declaration | None
    changed: bool


def adopt_kill_switch(
    line: ReleaseLine,
    *,
    environment: str,
    run_id: str,
    switches: Switches,
    deployments: Deployments,
    clock: Clock,
) -> Adopted:
    """Declare what was pulled, by whom and why, and only then forget it at the endpoint.

    Asked again it changes nothing. A switch that is pulled again meanwhile stays pulled and is
    adopted the next time. Put into the last sealed state: what was edited by hand since is not
    declared along with it.

    Raises
    ------
    StaleWriteError
        If somebody else declared meanwhile; nothing is lost, ask again.
    RefusedError
        If nothing that is declared was ever sealed; the switch stays pulled at the endpoint.
    """
    pulled = switches.read(line.name, environment)
    standing = deployments.read(line.name, environment)
    if pulled is None or standing is None:
        return Adopted(pulled=pulled, declaration=standing, changed=False)
    before = standing
    if standing.seal_problem:
        sealed = deployments.sealed(line.name, environment)
        if sealed is None:
            reason = seal_refusal(standing, deployments=deployments)
            message = f"kill switch of {line.name} is not in Git: {reason}."
            raise RefusedError(message)
        before = sealed
    switch = adopted(before.state.kill_switch, pulled)
    if switch == before.state.kill_switch:
        switches.clear(line.name, environment, pulled)
        return Adopted(pulled=pulled, declaration=before, changed=False)
    declaration = deployments.declare(
        before.state.model_copy(update={"kill_switch": switch}),
        expected_commit=standing.commit,
        trailers={
            "Actor": pulled.by,
            "Reason": f"kill switch {'pulled' if pulled.engaged else 'released'}: {pulled.reason}",
            "Run-Id": run_id,
            "Release": before.state.release,
            "Evidence-Digest": before.state.evidence.verdict_digest,
            "Approved-By": "none",
        },
        at=clock.now(),
    )
    # After the commit: the endpoint never finds the switch in neither place.
    switches.clear(line.name, environment, pulled)
    return Adopted(pulled=pulled, declaration=declaration, changed=True)
