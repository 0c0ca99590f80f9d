"""The asset of late labels: gathered from every source, joined to the requests they are about."""

from typing import Any

import dagster as dg

from ml_release.domain import label_maturity
from ml_release.orchestration.rendering import check_news, check_specs, picture, reported
from ml_release.orchestration.tables import frame_table, number
from ml_release.orchestration.wiring import Wiring
from ml_release.spec.release_line import ReleaseLine
from ml_release.workflows.labels import LabelsGathered, gather_labels, has_files

COLUMNS = dg.TableSchema(
    columns=[
        dg.TableColumn(
            "request_id",
            "string",
            "the request, or its keys",
            dg.TableColumnConstraints(unique=True),
        ),
        dg.TableColumn("label", "int64", "0 or 1, as it was told first"),
        dg.TableColumn("event_time", "datetime64[us, UTC]", "moment of the event, by the request"),
        dg.TableColumn("known_at", "datetime64[us, UTC]", "moment the outcome was known"),
        dg.TableColumn("source", "string", "who told it first: route, files or snapshots"),
    ]
)


def labels_asset(line: ReleaseLine, wiring: Wiring) -> dg.AssetsDefinition:
    """The asset ``<line>/labels``."""
    key = dg.AssetKey([line.name, "labels"])
    rules = label_maturity.DESCRIPTIONS
    upstream = ["inference_window"]
    if has_files(line):
        rules = {**rules, **label_maturity.FILES_DESCRIPTIONS}
        upstream.append("landing")
    if line.labels is not None and line.labels.from_snapshots:
        upstream.append("snapshot")

    @dg.asset(
        key=key,
        deps=[dg.AssetKey([line.name, name]) for name in upstream],
        check_specs=check_specs(key, rules, blocking=False),
        group_name=line.name,
        kinds={"deltalake"},
        description="Labels of served requests, gathered from the labels route and where else the"
        " line declares; the first one told of a request stands.",
    )
    def labels(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with reported():
            gathered = gather_labels(
                line,
                environment=wiring.environment,
                inference_log=wiring.inference_log,
                landing=wiring.landing,
                tables=wiring.tables,
                evidence=wiring.evidence,
                plotter=wiring.plotter,
                now=wiring.clock.now(),
            )
        for month, reason in gathered.held_back.items():
            context.log.warning("no labels from the snapshot of %s: %s", month, reason)
        for path, reason in gathered.unreadable.items():
            context.log.error("no labels from the file %s: %s", path, reason)
        # Late, contradicting or unreadable labels are news for a person, and for the decision. They
        # stop no run: what else is wrong has to be decided on all the same.
        return dg.MaterializeResult(
            metadata=_metadata(gathered),
            check_results=check_news(key, tuple(rules), line.name, gathered.verdict),
        )

    return labels


def _metadata(gathered: LabelsGathered) -> dict[str, Any]:
    maturity, partitions = gathered.maturity, gathered.partitions
    return {
        "outcome": gathered.verdict.outcome.value,
        "dagster/row_count": gathered.record.labels,
        "digest": gathered.record.digest or "no labels yet",
        "table version": max((one.table_version for one in partitions), default=0),
        "partitions": dg.JsonMetadataValue({one.partition: one.rows for one in partitions}),
        "sources": frame_table(gathered.per_source),
        "held back": dg.JsonMetadataValue(dict(gathered.held_back)),
        "files that cannot be read": dg.JsonMetadataValue(gathered.unreadable),
        "requests in the window": maturity.requests,
        "immature requests": maturity.immature,
        f"share known after {maturity.due_days:g} days": number(maturity.due_share),
        "dagster/column_schema": COLUMNS,
        **{name: picture(png) for name, png in gathered.plots.items()},
    }
