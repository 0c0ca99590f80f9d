"""What the experiment-tracking run of a candidate shows: parameters, metrics and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_release.domain.provenance import CandidateRecord


def shown_params(record: CandidateRecord) -> dict[str, object]:
    """How the candidate was made: parameters, window, code, and the settings of its search."""
    found: dict[str, object] = {
        **record.parameters,
        "seed": record.seed,
        "window": f"{record.window_from} to {record.window_to}",
        "holdout_from": record.holdout_from,
        "left_out": ", ".join(record.left_out) or "none",
        "kept_out": ", ".join(f"{span} ({span.rows} rows)" for span in record.kept_out.values())
        or "none",
        "code_commit": record.build.code_commit or "none",
        "code_dirty": "unknown" if record.build.code_dirty is None else record.build.code_dirty,
        "code_digest": record.build.code_digest,
        "lock_digest": record.build.lock_digest or "none",
        "python": record.build.python,
    }
    if record.search:
        found |= {
            "search_objective": record.search.objective,
            "search_trials": record.search.trials_asked,
            "search_seconds": record.search.seconds_asked,
            "search_ended_by": record.search.ended_by,
            "search_best_trial": record.search.best_trial,
        }
    if record.calibration:
        found["calibration"] = record.calibration.method
    return found


def shown_metrics(record: CandidateRecord) -> dict[str, float]:
    """What came of it: rows, values of the search, losses around the calibration."""
    found: dict[str, float] = {
        "train_rows": record.train_rows,
        "holdout_rows": record.holdout_rows,
    }
    if (search := record.search) is not None:
        found |= {
            f"search_best_{search.objective}": search.best_value,
            "search_trials_complete": search.complete,
            "search_trials_pruned": search.pruned,
            "search_trials_failed": search.failed,
            "search_seconds_spent": search.seconds_spent,
        }
        if search.declared_value is not None:
            found[f"search_declared_{search.objective}"] = search.declared_value
    if (calibration := record.calibration) is not None:
        found |= {
            "calibration_slope": calibration.slope,
            "calibration_intercept": calibration.intercept,
            "calibration_log_loss_before": calibration.log_loss_before,
            "calibration_log_loss_after": calibration.log_loss_after,
        }
    return found


def shown_tags(record: CandidateRecord) -> dict[str, str]:
    """Which code made it, to find runs by; what is not known has no tag."""
    build = record.build
    found = {
        "ml_release.code_commit": build.code_commit,
        "ml_release.code_digest": build.code_digest,
        "ml_release.lock_digest": build.lock_digest,
    }
    return {name: value for name, value in found.items() if value is not None}
