"""LitServe with its batching: rows of concurrent requests meet in one DataFrame.

Arguments: port, rows that wait for one another at most (1 turns batching off). PIPELINE names the
joblib file.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import joblib
import litserve
import pandas as pd


class Pipeline(litserve.LitAPI):  # type: ignore[misc] # not installed where types are checked
    """The pipeline behind ``/invocations``."""

    def setup(self, device: str) -> None:  # noqa: ARG002 (LitServe's own)
        """Load it."""
        self.pipeline = joblib.load(os.environ["PIPELINE"])

    def decode_request(self, request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
        """The rows of one request; LitServe would read an annotation as a schema."""
        rows: list[dict[str, Any]] = request["dataframe_records"]
        return rows

    def predict(self, x: Any) -> Any:  # noqa: ANN401 (one request, or many of a batch)
        """Probabilities per request."""
        is_batch = bool(x) and isinstance(x[0], list)
        requests = x if is_batch else [x]
        frame = pd.DataFrame([row for rows in requests for row in rows])
        answers = iter(self.pipeline.predict_proba(frame)[:, 1].tolist())
        found = [[next(answers) for _ in rows] for rows in requests]
        return found if is_batch else found[0]

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:
        """The answer to one request."""
        return {"predictions": output}


if __name__ == "__main__":
    port, size = int(sys.argv[1]), int(sys.argv[2])
    api = Pipeline(
        max_batch_size=size, batch_timeout=0.002 if size > 1 else 0.0, api_path="/invocations"
    )
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        port=port, host="127.0.0.1", generate_client_file=False, log_level="error"
    )
