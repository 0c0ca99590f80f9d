"""The floor of lead_time.py: the same release as one plain script, with nothing around it.

Joins three months of flights with the weather, builds the same features (carrier and route history
point in time), fits the same estimator on all but the last 18 days, scores it there, and saves it.
No snapshot, no digest, no gate, no registry, no check that what was saved answers alike.
"""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

MONTHS = ("2013-01", "2013-02", "2013-03")
HOLDOUT_DAYS = 18
LATE_MINUTES = 30
WEATHER = [
    *("temp", "dewp", "humid", "wind_dir", "wind_speed"),
    *("wind_gust", "precip", "pressure", "visib"),
]


def late_rate(rows: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Smoothed share of late flights per key over the 28 days before the day of the row."""
    daily = rows.groupby([*keys, "day_of_year"])["late"].agg(["sum", "count"])
    wide = daily.unstack("day_of_year", fill_value=0.0).T
    before = wide.groupby(level=0, group_keys=False).apply(
        lambda table: table.rolling(28, min_periods=1).sum().shift(1)
    )
    sums, counts = pd.DataFrame(before.xs("sum")), pd.DataFrame(before.xs("count"))
    prior = sums.sum(axis="columns") / counts.sum(axis="columns")
    rate = sums.add(20 * prior, axis="index") / (counts + 20)
    values = pd.Series(rate.T.stack(future_stack=True), name="rate").reset_index()
    joined = rows[[*keys, "day_of_year"]].merge(values, on=[*keys, "day_of_year"], how="left")
    return joined["rate"].set_axis(rows.index)


def main(data: Path, out: Path) -> None:
    """Run the script."""
    flights = pd.concat(pd.read_parquet(data / "flights" / f"{month}.parquet") for month in MONTHS)
    weather = pd.read_parquet(data / "weather.parquet")[["origin", "time_hour", *WEATHER]]
    rows = flights.merge(weather, on=["origin", "time_hour"], how="left")
    rows["late"] = np.where(rows["arr_delay"].isna(), np.nan, rows["arr_delay"] > LATE_MINUTES)
    date = pd.to_datetime(rows[["year", "month", "day"]])
    rows["day_of_year"] = date.dt.dayofyear
    features = pd.DataFrame(
        {
            "departure_minute": rows["hour"] * 60 + rows["minute"],
            "weekday": date.dt.dayofweek,
            "arrival_minute": rows["sched_arr_time"] // 100 * 60 + rows["sched_arr_time"] % 100,
            "carrier": rows["carrier"].astype("category").cat.codes,
            "origin": rows["origin"].astype("category").cat.codes,
            "dest": rows["dest"].astype("category").cat.codes,
            "distance": rows["distance"],
            **{name: rows[name] for name in WEATHER},
            "carrier_late_rate": late_rate(rows, ["carrier"]),
            "route_late_rate": late_rate(rows, ["origin", "dest"]),
        }
    ).astype(float)
    labelled = rows["late"].notna()
    held_out = date > date.max() - pd.Timedelta(days=HOLDOUT_DAYS)
    model = HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=160,
        max_leaf_nodes=31,
        min_samples_leaf=60,
        l2_regularization=1.0,
        random_state=20130401,
        early_stopping=False,
    )
    fit = labelled & ~held_out
    model.fit(features[fit], rows["late"][fit].astype(int))
    test = labelled & held_out
    target, score = rows["late"][test], model.predict_proba(features[test])[:, 1]
    joblib.dump(model, out / "model.joblib")
    print(
        f"AUC {roc_auc_score(target, score):.4f}, log loss {log_loss(target, score):.4f},"
        f" Brier {brier_score_loss(target, score):.4f}, {len(target)} rows"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
