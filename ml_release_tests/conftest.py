"""What holds for every test."""

from __future__ import annotations

from ml_release.settings import refuse_telemetry

refuse_telemetry()
