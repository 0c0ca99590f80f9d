"""From the inference log to a shadow's verdict, tick by tick."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_release.adapters.in_memory import InMemoryDeployments, InMemoryEvidence, InMemoryTables
from ml_release.adapters.inference_tables.frames import frame_of
from ml_release.domain.assignment import is_sampled
from ml_release.domain.deployment import DeclaredState, Evidence, Shadow, Variant
from ml_release.domain.inference import InferenceRecord
from ml_release.domain.shadow import Answer, ShadowPolicy
from ml_release.domain.shadow_tally import PAIRS_PER_DAY, DayTally, SampledPair
from ml_release.domain.verdict import verdict_from_json
from ml_release.errors import IntegrityError
from ml_release.workflows import shadow_pairing
from ml_release.workflows.label_settling import label_rows
from ml_release.workflows.labels import LABELS_TABLE
from ml_release.workflows.shadow_evidence import shadow_evidence
from ml_release.workflows.shadow_report import report_shadow
from ml_release.workflows.shadow_tallying import SHADOW_TALLY, ShadowStep, tally_shadow
from ml_release.workflows.stage_verdicts import SHADOW_VERDICT
from ml_release_tests.small_line import SMALL_LINE, House, NoPictures
from ml_release_tests.workflows.traffic import write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.shadow_tally import ShadowTally

CHAMPION, SHADOW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SINCE = datetime(2026, 11, 21, 9, 0, 0, 500_000, tzinfo=UTC)
STEP = ShadowStep(
    release="small_line-2",
    step=0,
    version=2,
    model_digest=SHADOW,
    champion_digest=CHAMPION,
    since=SINCE,
)
POLICY = ShadowPolicy(minimum_pairs=50, minimum_hours=0.1, slice_minimum_pairs=10, block_pairs=20)


def declare(
    house: House, percent: float | None = 100, *, threshold: float | None = 0.3, late: int = 1
) -> str:
    """Declare the champion with the shadow, without it for None; the commit."""
    before = house.deployments.read("small_line", "production")
    shadows = (
        () if percent is None else (Shadow(version=2, model_digest=SHADOW, sample_percent=percent),)
    )
    champion = Variant(role="champion", version=1, model_digest=CHAMPION, weight_percent=100)
    state = DeclaredState(
        line="small_line",
        environment="production",
        release="small_line-2",
        variants=(champion,),
        evidence=Evidence(verdict_digest="v", policy_digest="p", feature_version="f"),
        shadows=shadows,
        threshold=threshold,
    )
    return house.deployments.declare(
        state,
        expected_commit=None if before is None else before.commit,
        trailers={"Actor": "Ada"},
        at=SINCE + timedelta(seconds=late),
    ).commit


def served(number: int, commit: str, **changes: Any) -> InferenceRecord:
    """The champion's answer to one of many requests, one a minute."""
    moment = (SINCE + timedelta(minutes=number)).isoformat()
    score = 0.1 + 0.8 * ((number * 37) % 100) / 100
    known: dict[str, Any] = {
        "request_id": f"r{number}",
        "row": 0,
        "event_time": moment,
        "received_time": moment,
        "line": "small_line",
        "variant": "champion",
        "version": 1,
        "model_digest": CHAMPION,
        "route_commit": commit,
        "bucket": None,
        "features": {"carrier": ["AA", "BB", None][number % 3], "distance": 700.0},
        "history_digest": None,
        "prediction": score,
        "latency_ms": 2.0,
        "outcome": "ok",
        "error": None,
        "shadow": False,
        "decision": int(score >= 0.3),
    }
    return InferenceRecord(**{**known, **changes})


def shadowed(number: int, commit: str, **changes: Any) -> InferenceRecord:
    """The shadow's answer to the same request, without a decision, as the server logs it."""
    base = served(number, commit)
    known: dict[str, Any] = {
        "variant": "shadow",
        "version": 2,
        "model_digest": SHADOW,
        "shadow": True,
        "decision": None,
        "latency_ms": 1.0,
        "prediction": (base.prediction or 0.0) + 0.01 * math.sin(number),
    }
    return served(number, commit, **{**known, **changes})


def failed() -> dict[str, Any]:
    return {"outcome": "error", "error": "planted", "prediction": None, "decision": None}


@pytest.fixture
def house(tmp_path: Any) -> House:
    return House(log_folder=tmp_path)


def tally(house: House, **changes: Any) -> ShadowTally:
    known: dict[str, Any] = {
        "environment": "production",
        "inference_log": house.inference_log,
        "deployments": house.deployments,
        "evidence": house.evidence,
    }
    return tally_shadow(house.line, changes.pop("step", STEP), **{**known, **changes})


def report(house: House, *, minutes: float = 600, policy: ShadowPolicy = POLICY) -> Any:
    return report_shadow(
        house.line,
        STEP,
        policy,
        environment="production",
        inference_log=house.inference_log,
        deployments=house.deployments,
        tables=house.tables,
        evidence=house.evidence,
        plotter=house.plotter,
        now=SINCE + timedelta(minutes=minutes),
    )


def test_a_look_at_a_shadow_is_judged_recorded_and_drawn(house: House) -> None:
    """The decision that its records lack is made with the declared threshold."""
    commit = declare(house)
    write(house, [r for i in range(300) for r in (served(i, commit), shadowed(i, commit))])
    found = report(house)
    requests = found.evidence.requests
    assert requests.pairs == requests.decided == found.evidence.sampled_requests == 300
    assert requests.disagreeing < 10
    assert found.evidence.coverage == 1
    assert found.evidence.hours == pytest.approx(299 / 60)
    assert found.evidence.age_hours == 10
    assert found.evidence.latency.ratio_p95 == 0.5
    assert found.evidence.routes == (commit,)
    assert {one.value: one.counts.pairs for one in found.evidence.slices} == {
        "AA": 100,
        "BB": 100,
        None: 100,
    }
    assert found.numbers["pairs"] == 300
    assert found.plots.keys() == {"scores.png", "agreement.png"}
    content = house.evidence.find("small_line", SHADOW_VERDICT, SHADOW)
    assert content is not None
    assert verdict_from_json(content).digest == found.judgement.verdict.digest


def test_without_traffic_nothing_is_known(house: House) -> None:
    """And nothing is drawn."""
    declare(house)
    found = report(house)
    assert found.judgement.answer is Answer.UNDECIDED
    assert found.judgement.more_pairs == 50
    assert found.evidence.requests.pairs == 0
    assert not found.plots
    assert found.numbers["coverage"] is None


def test_a_shadow_that_never_answers_is_not_agreed_with(house: House) -> None:
    """Its requests count as sampled once they have waited long enough."""
    commit = declare(house)
    write(house, [served(i, commit) for i in range(200)])
    found = report(house)
    assert found.evidence.requests.pairs == 0
    # The newest half hour still waits.
    assert found.evidence.sampled_requests == 200 - shadow_pairing.SETTLE_MINUTES - 1
    assert found.evidence.coverage == 0
    assert found.judgement.answer is Answer.UNDECIDED


def test_halves_of_different_ticks_meet(house: House) -> None:
    """Whichever comes first; a tick without news changes nothing."""
    commit = declare(house)
    write(house, [served(0, commit), shadowed(1, commit)])
    first = tally(house)
    assert (first.requests.pairs, len(first.waiting_champion), len(first.waiting_shadow)) == (
        0,
        1,
        1,
    )
    write(house, [shadowed(0, commit), served(1, commit)])
    second = tally(house)
    assert (second.requests.pairs, second.waiting_champion, second.waiting_shadow) == (2, (), ())
    third = tally(house)
    assert third == second.model_copy(update={"cursor": third.cursor})


def test_only_pairs_of_this_champion_with_this_shadow_count(house: House) -> None:
    """Nothing of other routes, other versions, the kill switch, or of before the step."""
    early = declare(house, late=-60)
    without = declare(house, None, late=2)
    commit = declare(house, late=3)
    other = {"version": 3, "model_digest": "sha256:other"}
    switched = {"variant": "kill_switch", "version": 0, "model_digest": "none", "decision": None}
    write(
        house,
        [
            *(record for c in (early, without) for record in (served(1, c), shadowed(1, c))),
            served(2, commit, **other),
            shadowed(2, commit),
            served(3, commit),
            shadowed(3, commit, **other),
            served(4, commit, **switched),
            served(5, commit),
            shadowed(5, commit),
        ],
    )
    found = tally(house)
    assert found.requests.pairs == 1
    assert [half.request_id for half in found.waiting_champion] == ["r3"]
    assert [half.request_id for half in found.waiting_shadow] == ["r2"]


def test_only_sampled_requests_are_missed(house: House) -> None:
    """By the rule of the server itself."""
    commit = declare(house, 30)
    write(house, [served(i, commit) for i in range(400)])
    found = tally(house)
    expected = sum(is_sampled(f"r{i}", version=2, sample_percent=30) for i in range(400))
    assert found.unanswered + len(found.waiting_champion) == expected


def test_failures_are_told_apart_and_a_batch_counts_once(house: House) -> None:
    """Row 0 stands for its request; the other rows are paired and shown."""
    commit = declare(house)
    rows = [
        record
        for row in range(5)
        for record in (served(0, commit, row=row), shadowed(0, commit, row=row))
    ]
    write(
        house,
        [
            *rows,
            served(1, commit, **failed()),
            shadowed(1, commit),
            served(2, commit),
            shadowed(2, commit, **failed()),
            served(3, commit, **failed()),
            shadowed(3, commit, **failed()),
        ],
    )
    found = tally(house)
    requests = found.requests
    assert (requests.answered, found.rows.answered) == (1, 5)
    assert (requests.champion_failed, requests.shadow_failed, requests.both_failed) == (1, 1, 1)
    assert sum(len(day.sample) for day in found.days.values()) == 1


def test_no_threshold_gives_no_decision_and_classes_are_not_judged(house: House) -> None:
    commit = declare(house, threshold=None)
    several: Mapping[str, Any] = {"prediction": None, "probabilities": (0.2, 0.3, 0.5)}
    write(
        house,
        [
            served(0, commit, decision=None),
            shadowed(0, commit),
            served(1, commit, decision=None, **several),
            shadowed(1, commit, **several),
        ],
    )
    found = report(house)
    assert found.evidence.requests.decided == 0
    assert (found.evidence.output, found.evidence.decides) == ("classes", False)
    assert found.evidence.requests.unscored == 1


def test_labels_count_once_they_are_due(house: House) -> None:
    """Those that came early are not looked at."""
    commit = declare(house)
    write(house, [r for i in range(100) for r in (served(i, commit), shadowed(i, commit))])
    moments = [pd.Timestamp(SINCE + timedelta(minutes=i)) for i in range(90)]
    labels = pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in range(90)],
            "label": [i % 2 for i in range(90)],
            "event_time": moments,
            "known_at": [moment + pd.Timedelta(minutes=5) for moment in moments],
            "source": "route",
        }
    )
    house.tables.write("small_line", LABELS_TABLE, "2026-11", label_rows(labels))
    early = report(house).evidence.labelled
    assert (early.labelled, early.immature, early.blocks) == (0, 100, ())
    due = report(house, minutes=24 * 60 + 79.5).evidence.labelled
    assert (due.labelled, due.immature, due.unlabelled) == (80, 20, 0)
    assert [(block.n, math.isfinite(block.auc_score)) for block in due.blocks] == [(20, True)] * 4
    late = report(house, minutes=5000).evidence.labelled
    assert (late.labelled, late.unlabelled) == (90, 10)


def test_another_champion_is_another_step(house: House) -> None:
    """What was counted before is not added to it."""
    commit = declare(house)
    write(house, [served(0, commit), shadowed(0, commit)])
    assert tally(house).requests.pairs == 1
    later = ShadowStep(
        release=STEP.release,
        step=0,
        version=2,
        model_digest=SHADOW,
        champion_digest="sha256:" + "c" * 64,
        since=SINCE,
    )
    assert tally(house, step=later).requests.pairs == 0


def test_an_edited_tally_is_refused_until_it_is_counted_afresh(house: House) -> None:
    commit = declare(house)
    write(house, [served(0, commit), shadowed(0, commit)])
    house.evidence.record("small_line", SHADOW_TALLY, STEP.subject, b'{"line": 3}')
    with pytest.raises(IntegrityError, match="Count the step afresh"):
        tally(house)
    assert tally(house, afresh=True).requests.pairs == 1


def test_what_waits_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are given up, and count as not answered."""
    monkeypatch.setattr(shadow_pairing, "WAITING_LIMIT", 5)
    commit = declare(house)
    write(house, [served(i, commit) for i in range(20)])
    found = tally(house)
    assert [half.request_id for half in found.waiting_champion] == [f"r{i}" for i in range(15, 20)]
    assert found.unanswered == 15


class ListedLog:
    """Records of which a test says how many were written so far."""

    def __init__(self, records: Sequence[InferenceRecord]) -> None:
        self._records = records
        self.written = len(records)

    def records(
        self, line: str, *, after: Mapping[str, int], since: datetime | None = None
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        new = self._records[after.get("all", 0) : self.written]
        return frame_of(new, InferenceRecord), {"all": self.written}


def approximately(found: ShadowTally) -> Any:
    """A tally with rounded moments, without its cursor."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 9)
        if isinstance(value, dict):
            return {key: rounded(one) for key, one in value.items() if key != "cursor"}
        return [rounded(one) for one in value] if isinstance(value, list | tuple) else value

    return rounded(found.model_dump())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ok", "missing", "champion fails", "shadow fails"]),
            st.integers(-3, 20),
        ),
        min_size=1,
        max_size=40,
    ),
    st.lists(st.integers(0, 80), max_size=4),
    st.sampled_from([35.0, 100.0]),
)
@settings(max_examples=12, deadline=None)
def test_ticks_add_up_to_one_reading_of_the_whole_log(
    requests: list[tuple[str, int]], cuts: list[int], percent: float
) -> None:
    """Wherever they fall, and in whatever order the halves come, within the time a half waits."""
    # Without its months, which no shadow asks for: there are many of these houses.
    house = House.__new__(House)
    house.log_folder = Path("unused")
    house.line = SMALL_LINE
    house.evidence, house.tables, house.plotter = InMemoryEvidence(), InMemoryTables(), NoPictures()
    house.deployments = InMemoryDeployments()
    commit = declare(house, percent)
    timed: list[tuple[float, InferenceRecord]] = []
    for number, (fate, delay) in enumerate(requests):
        first, second = served(number, commit), shadowed(number, commit)
        if fate == "champion fails":
            first = served(number, commit, **failed())
        if fate == "shadow fails":
            second = shadowed(number, commit, **failed())
        timed.append((number, first))
        sampled = is_sampled(first.request_id, version=2, sample_percent=percent)
        if fate != "missing" and sampled:
            timed.append((number + delay + 0.5, second))
    records = [record for _, record in sorted(timed, key=lambda one: one[0])]
    log = ListedLog(records)
    for cut in sorted(cuts):
        log.written = min(cut, len(records))
        tally(house, inference_log=log)
    log.written = len(records)
    ticked = tally(house, inference_log=log)
    whole = tally(house, inference_log=log, afresh=True)
    assert approximately(ticked) == approximately(whole)
    evidence = [
        shadow_evidence(
            house.line,
            STEP,
            one,
            POLICY,
            environment="production",
            deployments=house.deployments,
            tables=house.tables,
            now=SINCE + timedelta(days=3),
        )
        for one in (ticked, whole)
    ]
    assert evidence[0].sample == evidence[1].sample
    assert evidence[0].coverage == pytest.approx(evidence[1].coverage, nan_ok=True)


@given(st.permutations(range(30)), st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_a_day_keeps_the_same_sample_in_any_order(order: list[int], cut: int) -> None:
    """The smallest keys, up to the limit."""
    moment = SINCE.isoformat()
    keys = np.random.default_rng(0).permutation(PAIRS_PER_DAY + 30)
    pairs = [SampledPair(f"{k:08d}", f"r{k}", moment, 0.1, 0.2, 1.0, 1.0) for k in keys]
    many, few = pairs[:PAIRS_PER_DAY], [pairs[PAIRS_PER_DAY + place] for place in order]
    ticked = DayTally().plus(1, few[:cut]).plus(1, many).plus(1, few[cut:])
    assert ticked.sample == tuple(sorted(pairs)[:PAIRS_PER_DAY])
