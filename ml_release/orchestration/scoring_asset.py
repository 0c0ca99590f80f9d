"""The asset of batch predictions: every row of a month, answered by what production declares."""

import dagster as dg

from ml_release.orchestration.data_assets import partitions_of
from ml_release.orchestration.endpoint_assets import endpoint_key
from ml_release.orchestration.rendering import picture, reported
from ml_release.orchestration.wiring import Wiring
from ml_release.ports import Plotter
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.batch_scoring import Scored, score_partition
from ml_release.workflows.scoring_version import choose_scoring_version

SCORED = "scored partitions"


class Scoring(dg.Config):
    """Which version scores, the declared champion if empty."""

    version: int | None = None


def batch_predictions_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/batch_predictions``."""
    key = dg.AssetKey([line.name, "batch_predictions"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, "features"]), endpoint_key(line)],
        partitions_def=partitions_of(line),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=line.name,
        kinds={"deltalake", "onnx"},
        description="The answer to every row of one month, as the production endpoint gives it.",
    )
    def batch_predictions(
        context: dg.AssetExecutionContext, config: Scoring
    ) -> dg.MaterializeResult:
        with reported():
            chosen = choose_scoring_version(
                line,
                config.version,
                environment=wiring.environment,
                evidence=wiring.evidence,
                models=wiring.models,
                registry=wiring.registry,
                deployments=wiring.deployments,
                switches=wiring.switches,
                now=wiring.clock.now(),
            )
        found = {}
        for partition in context.partition_keys:

            def tell(done: int, total: int, partition: str = partition) -> None:
                context.log.info("%s: %s of %s rows", partition, done, total)

            with reported():
                scored = score_partition(
                    line,
                    partition,
                    chosen,
                    tables=wiring.tables,
                    evidence=wiring.evidence,
                    models=wiring.models,
                    loader=wiring.loader,
                    on_progress=tell,
                )
            context.add_asset_metadata(
                _metadata(scored, wiring.plotter), asset_key=key, partition_key=partition
            )
            found[partition] = {
                "rows": scored.predictions.rows,
                "digest": scored.predictions.digest,
                "rows_per_second": round(scored.rows_per_second),
            }
        return dg.MaterializeResult(
            metadata={
                "version": chosen.version,
                "model digest": chosen.model_digest,
                "commit": chosen.route_commit or "asked for by number",
                SCORED: dg.JsonMetadataValue(found),
            }
        )

    return batch_predictions


def _metadata(scored: Scored, plotter: Plotter) -> dict[str, object]:
    """What the predictions of one month are, for their page."""
    record = scored.record
    return {
        "dagster/row_count": scored.predictions.rows,
        "digest": scored.predictions.digest,
        "table version": scored.predictions.table_version,
        "features digest": record.features_digest,
        "threshold": "none" if record.threshold is None else record.threshold,
        "seconds": scored.seconds,
        "rows per second": scored.rows_per_second,
        "scores": picture(plotter.scores(scored.spread, threshold=record.threshold)),
        "missing shares": dg.JsonMetadataValue(dict(scored.missing_shares)),
    }
