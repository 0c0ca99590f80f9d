"""Served requests through the offline path again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from msgspec.structs import replace

from ml_release.domain.artefact import PLAN_FILE
from ml_release.domain.features import feature_values, plan_from_json
from ml_release.domain.history_table import look_up
from ml_release.domain.verdict import Outcome
from ml_release.errors import NotFoundError
from ml_release.workflows.columns import columns_of
from ml_release.workflows.feature_building import publish_online_history
from ml_release.workflows.monitoring import observe_window
from ml_release.workflows.replay import request_ids
from ml_release.workflows.skew import check_skew
from ml_release_tests.small_line import trips
from ml_release_tests.workflows.traffic import a_record

if TYPE_CHECKING:
    from ml_release.domain.inference import InferenceRecord
    from ml_release.domain.performance import WindowRecord
    from ml_release.domain.verdict import Verdict
    from ml_release_tests.small_line import House


def served(house: House, month: str = "2013-04") -> list[InferenceRecord]:
    """Every landed row of a month as the endpoint server would have logged it."""
    line = house.line
    rows = line.assemble_rows(house.landing.read(line.landing, month))
    declaration = house.deployments.read(line.name, house.environment)
    assert declaration is not None
    plan = plan_from_json(house.models.read(declaration.state.champion.model_digest)[PLAN_FILE])
    table = publish_online_history(
        line, tables=house.tables, evidence=house.evidence, online=house.online
    )
    assert table is not None
    columns = columns_of(rows, plan.request_fields(), subject="test")
    found, _ = look_up(plan.history_features, table, columns)
    values = feature_values(plan.features, {**columns, **found})
    records = []
    for row, (name, moment) in enumerate(
        zip(request_ids(line, rows), rows[line.event_time], strict=True)
    ):
        features: dict[str, Any] = {key: column.tolist()[row] for key, column in values.items()}
        records.append(
            a_record(
                house,
                name,
                moment.isoformat(),
                features={k: None if v != v else v for k, v in features.items()},  # noqa: PLR0124
                history_digest=table.digest,
            )
        )
    return records


def judge(house: House) -> Verdict | None:
    return check_skew(
        house.line,
        environment=house.environment,
        inference_log=house.inference_log,
        landing=house.landing,
        evidence=house.evidence,
        models=house.models,
        deployments=house.deployments,
    )


def test_served_rows_equal_the_offline_path_to_the_last_bit(serving: House) -> None:
    """All rows of a month, none differs."""
    serving.log_writer.append_records("small_line", served(serving))
    verdict = judge(serving)
    assert verdict is not None
    assert verdict.outcome is Outcome.PASS
    assert verdict.findings[0].n == len(trips("2013-04"))


def test_one_rounding_in_the_online_path_is_found(serving: House) -> None:
    """One feature of one row, in its last bit."""
    first, *others = served(serving)
    distance = first.features["distance"]
    assert isinstance(distance, float)
    wrong = {**first.features, "distance": float(np.nextafter(distance, np.inf))}
    serving.log_writer.append_records("small_line", [replace(first, features=wrong), *others])
    verdict = judge(serving)
    assert verdict is not None
    assert verdict.outcome is Outcome.FAIL
    assert [(f.subject, f.observed) for f in verdict.findings] == [
        ("all features", 1.0),
        ("distance", 1.0),
    ]


def test_a_table_that_was_never_recorded_is_an_error(serving: House) -> None:
    """One that was changed on its way online is another table: nothing says what it should hold."""
    rows = [replace(record, history_digest="sha256:" + "f" * 64) for record in served(serving)]
    serving.log_writer.append_records("small_line", rows)
    with pytest.raises(NotFoundError, match="was never recorded"):
        judge(serving)


def test_requests_of_their_own_are_not_compared(serving: House) -> None:
    """Without a landed row nothing is known of them: inconclusive, not pass."""
    serving.log_writer.append_records(
        "small_line", [a_record(serving, "from a client", "2013-04-02T10:00:00+00:00")]
    )
    verdict = judge(serving)
    assert verdict is not None
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_without_a_declaration_nothing_is_judged(evaluated: House) -> None:
    """Nothing serves."""
    assert judge(evaluated) is None


def test_within_a_window_only_its_events_are_compared(serving: House) -> None:
    """The same verdict on fewer rows; a window of nothing, or of deleted records, compares none."""

    def judged(window: WindowRecord) -> Verdict:
        verdict = check_skew(
            serving.line,
            environment=serving.environment,
            inference_log=serving.inference_log,
            landing=serving.landing,
            evidence=serving.evidence,
            models=serving.models,
            deployments=serving.deployments,
            window=window,
        )
        assert verdict is not None
        return verdict

    def observed() -> WindowRecord:
        return observe_window(
            serving.line,
            environment=serving.environment,
            inference_log=serving.inference_log,
            deployments=serving.deployments,
            models=serving.models,
            evidence=serving.evidence,
            profiles=serving.profiles,
        )

    assert judged(observed()).outcome is Outcome.INCONCLUSIVE
    serving.log_writer.append_records("small_line", served(serving))
    window = observed()
    verdict = judged(window)
    assert verdict.outcome is Outcome.PASS
    assert verdict.findings[0].n == window.rows < len(trips("2013-04"))
    # The records of the window may be older than the line keeps them.
    gone = {"first_received": datetime(2001, 1, 1, tzinfo=UTC)}
    gone["last_received"] = gone["first_received"]
    assert judged(window.model_copy(update=gone)).outcome is Outcome.INCONCLUSIVE
