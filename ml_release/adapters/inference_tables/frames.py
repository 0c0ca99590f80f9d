"""Records and labels as frames: the types of their columns, and the digest of what they hold."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from ml_release.domain.inference import Reward

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

TIMES = ("event_time", "received_time")
TIME_DTYPE: Any = "datetime64[us, UTC]"
_DTYPES = {
    "row": "int64",
    "version": "int64",
    "bucket": "Int64",
    "history_age_days": "Int64",
    "history_misses": "Int64",
    "prediction": "float64",
    "latency_ms": "float64",
    "shadow": "bool",
    "label": "int64",
    "assigned_version": "Int64",
    "propensity": "float64",
    "decision": "Int64",
    "reward": "float64",
}
# Nobody may know whose answer it was that earned a reward.
_DTYPES_OF_REWARDS = {"version": "Int64"}


def dtype_of(field: str) -> Any:
    """Type of the column of a field; ``object`` for words and mappings."""
    return TIME_DTYPE if field in TIMES else _DTYPES.get(field, "object")


def frame_of(found: Sequence[Any], type_: type[Any]) -> pd.DataFrame:
    """One row per struct, one column per field."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for name in type_.__struct_fields__:
        values = [getattr(item, name) for item in found]
        if name in TIMES:
            times = pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601")
            columns[name] = times.astype(TIME_DTYPE)
        else:
            dtype = dtype_of(name)
            if type_ is Reward:
                dtype = _DTYPES_OF_REWARDS.get(name, dtype)
            columns[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns)


def content_digest(frame: pd.DataFrame) -> str:
    """SHA-256 over every value of every column in order; a missing value is a missing value."""
    found = hashlib.sha256()
    for name in frame:
        column = frame[name]
        if name in TIMES:
            column = column.astype("int64")
        values = [
            value if is_known else None
            for value, is_known in zip(column.tolist(), column.notna(), strict=True)
        ]
        found.update(msgspec.json.encode([name, values]))
    return f"sha256:{found.hexdigest()}"
