"""Verdicts and tables as Dagster shows them: check results and metadata."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.verdict import Outcome, worst
from ml_release.errors import MlReleaseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pandas as pd

    from ml_release.domain.drift_record import DriftRecord
    from ml_release.domain.performance import Performance
    from ml_release.domain.provenance import KeptOut
    from ml_release.domain.search import SearchRecord
    from ml_release.domain.verdict import Finding, Verdict
    from ml_release.domain.waivers import Waived

ERROR_KIND = "ml_release error"
_DIGITS = 5


def check_specs(
    asset: dg.AssetKey,
    descriptions: Mapping[str, str],
    *,
    blocking: bool,
    warning: Collection[str] = (),
) -> list[dg.AssetCheckSpec]:
    """One check per rule of a judge, computed with the asset; those of ``warning`` never block."""
    return [
        dg.AssetCheckSpec(
            rule, asset=asset, blocking=blocking and rule not in warning, description=text
        )
        for rule, text in descriptions.items()
    ]


def check_results(
    asset: dg.AssetKey,
    rules: Sequence[str],
    verdicts: Mapping[str, Verdict],
    *,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    plots: Mapping[str, Mapping[str, bytes]] | None = None,
    warning: Collection[str] = (),
) -> list[dg.AssetCheckResult]:
    """What each rule found; only voting findings that all pass make a check pass.

    A rule none of whose findings has a vote does not pass and warns: it blocks nothing, since the
    verdict does not either.

    Parameters
    ----------
    verdicts
        Name (a partition, or the line) to the verdict on it.
    plots
        Rule to the pictures that belong to it.
    warning
        Rules that the policy shows without a vote: what they found decides how they are shown.
    """
    return [
        dg.AssetCheckResult(
            check_name=rule,
            asset_key=asset,
            passed=outcome is Outcome.PASS,
            severity=severity
            if rule not in warning and (not found or any(f.votes for f in found))
            else dg.AssetCheckSeverity.WARN,
            description=_summary(outcome, counted),
            metadata={
                "outcome": outcome.value,
                "findings": findings_table(found),
                "verdict digests": dg.JsonMetadataValue(
                    {name: verdict.digest for name, verdict in verdicts.items()}
                ),
                **_trend(found),
                **{name: picture(png) for name, png in (plots or {}).get(rule, {}).items()},
            },
        )
        for rule, found, counted, outcome in _by_rule(rules, verdicts, warning)
    ]


def _trend(found: Sequence[Finding]) -> dict[str, float]:
    """The observed value and its limit as numbers, where there is one: Dagster plots them."""
    if len(found) != 1 or found[0].observed is None or found[0].limit is None:
        return {}
    return {"observed": found[0].observed, "limit": found[0].limit}


def _by_rule(
    rules: Sequence[str], verdicts: Mapping[str, Verdict], warning: Collection[str]
) -> Iterator[tuple[str, list[Finding], list[Finding], Outcome]]:
    """Rule, what it found, those of it that count, and their worst outcome."""
    for rule in rules:
        found = [f for verdict in verdicts.values() for f in verdict.findings if f.rule == rule]
        counted = found if rule in warning else [f for f in found if f.votes]
        yield rule, found, counted, worst(f.outcome for f in counted)


def _summary(outcome: Outcome, counted: Sequence[Finding]) -> str:
    held = [f.sentence() for f in counted if f.outcome is not Outcome.PASS]
    if held:
        return "\n".join(held)
    if outcome is Outcome.PASS:
        # The values of a single one say more than that it passes: on how many rows, how close.
        return counted[0].sentence() if len(counted) == 1 else f"{len(counted)} findings, all pass"
    return "nothing was found that could show it"


def findings_table(found: Sequence[Finding]) -> dg.TableMetadataValue:
    """Findings as a table, the observed value beside its limit; of several rules with the rule."""
    several = len({f.rule for f in found}) > 1
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    **({"rule": f.rule} if several else {}),
                    "subject": f.subject,
                    "outcome": f.outcome.value + ("" if f.votes else " (muted)"),
                    "observed": "" if f.observed is f.limit is None else number(f.observed),
                    "limit": "" if f.limit is None else f"{f.bound} {number(f.limit)}",
                    "unit": f.unit,
                    "n": "" if f.n is None else str(f.n),
                    "detail": f.detail,
                }
            )
            for f in found
        ],
        schema=_text_schema(
            *(("rule",) if several else ()),
            "subject",
            "outcome",
            "observed",
            "limit",
            "unit",
            "n",
            "detail",
        ),
    )


def left_out_table(left_out: Mapping[str, str]) -> dg.TableMetadataValue | str:
    """Partitions that a window does without, with the reason; in a word if there is none."""
    if not left_out:
        return "none"
    return dg.MetadataValue.table(
        [dg.TableRecord({"partition": p, "reason": why}) for p, why in sorted(left_out.items())],
        schema=_text_schema("partition", "reason"),
    )


def kept_out_table(kept_out: Mapping[str, KeptOut]) -> dg.TableMetadataValue | str:
    """Declared days that a candidate was not fitted on; in a word if there are none."""
    if not kept_out:
        return "none"
    return dg.MetadataValue.table(
        [
            dg.TableRecord({"set": name, "days": str(span), "rows": str(span.rows)})
            for name, span in kept_out.items()
        ],
        schema=_text_schema("set", "days", "rows"),
    )


def waived_table(waived: Sequence[Waived]) -> dg.TableMetadataValue | str:
    """Findings that were let go, marked red; in a word if there is none."""
    if not waived:
        return "none"
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "": "\N{CROSS MARK} not a pass",
                    "finding": one.finding.sentence(),
                    "by": one.waiver.by,
                    "reason": one.waiver.reason,
                    "until": f"{one.waiver.expires_at:%Y-%m-%d %H:%M} UTC",
                }
            )
            for one in waived
        ],
        schema=_text_schema("", "finding", "by", "reason", "until"),
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
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "feature": one.feature,
                    "standing": one.standing.value,
                    "PSI, nats": number(one.psi_nats),
                    "limit": number(one.limit_nats),
                    "p adjusted": number(one.p_adjusted),
                    "effect": f"{number(one.effect)} {one.effect_name.replace('_', ' ')}".strip(),
                    "importance": number(one.importance),
                    "expected change of log loss": number(one.loss_change),
                    "limit of it": number(one.loss_limit),
                    "no evidence": number(one.unknown_share),
                    "windows in a row": str(one.windows_in_a_row),
                    "why": one.why,
                }
            )
            for one in rows
        ],
        schema=_text_schema(
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
    )


def frame_table(frame: pd.DataFrame) -> dg.TableMetadataValue:
    """A small frame as a table."""
    columns = [str(column) for column in frame.columns]
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    column: number(value) if isinstance(value, float) else str(value)
                    for column, value in zip(columns, row, strict=True)
                }
            )
            for row in frame.itertuples(index=False)
        ],
        schema=_text_schema(*columns),
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
    return dg.MetadataValue.table(
        [dg.TableRecord({"score": score, **values}) for score, values in rows.items()],
        schema=_text_schema("score", *known),
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
    return dg.MetadataValue.table(
        [dg.TableRecord({"search": name, "value": value}) for name, value in rows.items()],
        schema=_text_schema("search", "value"),
    )


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG inside the page."""
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")


def digests_table(digests: Mapping[str, str]) -> dg.TableMetadataValue:
    """Names with their digests."""
    return dg.MetadataValue.table(
        [dg.TableRecord({"what": name, "digest": value}) for name, value in digests.items()],
        schema=_text_schema("what", "digest"),
    )


def number(value: float | None) -> str:
    """A number for reading; unknown where there is none."""
    return "unknown" if value is None or value != value else f"{value:.{_DIGITS}g}"  # noqa: PLR0124 (NaN)


def _text_schema(*names: str) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in names])


@contextmanager
def reported() -> Iterator[None]:
    """Our errors as a failed step with one clear message; a retry would not help."""
    try:
        yield
    except MlReleaseError as error:
        raise dg.Failure(
            description=str(error),
            metadata={ERROR_KIND: type(error).__name__},
            allow_retries=False,
        ) from error
