"""The command that rehearses a rollback."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from ml_release.cli.arguments import By, Json, Line, opened, tell
from ml_release.errors import RefusedError

app = typer.Typer()
_FIGURES = {
    "detection_p95_s": "detection, s, p95",
    "commit_p95_s": "commit, s, p95",
    "restored_p95_s": "first request restored, s, p95",
    "silent_p95_s": "last request on the bad version, s, p95",
}


@app.command()
def drill(
    line: Line,
    *,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="How often; default: as the policy says.")
    ] = None,
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "a drill",
    as_json: Json = False,
) -> None:
    """Rehearse a rollback under load on a server of its own, and measure it; harms nobody."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    move = acts.Move(version=None, by=by or getpass.getuser(), reason=reason)
    run = acts.drill(found, move, rounds=rounds, settings=settings, wiring=wiring)
    seen = run.metadata["drill"]
    tell(
        f"{line}: {seen['rounds']} rollbacks from version {seen['released']} to"
        f" {seen['restored']}, {seen['outcome']}: the last request on the bad version came"
        f" {seen[_FIGURES['silent_p95_s']]} s after the decision (p95), {seen['failed']} of"
        f" {seen['requests']} requests failed",
        {
            "line": line,
            **{name: seen[name] for name in ("outcome", "rounds", "released", "restored")},
            **{name: seen[name] for name in ("requests", "failed")},
            **{name: seen[shown] for name, shown in _FIGURES.items()},
            "run_id": run.run_id,
        },
        as_json=as_json,
    )
    if seen["outcome"] != "pass":
        message = f"drill of {line}: expected it to pass, found {seen['outcome']}"
        raise RefusedError(message)
