"""Verdicts as Dagster shows them: check results, pictures, failures."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from ml_release.domain.verdict import Outcome, worst
from ml_release.errors import MlReleaseError
from ml_release.orchestration.tables import findings_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ml_release.domain.verdict import Finding, Verdict

ERROR_KIND = "ml_release error"


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


def check_news(
    asset: dg.AssetKey,
    rules: Sequence[str],
    line: str,
    verdict: Verdict | None,
    *,
    plots: Mapping[str, Mapping[str, bytes]] | None = None,
) -> list[dg.AssetCheckResult]:
    """What each rule found about a line that serves: it warns, and stops no run.

    None is no verdict yet: nothing was found that could show that all is well.
    """
    verdicts = {} if verdict is None else {line: verdict}
    return check_results(asset, rules, verdicts, severity=dg.AssetCheckSeverity.WARN, plots=plots)


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


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG inside the page."""
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")


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
