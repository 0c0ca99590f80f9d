"""The commands of a named person: withdraw a version for ever, or lift it."""

from __future__ import annotations

from typing import Annotated

import typer

from ml_release.cli.arguments import Json, Line, opened
from ml_release.cli.releasing import tell_move

app = typer.Typer()
_Number = Annotated[int, typer.Argument(metavar="VERSION", help="Number in the registry.")]
_Who = Annotated[str, typer.Option("--by", help="Who answers for it; a person, by name.")]
_Why = Annotated[str, typer.Option("--reason", help="Why; goes into the commit.")]


@app.command()
def withdraw(
    line: Line, version: _Number, *, by: _Who, reason: _Why, as_json: Json = False
) -> None:
    """Let a version never serve again, until it is lifted; where it serves it is taken back."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    move = acts.Move(version=version, by=by, reason=reason)
    run = acts.withdraw(found, move, settings=settings, wiring=wiring)
    tell_move(line, run, as_json=as_json)


@app.command()
def lift(line: Line, version: _Number, *, by: _Who, reason: _Why, as_json: Json = False) -> None:
    """Let a withdrawn version be released again: approved, staged and watched as a new one."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    move = acts.Move(version=version, by=by, reason=reason)
    run = acts.lift(found, move, settings=settings, wiring=wiring)
    tell_move(line, run, as_json=as_json)
