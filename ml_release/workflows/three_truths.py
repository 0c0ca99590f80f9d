"""Compare Git, the registry and the inference log, and record what they disagree on.

A tick reads the records that are new, every declaration, and the registry. The alias of the
champion is put right afterwards (`ml_release.workflows.healing`): what was found stays recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.three_truths import LogSays, RegistrySays, ThreeTruths, judge_truths
from ml_release.domain.verdict import verdict_from_json
from ml_release.errors import MlReleaseError
from ml_release.workflows.champion import CHAMPION_ALIAS
from ml_release.workflows.healing import Healed, heal_alias
from ml_release.workflows.seen_commits import remember_commits
from ml_release.workflows.truth_tally import advance_tally, recorded_tally

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml_release.domain.deployment import Declaration
    from ml_release.domain.kill_switch import Pulled
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import (
        Clock,
        Deployments,
        EvidenceStore,
        InferenceLog,
        ModelRegistry,
        Switches,
    )
    from ml_release.spec.release_line import ReleaseLine

TRUTH_VERDICT = "truth_verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was found, the verdict on it, and what became of the alias since."""

    truths: ThreeTruths
    verdict: Verdict
    healed: Healed


def compare_truths(
    line: ReleaseLine,
    *,
    environment: str,
    evidence: EvidenceStore,
    registry: ModelRegistry,
    deployments: Deployments,
    switches: Switches,
    inference_log: InferenceLog,
    clock: Clock,
) -> Compared:
    """Gather, judge, record, and let the alias follow Git.

    A registry, a log or a kill switch that cannot be asked is part of the finding, and raises
    nothing.

    Raises
    ------
    IntegrityError
        If the record of the commits that were seen was edited.
    UnavailableError
        If the deployments repository cannot be read.
    """
    now = clock.now()
    policy = line.policies.truths
    history = deployments.history(line.name, environment)
    remember_commits(line.name, environment, history, evidence=evidence)
    pulled, switch_problem = _pulled(line, environment, switches=switches)
    truths = ThreeTruths(
        line=line.name,
        environment=environment,
        now=now,
        history=history,
        registry=_registry(line, registry=registry),
        log=_log(
            line,
            environment,
            history,
            begin=now - policy.window,
            inference_log=inference_log,
            evidence=evidence,
        ),
        pulled=pulled,
        switch_problem=switch_problem,
    )
    verdict = judge_truths(truths, policy)
    evidence.record(line.name, TRUTH_VERDICT, environment, verdict.to_json())
    healed = heal_alias(line, environment=environment, registry=registry, deployments=deployments)
    return Compared(truths=truths, verdict=verdict, healed=healed)


def newest_truth_verdict(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> Verdict | None:
    """What was found last, None if nothing was compared yet; `IntegrityError` if edited."""
    content = evidence.find(line.name, TRUTH_VERDICT, environment)
    return None if content is None else verdict_from_json(content)


def _registry(line: ReleaseLine, *, registry: ModelRegistry) -> RegistrySays:
    try:
        return RegistrySays(
            digests={one.number: one.model_digest for one in registry.versions(line.name)},
            champion=registry.named(line.name, CHAMPION_ALIAS),
        )
    except MlReleaseError as error:
        return RegistrySays(problem=str(error))


def _log(
    line: ReleaseLine,
    environment: str,
    history: Sequence[Declaration],
    *,
    begin: datetime,
    inference_log: InferenceLog,
    evidence: EvidenceStore,
) -> LogSays:
    try:
        tally = advance_tally(
            recorded_tally(line.name, environment, evidence=evidence),
            history=history,
            inference_log=inference_log,
            evidence=evidence,
            begin=begin,
        )
    except (MlReleaseError, OSError) as error:
        return LogSays(problem=str(error))
    return LogSays(served=tally.served, splits=tally.splits)


def _pulled(
    line: ReleaseLine, environment: str, *, switches: Switches
) -> tuple[Pulled | None, str]:
    try:
        return switches.read(line.name, environment), ""
    except MlReleaseError as error:
        return None, str(error)
