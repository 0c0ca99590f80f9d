"""The model card: what it takes, beside the verdict, to register a candidate."""

import dagster as dg

from ml_release.orchestration.model_assets import trained_in_this_run
from ml_release.orchestration.rendering import reported
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.model_cards import write_card


class CardOf(dg.Config):
    """Model digest of the candidate; empty for the newest one."""

    candidate: str | None = None


def model_card_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/model_card``."""

    @dg.asset(
        key=[line.name, "model_card"],
        deps=[dg.AssetKey([line.name, "evaluation"])],
        group_name=line.name,
        kinds={"markdown", "mlflow"},
        description="What the newest candidate is for, was made from, does well and cannot do.",
    )
    def model_card(context: dg.AssetExecutionContext, config: CardOf) -> dg.MaterializeResult:
        with reported():
            written = write_card(
                line,
                model_digest=config.candidate or trained_in_this_run(line, wiring, context),
                evidence=wiring.evidence,
                experiments=wiring.experiments,
                registry=wiring.registry,
                reports=wiring.reports,
                now=wiring.clock.now(),
            )
        card = written.card
        return dg.MaterializeResult(
            metadata={
                "card": dg.MetadataValue.md(card.to_markdown()),
                "file": dg.MetadataValue.path(written.place),
                "card digest": card.digest,
                "model digest": card.model_digest,
                "verdict digest": card.verdict_digest,
                "declared notes digest": card.notes_digest,
            }
        )

    return model_card
