"""The command that lists and shows incidents."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ml_release.cli.arguments import Json, Line, opened

if TYPE_CHECKING:
    from ml_release.domain.incident import Incident
    from ml_release.workflows.incidents import KnownIncident

app = typer.Typer()
_NOT_WRITTEN = "not written"


@app.command()
def incident(
    line: Line,
    named: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Its name, or the beginning of its commit."),
    ] = None,
    as_json: Json = False,
) -> None:
    """The rollbacks of a line; one of them with all that is known of it."""
    from ml_release.cli.console import print_json
    from ml_release.errors import NotFoundError
    from ml_release.workflows.incidents import (
        find_rollback,
        known_incidents,
        recorded_incident,
    )

    found, _, wiring = opened(line)
    if named is None:
        known = known_incidents(
            found,
            environment=wiring.environment,
            deployments=wiring.deployments,
            evidence=wiring.evidence,
        )
        if as_json:
            print_json({"line": line, "incidents": [_listed(one) for one in known]})
        else:
            _print_list(line, known)
        return
    taken = find_rollback(
        found, named, environment=wiring.environment, deployments=wiring.deployments
    )
    one = recorded_incident(found, taken.incident_id, evidence=wiring.evidence)
    if one is None:
        message = (
            f"incident {taken.incident_id}: expected its record, found none. Launch the job"
            f" {line}_write_incident first."
        )
        raise NotFoundError(message)
    if as_json:
        print_json(_document(one))
    else:
        _print_one(one)


def _listed(known: KnownIncident) -> dict[str, Any]:
    taken = known.taken
    return {
        "incident": taken.incident_id,
        "version": taken.version,
        "restored": taken.after.state.champion.version,
        "method": taken.method,
        "at": taken.after.committed_at,
        "by": taken.after.actor,
        "reason": taken.after.reason,
        "status": _NOT_WRITTEN if known.incident is None else known.incident.status,
        "requests": None if known.incident is None else known.incident.impact.served.requests,
    }


def _document(one: Incident) -> dict[str, Any]:
    """The record with what follows from it."""
    return {
        **json.loads(one.to_json()),
        "status": one.status,
        "timeline": [asdict(moment) for moment in one.timeline],
        "spans": [asdict(span) for span in one.spans],
        "digest": one.digest,
    }


def _print_list(line: str, known: tuple[KnownIncident, ...]) -> None:
    from ml_release.cli.console import print_facts

    rows = [
        (
            one["incident"],
            f"{one['status']}; version {one['version']}, {one['method']} at {one['at']} by"
            f" {one['by']}: {one['reason']}",
        )
        for one in map(_listed, reversed(known))
    ]
    print_facts(rows or [("none", "nothing was ever taken back")], title=f"{line}: incidents")


def _print_one(one: Incident) -> None:
    from ml_release.cli.console import print_facts
    from ml_release.domain.incident import UNKNOWN
    from ml_release.orchestration.incident_assets import summary

    facts = [
        ("status", f"{one.status}, revision {one.revision} of {one.made_at}"),
        *summary(one),
        *(("finding", finding.sentence()) for finding in one.trigger.findings),
        *((moment.at or UNKNOWN, moment.what) for moment in one.timeline),
        *(
            ("could not be compared", f"{count} rows: {reason}")
            for reason, count in (
                {} if one.blast_radius is None else one.blast_radius.not_rescored
            ).items()
        ),
        *(
            (question, UNKNOWN if said is None else f"{said.text} ({said.by})")
            for question, said in one.answers
        ),
        *(("to do", f"{left.what} [{left.key}]: {left.owner}") for left in one.follow_ups),
        *(("could not be had", text) for text in one.missing),
    ]
    print_facts(facts, title=f"{one.line} incident {one.incident_id}")
