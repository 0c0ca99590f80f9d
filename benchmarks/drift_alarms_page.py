"""The page of `drift_alarms.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def page(found: Mapping[str, Any], *, limit: float) -> str:
    del limit
    import json

    return json.dumps(found, indent=1)
