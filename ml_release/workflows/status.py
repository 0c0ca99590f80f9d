"""What each line serves, what it has, and what it waits for: gathered, nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ml_release.domain.kill_switch import switch_in_words
from ml_release.domain.slo import budgets_in_words
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import IntegrityError
from ml_release.workflows.budget_freeze import newest_slo_verdict
from ml_release.workflows.champion import seal_refusal
from ml_release.workflows.environment_drift import environment_drift
from ml_release.workflows.evaluation import EVALUATION_VERDICT
from ml_release.workflows.labels import newest_labels
from ml_release.workflows.monitoring import newest_drift_verdict, newest_window
from ml_release.workflows.monitoring_decision import newest_decision
from ml_release.workflows.release_under_way import ReleaseUnderWay, release_under_way
from ml_release.workflows.training import CANDIDATE

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.domain.deployment import Declaration
    from ml_release.domain.remote_state import RemoteState
    from ml_release.ports import (
        Deployments,
        EvidenceStore,
        ModelRegistry,
        ModelStore,
        Switches,
        Workplace,
    )
    from ml_release.spec.release_line import ReleaseLine


class LineStatus(BaseModel):
    """One line at one moment; None is not known or not there.

    Attributes
    ----------
    versions
        Registered version numbers.
    serving, share_percent
        Version that is declared to answer, and its share of the traffic: by the newest declaration
        that is sealed.
    declared_problem
        Why what is declared now does not count, what was edited and what to do; also that it is an
        earlier declaration put back by hand, which counts.
    remote
        How the deployments repository stands to its remote, in words; None where it has none.
    kill_switch
        What is to be known of a switch that is pulled or not in Git yet, in words.
    promises, budgets
        Outcome of the newest verdict on what the line promises, and of every promise what is left
        of its error budget, in words; what is spent freezes promotions.
    labels
        Requests whose label was gathered.
    decision
        What monitoring has led to last, in one line.
    environment_drift
        What differs between the environment that runs and the one the serving version was trained
        in, in words.
    under_way
        The release between staging and the end of its watch.
    waits_for
        What keeps the newest version from production, in words; empty if nothing does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: str
    environment: str
    versions: tuple[int, ...]
    serving: int | None
    share_percent: float | None
    since: str | None
    by: str | None
    reason: str | None
    commit: str | None
    declared_problem: str | None
    remote: str | None
    kill_switch: str | None
    withdrawn: tuple[int, ...]
    candidate: str | None
    candidate_verdict: Outcome | None
    objections: tuple[str, ...]
    drift: Outcome | None
    drift_objections: tuple[str, ...]
    window_rows: int | None
    promises: Outcome | None = None
    budgets: tuple[str, ...] = ()
    labels: int | None
    decision: str | None
    environment_drift: tuple[str, ...] | None
    under_way: ReleaseUnderWay | None
    waits_for: str


def line_status(
    line: ReleaseLine,
    *,
    environment: str,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
    switches: Switches,
    workplace: Workplace,
    now: datetime,
    remote: RemoteState | None = None,
) -> LineStatus:
    """Gather the status of a line."""
    standing = deployments.read(line.name, environment)
    declaration = deployments.sealed(line.name, environment)
    state = None if declaration is None else declaration.state
    digest = evidence.newest_subject(line.name, CANDIDATE)
    content = None if digest is None else evidence.find(line.name, EVALUATION_VERDICT, digest)
    verdict = None if content is None else verdict_from_json(content)
    drift = newest_drift_verdict(line, environment=environment, evidence=evidence)
    window = newest_window(line, environment=environment, evidence=evidence)
    labels = newest_labels(line, environment=environment, evidence=evidence)
    promises = newest_slo_verdict(line, environment=environment, evidence=evidence)
    decision = newest_decision(line, environment=environment, evidence=evidence)
    versions = registry.versions(line.name)
    objections = () if verdict is None else tuple(f.sentence() for f in verdict.objections)
    other = (
        None
        if state is None
        else environment_drift(
            line, state.champion.model_digest, evidence=evidence, workplace=workplace
        )
    )
    registered = {version.model_digest for version in versions}
    under_way = release_under_way(
        line, declaration, evidence=evidence, models=models, registry=registry, now=now
    )
    return LineStatus(
        line=line.name,
        environment=environment,
        versions=tuple(version.number for version in versions),
        serving=None if state is None else state.champion.version,
        share_percent=None if state is None else state.champion.weight_percent,
        since=None if declaration is None else declaration.committed_at,
        by=None if declaration is None else declaration.actor,
        reason=None if declaration is None else declaration.reason,
        commit=None if declaration is None else declaration.commit,
        declared_problem=_declared_problem(standing, deployments=deployments),
        remote=None if remote is None else remote.sentence(),
        kill_switch=_kill_switch(line, declaration, environment=environment, switches=switches),
        withdrawn=() if state is None else state.withdrawn,
        candidate=digest,
        candidate_verdict=None if verdict is None else verdict.outcome,
        objections=objections,
        drift=None if drift is None else drift.outcome,
        drift_objections=() if drift is None else tuple(f.sentence() for f in drift.objections),
        window_rows=None if window is None else window.rows,
        promises=None if promises is None else promises.outcome,
        budgets=budgets_in_words(promises),
        labels=None if labels is None else labels.labels,
        decision=None if decision is None else " ".join(decision.sentence().split()),
        environment_drift=None if other is None else tuple(one.sentence() for one in other),
        under_way=under_way,
        waits_for=_waits_for(
            declaration,
            under_way,
            candidate=digest,
            outcome=None if verdict is None else verdict.outcome,
            is_registered=digest in registered,
            is_edited=standing is not None and bool(standing.seal_problem),
            newest=versions[-1].number if versions else None,
        ),
    )


def _declared_problem(standing: Declaration | None, *, deployments: Deployments) -> str | None:
    if standing is None:
        return None
    if standing.seal_problem:
        return seal_refusal(standing, deployments=deployments)
    if standing.forgotten:
        versions = ", ".join(map(str, standing.forgotten))
        return (
            f"commit {standing.commit[:12]} says nothing of versions {versions}, which were"
            " withdrawn, or lifted, before it; that holds all the same. Run `ml-release restore"
            f" {standing.state.line} --by WHO --reason WHY`, which declares it again"
        )
    if standing.revert_of:
        return (
            f"commit {standing.commit[:12]} put the declaration of commit"
            f" {standing.revert_of[:12]} back by hand, as git revert does"
        )
    return None


def _kill_switch(
    line: ReleaseLine, declaration: Declaration | None, *, environment: str, switches: Switches
) -> str | None:
    try:
        pulled = switches.read(line.name, environment)
    except IntegrityError as error:
        return f"nobody can tell: {error}"
    return switch_in_words(None if declaration is None else declaration.state.kill_switch, pulled)


def _waits_for(  # noqa: PLR0911 (one answer per step of the way)
    declaration: Declaration | None,
    under_way: ReleaseUnderWay | None,
    *,
    candidate: str | None,
    outcome: Outcome | None,
    is_registered: bool,
    is_edited: bool,
    newest: int | None,
) -> str:
    if is_edited:
        return "a sealed declaration: what is declared was edited by hand"
    if under_way is not None:
        reason = under_way.waits_for or "nothing, it goes on by itself"
        return f"version {under_way.version} in {under_way.leg}: {reason}"
    if candidate is None:
        return "a candidate: nothing was trained yet"
    if outcome is None:
        return "an evaluation of the newest candidate"
    if outcome is not Outcome.PASS:
        return f"a better candidate: the newest one is judged {outcome.value}"
    if not is_registered or newest is None:
        return "registration of the newest candidate"
    serving = None if declaration is None else declaration.state.champion.version
    if declaration is not None and newest in declaration.state.withdrawn:
        return f"a new candidate: version {newest} was withdrawn"
    if serving != newest:
        return f"promotion of version {newest}"
    return ""
