"""The assets a model is made from: landing, snapshot, features."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ml_release.domain import data_gates
from ml_release.domain.column_profile import shares_of
from ml_release.domain.verdict import Outcome, Verdict
from ml_release.orchestration.column_lineage import features_lineage, snapshot_lineage
from ml_release.orchestration.profile_page import snapshot_profile
from ml_release.orchestration.rendering import check_results, check_specs, picture, reported
from ml_release.orchestration.table_schemas import feature_columns_schema, snapshot_columns
from ml_release.orchestration.tables import findings_table, frame_table
from ml_release.orchestration.wiring import Wiring
from ml_release.ports import Plotter
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.feature_building import build_features, publish_online_history
from ml_release.workflows.quarantine import (
    Unreadable,
    partitions_that_go_on,
    run_goes_on,
    take_or_set_aside,
)
from ml_release.workflows.snapshots import SnapshotTaken


def partitions_of(line: ReleaseLine) -> dg.TimeWindowPartitionsDefinition:
    """The months a line declares; they go on where it declares no last one."""
    source = line.landing
    last = source.last_partition
    return dg.TimeWindowPartitionsDefinition(
        start=source.first_partition,
        # The end is the first month that is not included.
        end=None if last is None else source.following(last),
        fmt="%Y-%m",
        cron_schedule="0 0 1 * *",
    )


def landing_spec(line: ReleaseLine) -> dg.AssetSpec:
    """Where the line's raw rows arrive: outside of Dagster, shown in the lineage."""
    return dg.AssetSpec(
        key=[line.name, "landing"],
        description=f"Raw rows as they arrive: `{line.landing.rows}`"
        + "".join(f", `{path}`" for path in line.landing.companions.values()),
        group_name=line.name,
        kinds={"parquet"},
    )


def snapshot_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/snapshot``."""
    key = dg.AssetKey([line.name, "snapshot"])
    gates = line.policies.data_gates
    descriptions = {rule: data_gates.DESCRIPTIONS[rule] for rule in gates.judged}

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, "landing"])],
        partitions_def=partitions_of(line),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=check_specs(key, descriptions, blocking=True, warning=gates.warning),
        group_name=line.name,
        kinds={"deltalake", "pandera"},
        description=f"{line.objective} One month of assembled rows, immutable, known by digest.",
    )
    def snapshot(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with reported():
            # A contradiction in the declaration stops the run before anything is taken.
            schema = snapshot_columns(line)
        verdicts, unreadable = {}, []
        now = wiring.clock.now()
        for partition in context.partition_keys:
            with reported():
                taken = take_or_set_aside(
                    line,
                    partition,
                    landing=wiring.landing,
                    tables=wiring.tables,
                    evidence=wiring.evidence,
                    now=now,
                )
            verdicts[partition] = taken.verdict
            if isinstance(taken, Unreadable):
                # The other partitions are taken first: they don't hang on this one.
                unreadable.append(taken.error)
                context.log.error("%s", taken.error)
            else:
                context.log.info(
                    "%s: %s rows, %s", partition, taken.snapshot.rows, taken.verdict.outcome
                )
            context.add_asset_metadata(
                _metadata(line, taken, schema, wiring.plotter),
                asset_key=key,
                partition_key=partition,
            )
        with reported():
            goes_on = run_goes_on(
                line,
                {partition: verdict.outcome for partition, verdict in verdicts.items()},
                tables=wiring.tables,
                evidence=wiring.evidence,
            )
            if unreadable and not goes_on:
                raise unreadable[0]
        return dg.MaterializeResult(
            metadata={"set aside": ", ".join(_set_aside(verdicts)) or "none"},
            check_results=check_results(
                key,
                gates.judged,
                verdicts,
                # Where the others go on without those set aside, a check is red but does not block.
                severity=dg.AssetCheckSeverity.WARN if goes_on else dg.AssetCheckSeverity.ERROR,
                warning=gates.warning,
            ),
        )

    return snapshot


def _metadata(
    line: ReleaseLine, taken: SnapshotTaken | Unreadable, schema: dg.TableSchema, plotter: Plotter
) -> dict[str, Any]:
    """What a snapshot is, for its page."""
    if isinstance(taken, Unreadable):
        return {"outcome": taken.verdict.outcome.value, "set aside": str(taken.error)}
    return {
        "dagster/row_count": taken.snapshot.rows,
        "digest": taken.snapshot.digest,
        "table version": taken.snapshot.table_version,
        "outcome": taken.verdict.outcome.value,
        "profile": snapshot_profile(line, taken, schema),
        **spread_picture(taken, plotter),
        "findings": findings_table(taken.verdict.findings),
        "first rows": frame_table(taken.sample),
        "dagster/column_schema": schema,
        "dagster/column_lineage": snapshot_lineage(line),
    }


def _set_aside(verdicts: Mapping[str, Verdict]) -> list[str]:
    return [name for name, verdict in verdicts.items() if verdict.outcome is not Outcome.PASS]


def spread_picture(taken: SnapshotTaken, plotter: Plotter) -> dict[str, dg.MarkdownMetadataValue]:
    """The spread of every column beside the reference; none of a snapshot without columns."""
    if taken.profile is None or not taken.profile.columns:
        return {}
    return {"spread": picture(plotter.spread(shares_of(taken.profile, taken.references)))}


def features_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/features``."""
    key = dg.AssetKey([line.name, "features"])

    @dg.asset(
        key=key,
        # Month to month, although history looks back into the month before: with that in the
        # mapping, materializing January to March would ask for April's features too. What features
        # were built from is recorded, and training refuses them once a snapshot was replaced.
        deps=[dg.AssetKey([line.name, "snapshot"])],
        partitions_def=partitions_of(line),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=line.name,
        kinds={"deltalake", "numpy"},
        description="Readable feature values of one month, each as of the beginning of its day.",
    )
    def features(context: dg.AssetExecutionContext) -> None:
        schema, lineage = feature_columns_schema(line), features_lineage(line)
        with reported():
            going_on, left_out = partitions_that_go_on(
                line, context.partition_keys, tables=wiring.tables, evidence=wiring.evidence
            )
        for partition, reason in left_out.items():
            # Dagster marks every partition of a run as materialized; this says that it is not.
            context.log.warning("%s is set aside: %s", partition, reason)
            context.add_asset_metadata(
                {"set aside": reason, "dagster/row_count": 0},
                asset_key=key,
                partition_key=partition,
            )
        for partition in going_on:
            with reported():
                built = build_features(
                    line, partition, tables=wiring.tables, evidence=wiring.evidence
                )
            context.log.info("%s: %s rows", partition, built.features.rows)
            context.add_asset_metadata(
                {
                    "dagster/row_count": built.features.rows,
                    "digest": built.features.digest,
                    "table version": built.features.table_version,
                    "built from snapshots": dg.JsonMetadataValue(dict(built.record.snapshots)),
                    "missing shares": dg.JsonMetadataValue(dict(built.missing_shares)),
                    "first rows": frame_table(built.sample),
                    "dagster/column_schema": schema,
                    "dagster/column_lineage": lineage,
                },
                asset_key=key,
                partition_key=partition,
            )
        with reported():
            table = publish_online_history(
                line, tables=wiring.tables, evidence=wiring.evidence, online=wiring.online
            )
        if table is not None:
            context.log.info("online history as of %s published", table.as_of)

    return features
