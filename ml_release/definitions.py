"""Everything Dagster loads: the one place where lines, adapters and Dagster meet."""

from __future__ import annotations

import dagster as dg

from ml_release.lines.flight_delay.line import LINE as FLIGHT_DELAY
from ml_release.orchestration.build import build_definitions
from ml_release.orchestration.resources import TRACKING, tracking_resource
from ml_release.orchestration.wiring import local_wiring
from ml_release.settings import read_settings

LINES = (FLIGHT_DELAY,)


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of this installation's lines, wired for this machine."""
    settings = read_settings()
    wiring = local_wiring(settings)
    return build_definitions(
        LINES,
        wiring=wiring,
        resources={TRACKING: tracking_resource(settings, now=wiring.clock.now)},
    )
