"""Retention: never shorter than labels and monitoring need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ml_release.domain.label_maturity import LabelPolicy
from ml_release.domain.retention import RetentionPolicy, days_needed, kept_from, retention_problems


@pytest.mark.parametrize(
    ("delay_days", "grace_days", "window_days", "needed"),
    [(1, 1.0, 28, 30), (0.5, 1.0, 28, 30), (30, 0.0, 1, 37), (0, 0.0, 7, 7)],
)
def test_a_policy_is_held_against_delay_grace_and_window(
    delay_days: float, grace_days: float, window_days: int, needed: int
) -> None:
    """One day less is a problem that names the number."""
    delay = timedelta(days=delay_days)
    labels = LabelPolicy(grace_days=grace_days, window_days=window_days)
    assert days_needed(label_delay=delay, labels=labels) == needed
    enough, less = RetentionPolicy(records_days=needed), RetentionPolicy(records_days=needed - 1)
    assert retention_problems(enough, label_delay=delay, labels=labels) == []
    (problem,) = retention_problems(less, label_delay=delay, labels=labels)
    assert f"expected at least {needed} " in problem
    assert problem.endswith(f"found {needed - 1}")


def test_days_count_back_from_now() -> None:
    """What came in at that very moment is kept."""
    now = datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert kept_from(RetentionPolicy(records_days=31), now) == datetime(2026, 10, 21, 9, tzinfo=UTC)
