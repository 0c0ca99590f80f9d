"""``ml-release kpis``: how well a line releases."""

from __future__ import annotations

from typing import Annotated

import typer

from ml_release.cli.arguments import Json, Line, opened

app = typer.Typer()


@app.command()
def kpis(
    line: Line,
    *,
    days: Annotated[
        int | None, typer.Option(min=1, help="Back from now; default the policy's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Lead time, deployments, failures, time to restore, drift reaction, rebuilds, cost."""
    from ml_release.cli.console import print_facts, print_json
    from ml_release.workflows.release_kpis import gather_kpis

    found, _, wiring = opened(line)
    told = gather_kpis(
        found,
        wiring.deployments.history(found.name, wiring.environment),
        environment=wiring.environment,
        profiles=wiring.profiles,
        evidence=wiring.evidence,
        now=wiring.clock.now(),
        days=days,
    )
    if as_json:
        print_json(told.model_dump(mode="json"))
        return
    facts = [
        row
        for one in told.kpis
        for row in (
            (one.name.replace("_", " "), f"{one.in_words()} (from {one.n})"),
            ("", one.said),
        )
    ]
    since, until = (f"{moment:%Y-%m-%d}" for moment in (told.since, told.until))
    print_facts(facts, title=f"{told.line} ({told.environment}), {since} to {until}")
