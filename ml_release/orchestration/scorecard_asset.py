"""The asset ``<line>/gate_scorecard``: what the gates kill, and what they block for nothing."""

import dagster as dg

from ml_release.domain import scorecard
from ml_release.domain.identity import digest_of_json
from ml_release.domain.scorecard import Scorecard, judge_scorecard
from ml_release.domain.verdict import Verdict
from ml_release.orchestration.rendering import check_news, check_specs, reported
from ml_release.orchestration.tables import number
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.gate_scorecard import Bench, run_scorecard


class ScorecardSize(dg.Config):
    """How many windows and seeds per window; empty for what policy.yaml says."""

    windows: int | None = None
    seeds: int | None = None


def gate_scorecard_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/gate_scorecard``; no job makes it, since it takes minutes."""
    key = dg.AssetKey([line.name, "gate_scorecard"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, "features"])],
        check_specs=check_specs(key, scorecard.DESCRIPTIONS, blocking=False),
        group_name=line.name,
        kinds={"onnx"},
        description="Mutants and honest retrainings before the evaluation gates: are the gates any"
        " good? Materialize it after a change of policy.yaml.",
    )
    def gate_scorecard(
        context: dg.AssetExecutionContext, config: ScorecardSize
    ) -> dg.MaterializeResult:
        with reported():
            card = run_scorecard(
                Bench(
                    line=line,
                    compiler=wiring.compiler,
                    loader=wiring.loader,
                    probe=wiring.probe,
                    attributor=wiring.attributor,
                ),
                tables=wiring.tables,
                windows=config.windows,
                seeds=config.seeds,
                on_trial=lambda trial: context.log.info(
                    "%s: %s", trial.name, ", ".join(trial.stopped_by) or "passes"
                ),
            )
        return dg.MaterializeResult(
            metadata=_metadata(card),
            check_results=check_news(
                key, tuple(scorecard.DESCRIPTIONS), line.name, _verdict(line, card)
            ),
        )

    return gate_scorecard


def _verdict(line: ReleaseLine, card: Scorecard) -> Verdict:
    policies = line.policies
    return Verdict(
        judge="scorecard/1",
        line=line.name,
        subject_digest=digest_of_json(policies.evaluation.model_dump(mode="json")),
        evidence={"policy_digest": digest_of_json(policies.scorecard.model_dump(mode="json"))},
        findings=judge_scorecard(card, policies.scorecard),
    )


def _metadata(card: Scorecard) -> dict[str, dg.MetadataValue | float | str]:
    kills, blocks = card.rate(mutants=True), card.rate(mutants=False)
    return {
        "kill rate": kills.estimate,
        "kill rate, 95 % interval": f"{number(kills.low)} to {number(kills.high)}",
        "false block rate": blocks.estimate,
        "false block rate, 95 % interval": f"{number(blocks.low)} to {number(blocks.high)}",
        "trials": dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "model": trial.name,
                        "should be": "stopped" if trial.is_mutant else "released",
                        "was": "stopped" if trial.stopped_by else "released",
                        "by": ", ".join(trial.stopped_by),
                    }
                )
                for trial in card.trials
            ]
        ),
        "gates": dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "gate": rule,
                        "mutants stopped": str(killed),
                        "by it alone": str(alone),
                        "honest ones stopped": str(blocked),
                    }
                )
                for rule, (killed, alone, blocked) in card.by_rule().items()
            ]
        ),
    }
