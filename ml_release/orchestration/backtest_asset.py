"""The asset between features and candidate: what a retraining is worth, before it is made."""

from dataclasses import dataclass

import dagster as dg

from ml_release.domain import backtest as judge
from ml_release.domain.backtest import BacktestRecord, judge_backtest
from ml_release.domain.governor_memory import KINDS, Kind
from ml_release.domain.training_reason import TrainingReason
from ml_release.domain.verdict import Outcome
from ml_release.orchestration.jobs import (
    LAST_PARTITION_TAG,
    REASON_TAG,
    REQUEST_TAG,
    TRIGGER_TAG,
)
from ml_release.orchestration.rendering import check_results, check_specs, reported
from ml_release.orchestration.tables import number
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.backtest import BACKTEST, recorded_backtest, run_backtest
from ml_release.workflows.retraining import end_request, remember_person, require_request

NOT_SAID = "a run that nobody gave a reason for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asks for a run, by its tags."""

    kind: Kind
    reason: str
    request: str | None


def asking_of(context: dg.AssetExecutionContext) -> Asking:
    """A run without a trigger is one that a person has begun."""
    tags = context.run.tags
    kinds: dict[str, Kind] = {kind: kind for kind in KINDS}
    return Asking(
        kind=kinds.get(tags.get(TRIGGER_TAG, ""), "human"),
        reason=tags.get(REASON_TAG, NOT_SAID),
        request=tags.get(REQUEST_TAG),
    )


def backtest_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/backtest``."""
    key = dg.AssetKey([line.name, "backtest"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, "features"])],
        check_specs=check_specs(key, judge.DESCRIPTIONS, blocking=True),
        group_name=line.name,
        kinds={"scikitlearn"},
        description="Two cheap models say what the newer rows are worth before the expensive one"
        " is trained. A person is told, and never held.",
    )
    def backtest(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        asking = asking_of(context)
        with reported():
            _remember(line, wiring, context, asking)
            record, why_not = _tried(line, wiring, context, asking)
        verdict = judge_backtest(
            record,
            line=line.name,
            kind=asking.kind,
            policy=line.policies.retraining.backtest,
            why_not=why_not,
        )
        # Inconclusive alone is no vote of a trigger that says something is wrong.
        holds = any(f.votes and f.outcome is not Outcome.PASS for f in verdict.findings)
        if holds and asking.request is not None:
            end_request(
                line,
                asking.request,
                "turned_down",
                environment=wiring.environment,
                evidence=wiring.evidence,
            )
        return dg.MaterializeResult(
            metadata={
                "trigger": asking.kind,
                "reason": asking.reason,
                **({"found": why_not} if record is None else _metadata(record)),
            },
            check_results=check_results(key, judge.RULES, {line.name: verdict}),
        )

    return backtest


def training_reason(
    line: ReleaseLine, wiring: Wiring, context: dg.AssetExecutionContext
) -> TrainingReason:
    """Why this run trains, with what its backtest found."""
    asking = asking_of(context)
    record = recorded_backtest(line, context.run.run_id, evidence=wiring.evidence)
    return TrainingReason(
        trigger=asking.kind,
        reason=asking.reason,
        request=asking.request or _of_person(context),
        backtest=None if record is None else record.sentence(),
        backtest_digest=None if record is None else record.digest,
    )


def trained(line: ReleaseLine, wiring: Wiring, context: dg.AssetExecutionContext) -> None:
    """Remember that what was asked for has given a candidate."""
    end_request(
        line,
        asking_of(context).request or _of_person(context),
        "trained",
        environment=wiring.environment,
        evidence=wiring.evidence,
    )


def _remember(
    line: ReleaseLine, wiring: Wiring, context: dg.AssetExecutionContext, asking: Asking
) -> None:
    if asking.request is not None:
        require_request(
            line, asking.request, environment=wiring.environment, evidence=wiring.evidence
        )
        return
    remember_person(
        line,
        run_id=context.run.run_id,
        reason=asking.reason,
        partition=context.run.tags.get(LAST_PARTITION_TAG),
        environment=wiring.environment,
        evidence=wiring.evidence,
        deployments=wiring.deployments,
        now=wiring.clock.now(),
    )


def _of_person(context: dg.AssetExecutionContext) -> str:
    return f"human:{context.run.run_id}"


def _tried(
    line: ReleaseLine, wiring: Wiring, context: dg.AssetExecutionContext, asking: Asking
) -> tuple[BacktestRecord | None, str]:
    """The backtest of this run, or why there is none."""
    partition = context.run.tags.get(LAST_PARTITION_TAG)
    declaration = wiring.deployments.sealed(line.name, wiring.environment)
    if asking.kind == "human":
        return None, "a person has asked: it is not tried before"
    if declaration is None:
        return None, "nothing is serving that a retraining could be held against"
    if partition is None:
        return None, "the run does not say up to which partition it trains"
    champion = declaration.state.champion
    record = run_backtest(
        line,
        champion=champion.model_digest,
        version=champion.version,
        partition=partition,
        tables=wiring.tables,
        evidence=wiring.evidence,
        models=wiring.models,
        loader=wiring.loader,
        clock=wiring.clock,
    )
    wiring.evidence.record(line.name, BACKTEST, context.run.run_id, record.to_json())
    return record, ""


def _metadata(record: BacktestRecord) -> dict[str, dg.MetadataValue]:
    shown = {
        "gain of newer rows": record.newest.gain.estimate,
        "gain over the champion": record.newest.over_champion.estimate,
        "gain where the champion was tested": record.tested.gain.estimate,
        "seconds": record.seconds,
    }
    return {
        "found": dg.MetadataValue.text(record.sentence()),
        **{
            name: dg.MetadataValue.text(number(None))
            if value is None
            else dg.MetadataValue.float(value)
            for name, value in shown.items()
        },
        "rows fitted on": dg.MetadataValue.text(f"{record.rows_old} and {record.rows_new}"),
    }
