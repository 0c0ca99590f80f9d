"""The whole story on real flights, from landed rows to a scored prediction."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from ml_release.adapters.http_endpoint import HttpEndpoint
from ml_release.cli import acts
from ml_release.cli.console import messages, print_facts, progress_bar, results
from ml_release.cli.processes import endpoint_service, free_port, running
from ml_release.errors import UnavailableError
from ml_release.workflows.replay import replay

if TYPE_CHECKING:
    from ml_release.cli.running import JobRun
    from ml_release.orchestration.wiring import Wiring
    from ml_release.settings import Settings
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.replay import Replayed

FIRST_MONTH, LAST_MONTH = "2013-01", "2013-03"
FIRST_DAY, LAST_DAY = date(2013, 4, 1), date(2013, 4, 3)


def run_demo(line: ReleaseLine, *, settings: Settings, wiring: Wiring) -> None:
    """Train, gate, register, declare, serve, replay, join the labels, and show what came of it."""
    messages.rule(f"1  train on {FIRST_MONTH} to {LAST_MONTH}, through the gates")
    trained = acts.train(
        line,
        first=FIRST_MONTH,
        last=LAST_MONTH,
        by="demo",
        settings=settings,
        wiring=wiring,
        reason="demo",
    )
    messages.rule("2  try it on a server of its own, approve it, declare it in Git")
    version = int(trained.metadata["registered_version"]["version"])
    first = acts.Move(version=version, by="demo", reason="the demo's first release")
    acts.stage(line, first, settings=settings, wiring=wiring)
    # Whoever trains a version may not approve it: the demo plays both.
    reviewer = acts.Move(version=version, by="demo reviewer", reason="read the report")
    acts.approve(line, reviewer, settings=settings, wiring=wiring)
    promoted = acts.promote(line, first, settings=settings, wiring=wiring)
    messages.rule(f"3  serve, and replay {FIRST_DAY} to {LAST_DAY} over HTTP")
    sent = _replayed(line, settings=settings, wiring=wiring)
    messages.rule("4  join the labels, judge drift and performance")
    monitored = acts.monitor(line, settings=settings, wiring=wiring)
    results.print()
    print_facts(
        _summary(line, trained, promoted, sent, monitored, settings=settings),
        title=f"{line.name}: from raw rows to a served, logged and scored prediction",
    )


def _replayed(line: ReleaseLine, *, settings: Settings, wiring: Wiring) -> Replayed:
    chosen = settings.endpoint
    service = endpoint_service(free_port(), certificate=chosen.tls_certificate)
    with running([service], settings=settings), progress_bar() as progress:
        task = progress.add_task("requests", total=None)
        endpoint = HttpEndpoint(service.url, token=chosen.token, certificate=chosen.tls_certificate)
        try:
            sent = replay(
                line,
                first=FIRST_DAY,
                last=LAST_DAY,
                landing=wiring.landing,
                endpoint=endpoint,
                concurrency=2,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        finally:
            endpoint.close()
    if sent.failed:
        message = f"{sent.failed} of {sent.requests} requests failed, first: {sent.first_failure}"
        raise UnavailableError(message)
    return sent


def _summary(
    line: ReleaseLine,
    trained: JobRun,
    promoted: JobRun,
    sent: Replayed,
    monitored: JobRun,
    *,
    settings: Settings,
) -> list[tuple[str, str]]:
    endpoint = promoted.metadata["production_endpoint"]
    candidate = trained.metadata["candidate"]
    evaluation = trained.metadata["evaluation"]
    performance = monitored.metadata["performance_report"]
    drift = monitored.metadata["drift_report"]
    tested = f"{candidate['holdout rows']} flights from {candidate['holdout from']} on"
    return [
        ("version", f"{endpoint['version']}, {str(endpoint['model digest'])[:19]}"),
        ("declared", f"commit {str(endpoint['commit'])[:12]} by {endpoint['by']}"),
        ("gates", f"{trained.checks} blocking checks passed"),
        ("AUC on the test window", f"{evaluation['AUC']:.4f} on {tested}"),
        ("requests served", f"{sent.requests}, {sent.failed} failed"),
        (
            "latency at the client",
            f"p50 {sent.latency_p50_ms:.1f} ms, p99 {sent.latency_p99_ms:.1f} ms",
        ),
        ("labels joined", f"{performance['labelled rows']} of {sent.labels} sent"),
        ("AUC of what was served", _score(performance.get("AUC"))),
        ("drift", f"{drift['outcome']}; drifted: {drift.get('drifted', 'none')}"),
        ("", ""),
        ("report for reviewers", str(evaluation["report"])),
        ("look", "make up, then"),
        (
            "  lineage and checks",
            f"http://127.0.0.1:3000/locations/ml_release/asset-groups/{line.name}",
        ),
        ("  experiments", "http://127.0.0.1:5000"),
        ("  what serves what", settings.server_url),
        ("  declared in Git", f"git -C {settings.deployments} log"),
        ("  inference log", str(settings.inference / line.name)),
    ]


def _score(value: object) -> str:
    """A score as it is told; too few labels give none."""
    return f"{value:.4f}" if isinstance(value, float) else "not known yet"
