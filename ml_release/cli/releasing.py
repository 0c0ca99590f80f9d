"""The commands that move a release: promote, approve, reject, rollback."""

from __future__ import annotations

import getpass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ml_release.cli.arguments import By, Json, Line, Version, opened, tell
from ml_release.errors import RefusedError

if TYPE_CHECKING:
    from ml_release.cli.running import JobRun
    from ml_release.domain.rollout_plan import PlannedPlace, RolloutPlan
    from ml_release.workflows.release_under_way import ReleaseUnderWay

app = typer.Typer()
_ENDPOINTS = ("production_endpoint", "canary_endpoint", "shadow_endpoint")


class Environment(StrEnum):
    """Of a deployment."""

    STAGING = "staging"
    PRODUCTION = "production"


class To(StrEnum):
    """Where a version is moved; always the next stage, whichever that is."""

    NEXT = "next"
    STAGING = "staging"
    SHADOW = "shadow"
    CANARY = "canary"
    PRODUCTION = "production"


@app.command()
def promote(
    line: Line,
    version: Version = None,
    *,
    to: Annotated[
        To, typer.Option("--to", help="The stage it is to reach: the next one, or none.")
    ] = To.NEXT,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the way that is left, and move nothing.")
    ] = False,
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "promoted by hand",
    as_json: Json = False,
) -> None:
    """Move a registered version to its next stage: staging, shadow, canary, production."""
    from ml_release.cli import acts
    from ml_release.domain.rollout import Stage

    found, settings, wiring = opened(line)
    if plan:
        planned = acts.plan(found, version, wiring=wiring)
        _show_plan(planned, as_json=as_json)
        if planned.reasons:
            raise typer.Exit(1)
        return
    move = acts.Move(version=version, by=by or getpass.getuser(), reason=reason)
    if to is To.STAGING or (
        to is To.NEXT and acts.next_stage(found, version, wiring=wiring) is Stage.STAGING
    ):
        run = acts.stage(found, move, settings=settings, wiring=wiring)
        _tell_staged(line, run, as_json=as_json)
        return
    run = acts.promote(found, move, to=to.value, settings=settings, wiring=wiring)
    tell_move(line, run, as_json=as_json)


@app.command()
def approve(
    line: Line,
    version: Version = None,
    *,
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    as_json: Json = False,
) -> None:
    """Let a version through, on the evidence as it is; whoever trained it may not."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    move = acts.Move(version=version, by=by or getpass.getuser(), reason=reason)
    run = acts.approve(found, move, settings=settings, wiring=wiring)
    word = run.metadata[acts.WORD]
    tell(
        f"{line} version {word['version']}: approved by {word['approved by']}. {word['finding']}",
        {
            "line": line,
            "version": word["version"],
            "outcome": word["outcome"],
            "approved_by": word["approved by"],
            "run_id": run.run_id,
        },
        as_json=as_json,
    )


@app.command()
def reject(
    line: Line,
    version: Version = None,
    *,
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    as_json: Json = False,
) -> None:
    """Do not let a version through; where it serves it is rolled back and withdrawn."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    move = acts.Move(version=version, by=by or getpass.getuser(), reason=reason)
    run = acts.reject(found, move, settings=settings, wiring=wiring)
    word = run.metadata[acts.WORD]
    tell(
        f"{line} version {word['version']}: rejected"
        + ("; it was taken out of service" if word["rolled back"] else ""),
        {
            "line": line,
            "version": word["version"],
            "rolled_back": word["rolled back"],
            "problem": word["problem"],
            "run_id": run.run_id,
        },
        as_json=as_json,
    )
    if word["problem"] != "none":
        message = f"{line} version {word['version']} is rejected, but serves: {word['problem']}"
        raise RefusedError(message)


@app.command()
def rollback(
    line: Line,
    version: Annotated[
        int | None, typer.Option("--to", help="Version to go back to; default the last that may.")
    ] = None,
    *,
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "rolled back by hand",
    as_json: Json = False,
) -> None:
    """Take back a release under way, or restore the last version that may serve; withdraw it."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    move = acts.Move(version=version, by=by or getpass.getuser(), reason=reason)
    run = acts.roll_back(found, move, settings=settings, wiring=wiring)
    again = (
        ""
        if version is not None
        else " It is what a rollback has left already: name a version with --to to go further back."
    )
    tell_move(line, run, as_json=as_json, unchanged=again)


@app.command()
def restore(
    line: Line,
    environment: Annotated[
        Environment | None, typer.Option(help="Default: ML_RELEASE_ENVIRONMENT.")
    ] = None,
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    adopt: Annotated[
        str | None,
        typer.Option(help="Commit to seal as it is; only where no declaration is sealed at all."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Declare the last sealed state again, after somebody edited it by hand."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    move = acts.Move(version=None, by=by or getpass.getuser(), reason=reason)
    run = acts.restore(
        found,
        move,
        adopt=adopt,
        environment=None if environment is None else environment.value,
        settings=settings,
        wiring=wiring,
    )
    tell_move(line, run, as_json=as_json)


@app.command()
def settle(
    line: Line,
    *,
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    as_json: Json = False,
) -> None:
    """End the watch of a release that answers everybody; otherwise it ends by its labels."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    move = acts.Move(version=None, by=by or getpass.getuser(), reason=reason)
    run = acts.settle(found, move, settings=settings, wiring=wiring)
    tell_move(line, run, as_json=as_json)


def under_way_facts(found: ReleaseUnderWay | None) -> list[tuple[str, str]]:
    """The release under way, for the status of its line."""
    if found is None:
        return []
    step = "" if found.step is None else f" step {found.step} of {found.steps}"
    return [
        ("releasing", f"version {found.version}, {found.leg}{step}, since {found.since}"),
        *(("", share) for share in found.shares),
        ("judged", found.verdict),
        ("approvals", found.approvals),
    ]


def _tell_staged(line: str, run: JobRun, *, as_json: bool) -> None:
    moved = run.metadata["staging_endpoint"]
    done = "declared" if moved["changed"] else "stands already; nothing was changed"
    tell(
        f"{line} staging: version {moved['version']} {done} (commit {str(moved['commit'])[:12]},"
        f" verdict {moved['outcome']}). Next: ml-release promote {line} {moved['version']} --plan",
        {
            "line": line,
            "endpoint": "staging_endpoint",
            "version": moved["version"],
            "changed": moved["changed"],
            "commit": moved["commit"],
            "outcome": moved["outcome"],
            "run_id": run.run_id,
        },
        as_json=as_json,
    )


def tell_move(line: str, run: JobRun, *, as_json: bool, unchanged: str = "") -> None:
    """Print what is declared after a move, in words or as one object.

    ``unchanged`` is added in words where nothing was changed.
    """
    name = next(name for name in _ENDPOINTS if name in run.metadata)
    moved = run.metadata[name]
    done = "declared" if moved["changed"] else "stands already; nothing was changed"
    text = f"{line} {name.removesuffix('_endpoint')}: {moved['shares']} {done}"
    tell(
        f"{text} (release under way: {moved['release under way']}; commit"
        f" {str(moved['commit'])[:12]}, before: {moved['before']}, withdrawn:"
        f" {moved['withdrawn']}, taken back by: {moved['taken back by']})"
        f"{'' if moved['changed'] else unchanged}",
        {
            "line": line,
            "endpoint": name,
            "version": moved["version"],
            "shares": moved["shares"],
            "release_under_way": moved["release under way"],
            "changed": moved["changed"],
            "commit": moved["commit"],
            "before": moved["before"],
            "withdrawn": moved["withdrawn"],
            "taken_back_by": moved["taken back by"],
            "why_this_version": moved["why this version"],
            "run_id": run.run_id,
        },
        as_json=as_json,
    )


def _show_plan(plan: RolloutPlan, *, as_json: bool) -> None:
    from ml_release.cli.console import print_facts, print_json

    if as_json:
        print_json(
            {
                "line": plan.line,
                "version": plan.version,
                "stands_at": str(plan.stands_at),
                "would_be_refused": list(plan.reasons),
                "gates": [finding.sentence() for finding in plan.findings],
                "places": [
                    {
                        "place": str(one.place),
                        "weight_percent": one.weight_percent,
                        "sample_percent": one.sample_percent,
                        "minimum_minutes": one.minimum_minutes,
                        "minimum_requests": one.minimum_requests,
                        "minutes_at_traffic": one.minutes_at_traffic,
                        "gates": list(one.gates),
                    }
                    for one in plan.places
                ],
                "rollback_target": plan.rollback_target,
                "requests_per_minute": plan.requests_per_minute,
            }
        )
        return
    rate = plan.requests_per_minute
    facts = [
        ("stands at", str(plan.stands_at)),
        ("next move", "would be made" if not plan.reasons else "would be refused"),
        *(("", f"refused: {reason}") for reason in plan.reasons),
        *(("gate", finding.sentence()) for finding in plan.findings),
        *((str(one.place), _in_words(one)) for one in plan.places),
        ("traffic", "not known" if rate is None else f"{rate:.3g} requests a minute"),
        (
            "rolls back to",
            "nothing yet" if plan.rollback_target is None else f"version {plan.rollback_target}",
        ),
    ]
    print_facts(facts, title=f"{plan.line} version {plan.version}: the way to production")


def _in_words(one: PlannedPlace) -> str:
    share = (
        f"asked in secret for {one.sample_percent:g} %"
        if one.sample_percent
        else f"answers {one.weight_percent:g} %"
    )
    least = f"at least {one.minimum_minutes:g} minutes and {one.minimum_requests} requests"
    about = (
        "" if one.minutes_at_traffic is None else f", about {one.minutes_at_traffic:.3g} minutes"
    )
    held = "" if one.minimum_requests == 0 else f"; {least}{about}"
    return f"{share}{held}; asks for {', '.join(one.gates)}"
