"""``ml-release kill-switch``: no Dagster and no line's code between a person and the switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.http_endpoint import HttpEndpoint
from ml_release.adapters.seals import Seals
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.adapters.switch_files import SwitchFiles
from ml_release.adapters.system_clock import SystemClock
from ml_release.workflows.kill_switch_pull import Switched, pull_kill_switch

if TYPE_CHECKING:
    from ml_release.settings import Settings


def switch(
    line: str, *, engaged: bool, by: str, reason: str, answer: float | None, settings: Settings
) -> Switched:
    """Ask the running server, or keep it for the next one."""
    chosen = settings.endpoint
    endpoint = HttpEndpoint(
        settings.server_url, token=chosen.token, certificate=chosen.tls_certificate
    )
    try:
        return pull_kill_switch(
            line,
            engaged=engaged,
            by=by,
            reason=reason,
            answer=answer,
            environment=settings.environment,
            endpoint=endpoint,
            switches=SwitchFiles(settings.switches),
            deployments=GitDeployments(
                settings.deployments,
                Seals(
                    SigningKeys(
                        settings.keys,
                        signing_key=settings.signing_key,
                        verify_keys=settings.verify_keys,
                    )
                ),
            ),
            clock=SystemClock(),
        )
    finally:
        endpoint.close()


def in_words(line: str, done: Switched) -> str:
    """What holds now, and where."""
    if done.answers is not None:
        holds = f"every row is answered with {done.answers:g}, without a model"
    else:
        holds = "models answer"
    if done.by_server:
        return f"{line}: {holds}. The sensor {line}_kill_switch brings it into Git."
    return (
        f"{line}: no server has done it ({done.said}) It is kept, and holds from the next start of"
        f" the endpoint server on: {holds}."
    )
