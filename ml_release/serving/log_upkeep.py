"""Closes segments of the log that have reached their age, so that they can be archived."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_release.adapters.inference_log import InferenceLogFiles

_SECONDS = 60.0


async def keep_segments_short(log: InferenceLogFiles) -> None:
    """Look once a minute, until cancelled. A line that is asked does it by itself."""
    while True:
        await asyncio.sleep(_SECONDS)
        log.close_aged()
