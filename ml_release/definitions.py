"""Everything Dagster loads: the one place where lines, adapters and Dagster meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release.adapters.mlflow_registry import MlflowExperiments
from ml_release.errors import NotFoundError
from ml_release.lines.flight_delay.line import LINE as FLIGHT_DELAY
from ml_release.orchestration.build import build_definitions
from ml_release.orchestration.resources import TRACKING, tracking_resource
from ml_release.orchestration.wiring import local_wiring
from ml_release.settings import read_settings, refuse_telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.orchestration.wiring import Wiring
    from ml_release.settings import Settings
    from ml_release.spec.release_line import ReleaseLine

LINES = (FLIGHT_DELAY,)


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of this installation's lines, wired for this machine."""
    settings = read_settings()
    refuse_telemetry()
    return local_definitions(settings, wiring=local_wiring(settings))


def local_definitions(
    settings: Settings,
    *,
    wiring: Wiring,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """The same, for one who has read the settings already."""
    experiments = MlflowExperiments(settings.tracking_uri, now=wiring.clock.now)
    return build_definitions(
        LINES,
        wiring=wiring,
        resources={TRACKING: tracking_resource(settings, experiments=experiments)},
        loggers=loggers,
    )


def find_line(name: str) -> ReleaseLine:
    """The installed line of that name.

    Raises
    ------
    NotFoundError
        If there is none; the message lists those there are.
    """
    for line in LINES:
        if line.name == name:
            return line
    known = ", ".join(line.name for line in LINES)
    message = f"release line {name!r}: expected one of the installed lines ({known})"
    raise NotFoundError(message)
