"""``ml-release explain`` and ``ml-release audit``: what was, and whether it was right."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ml_release.cli.arguments import Json, Line, opened
from ml_release.cli.releasing import Environment
from ml_release.errors import InputError

if TYPE_CHECKING:
    from ml_release.domain.audit import Audit
    from ml_release.domain.explanation import Explanation

app = typer.Typer()
_VIOLATIONS = 1


@app.command()
def explain(
    line: Line,
    *,
    at: Annotated[
        str | None, typer.Option("--at", help="A moment with its zone, as 2013-10-01T12:00Z.")
    ] = None,
    request: Annotated[
        str | None, typer.Option("--request", help="Id of a request that was answered.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="The request's x-unit-id; the log holds its bucket only.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What served at a moment or answered a request, and everything that stands behind it."""
    from ml_release.workflows.explaining import explain_moment, explain_request

    if (at is None) == (request is None):
        message = "explain: expected either --at or --request, found " + (
            "neither" if at is None else "both"
        )
        raise InputError(message)
    moment = None if at is None else _moment(at)
    found, _, wiring = opened(line)
    if moment is not None:
        told = explain_moment(
            found,
            moment,
            environment=wiring.environment,
            inference_log=wiring.inference_log,
            tables=wiring.tables,
            evidence=wiring.evidence,
            models=wiring.models,
            registry=wiring.registry,
            deployments=wiring.deployments,
        )
    else:
        told = explain_request(
            found,
            request or "",
            unit=unit,
            environment=wiring.environment,
            inference_log=wiring.inference_log,
            tables=wiring.tables,
            evidence=wiring.evidence,
            models=wiring.models,
            registry=wiring.registry,
            deployments=wiring.deployments,
        )
    _show_explanation(told, as_json=as_json)


@app.command()
def audit(
    line: Line,
    *,
    environment: Annotated[
        Environment | None, typer.Option(help="Default: ML_RELEASE_ENVIRONMENT.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Every declaration that was ever made, checked again; exit code 1 with violations."""
    from ml_release.workflows.auditing import audit_line

    found, _, wiring = opened(line)
    done = audit_line(
        found,
        environment=wiring.environment if environment is None else environment.value,
        evidence=wiring.evidence,
        deployments=wiring.deployments,
    )
    _show_audit(done, as_json=as_json)
    if not done.is_clean:
        raise typer.Exit(_VIOLATIONS)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        message = f"--at: expected a time as 2013-10-01T12:00Z, found {text!r}"
        raise InputError(message) from error


def _show_explanation(told: Explanation, *, as_json: bool) -> None:
    from ml_release.cli.console import print_facts, print_json, results

    if as_json:
        document = told.model_dump(mode="json")
        print_json({**document, "problems": len(told.problems), "unknown": len(told.unknown)})
        return
    results.print(f"{told.line} ({told.environment}), {told.asked}", style="bold", markup=False)
    for section in told.sections:
        print_facts([(f.name, f.sentence()) for f in section.facts], title=section.title)
    results.print(
        f"{len(told.problems)} facts do not check out, {len(told.unknown)} are not known",
        markup=False,
    )


def _show_audit(done: Audit, *, as_json: bool) -> None:
    from rich.table import Table

    from ml_release.cli.console import print_facts, print_json, results

    if as_json:
        print_json({**done.model_dump(mode="json"), "is_clean": done.is_clean})
        return
    table = Table(title=f"{done.line} ({done.environment})", title_justify="left")
    for name in ("time", "by", "move", "shares before", "shares after", "why", "approved", "ok"):
        table.add_column(name, overflow="fold")
    for row in done.rows:
        table.add_row(
            row.at,
            row.actor,
            row.move,
            row.shares_before,
            row.shares_after,
            row.reason,
            row.approved_by,
            "yes" if row.is_sealed and row.evidence_checks_out else "NO",
        )
    results.print(table, markup=False)
    if done.violations:
        print_facts(
            [(one.rule, one.said) for one in done.violations],
            title=f"{len(done.violations)} violations",
        )
    else:
        results.print("no violations", markup=False)
