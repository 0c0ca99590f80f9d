"""Late labels: the curve against a naive one, and every rule at its limit and beyond it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.label_counts import LabelCounts, LabelsRecord
from ml_release.domain.label_maturity import (
    DESCRIPTIONS,
    LabelPolicy,
    Maturity,
    judge_labels,
    label_maturity,
)
from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from ml_release.domain.verdict import Verdict

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
NOW = datetime(2013, 5, 1, tzinfo=UTC)
POLICY = LabelPolicy(
    on_time_share_floor=0.9,
    minimum_matured=100,
    contradicted_share_limit=0.01,
    unusable_share_limit=0.1,
)
Request = tuple[float, float | None]
"""Age in days, and days from the event to its label, None if it is not known."""


def curve(*requests: Request, policy: LabelPolicy = POLICY, delay_days: float = 1.0) -> Maturity:
    now = np.datetime64(NOW.replace(tzinfo=None), "us")
    hours = [
        (round(age * 24), None if delay is None else round(delay * 24)) for age, delay in requests
    ]
    event = np.array([now - np.timedelta64(age, "h") for age, _ in hours], dtype="datetime64[us]")
    known = np.array(
        [
            np.datetime64("NaT") if delay is None else moment + np.timedelta64(delay, "h")
            for moment, (_, delay) in zip(event, hours, strict=True)
        ],
        dtype="datetime64[us]",
    )
    return label_maturity(event, known, now=NOW, delay_days=delay_days, policy=policy)


def naive_share(requests: list[Request], days: float) -> float:
    """Kaplan and Meier, one step at a time."""
    watched = [
        (age, False) if delay is None or delay > age else (delay, True) for age, delay in requests
    ]
    unknown = 1.0
    for step in sorted({time for time, known in watched if known and time <= days}):
        at_risk = sum(time >= step for time, _ in watched)
        unknown *= 1 - sum(time == step and known for time, known in watched) / at_risk
    return 1 - unknown


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.none() | st.integers(0, 25)), min_size=1, max_size=40
    ),
    st.integers(0, 25),
)
def test_the_curve_is_kaplan_meiers(requests: list[tuple[int, int | None]], days: int) -> None:
    """Never falling, between 0 and 1, and the naive product at every day."""
    found = curve(*requests)
    assert found.share_known(days) == pytest.approx(naive_share(list(requests), days))
    assert (np.diff([0.0, *found.shares]) > 0).all()
    assert (np.diff(found.days) > 0).all()
    assert all(share <= 1 + 1e-9 for share in found.shares)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(2, 20), st.none() | st.integers(0, 2)), min_size=1))
def test_without_young_requests_the_share_is_the_plain_one(
    requests: list[tuple[int, int | None]],
) -> None:
    """Everybody was watched until the label was due."""
    known = sum(delay is not None for _, delay in requests)
    assert curve(*requests).due_share == pytest.approx(known / len(requests))


def test_young_requests_are_censored_and_not_missing() -> None:
    """Of ten that are due nine are known; ninety of today lower nothing."""
    found = curve(*[(5.0, 1.0)] * 9, (5.0, None), *[(0.5, None)] * 90)
    assert (found.requests, found.known, found.matured, found.immature) == (100, 9, 10, 90)
    assert found.due_share == pytest.approx(0.9)
    assert found.days == (1.0,)


def test_nothing_is_due_yet_and_nothing_was_asked() -> None:
    """The share is not known, which is not zero; labels that came early are drawn."""
    found = curve((1.9, 0.5), (1.9, None))
    assert (found.matured, found.due_share, found.shares) == (0, None, (0.5,))
    assert curve().due_share is None
    assert (curve().requests, curve().days) == (0, ())


def test_due_with_no_label_at_all_is_a_share_of_zero() -> None:
    """The feed is silent."""
    assert curve((3.0, None), (3.0, None)).due_share == 0.0


@pytest.mark.parametrize(
    ("age", "delay", "expected"),
    [
        pytest.param(2.0, 2.0, 1.0, id="known when it is due"),
        pytest.param(3.0, 2.5, 0.0, id="after it was due"),
        pytest.param(2.0, 3.0, 0.0, id="known tomorrow only"),
        pytest.param(1.5, 1.0, None, id="known and not due"),
        pytest.param(-1.0, None, None, id="still to happen"),
    ],
)
def test_a_label_is_in_time_until_the_grace_is_over(
    age: float, delay: float | None, expected: float | None
) -> None:
    """One day of delay and one of grace; what is known after now is not known."""
    assert curve((age, delay)).due_share == expected


def test_the_window_ends_with_the_newest_request_that_is_due() -> None:
    """However long the delay: old silence is over, young requests are watched beside them."""
    policy = POLICY.model_copy(update={"window_days": 10})
    requests = [(200.0, None), (75.0, None), (70.0, 60.0), (62.0, 60.0), (61.0, None), (5.0, None)]
    found = curve(*requests, policy=policy, delay_days=61.0)
    assert (found.due_days, found.requests, found.matured) == (62.0, 4, 2)
    # Of the three that were watched for 60 days, one was still unknown after 61.
    assert found.due_share == pytest.approx(2 / 3)


def test_now_is_a_moment_whatever_its_zone() -> None:
    """Told in New York, the age is the same."""
    event = np.array(["2013-04-30T00:00"], dtype="datetime64[us]")
    known = np.array(["NaT"], dtype="datetime64[us]")
    new_york = NOW.astimezone(timezone(timedelta(hours=-4)))
    for now in (NOW, new_york):
        found = label_maturity(
            event, known, now=now, delay_days=0.0, policy=LabelPolicy(grace_days=1.0)
        )
        assert found.matured == 1


MATURE = Maturity(
    days=(1.0,),
    shares=(0.95,),
    requests=1000,
    known=950,
    matured=1000,
    delay_days=1.0,
    due_days=2.0,
)
GOOD = LabelsRecord(
    line="line",
    labels=1000,
    contradicted=0,
    digest="sha256:0",
    sources={"route": LabelCounts(told=1000, repeated=1000), "files": LabelCounts()},
)


def judge(
    maturity: Maturity = MATURE, files: dict[str, str] | None = None, **change: Any
) -> Verdict:
    return judge_labels(
        GOOD.model_copy(update=change),
        maturity,
        POLICY,
        files=files,
        example="request a",
        subject_digest="sha256:1",
    )


def outcome_of(rule: str, verdict: Verdict) -> list[Outcome]:
    return [finding.outcome for finding in verdict.findings if finding.rule == rule]


def test_labels_in_time_that_agree_pass() -> None:
    """One finding per rule; a source that told nothing has none."""
    verdict = judge()
    assert verdict.outcome is PASS
    assert [finding.rule for finding in verdict.findings] == list(DESCRIPTIONS)
    assert set(verdict.evidence) == {"policy_digest"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"shares": (0.9,)}, PASS, id="at the floor"),
        pytest.param({"shares": (0.899,)}, FAIL, id="below"),
        pytest.param({"days": (2.5,)}, FAIL, id="late"),
        pytest.param({"matured": 99}, INCONCLUSIVE, id="too few are due"),
        pytest.param({"matured": 0}, INCONCLUSIVE, id="none is due"),
        pytest.param({"matured": 100, "shares": (0.1,)}, FAIL, id="just enough are due"),
    ],
)
def test_enough_labels_have_to_be_known_in_time(change: dict[str, Any], expected: Outcome) -> None:
    """Too few to tell is never pass."""
    verdict = judge(replace(MATURE, **change))
    assert outcome_of("labels_arrive_on_time", verdict) == [expected]


@pytest.mark.parametrize(
    ("labels", "contradicted", "expected"),
    [(1000, 10, PASS), (1000, 11, FAIL), (0, 0, INCONCLUSIVE), (1, 1, FAIL)],
)
def test_sources_have_to_agree(labels: int, contradicted: int, expected: Outcome) -> None:
    """At the limit, beyond it, and with nothing to agree on."""
    verdict = judge(labels=labels, contradicted=contradicted)
    assert outcome_of("labels_agree", verdict) == [expected]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param({"told": 100, "unusable": 10, "gathered": 90}, PASS, id="at the limit"),
        pytest.param({"told": 100, "unusable": 6, "early": 5, "gathered": 89}, FAIL, id="beyond"),
        pytest.param(
            {"told": 1000, "unknown": 990, "unusable": 2, "gathered": 8}, FAIL, id="of the known"
        ),
        pytest.param({"told": 100, "unknown": 100}, INCONCLUSIVE, id="of nobody served"),
        pytest.param({}, INCONCLUSIVE, id="nothing"),
    ],
)
def test_each_source_has_to_tell_labels(counts: dict[str, int], expected: Outcome) -> None:
    """Of requests that were served: the others, a snapshot's rest, say nothing of it."""
    verdict = judge(sources={"files": LabelCounts(**counts)})
    assert outcome_of("labels_are_usable", verdict) == [expected]


def test_every_file_has_to_be_readable() -> None:
    """One that is not is named with its reason; without any nobody can tell."""
    verdict = judge(files={"a.csv": "a.csv: no columns", "b.csv": "b.csv: torn", "c.csv": ""})
    (finding,) = (one for one in verdict.findings if one.rule == "label_files_can_be_read")
    assert (finding.outcome, finding.observed, finding.n) == (FAIL, 2, 3)
    assert finding.detail == "a.csv: no columns; b.csv: torn"
    assert outcome_of("label_files_can_be_read", judge(files={"c.csv": ""})) == [PASS]
    assert outcome_of("label_files_can_be_read", judge(files={})) == [INCONCLUSIVE]


def test_a_bad_source_is_not_hidden_among_the_labels_of_a_good_one() -> None:
    """A file of ten bad rows beside ten thousand good ones."""
    verdict = judge(
        sources={
            "route": LabelCounts(told=10_000, repeated=10_000),
            "files": LabelCounts(told=10, unusable=10),
        }
    )
    assert outcome_of("labels_are_usable", verdict) == [PASS, FAIL]


@pytest.mark.parametrize(
    "limits",
    [
        {"grace_days": -1.0},
        {"on_time_share_floor": 0.0},
        {"on_time_share_floor": 1.1},
        {"window_days": 0},
        {"minimum_matured": 0},
        {"contradicted_share_limit": -0.1},
        {"unusable_share_limit": float("nan")},
        {"delay_days": 1},
    ],
)
def test_a_policy_that_makes_no_sense_cannot_be_declared(limits: dict[str, Any]) -> None:
    """A floor of zero would let a silent feed pass."""
    with pytest.raises(ValidationError):
        LabelPolicy.model_validate(limits)
