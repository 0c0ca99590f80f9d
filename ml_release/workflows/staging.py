"""The stage before anybody is answered: try a version on a real server, then declare it there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_release.domain.artefact import SIGNATURE_FILE, signature_from_json
from ml_release.domain.staging_gates import judge_staging
from ml_release.domain.trial import Trial
from ml_release.domain.verdict import Outcome
from ml_release.domain.waivers import holding, waivers_digest
from ml_release.errors import RefusedError
from ml_release.workflows.champion import seal_refusal
from ml_release.workflows.request_contracts import declared_contract, recorded_contract
from ml_release.workflows.stage_verdicts import STAGING_VERDICT
from ml_release.workflows.staging_record import STAGING_TAG, require_staging
from ml_release.workflows.staging_rows import real_rows
from ml_release.workflows.staging_standing import STAGING, staged, standing_of
from ml_release.workflows.staging_trial import try_out

if TYPE_CHECKING:
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.identity import ModelVersion
    from ml_release.domain.staging_gates import StagingPolicy
    from ml_release.domain.trial import LoadMeasured
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import (
        Clock,
        Deployments,
        EvidenceStore,
        Experiments,
        ModelLoader,
        ModelRegistry,
        ModelStore,
        OnlineHistory,
        Tables,
        TrialServer,
    )
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.promotion import Request
    from ml_release.workflows.staging_trial import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A version with the verdict on what a server did with it; without one there is no load."""

    version: ModelVersion
    verdict: Verdict
    load: LoadMeasured | None

    @property
    def is_fit(self) -> bool:
        """Whether the verdict lets the version be declared."""
        return self.verdict.outcome is Outcome.PASS


def verify_in_staging(
    line: ReleaseLine,
    number: int | None,
    *,
    policy: StagingPolicy,
    server: TrialServer,
    evidence: EvidenceStore,
    models: ModelStore,
    loader: ModelLoader,
    tables: Tables,
    online: OnlineHistory,
    registry: ModelRegistry,
    experiments: Experiments,
    deployments: Deployments,
    clock: Clock,
    progress: Progress = lambda _step, _done, _total: None,
) -> Verified:
    """Let a registered version, the newest for None, meet a real server, and record the verdict.

    Nothing is declared: the server is apart from those that others ask.

    Raises
    ------
    NotFoundError
        If there is no such version.
    RefusedError
        If its evidence does not let it, it was withdrawn, or there are no good rows to ask.
    IntegrityError
        If a record or a file was changed.
    """
    standing = standing_of(
        line,
        number,
        act="verification in staging",
        evidence=evidence,
        models=models,
        registry=registry,
        deployments=deployments,
        clock=clock,
    )
    version, candidate = standing.version, standing.found.candidate
    files = models.read(version.model_digest)
    model, signature = loader.load(files), signature_from_json(files[SIGNATURE_FILE])
    history = online.read(line.name)
    rows = real_rows(
        line,
        candidate,
        model,
        history,
        wanted=policy.smoke_rows,
        act=f"verification of version {version.number} in staging",
        tables=tables,
        evidence=evidence,
    )
    seen = try_out(
        Trial(
            state=staged(line, standing, release=f"{line.name}-{version.number}-on-trial"),
            history=history,
            start_limit_s=policy.start_limit_s,
        ),
        rows,
        signature,
        policy,
        server=server,
        progress=progress,
    )
    offered = recorded_contract(version.model_digest, models=models)
    kept = (
        declared_contract(line)
        if standing.production is None
        else recorded_contract(standing.champion_digest, models=models)
    )
    verdict = judge_staging(
        replace(
            seen,
            contract_of="the line as declared"
            if standing.production is None
            else f"version {standing.production.state.champion.version}",
            kept=kept,
            offered=offered,
        ),
        policy,
        line=line.name,
        version=version.number,
        model_digest=version.model_digest,
        rests_on={
            "champion_digest": standing.champion_digest,
            "verdict_digest": standing.found.verdict.digest,
            "request_schema_digest": "unknown" if offered is None else offered.digest,
            "rows_digest": rows.snapshot.digest,
            "history_digest": "none" if history is None else history.digest,
        },
    )
    evidence.record(line.name, STAGING_VERDICT, version.model_digest, verdict.to_json())
    experiments.resume(candidate.run_id).tag({STAGING_TAG: verdict.digest})
    return Verified(version=version, verdict=verdict, load=seen.load)


def declare_in_staging(
    line: ReleaseLine,
    number: int | None,
    *,
    policy: StagingPolicy,
    request: Request,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
    clock: Clock,
) -> tuple[Declaration, bool]:
    """Declare a version, the newest for None, in the environment ``staging``; whether it is new.

    Declaring what is declared there already changes nothing.

    Raises
    ------
    NotFoundError
        If there is no such version.
    RefusedError
        If its evidence or its verdict of staging does not let it, it was withdrawn, somebody else
        declared meanwhile, or what is declared in staging was edited by hand.
    """
    act = "move to staging"
    standing = standing_of(
        line,
        number,
        act=act,
        evidence=evidence,
        models=models,
        registry=registry,
        deployments=deployments,
        clock=clock,
    )
    verdict = require_staging(
        line,
        standing.version,
        policy=policy,
        champion_digest=standing.champion_digest,
        act=act,
        evidence=evidence,
        registry=registry,
    )
    before = deployments.read(line.name, STAGING)
    if before is not None and before.seal_problem:
        message = (
            f"{act} of version {standing.version.number} refused:"
            f" {seal_refusal(before, deployments=deployments)}."
        )
        raise RefusedError(message)
    release = f"{line.name}-{standing.version.number}-{clock.now():%Y%m%dT%H%M%SZ}"
    state = staged(line, standing, release=release)
    if before is not None and before.state == state.model_copy(
        update={"release": before.state.release}
    ):
        return before, False
    used = holding(standing.found.waived)
    declaration = deployments.declare(
        state,
        expected_commit=None if before is None else before.commit,
        trailers={
            "Actor": request.by,
            "Reason": request.reason,
            "Run-Id": request.run_id,
            "Release": release,
            "Evidence-Digest": verdict.digest,
            **({"Waivers-Digest": waivers_digest(used)} if used else {}),
        },
        at=clock.now(),
    )
    return declaration, True
