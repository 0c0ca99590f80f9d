"""What one writes by hand: FastAPI, a DataFrame, the pipeline. PIPELINE names its joblib file."""

from __future__ import annotations

import os
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI

app = FastAPI()
_pipeline = joblib.load(os.environ["PIPELINE"])


@app.post("/invocations")
def invocations(document: dict[str, Any]) -> dict[str, list[float]]:
    """Answer rows in MLflow's form ``dataframe_records``."""
    frame = pd.DataFrame(document["dataframe_records"])
    return {"predictions": _pipeline.predict_proba(frame)[:, 1].tolist()}
