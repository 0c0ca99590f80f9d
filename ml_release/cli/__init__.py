"""The ``ml-release`` command.

Exit codes: 0 done, 1 refused by a gate or policy, 2 bad usage or input, 3 something broke.
Every command that changes something runs a Dagster job, so that it shows in the UI with its run.
"""

from __future__ import annotations

import getpass
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml_release.cli import (
    drilling,
    experiments,
    explaining,
    incidents,
    kpis,
    releasing,
    replaying,
    withdrawing,
)
from ml_release.cli.arguments import By, Json, Line, opened, settings_now, tell
from ml_release.domain.rebuild import TOLERANCE
from ml_release.errors import DeclarationError, InputError, MlReleaseError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence


REFUSED, BAD_INPUT, BROKEN = 1, 2, 3


class Position(StrEnum):
    """Of a kill switch."""

    ON = "on"
    OFF = "off"


app = typer.Typer(
    help="Release ML models: from dataset to monitored production endpoint and back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(experiments.app, name="experiment")

app.add_typer(releasing.app)
app.add_typer(incidents.app)
app.add_typer(withdrawing.app)
app.add_typer(explaining.app)
app.add_typer(drilling.app)
app.add_typer(kpis.app)
app.add_typer(replaying.app)


@app.command()
def train(
    line: Line,
    *,
    first: Annotated[
        str | None, typer.Option("--from", help="First month, as 2013-01; default the oldest.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last month, included; default the newest landed.")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Sets of parameters to try, the declared ones first; default the policy's."
        ),
    ] = None,
    search_seconds: Annotated[
        float | None, typer.Option(help="No trial begins after this time; default the policy's.")
    ] = None,
    by: By = "",
    reason: Annotated[
        str, typer.Option("--reason", help="Why; goes to its run and its model card.")
    ] = "asked for on the command line",
    as_json: Json = False,
) -> None:
    """Snapshot, features, candidate, evaluation, registered version: through the gates."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    run = acts.train(
        found,
        first=first,
        last=last,
        trials=trials,
        search_seconds=search_seconds,
        by=by or getpass.getuser(),
        reason=reason,
        settings=settings,
        wiring=wiring,
    )
    version = run.metadata["registered_version"]
    evaluation = run.metadata["evaluation"]
    tell(
        f"{line} version {version['version']} registered: AUC {evaluation['AUC']:.4f} on the test"
        f" window, {run.checks} checks passed. Next: ml-release promote {line}"
        f" {version['version']} --reason WHY. Report: {evaluation['report']}",
        {
            "line": line,
            "version": version["version"],
            "model_digest": version["model digest"],
            "verdict_digest": version["verdict digest"],
            "report": evaluation["report"],
            "auc_score": evaluation["AUC"],
            "checks_passed": run.checks,
            "run_id": run.run_id,
        },
        as_json=as_json,
    )


@app.command()
def register(line: Line, as_json: Json = False) -> None:
    """Register the newest candidate, if its recorded verdict and waivers let it."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    run = acts.register(found, settings=settings, wiring=wiring)
    version = run.metadata["registered_version"]
    waived = [] if version["waived"] == "none" else version["waived"].records
    text = f"{line} version {version['version']} registered"
    if waived:
        text += f"; NOT all gates pass, {len(waived)} findings are waived"
    tell(
        text,
        {
            "line": line,
            "version": version["version"],
            "model_digest": version["model digest"],
            "verdict_digest": version["verdict digest"],
            "waived": [record.data["finding"] for record in waived],
            "run_id": run.run_id,
        },
        as_json=as_json,
    )


@app.command()
def waive(
    line: Line,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="As slices_are_good_enough.")],
    subject: Annotated[
        str | None, typer.Option(help="Of the finding; default all findings of the rule.")
    ] = None,
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    days: Annotated[float, typer.Option(help="How long it holds, up to 90.")] = 7.0,
    candidate: Annotated[
        str | None, typer.Option(help="Model digest; default the newest candidate.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a finding of a candidate go for some days; it never becomes a pass."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    run = acts.waive(
        found,
        rule=rule,
        subject=subject,
        candidate=candidate,
        by=by or getpass.getuser(),
        reason=reason,
        days=days,
        settings=settings,
        wiring=wiring,
    )
    tell(
        f"{line}: {rule} waived for {days:g} days; it stays red. Next: ml-release register {line}",
        {"line": line, "rule": rule, "subject": subject, "days": days, "run_id": run.run_id},
        as_json=as_json,
    )


@app.command()
def status(
    line: Annotated[
        str | None, typer.Argument(metavar="[LINE]", help="Default: every line.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Versions, traffic, gates, drift, and what each release waits for."""
    from ml_release.cli.console import print_facts, print_json
    from ml_release.definitions import LINES, find_line
    from ml_release.orchestration.wiring import local_wiring
    from ml_release.workflows.status import line_status

    wiring = local_wiring(settings_now())
    # Also pushes what was declared while the remote could not be reached.
    remote = None if wiring.remote is None else wiring.remote.sync()
    found = [
        line_status(
            one,
            environment=wiring.environment,
            evidence=wiring.evidence,
            models=wiring.models,
            registry=wiring.registry,
            deployments=wiring.deployments,
            switches=wiring.switches,
            workplace=wiring.workplace,
            remote=remote,
            now=wiring.clock.now(),
        )
        for one in (LINES if line is None else (find_line(line),))
    ]
    if as_json:
        print_json({"lines": [one.model_dump(mode="json") for one in found]})
        return
    for one in found:
        facts = [
            ("serving", "nothing" if one.serving is None else f"version {one.serving}"),
            ("traffic", "none" if one.share_percent is None else f"{one.share_percent:g} %"),
            ("since", f"{one.since or 'never'}, by {one.by or 'nobody'}: {one.reason or ''}"),
            *((("declared", one.declared_problem),) if one.declared_problem else ()),
            *((("remote", one.remote),) if one.remote else ()),
            *releasing.under_way_facts(one.under_way),
            ("registered", ", ".join(map(str, one.versions)) or "none"),
            ("withdrawn", ", ".join(map(str, one.withdrawn)) or "none"),
            (
                "newest candidate",
                f"{(one.candidate or 'none')[:19]}, {one.candidate_verdict or 'not judged'}",
            ),
            *(("", objection) for objection in one.objections),
            ("drift", f"{one.drift or 'not judged'} on {one.window_rows or 0} rows"),
            *(("", objection) for objection in one.drift_objections),
            ("promises", str(one.promises or "not judged")),
            *(("", budget) for budget in one.budgets),
            ("labels", str(one.labels or 0)),
            ("decision", one.decision or "none yet"),
            ("environment drift", _drift_in_words(one.environment_drift)),
            ("waits for", one.waits_for or "nothing"),
        ]
        print_facts(
            facts,
            title=f"{one.line} ({one.environment})",
            alarm=None if one.kill_switch is None else f"KILL SWITCH {one.kill_switch}",
        )


@app.command("kill-switch")
def kill_switch(
    line: Line,
    position: Annotated[Position, typer.Argument(metavar="on|off", help="Pull or release it.")],
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    answer: Annotated[
        float | None, typer.Option(help="For every row while it is on; default the declared one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Let every row be answered without a model at once, or models answer again."""
    from ml_release.cli.switching import in_words, switch

    done = switch(
        line,
        engaged=position is Position.ON,
        by=by or getpass.getuser(),
        reason=reason,
        answer=answer,
        settings=settings_now(),
    )
    tell(
        in_words(line, done),
        {"line": line, "answers": done.answers, "by_server": done.by_server, "said": done.said},
        as_json=as_json,
    )


@app.command()
def score(
    line: Line,
    *,
    first: Annotated[
        str | None, typer.Option("--from", help="First month; default the last one asked for.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last month, included; default the newest.")
    ] = None,
    version: Annotated[int | None, typer.Option(help="Default: what production declares.")] = None,
    as_json: Json = False,
) -> None:
    """Answer every row of some months with what production declares."""
    from ml_release.cli import acts

    found, settings, wiring = opened(line)
    run = acts.score(
        found, first=first, last=last, version=version, settings=settings, wiring=wiring
    )
    made = run.metadata["batch_predictions"]
    scored = made[acts.SCORED]
    rows = sum(one["rows"] for one in scored.values())
    tell(
        f"{line}: {rows} rows of {', '.join(scored)} scored with version {made['version']}, in the"
        f" table predictions of {settings.lake}",
        {
            "line": line,
            "version": made["version"],
            "model_digest": made["model digest"],
            "partitions": scored,
            "run_id": run.run_id,
        },
        as_json=as_json,
    )


@app.command()
def verify(
    line: Line,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="A registered version.")],
    as_json: Json = False,
) -> None:
    """Read artefact, signature and evidence of a version again, and say what checks out."""
    from ml_release.cli.console import print_facts, print_json
    from ml_release.workflows.verification import verify_version

    found, _, wiring = opened(line)
    seen = verify_version(
        found,
        version,
        evidence=wiring.evidence,
        models=wiring.models,
        registry=wiring.registry,
    )
    if as_json:
        print_json({**seen.model_dump(mode="json"), "is_genuine": seen.is_genuine})
    else:
        print_facts(
            [
                ("model", seen.model_digest),
                *((c.what, f"{'ok' if c.is_genuine else 'NOT OK'}: {c.said}") for c in seen.checks),
            ],
            title=f"{line} version {version}",
        )
    if not seen.is_genuine:
        raise typer.Exit(REFUSED)


@app.command()
def reproduce(
    line: Line,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="A registered version.")],
    *,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Largest difference of two equal predictions.")
    ] = TOLERANCE,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep what was built, and say where.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Rebuild a version from its record, compare, and name the input that diverged."""
    from ml_release.cli.rebuilding import rebuild, show

    answer, folder = rebuild(line, version, tolerance=tolerance, settings=settings_now(), keep=keep)
    show(answer, folder, as_json=as_json)
    raise typer.Exit(0 if answer.is_same else REFUSED)


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(help="Default: ML_RELEASE_PORT or 8500.")] = None,
    host: Annotated[
        str, typer.Option(help="An IP address; other than loopback needs tokens and TLS.")
    ] = "127.0.0.1",
    environment: Annotated[str | None, typer.Option(help="Which declared state.")] = None,
    insecure_behind_proxy: Annotated[
        bool,
        typer.Option(
            "--insecure-behind-proxy",
            help="Let other hosts in without TLS: a proxy in front ends it.",
        ),
    ] = False,
) -> None:
    """Run the endpoint server until Ctrl-C."""
    from ml_release.serving.__main__ import main

    options = ["--host", host]
    options += [] if port is None else ["--port", str(port)]
    options += [] if environment is None else ["--environment", environment]
    options += ["--insecure-behind-proxy"] if insecure_behind_proxy else []
    raise typer.Exit(main(options))


@app.command()
def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who gets it; goes to the logs.")],
    scope: Annotated[
        list[str], typer.Option(help="predict, label or operate; give it again for more.")
    ],
    line: Annotated[
        list[str] | None, typer.Option(help="Good for this line alone; again for more.")
    ] = None,
    days: Annotated[float | None, typer.Option(help="How long it is valid.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="The tokens file; default: ML_RELEASE_TOKENS.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an access token for the endpoint server, show it once and keep its hash."""
    from ml_release.cli.access_tokens import make_token

    made = make_token(
        name, scopes=scope, lines=line or (), days=days, file=file, settings=settings_now()
    )
    tell(
        f"{made.token}\nShown this once; {made.file} keeps its hash. Clients send it as"
        f" `authorization: Bearer {made.token[:8]}...`",
        {"name": name, "token": made.token, "expires": made.expires, "file": str(made.file)},
        as_json=as_json,
    )


@app.command()
def up(
    dagster_port: Annotated[int, typer.Option(help="Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="MLflow UI.")] = 5000,
) -> None:
    """Dagster UI and daemon, MLflow UI and endpoint server together; Ctrl-C stops all."""
    from ml_release.cli.console import messages
    from ml_release.cli.processes import (
        dagster_service,
        endpoint_service,
        mlflow_service,
        running,
    )
    from ml_release.orchestration.instance import prepare_workspace

    settings = settings_now()
    services = [
        endpoint_service(settings.server_port, certificate=settings.endpoint.tls_certificate),
        mlflow_service(mlflow_port, settings),
        dagster_service(dagster_port, workspace=prepare_workspace(settings)),
    ]
    try:
        with (
            messages.status("starting") as waiting,
            running(
                services,
                settings=settings,
                on_ready=lambda s: messages.print(f"  {s.name:<9} {s.url}"),
            ) as processes,
        ):
            waiting.stop()
            messages.print("Ctrl-C stops all. Logs: " + str(settings.home / "logs"))
            while True:
                ended = [name for name, process in processes.items() if process.poll() is not None]
                if ended:
                    messages.print(f"[red]{', '.join(ended)} ended; stopping the others[/red]")
                    raise typer.Exit(BROKEN)
                time.sleep(0.5)
    except KeyboardInterrupt:
        messages.print("stopped")


@app.command()
def demo() -> None:
    """The whole story on real flights, with progress; ends in a summary and links."""
    from ml_release.cli.demo import run_demo

    found, settings, wiring = opened("flight_delay")
    run_demo(found, settings=settings, wiring=wiring)


def _drift_in_words(drift: Sequence[str] | None) -> str:
    if drift is None:
        return "unknown: nothing serves, or its record cannot be read"
    if not drift:
        return "none since the serving version was trained"
    return "; ".join(drift[:3]) + (f"; {len(drift) - 3} more (--json)" if drift[3:] else "")


def main() -> None:
    """Run the command; our errors become one message and an exit code."""
    from rich.markup import escape

    from ml_release.cli.console import messages

    try:
        app()
    except MlReleaseError as error:
        messages.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
        if isinstance(error, RefusedError):
            sys.exit(REFUSED)
        sys.exit(BAD_INPUT if isinstance(error, InputError | DeclarationError) else BROKEN)
    except Exception:  # noqa: BLE001 (the last place: whatever broke is shown whole, with its exit code)
        messages.print_exception(max_frames=4)
        sys.exit(BROKEN)
