"""BentoML with its adaptive batching. PIPELINE names the joblib file."""

from __future__ import annotations

import os
from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=1)
class Pipeline:
    """The pipeline behind ``/invocations``."""

    def __init__(self) -> None:
        self.pipeline = joblib.load(os.environ["PIPELINE"])

    @bentoml.api(batchable=True, max_batch_size=256, max_latency_ms=5000, route="/invocations")  # type: ignore[untyped-decorator]
    def invocations(self, dataframe_records: list[dict[str, Any]]) -> list[float]:
        """One probability per row."""
        found: list[float] = self.pipeline.predict_proba(pd.DataFrame(dataframe_records))[
            :, 1
        ].tolist()
        return found
