"""What look-ups met, from the records of the endpoint to a recorded verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import IntegrityError
from ml_release.workflows.history_health import HISTORY_VERDICT, check_history
from ml_release.workflows.monitoring import INFERENCE_WINDOW, observe_window
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from ml_release.domain.performance import WindowRecord
    from ml_release.domain.verdict import Verdict
    from ml_release_tests.small_line import House

MOMENT = "2013-04-02T12:00:00+00:00"


def observe(house: House) -> WindowRecord:
    return observe_window(
        house.line,
        environment=house.environment,
        inference_log=house.inference_log,
        deployments=house.deployments,
        models=house.models,
        evidence=house.evidence,
        profiles=house.profiles,
    )


def judge(house: House) -> Verdict | None:
    observe(house)
    return check_history(house.line, environment=house.environment, evidence=house.evidence)


def serve(house: House, rows: int, *, age: int | None = 1, misses: int | None = 0) -> None:
    write(
        house,
        [
            a_record(house, f"{n} {age}", MOMENT, history_age_days=age, history_misses=misses)
            for n in range(rows)
        ],
    )


def with_limits(house: House) -> None:
    house.line = steps.with_policy(
        house.line, "history", age_limit_days=31, miss_limit=0.1, minimum_rows=10
    )


def test_the_window_counts_what_its_answered_rows_met(serving: House) -> None:
    """The small line looks up one key per row; failed rows and those of before do not count."""
    serve(serving, 6)
    serve(serving, 3, age=30, misses=1)
    serve(serving, 2, age=None, misses=None)
    write(
        serving,
        [a_record(serving, "failed", MOMENT, history_age_days=99, outcome="error", error="no")],
    )
    window = observe(serving)
    assert window.history is not None
    assert (window.rows, window.history.rows) == (11, 9)
    assert (window.history.look_ups, window.history.misses) == (9, 3)
    assert window.history.ages == {1: 6, 30: 3}


def test_fresh_look_ups_pass_and_the_verdict_is_kept(serving: House) -> None:
    """With the digest of the window it is about."""
    with_limits(serving)
    serve(serving, 10)
    verdict = judge(serving)
    assert verdict is not None
    assert verdict.outcome is Outcome.PASS
    kept = serving.evidence.find(steps.LINE, HISTORY_VERDICT, serving.environment)
    window = serving.evidence.find(steps.LINE, INFERENCE_WINDOW, serving.environment)
    assert kept is not None
    assert window is not None
    assert verdict_from_json(kept) == verdict
    assert verdict.subject_digest == digest_of_bytes(window)


@pytest.mark.parametrize(
    ("age", "misses"), [pytest.param(32, 0, id="an old table"), pytest.param(1, 1, id="new keys")]
)
def test_what_is_beyond_the_lines_limits_fails(serving: House, age: int, misses: int) -> None:
    """Ten rows are fresh, ten are not."""
    with_limits(serving)
    serve(serving, 10, age=2)
    serve(serving, 10, age=age, misses=misses)
    verdict = judge(serving)
    assert verdict is not None
    assert verdict.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("rows", "misses"),
    [
        pytest.param(0, 0, id="idle"),
        pytest.param(9, 0, id="too few"),
        pytest.param(20, None, id="served before it was recorded"),
    ],
)
def test_what_was_not_measured_is_inconclusive(
    serving: House, rows: int, misses: int | None
) -> None:
    """Not passed, not failed."""
    with_limits(serving)
    serve(serving, rows, age=None if misses is None else 1, misses=misses)
    verdict = judge(serving)
    assert verdict is not None
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_without_a_window_or_a_declaration_nothing_is_judged(
    serving: House, evaluated: House
) -> None:
    """Nobody served."""
    assert (
        check_history(serving.line, environment=serving.environment, evidence=serving.evidence)
        is None
    )
    assert judge(evaluated) is None


def test_a_window_of_before_look_ups_were_counted_is_inconclusive(serving: House) -> None:
    """It can still be read."""
    serve(serving, 2000)
    observe(serving)
    steps.edit(serving, INFERENCE_WINDOW, serving.environment, lambda d: d.pop("history"))
    verdict = check_history(
        serving.line, environment=serving.environment, evidence=serving.evidence
    )
    assert verdict is not None
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "2000 rows do not say" in verdict.findings[0].detail


def test_an_edited_window_is_not_judged(serving: House) -> None:
    """It is an integrity error."""
    observe(serving)
    steps.edit(serving, INFERENCE_WINDOW, serving.environment, lambda d: d.update(history=[]))
    with pytest.raises(IntegrityError, match="inference window"):
        check_history(serving.line, environment=serving.environment, evidence=serving.evidence)
