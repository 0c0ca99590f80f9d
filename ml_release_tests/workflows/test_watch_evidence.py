"""A release under watch: gathered, judged, recorded; what cannot be read holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_release.domain.rollout_moves import promoted, settled, shared
from ml_release.domain.verdict import Outcome
from ml_release.domain.watch import WatchPolicy
from ml_release.errors import IntegrityError, UnavailableError
from ml_release.workflows.evaluation_records import EVALUATION_MEASURES
from ml_release.workflows.labels import LABELS_TABLE
from ml_release.workflows.stage_verdicts import WATCH_VERDICT, recorded_verdict
from ml_release.workflows.watch_evidence import report_watch
from ml_release.workflows.watch_tally import WATCH_TALLY
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.traffic import a_label, a_record, serve_month, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from ml_release.domain.deployment import Variant
    from ml_release.workflows.watch_evidence import WatchReport
    from ml_release_tests.small_line import House

PRODUCTION = "production"
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
POLICY = WatchPolicy(
    minimum_requests=100,
    minimum_labelled=100,
    minimum_hours=1.0,
    labelled_share_floor=0.5,
    score_margins={"auc_score": 0.2, "log_loss": 0.5},
    error_rate_limit=0.2,
    missing_answer_limit=0.2,
)


class Unread:
    """An inference log that cannot be read."""

    def size(self, line: str) -> int:
        raise UnavailableError(line)

    def records(
        self, line: str, *, after: Mapping[str, int], since: datetime | None = None
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        message = f"{line}: the disk is gone after {dict(after)}"
        raise UnavailableError(message)

    def labels(self, line: str) -> pd.DataFrame:
        raise UnavailableError(line)


def put(house: House, **changes: Any) -> None:
    """Declare another state."""
    before = house.deployments.read(steps.LINE, PRODUCTION)
    assert before is not None
    house.deployments.declare(
        before.state.model_copy(update=changes),
        expected_commit=before.commit,
        trailers={"Actor": "Ada", "Reason": "the test"},
        at=house.clock.now(),
    )


def put_under_watch(
    house: House, version: Variant | None = None, *, since: datetime = MIDNIGHT
) -> None:
    """A version, the champion for None, answers everybody from now on."""
    found = house.deployments.read(steps.LINE, PRODUCTION)
    assert found is not None
    champion = found.state.champion if version is None else version
    watched = promoted(
        found.state,
        line=steps.LINE,
        environment=PRODUCTION,
        version=champion,
        release=found.state.release,
        evidence=found.state.evidence,
        watched_from=since,
    )
    put(house, variants=watched.variants, rollout=watched.rollout)


def watch(house: House, policy: WatchPolicy = POLICY, **others: Any) -> WatchReport:
    found = report_watch(
        house.line,
        policy,
        environment=PRODUCTION,
        inference_log=others.get("inference_log", house.inference_log),
        deployments=house.deployments,
        tables=house.tables,
        evidence=house.evidence,
        now=house.clock.now(),
    )
    assert found is not None
    return found


def outcome(found: WatchReport, rule: str) -> Outcome:
    return max(
        (f.outcome for f in found.verdict.verdict.findings if f.rule == rule),
        key=list(Outcome).index,
    )


@pytest.fixture
def watched(serving: House) -> House:
    """Version 1 has answered since it was put under watch; of half its answers there are labels."""
    put_under_watch(serving)
    rows = serve_month(serving, "2013-04")
    labels = rows[["request_id", serving.line.target]].dropna()
    others = [a_record(serving, f"other-{n}", "2013-04-02T12:00:00+00:00") for n in range(500)]
    write(serving, others, [a_label(name, int(label)) for name, label in labels.to_numpy()])
    steps.gather(serving)
    return serving


@pytest.mark.parametrize("is_settled", [False, True])
def test_without_a_watch_there_is_nothing_to_judge(serving: House, *, is_settled: bool) -> None:
    """Neither before one nor after it."""
    if is_settled:
        put_under_watch(serving)
        found = serving.deployments.read(steps.LINE, PRODUCTION)
        assert found is not None
        put(serving, rollout=settled(found.state).rollout)
    report = report_watch(
        serving.line,
        POLICY,
        environment=PRODUCTION,
        inference_log=serving.inference_log,
        deployments=serving.deployments,
        tables=serving.tables,
        evidence=serving.evidence,
        now=serving.clock.now(),
    )
    assert report is None


def test_a_release_whose_labels_matured_finishes(watched: House) -> None:
    """Its verdict is on record under its model, with what it was judged on."""
    declared = watched.deployments.read(steps.LINE, PRODUCTION)
    assert declared is not None
    digest = declared.state.champion.model_digest
    assert recorded_verdict(watched.line, WATCH_VERDICT, digest, evidence=watched.evidence) is None
    found = watch(watched)
    assert found.verdict.answer == "finish", found.verdict.waits_for
    recorded = recorded_verdict(watched.line, WATCH_VERDICT, digest, evidence=watched.evidence)
    assert recorded == found.verdict.verdict
    assert dict(recorded.evidence) == {
        "answer": "finish",
        "declared_commit": declared.commit,
        "policy_digest": POLICY.digest,
        "champion_digest": digest,
        "judged_at": watched.clock.now().isoformat(),
    }
    seen = found.evidence
    assert seen.due == seen.answers > seen.labelled >= 500
    assert {score.name for score in seen.scores} == {"auc_score", "log_loss"}
    assert all(score.evaluated_low is not None for score in seen.scores)
    assert not seen.had_canary


def test_the_score_is_that_of_the_labelled_answers(watched: House) -> None:
    """With days as what is independent, if its evaluation takes them so."""
    from sklearn.metrics import log_loss, roc_auc_score

    rows = watched.tables.read(steps.current(watched, "features")["2013-04"], "features")
    records, _ = watched.inference_log.records(steps.LINE, after={})
    joined = rows.assign(request_id=[f"r{n}" for n in rows["trip"]]).merge(records, on="request_id")
    target = joined[watched.line.target]
    known = target.notna()
    auc, loss = watch(watched).evidence.scores
    assert auc.served.estimate == pytest.approx(
        roc_auc_score(target[known], joined["prediction"][known])
    )
    assert loss.served.estimate == pytest.approx(
        log_loss(target[known].astype(int), joined["prediction"][known])
    )
    by_day = watched.line.policies.evaluation.interval_unit == "day"
    assert (auc.served.units <= 30) is by_day


def test_labels_that_are_not_due_are_not_scored(serving: House) -> None:
    """However early they were told."""
    put_under_watch(serving, since=serving.clock.now())
    moment = serving.clock.now().isoformat()
    write(
        serving,
        [
            a_record(serving, f"r{n}", moment, received_time=moment, prediction=n / 200)
            for n in range(200)
        ],
    )
    steps.gather(serving)
    serving.clock.move(timedelta(minutes=30))
    found = watch(serving)
    assert (found.evidence.answers, found.evidence.due, found.evidence.labelled) == (200, 0, 0)
    assert found.verdict.answer == "hold"
    assert "none is due yet" in " ".join(found.verdict.waits_for)


def test_a_release_that_fails_its_requests_is_rolled_back(watched: House) -> None:
    """Whatever its labels say."""
    moments = [f"2026-11-21T09:{minute:02}:00+00:00" for minute in range(0, 60, 5)]
    write(
        watched,
        [
            a_record(
                watched,
                f"e{n}",
                moment,
                received_time=moment,
                outcome="error",
                error="no",
                prediction=None,
            )
            for n, moment in enumerate(moments * 30)
        ],
    )
    watched.clock.move(timedelta(hours=2))
    found = watch(watched)
    assert found.verdict.answer == "roll_back"
    assert "errors_are_rare" in found.verdict.reason


def test_a_model_that_tells_nothing_of_its_labels_is_rolled_back(watched: House) -> None:
    """Its served score is shown to be below what it was evaluated at."""
    rng = np.random.default_rng(3)
    subject = watched.evidence.newest_subject(steps.LINE, WATCH_TALLY)
    assert subject is None
    watch(watched)

    def mix(document: Any) -> None:
        answers = document["answers"]
        for answer, value in zip(answers, rng.random(len(answers)).tolist(), strict=True):
            answer[3] = value

    subject = watched.evidence.newest_subject(steps.LINE, WATCH_TALLY)
    assert subject is not None
    steps.edit(watched, WATCH_TALLY, subject, mix)
    strict = POLICY.model_copy(update={"score_margins": {"auc_score": 0.03}})
    found = watch(watched, strict)
    assert found.verdict.answer == "roll_back"
    assert "served_as_well_as_evaluated" in found.verdict.reason


def test_a_log_that_cannot_be_read_holds_and_what_was_counted_stands(watched: House) -> None:
    """The verdict names the log; a log without a tally is no traffic."""
    before = watch(watched)
    found = watch(watched, inference_log=Unread())
    assert found.verdict.answer == "hold"
    assert "the disk is gone" in found.verdict.reason
    assert found.evidence.windows == before.evidence.windows
    subject = watched.evidence.newest_subject(steps.LINE, WATCH_TALLY)
    assert subject is not None
    steps.forget(watched, WATCH_TALLY, subject)
    assert watch(watched, inference_log=Unread()).evidence.windows == ()


def test_labels_that_were_edited_hold(watched: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are named, and nothing is scored."""

    def edited(*_: Any) -> Any:
        message = f"{LABELS_TABLE}: other rows than its digest says"
        raise IntegrityError(message)

    monkeypatch.setattr(watched.tables, "read", edited)
    found = watch(watched)
    assert found.verdict.answer == "hold"
    assert "other rows than its digest" in found.verdict.reason
    assert found.evidence.scores == ()


def test_without_its_evaluation_no_score_is_good_enough(watched: House) -> None:
    """Nobody knows what it was released on."""
    found = watch(watched)
    steps.forget(watched, EVALUATION_MEASURES, found.evidence.model_digest)
    found = watch(watched)
    assert found.verdict.answer == "hold"
    assert outcome(found, "served_as_well_as_evaluated") is Outcome.INCONCLUSIVE


def test_the_control_is_what_answered_beside_the_canary(serving: House) -> None:
    """Its requests during the canary are counted from the log."""
    found = serving.deployments.read(steps.LINE, PRODUCTION)
    assert found is not None
    champion = found.state.champion
    other = champion.model_copy(update={"version": 9, "model_digest": steps.NOWHERE})
    put(serving, variants=(other,), rollout=None)
    begun = serving.clock.now()
    beside = serving.deployments.read(steps.LINE, PRODUCTION)
    assert beside is not None
    canary = shared(
        beside.state,
        version=champion,
        evidence=found.state.evidence,
        step=0,
        weight_percent=5.0,
        release="r",
        now=begun,
    )
    put(serving, variants=canary.variants, rollout=canary.rollout)
    moment = (begun + timedelta(minutes=30)).isoformat()
    write(
        serving,
        [
            a_record(
                serving,
                f"c{n}",
                moment,
                received_time=moment,
                version=9,
                model_digest=steps.NOWHERE,
                outcome="error" if n < 3 else "ok",
            )
            for n in range(300)
        ],
    )
    serving.clock.move(timedelta(hours=1))
    put_under_watch(serving, champion, since=serving.clock.now())
    baseline = watch(serving).evidence.baseline
    assert baseline is not None
    assert (baseline.requests, baseline.errors) == (300, 3)
