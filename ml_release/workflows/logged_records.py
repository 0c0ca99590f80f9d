"""Rows of the inference log as records again, as they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_release.domain.inference import InferenceRecord

if TYPE_CHECKING:
    import pandas as pd

_TIMES = ("event_time", "received_time")


def records_of(rows: pd.DataFrame) -> tuple[InferenceRecord, ...]:
    """One record per row, in their order; what is missing is None."""
    import pandas as pd

    names = InferenceRecord.__struct_fields__

    def plain(name: str, value: Any) -> Any:  # noqa: ANN401 (whatever a column holds)
        if name in _TIMES:
            return value.isoformat()
        if isinstance(value, dict | list | tuple):
            return tuple(value) if name == "probabilities" else value
        return None if pd.isna(value) else value

    columns = {name: rows[name].tolist() for name in names}
    return tuple(
        InferenceRecord(**{name: plain(name, columns[name][place]) for name in names})
        for place in range(len(rows))
    )
