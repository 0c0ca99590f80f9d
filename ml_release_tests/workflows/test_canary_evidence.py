"""Evidence of a canary: what counts for whom, a tick at a time, and the same from scratch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_release.adapters.in_memory import InMemoryDeployments, InMemoryEvidence, InMemoryTables
from ml_release.adapters.inference_tables.frames import frame_of
from ml_release.domain.canary_counts import RateCount
from ml_release.domain.canary_metric import CanaryMetric
from ml_release.domain.canary_policy import CanaryPolicy, CanarySlices
from ml_release.domain.canary_tally import CanaryUnderWay, tally_from_json
from ml_release.domain.deployment import DeclaredState, Evidence, Variant
from ml_release.domain.inference import InferenceRecord
from ml_release.errors import IntegrityError, UnavailableError
from ml_release.workflows import canary_evidence
from ml_release.workflows.canary_evidence import CANARY_TALLY, observe_canary
from ml_release.workflows.labels import LABELS_TABLE
from ml_release_tests.small_line import SMALL_LINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from ml_release.domain.canary_counts import ArmPair, CanaryEvidence

BEGAN = datetime(2026, 11, 21, 9, tzinfo=UTC)
POLICY = CanaryPolicy(
    metrics=(
        CanaryMetric(name="errors", kind="error_rate", tolerance=0.01),
        CanaryMetric(name="missing", kind="missing_rate", feature="carrier", tolerance=0.01),
        CanaryMetric(
            name="slow",
            kind="latency_exceedance",
            quantile=0.9,
            allowance_ms=1.5,
            tolerance=0.05,
        ),
        CanaryMetric(name="score", kind="score_mean", tolerance=0.05),
        CanaryMetric(name="shape", kind="score_distribution", tolerance=0.1, vote="voting"),
    ),
    reference_requests=100,
    slices=CanarySlices(columns=("carrier",), metrics=("errors",)),
)
UNDER_WAY = CanaryUnderWay(
    release="trips-2",
    step=0,
    step_began=BEGAN,
    canary_version=2,
    canary_digest="two",
    control_version=1,
    control_digest="one",
)


@dataclass
class Log:
    """`InferenceLog` of records that a test lets in, one segment after another."""

    records_: list[InferenceRecord] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    problem: Exception | None = None

    def size(self, line: str) -> int:
        return len(self.records_)

    def records(
        self, line: str, *, after: Mapping[str, int], since: datetime | None = None
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        if self.problem is not None:
            raise self.problem
        new = self.records_[after.get("all", 0) :]
        self.reads.append(len(new))
        frame = frame_of(new, InferenceRecord)
        again = frame.duplicated(["request_id", "row", "shadow"])
        return frame[~again].reset_index(drop=True), {"all": len(self.records_)}

    def labels(self, line: str) -> pd.DataFrame:
        raise NotImplementedError


def a_record(number: int, *, minutes: float | None = None, **changes: Any) -> InferenceRecord:
    """Request ``number``, half a second after the one before, answered by the control."""
    after = number / 120 if minutes is None else minutes
    moment = (BEGAN + timedelta(minutes=after)).isoformat()
    known: dict[str, Any] = {
        "request_id": f"r{number}",
        "row": 0,
        "event_time": moment,
        "received_time": moment,
        "line": "trips",
        "variant": "champion",
        "version": 1,
        "model_digest": "one",
        "route_commit": COMMIT,
        "bucket": None,
        "features": {"carrier": "AA"},
        "history_digest": None,
        "prediction": 0.25,
        "latency_ms": 2.0 + number % 7,
        "outcome": "ok",
        "error": None,
        "shadow": False,
    }
    return InferenceRecord(**{**known, **changes})


def by_canary(number: int, **changes: Any) -> InferenceRecord:
    return a_record(number, **{"variant": "canary", "version": 2, "model_digest": "two", **changes})


def a_state(canary_percent: float) -> DeclaredState:
    canary = Variant(role="canary", version=2, model_digest="two", weight_percent=canary_percent)
    champion = Variant(
        role="champion", version=1, model_digest="one", weight_percent=100 - canary_percent
    )
    return DeclaredState(
        line="trips",
        environment="production",
        release="trips-2",
        variants=(champion, canary),
        evidence=Evidence(verdict_digest="v", policy_digest="p", feature_version="f"),
    )


def declared(*percents: float) -> InMemoryDeployments:
    deployments = InMemoryDeployments()
    standing = None
    for percent in percents:
        standing = deployments.declare(
            a_state(percent), expected_commit=standing, trailers={}, at=BEGAN
        ).commit
    return deployments


DEPLOYMENTS = declared(5, 25)
COMMIT, SECOND = (d.commit for d in DEPLOYMENTS.history("trips", "production"))
LINE = SMALL_LINE.model_copy(update={"name": "trips"})

BEFORE = [a_record(-n, minutes=-n) for n in range(1, 151)]


def observe(log: Log, store: InMemoryEvidence, **changes: Any) -> CanaryEvidence:
    known: dict[str, Any] = {
        "under_way": UNDER_WAY,
        "environment": "production",
        "policy": POLICY,
        "inference_log": log,
        "deployments": DEPLOYMENTS,
        "tables": InMemoryTables(),
        "evidence": store,
        "now": BEGAN + timedelta(hours=1),
    }
    return observe_canary(LINE, **{**known, **changes})


def counted(*records: InferenceRecord, **changes: Any) -> ArmPair:
    """Both arms after one tick, with a control that was frozen before."""
    found = observe(Log([*BEFORE, *records]), InMemoryEvidence(), **changes)
    return found.in_step


@pytest.mark.parametrize(
    ("record", "canary", "control"),
    [
        pytest.param(by_canary(1), (1, 0), (0, 0), id="canary answers"),
        pytest.param(a_record(1), (0, 0), (1, 0), id="control answers"),
        pytest.param(by_canary(1, outcome="error", prediction=None), (1, 1), (0, 0), id="error"),
        pytest.param(
            a_record(1, outcome="fallback", assigned_version=2), (1, 1), (0, 0), id="in its place"
        ),
        pytest.param(by_canary(1, prediction=None), (1, 1), (0, 0), id="no answer at all"),
        pytest.param(
            by_canary(1, prediction=None, probabilities=(0.2, 0.8)), (1, 0), (0, 0), id="classes"
        ),
        pytest.param(by_canary(1, shadow=True), (0, 0), (0, 0), id="secret"),
        pytest.param(a_record(1, variant="pinned"), (0, 0), (0, 0), id="pinned"),
        pytest.param(a_record(1, variant="kill_switch", version=0), (0, 0), (0, 0), id="switch"),
        pytest.param(by_canary(1, experiment="e", propensity=0.5), (0, 0), (0, 0), id="experiment"),
        pytest.param(by_canary(1, row=1), (0, 0), (0, 0), id="another row of a request"),
        pytest.param(by_canary(1, version=3), (0, 0), (0, 0), id="another version"),
        pytest.param(by_canary(1, minutes=-1), (0, 0), (0, 0), id="before the step"),
        pytest.param(by_canary(1, route_commit="unknown"), (0, 0), (0, 0), id="unknown route"),
    ],
)
def test_a_request_counts_for_the_version_it_was_assigned_to(
    record: InferenceRecord, canary: tuple[int, int], control: tuple[int, int]
) -> None:
    """Requests and errors of both arms after one record."""
    arms = counted(record)
    for arm, expected in ((arms.canary, canary), (arms.control, control)):
        errors = arm.rates.get("errors", RateCount())
        assert (arm.requests, errors.events) == expected


def test_latency_and_scores_are_held_against_the_control_before_the_step() -> None:
    """90th percentile of its newest 100 requests and the allowance; deciles of their answers."""
    newest = sorted(2.0 + -n % 7 for n in range(1, 101))
    limit = float(np.quantile(newest, 0.9)) + 1.5
    slow, fast = by_canary(1, latency_ms=limit + 0.1), by_canary(2, latency_ms=limit)
    store = InMemoryEvidence()
    found = observe(Log([*BEFORE, slow, fast]), store)
    assert dict(found.latency_limits_ms) == {"slow": limit}
    assert found.in_step.canary.rates["slow"] == RateCount(n=2, events=1)
    assert found.in_step.canary.histograms["shape"] == (2, 0)
    assert found.in_step.canary.means["score"].total == 0.5


def test_without_requests_before_the_first_ones_within_are_the_yardstick() -> None:
    """They are not held against themselves; the rest of what is counted is."""
    log, store = Log([a_record(n) for n in range(99)]), InMemoryEvidence()
    first = observe(log, store)
    assert dict(first.latency_limits_ms) == {}
    assert first.in_step.control.rates["slow"] == RateCount()
    log.records_ += [a_record(99), a_record(100), by_canary(101, latency_ms=99.0)]
    second = observe(log, store)
    assert second.in_step.control.requests == 101
    assert second.in_step.control.rates["slow"].n == 1
    assert second.in_step.canary.rates["slow"] == RateCount(n=1, events=1)


def test_missing_values_are_counted_of_the_named_feature() -> None:
    """None, NaN and a feature that is not there; nothing is said of a request without features."""
    arms = counted(
        by_canary(1, features={"carrier": None}),
        by_canary(2, features={"distance": 1.0}),
        by_canary(3, features={"carrier": "AA", "distance": None}),
        by_canary(4, features={}),
    )
    assert arms.canary.rates["missing"] == RateCount(n=3, events=2)


def test_slices_are_kept_up_to_their_number() -> None:
    """What comes later of a column is counted together."""
    policy = POLICY.model_copy(
        update={"slices": CanarySlices(columns=("carrier",), metrics=("errors",), maximum_slices=3)}
    )
    records = [by_canary(n, features={"carrier": name}) for n, name in enumerate("ABCDA")]
    found = observe(Log([*BEFORE, *records]), InMemoryEvidence(), policy=policy)
    slices = {n: p.canary.requests for n, p in found.stretches[0].slices.items()}
    assert slices == {"carrier=A": 2, "carrier=B": 1, "carrier=other": 2}


def test_a_change_of_the_split_begins_a_stretch() -> None:
    """With the share its commit declares."""
    found = observe(
        Log([*BEFORE, by_canary(1), by_canary(2, route_commit=SECOND), a_record(3)]),
        InMemoryEvidence(),
    )
    shares = [(s.route_commit, s.canary_share, s.arms.canary.requests) for s in found.stretches]
    assert shares == [(COMMIT, 0.05, 1), (SECOND, 0.25, 1)]


def test_a_tick_reads_what_is_new() -> None:
    """Once the yardstick stands."""
    log, store = Log(list(BEFORE)), InMemoryEvidence()
    observe(log, store)
    log.records_ += [by_canary(1), a_record(2)]
    observe(log, store)
    found = observe(log, store)
    assert log.reads == [150, 2, 0]
    assert (found.in_step.canary.requests, found.in_step.control.requests) == (1, 1)
    assert found.canary_last_seen == BEGAN + timedelta(minutes=1 / 120)


def test_a_repeated_request_counts_once() -> None:
    """Also when the repeat comes in a later tick."""
    log, store = Log([*BEFORE, by_canary(1)]), InMemoryEvidence()
    observe(log, store)
    log.records_ += [by_canary(1, outcome="error", prediction=None), by_canary(2)]
    arms = observe(log, store).in_step
    assert arms.canary.rates["errors"] == RateCount(n=2, events=0)


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeat after so many other requests counts again."""
    monkeypatch.setattr(canary_evidence, "REMEMBERED_IDS", 2)
    log, store = Log([*BEFORE, by_canary(1), by_canary(2), by_canary(3)]), InMemoryEvidence()
    observe(log, store)
    log.records_ += [by_canary(1), by_canary(3)]
    assert observe(log, store).in_step.canary.requests == 4
    content = store.find("trips", CANARY_TALLY, "trips-2/0")
    assert content is not None
    assert len(tally_from_json(content).recent_ids) == 2


@pytest.mark.parametrize("problem", [UnavailableError("gone"), IntegrityError("changed")])
def test_a_log_that_cannot_be_read_is_told(problem: Exception) -> None:
    """What was counted before stands, and the next tick goes on from there."""
    log, store = Log([*BEFORE, by_canary(1)]), InMemoryEvidence()
    observe(log, store)
    log.problem = problem
    found = observe(log, store)
    assert str(problem) in found.source_problem
    assert found.in_step.canary.requests == 1
    log.problem = None
    log.records_.append(by_canary(2))
    found = observe(log, store)
    assert (found.source_problem, found.in_step.canary.requests) == ("", 2)


def test_another_policy_counts_again() -> None:
    """What it asks for was not counted."""
    log, store = Log([*BEFORE, by_canary(1)]), InMemoryEvidence()
    observe(log, store)
    policy = CanaryPolicy(metrics=POLICY.metrics[:1], reference_requests=100)
    found = observe(log, store, policy=policy)
    assert log.reads == [151, 151]
    assert set(found.in_step.canary.rates) == {"errors"}


def test_earlier_steps_of_the_same_models_speak_too() -> None:
    """Those of another canary do not."""
    log, store = Log([*BEFORE, by_canary(1)]), InMemoryEvidence()
    observe(log, store)
    began = BEGAN + timedelta(minutes=30)
    log.records_.append(by_canary(2, minutes=31, route_commit=SECOND))
    second = replace(UNDER_WAY, step=1, step_began=began)
    found = observe(log, store, under_way=second)
    assert [(s.step, s.arms.canary.requests) for s in found.stretches] == [(0, 1), (1, 1)]
    assert found.in_step.canary.requests == 1
    other = replace(second, canary_digest="three")
    assert [s.step for s in observe(log, store, under_way=other).stretches] == [1]


def labels_of(requests: Sequence[InferenceRecord]) -> pd.DataFrame:
    import pandas as pd

    moments = pd.to_datetime([record.event_time for record in requests], utc=True, format="ISO8601")
    return pd.DataFrame(
        {
            "request_id": [record.request_id for record in requests],
            "label": [int(record.request_id[1:]) % 2 for record in requests],
            "event_time": moments.astype("datetime64[us, UTC]"),
            "known_at": moments.astype("datetime64[us, UTC]"),
            "source": "route",
        }
    )


def test_quality_is_scored_in_whole_blocks_of_matured_days() -> None:
    """Labels that came before theirs were due count nothing yet."""
    metric = CanaryMetric(name="auc", kind="quality", block_rows=20, tolerance=0.05)
    policy = CanaryPolicy(metrics=(metric,), reference_requests=100)
    canary = [by_canary(n, prediction=0.2 + 0.5 * (n % 2)) for n in range(50)]
    control = [a_record(n, prediction=0.5) for n in range(100, 141)]
    tables, store, log = InMemoryTables(), InMemoryEvidence(), Log([*BEFORE, *canary, *control])
    tables.write("trips", LABELS_TABLE, "2026-11", labels_of([*canary, *control]))
    early = observe(log, store, policy=policy, tables=tables)
    assert early.in_step.canary.means["auc"].n == 0
    late = BEGAN + LINE.label_delay + timedelta(days=LINE.policies.labels.grace_days + 2)
    found = observe(log, store, policy=policy, tables=tables, now=late)
    assert (found.in_step.canary.means["auc"].n, found.in_step.canary.means["auc"].mean) == (2, 1.0)
    assert (found.in_step.control.means["auc"].n, found.in_step.control.means["auc"].mean) == (
        2,
        0.5,
    )
    reads = len(log.reads)
    observe(log, store, policy=policy, tables=tables, now=late)
    assert len(log.reads) == reads + 1  # the tick's own; nothing new was labelled


@st.composite
def traffic(draw: st.DrawFn) -> tuple[list[InferenceRecord], list[int]]:
    """Records of both arms in order of time, and where ticks fall."""
    size = draw(st.integers(0, 260))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    found = list(BEFORE[: draw(st.sampled_from([0, 150]))])
    for number in range(size):
        make = by_canary if generator.random() < 0.3 else a_record
        changes: dict[str, Any] = {
            "latency_ms": float(generator.integers(1, 64)) / 4,
            "prediction": float(generator.integers(0, 256)) / 256,
            "features": {"carrier": [None, "AA", "DL"][generator.integers(3)]},
            "route_commit": COMMIT if number < size // 2 else SECOND,
        }
        if generator.random() < 0.1:
            changes |= {"outcome": "error", "prediction": None}
        found.append(make(number, **changes))
    cuts = sorted(draw(st.lists(st.integers(0, len(found)), max_size=5)))
    return found, [*cuts, len(found)]


@given(traffic())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_ticks_count_what_one_count_counts(found: tuple[list[InferenceRecord], list[int]]) -> None:
    """Whatever came between which ticks, the evidence is that of counting everything at once."""
    records, cuts = found
    store, log = InMemoryEvidence(), Log()
    for cut in cuts:
        log.records_ = records[:cut]
        by_ticks = observe(log, store)
    at_once = observe(Log(records), InMemoryEvidence())
    assert by_ticks == at_once
