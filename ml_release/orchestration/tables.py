"""Tables of text as Dagster shows them, and numbers for reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.drift_standing import DriftStanding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from ml_release.domain.drift_record import DriftRecord
    from ml_release.domain.performance import Performance
    from ml_release.domain.provenance import KeptOut
    from ml_release.domain.search import SearchRecord
    from ml_release.domain.verdict import Finding
    from ml_release.domain.waivers import Waived

_DIGITS = 5


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> dg.TableMetadataValue:
    """Rows of one text per column; without a row it still names its columns."""
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(columns, row, strict=True))) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in columns]),
    )


def findings_table(found: Sequence[Finding]) -> dg.TableMetadataValue:
    """Findings as a table, the observed value beside its limit; of several rules with the rule."""
    several = len({f.rule for f in found}) > 1
    columns = ("subject", "outcome", "observed", "limit", "unit", "n", "detail")
    return text_table(
        (*(("rule",) if several else ()), *columns),
        (
            (
                *((f.rule,) if several else ()),
                f.subject,
                f.outcome.value + ("" if f.votes else " (muted)"),
                "" if f.observed is f.limit is None else number(f.observed),
                "" if f.limit is None else f"{f.bound} {number(f.limit)}",
                f.unit,
                "" if f.n is None else str(f.n),
                f.detail,
            )
            for f in found
        ),
    )


def left_out_table(left_out: Mapping[str, str]) -> dg.TableMetadataValue | str:
    """Partitions that a window does without, with the reason; in a word if there is none."""
    if not left_out:
        return "none"
    return text_table(("partition", "reason"), sorted(left_out.items()))


def kept_out_table(kept_out: Mapping[str, KeptOut]) -> dg.TableMetadataValue | str:
    """Declared days that a candidate was not fitted on; in a word if there are none."""
    if not kept_out:
        return "none"
    return text_table(
        ("set", "days", "rows"),
        ((name, str(span), str(span.rows)) for name, span in kept_out.items()),
    )


def waived_table(waived: Sequence[Waived]) -> dg.TableMetadataValue | str:
    """Findings that were let go, marked red; in a word if there is none."""
    if not waived:
        return "none"
    return text_table(
        ("", "finding", "by", "reason", "until"),
        (
            (
                "\N{CROSS MARK} not a pass",
                one.finding.sentence(),
                one.waiver.by,
                one.waiver.reason,
                f"{one.waiver.expires_at:%Y-%m-%d %H:%M} UTC",
            )
            for one in waived
        ),
    )


def drift_table(record: DriftRecord) -> dg.TableMetadataValue:
    """Every feature of a window with how it stands, those that hurt first."""
    worst_first = (
        DriftStanding.HURTING,
        DriftStanding.UNKNOWN,
        DriftStanding.HARMLESS,
        DriftStanding.STABLE,
    )
    rows = sorted(
        record.features,
        key=lambda one: (worst_first.index(one.standing), -(one.weighted_psi_nats or 0.0)),
    )
    return text_table(
        (
            "feature",
            "standing",
            "PSI, nats",
            "limit",
            "p adjusted",
            "effect",
            "importance",
            "expected change of log loss",
            "limit of it",
            "no evidence",
            "windows in a row",
            "why",
        ),
        (
            (
                one.feature,
                one.standing.value,
                number(one.psi_nats),
                number(one.limit_nats),
                number(one.p_adjusted),
                f"{number(one.effect)} {one.effect_name.replace('_', ' ')}".strip(),
                number(one.importance),
                number(one.loss_change),
                number(one.loss_limit),
                number(one.unknown_share),
                str(one.windows_in_a_row),
                one.why,
            )
            for one in rows
        ),
    )


def frame_table(frame: pd.DataFrame) -> dg.TableMetadataValue:
    """A small frame as a table."""
    return text_table(
        [str(column) for column in frame.columns],
        (
            [number(value) if isinstance(value, float) else str(value) for value in row]
            for row in frame.itertuples(index=False)
        ),
    )


def scores_table(models: Mapping[str, Performance | None]) -> dg.TableMetadataValue:
    """Scores of several models on the same rows, one column per model."""
    known = {name: performance for name, performance in models.items() if performance}
    rows = {
        "AUC": {n: number(p.auc.estimate) for n, p in known.items()},
        "AUC interval, by rows": {
            n: f"{number(p.auc.low)} to {number(p.auc.high)}" for n, p in known.items()
        },
        "log loss": {n: number(p.log_loss) for n, p in known.items()},
        "Brier loss": {n: number(p.brier_loss) for n, p in known.items()},
        "calibration error": {n: number(p.calibration_error) for n, p in known.items()},
        "mean probability": {n: number(p.mean_probability) for n, p in known.items()},
        "observed rate": {n: number(p.observed_rate) for n, p in known.items()},
        "rows": {n: str(p.rows) for n, p in known.items()},
    }
    return text_table(
        ("score", *known), ((score, *values.values()) for score, values in rows.items())
    )


def search_table(search: SearchRecord | None) -> dg.TableMetadataValue | str:
    """What a search has tried and found; in a word if there was none."""
    if search is None:
        return "none"
    rows = {
        "objective": search.objective.replace("_", " "),
        "best": f"{number(search.best_value)} by trial {search.best_trial}",
        "declared parameters": number(search.declared_value),
        "trials": f"{search.complete} complete, {search.pruned} pruned, {search.failed} failed",
        "seconds": f"{search.seconds_spent:.1f}, ended by {search.ended_by}",
        "budget": f"{search.trials_asked} trials, {search.seconds_asked:g} seconds",
        "folds": "; ".join(f"{f.validation_from} to {f.validation_to}" for f in search.folds),
        "seed": str(search.seed),
    }
    return text_table(("search", "value"), rows.items())


def digests_table(digests: Mapping[str, str]) -> dg.TableMetadataValue:
    """Names with their digests."""
    return text_table(("what", "digest"), digests.items())


def number(value: float | None) -> str:
    """A number for reading; unknown where there is none."""
    return "unknown" if value is None or value != value else f"{value:.{_DIGITS}g}"  # noqa: PLR0124 (NaN)
