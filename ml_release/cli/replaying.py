"""The command that sends landed rows as live traffic, with their labels when they were known."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ml_release.cli.arguments import Json, Line, opened, tell
from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.orchestration.wiring import Wiring
    from ml_release.settings import Settings
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.live_replay import Pace
    from ml_release.workflows.replay import Replayed

app = typer.Typer()
_FAILED = 3


class LabelDelay(StrEnum):
    """When labels are told."""

    REAL = "real"
    END = "end"


@app.command()
def replay(
    line: Line,
    *,
    first: Annotated[str, typer.Option("--from", help="First local day, as 2013-04-02.")],
    last: Annotated[str, typer.Option("--to", help="Last local day, included.")],
    rate: Annotated[
        float | None, typer.Option(help="Requests per second; default as fast as answered.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Seconds of event time per second; 1 is as it was.")
    ] = None,
    label_delay: Annotated[
        LabelDelay, typer.Option(help="Labels at their real delay, or after the last row.")
    ] = LabelDelay.REAL,
    move_clock: Annotated[
        bool,
        typer.Option("--move-clock", help="Move the clock of ML_RELEASE_CLOCK along with events."),
    ] = False,
    unit: Annotated[
        str, typer.Option(help="Columns that say together who asks, as carrier,flight.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Send landed rows to the running endpoint in the order of their events, and their labels."""
    from ml_release.workflows.live_replay import Pace

    days = (_day("--from", first), _day("--to", last))
    if days[0] > days[1]:
        message = f"replay: expected --from before --to, found {first} and {last}"
        raise InputError(message)
    pace = Pace(rate=rate, speed=speed)
    found, settings, wiring = opened(line)
    move = _mover(settings) if move_clock else None
    sent = _replayed(
        found,
        days,
        pace,
        labels_at_end=label_delay is LabelDelay.END,
        move=move,
        unit=tuple(name for name in unit.split(",") if name),
        settings=settings,
        wiring=wiring,
    )
    failures = f", {sent.failed} failed, first: {sent.first_failure}" if sent.failed else ""
    tell(
        f"{line}: {sent.requests} requests of {first} to {last}{failures}; {sent.labels} labels."
        f" p50 {sent.latency_p50_ms:.1f} ms, p99 {sent.latency_p99_ms:.1f} ms",
        {
            "line": line,
            "from": first,
            "to": last,
            "requests": sent.requests,
            "failed": sent.failed,
            "first_failure": sent.first_failure,
            "labels": sent.labels,
            "latency_p50_ms": sent.latency_p50_ms,
            "latency_p99_ms": sent.latency_p99_ms,
        },
        as_json=as_json,
    )
    if sent.failed:
        raise typer.Exit(_FAILED)


def _replayed(
    line: ReleaseLine,
    days: tuple[date, date],
    pace: Pace,
    *,
    labels_at_end: bool,
    move: Callable[[datetime], None] | None,
    unit: tuple[str, ...],
    settings: Settings,
    wiring: Wiring,
) -> Replayed:
    from ml_release.adapters.http_endpoint import HttpEndpoint
    from ml_release.cli.console import progress_bar
    from ml_release.workflows.live_replay import LiveReplay

    chosen = settings.endpoint
    endpoint = HttpEndpoint(
        settings.server_url, token=chosen.token, certificate=chosen.tls_certificate
    )
    try:
        with progress_bar() as progress:
            task = progress.add_task("days", total=None)
            return LiveReplay(
                line=line,
                first=days[0],
                last=days[1],
                landing=wiring.landing,
                endpoint=endpoint,
                pace=pace,
                labels_at_end=labels_at_end,
                unit=unit,
                move=move,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            ).advance()
    finally:
        endpoint.close()


def _mover(settings: Settings) -> Callable[[datetime], None]:
    from ml_release.adapters.moved_clock import MovedClock
    from ml_release.orchestration.wiring import local_clock

    clock = local_clock(settings)
    if not isinstance(clock, MovedClock):
        message = (
            "replay: expected ML_RELEASE_CLOCK to name the file that moves the clock, found it not"
            " set. Set it for this command, the endpoint server and the daemon alike, with a home"
            " folder of their own."
        )
        raise InputError(message)
    return clock.move


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        message = f"replay: expected {option} as a day like 2013-04-02, found {text!r}"
        raise InputError(message) from error
