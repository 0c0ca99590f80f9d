"""From a rollback to its incident: Git, verdicts, log, labels, and what cannot be had."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from ml_release.domain.artefact import PLAN_FILE, SIGNATURE_FILE
from ml_release.domain.blast_radius import BlastRadius, Changes, Costs
from ml_release.domain.deployment import Shadow, Variant
from ml_release.domain.features import plan_from_json
from ml_release.domain.incident import Verification
from ml_release.domain.incident_impact import StageCounts
from ml_release.domain.incident_words import Words
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.errors import InputError, IntegrityError, NotFoundError, UnavailableError
from ml_release.workflows import rollback_target
from ml_release.workflows.incidents import (
    INCIDENT,
    INCIDENT_HISTORY,
    WrittenIncident,
    find_rollback,
    known_incidents,
    write_incident,
)
from ml_release.workflows.label_settling import label_rows
from ml_release.workflows.labels import LABELS_TABLE
from ml_release.workflows.promotion import Request
from ml_release.workflows.rollout_tick import AUTOMATION
from ml_release.workflows.stage_verdicts import JUDGED_AT, WATCH_VERDICT
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_promotion import candidate_version
from ml_release_tests.workflows.traffic import a_record, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.features import Columns, FeaturePlan
    from ml_release.domain.inference import InferenceRecord
    from ml_release.ports import LoadedModel
    from ml_release_tests.small_line import House

BY_HAND = Request(by="Ada", reason="too many late trips", run_id="r")
DAY = "2026-11-21"


@dataclass
class ByDistance:
    """A restored model whose answers can be worked out: the distance over 1024."""

    plan: FeaturePlan
    platform: str = "by hand"

    def predict(self, values: Columns) -> npt.NDArray[np.float64]:
        return np.asarray(values["distance"], dtype=np.float64) / 1024


class LoadsByDistance:
    """`ModelLoader` of `ByDistance`, with the plan of the artefact."""

    def load(self, files: Mapping[str, bytes]) -> LoadedModel:
        return ByDistance(plan=plan_from_json(files[PLAN_FILE]))


class MlflowIsDown:
    """`Experiments` that cannot be reached."""

    def resume(self, run_id: str) -> Any:
        message = f"experiment run {run_id}: MLflow does not answer"
        raise UnavailableError(message)


def wrote(house: House, named: str | None = None, **changes: Any) -> WrittenIncident:
    known: dict[str, Any] = {
        "environment": "production",
        "inference_log": house.inference_log,
        "tables": house.tables,
        "evidence": house.evidence,
        "models": house.models,
        "loader": house.loader,
        "experiments": house.experiments,
        "deployments": house.deployments,
        "reports": house.reports,
        "now": house.clock.now(),
    }
    return write_incident(house.line, named, **{**known, **changes})


@pytest.fixture(scope="session")
def the_second(the_serving: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = the_serving.copied(tmp_path_factory.mktemp("second"))
    assert candidate_version(house) == 2
    return house


@pytest.fixture
def second(the_second: House, tmp_path: Path) -> House:
    """Version 1 answers; version 2 is registered."""
    house = the_second.copied(tmp_path / "inference")
    house.clock.move(timedelta(hours=1))
    return house


def standing(house: House) -> Declaration:
    found = house.deployments.read(steps.LINE, "production")
    assert found is not None
    return found


def declare_state(house: House, **changes: Any) -> DeclaredState:
    """Declare the standing state with changes, by hand."""
    before = standing(house)
    held = {name: getattr(before.state, name) for name in type(before.state).model_fields}
    state = type(before.state).model_validate({**held, **changes})
    house.deployments.declare(
        state,
        expected_commit=before.commit,
        trailers={"Actor": "Ada", "Reason": "by hand"},
        at=house.clock.now(),
    )
    return state


def served(
    house: House, request_id: str, minutes: float, *, distance: float, **changes: Any
) -> InferenceRecord:
    """An answer of what stands, so many minutes after nine."""
    moment = pd.Timestamp(f"{DAY}T09:00:00", tz="UTC") + pd.Timedelta(minutes=minutes)
    known = {
        "received_time": moment.isoformat(),
        "features": {
            "distance": distance,
            "carrier": "AA",
            "minute": 600.0,
            "carrier_rate": 0.25,
        },
        "route_commit": standing(house).commit,
        "variant": "champion",
    }
    return a_record(house, request_id, moment.isoformat(), **{**known, **changes})


def taken_back(house: House, *, served_by_bad: bool = True) -> None:
    """Version 2 takes over at 10:00, answers some requests, and is taken back at 10:30."""
    steps.declare(house, 2)
    if served_by_bad:
        write(
            house,
            [
                # Decided with the threshold 0.3; restored: 0.5, 0.125, 0.25, 0.75.
                served(house, "a", 61, distance=512.0, prediction=0.25),
                served(house, "b", 62, distance=128.0, prediction=0.5),
                served(house, "c", 63, distance=256.0, prediction=0.125),
                served(house, "d", 64, distance=768.0, prediction=0.5),
                served(house, "d", 64, row=1, distance=512.0, prediction=0.5, decision=0),
                served(house, "e", 65, distance=512.0, prediction=None, outcome="error", error="x"),
                served(house, "f", 66, distance=512.0, features={"carrier": "BB"}, prediction=0.25),
                served(house, "g", 67, distance=512.0, variant="shadow", shadow=True),
            ],
        )
    house.clock.move(timedelta(minutes=30))
    steps.go_back(house, request=BY_HAND)
    write(house, [served(house, "h", 91, distance=512.0, prediction=0.5)])


def test_the_synthetic_incident_is_what_was_worked_out_by_hand(second: House) -> None:
    """Every count, sum and cost; the rows of the restored version and the shadow are left out."""
    taken_back(second)
    rows = label_rows(
        pd.DataFrame(
            {
                "request_id": ["a", "b", "d"],
                "label": np.array([1, 0, 1]),
                "event_time": pd.to_datetime([f"{DAY}T10:00:00Z"] * 3),
                "known_at": pd.to_datetime([f"{DAY}T10:10:00Z"] * 3),
                "source": ["route"] * 3,
            }
        )
    )
    second.tables.write(steps.LINE, LABELS_TABLE, "2026-11", rows)
    found = wrote(second, loader=LoadsByDistance()).incident
    aa = Changes(
        rows=6,
        rescored=5,
        decided=5,
        to_yes=2,  # a, and the second row of d
        to_no=1,  # b
        sum_of_differences=0.25,  # 0.25 - 0.375 + 0.125 + 0.25 + 0
        sum_of_absolutes=1.0,
        largest=0.375,
        largest_request="b",
    )
    whole = replace(aa, rows=7)
    assert found.blast_radius == BlastRadius(
        requests=6,
        total=whole,
        days={DAY: whole},
        slices={"carrier": {"AA": aa, "BB": Changes(rows=1)}},
        not_rescored={
            "not in the record: distance, minute, carrier_rate": 1,
            "the bad version failed": 1,
        },
        # A false yes costs 1, a false no 2. Labels: a no but 1, b yes but 0, d yes and 1; restored:
        # yes, no, yes. Without: c is no in both, 0.25 x 2; the second row of d is no, 0.5 x 2, and
        # would be yes, 0.5 x 1.
        costs=Costs(
            labelled=3,
            labelled_served=3.0,
            labelled_restored=0.0,
            expected=2,
            expected_served=1.5,
            expected_restored=1.0,
        ),
    )
    assert found.impact.stages == {
        "champion": StageCounts(requests=6, rows=7, errors=1),
        "shadow": StageCounts(requests=1, rows=1),
    }
    assert found.times.first_request == f"{DAY}T10:01:00.000000+00:00"
    assert found.times.last_request == f"{DAY}T10:06:00.000000+00:00"
    assert found.times.first_sign == f"{DAY}T10:05:00.000000+00:00"
    assert found.times.first_restored == f"{DAY}T10:31:00.000000+00:00"
    assert found.spans[0].seconds == 300.0


def test_small_batches_give_the_same(second: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the batch, not by the log."""
    taken_back(second)
    whole = wrote(second).incident
    real = type(second.inference_log).between

    def two_at_a_time(*args: Any, **options: Any) -> Any:
        return real(*args, **{**options, "rows_per_batch": 2})

    monkeypatch.setattr(type(second.inference_log), "between", two_at_a_time)
    again = wrote(second).incident
    assert again.impact == whole.impact
    assert again.blast_radius is not None
    assert whole.blast_radius is not None
    assert again.blast_radius.total.decided == whole.blast_radius.total.decided == 5
    assert again.blast_radius.total.sum_of_differences == pytest.approx(
        whole.blast_radius.total.sum_of_differences
    )


def test_an_incident_says_who_why_and_what_differs(second: House) -> None:
    """By hand: the person and the reason of the commit; both versions by their records."""
    taken_back(second)
    written = wrote(second)
    found = written.incident
    assert (found.bad.version, found.restored.version) == (2, 1)
    assert found.method == "version pin restored"
    assert (found.trigger.is_automatic, found.trigger.by, found.trigger.reason) == (
        False,
        "Ada",
        "too many late trips",
    )
    assert found.trigger.verdict_digest is None
    assert found.times.decided == found.times.committed == f"{DAY}T10:30:01+00:00"
    assert found.differences is not None
    assert ("parameters", "parameter max_iter", "13", "12") in [
        (one.about, one.what, one.bad, one.restored) for one in found.differences
    ]
    assert found.missing == ()
    assert found.status == "open"
    assert second.reports.files[written.place]
    runs = second.experiments._runs.values()
    assert sum(name.startswith("incident/") for run in runs for name in run.files) == 1


def test_a_verdict_on_what_was_taken_back_is_the_trigger(second: House) -> None:
    """With its values; one on another declaration is not it."""
    steps.declare(second, 2)
    before = standing(second)
    harm = Finding(
        rule="errors_are_rare",
        subject="requests",
        outcome=Outcome.FAIL,
        observed=0.5,
        limit=0.01,
        n=40,
    )
    open_ = Finding(rule="labels_have_matured", subject="l", outcome=Outcome.INCONCLUSIVE)
    verdict = Verdict(
        judge="watch/1",
        line=steps.LINE,
        subject_digest=before.state.champion.model_digest,
        evidence={"declared_commit": before.commit, JUDGED_AT: f"{DAY}T10:20:00+00:00"},
        findings=(harm, open_),
    )
    digest = before.state.champion.model_digest
    second.evidence.record(steps.LINE, WATCH_VERDICT, digest, verdict.to_json())
    second.clock.move(timedelta(minutes=30))
    automatic = Request(by=AUTOMATION, reason="version 2, watch: errors", run_id="r")
    steps.go_back(second, request=automatic)
    found = wrote(second).incident
    assert (found.trigger.is_automatic, found.trigger.by) == (True, "watch/1")
    assert found.trigger.findings == (harm,)
    assert found.times.decided == f"{DAY}T10:20:00+00:00"
    assert "gate-errors_are_rare" in {one.key for one in found.follow_ups}
    other = replace(verdict, evidence={"declared_commit": "another"}, findings=())
    second.evidence.record(steps.LINE, WATCH_VERDICT, digest, other.to_json())
    assert wrote(second).incident == found


def test_a_bad_version_that_answered_nobody(second: House) -> None:
    """Its blast radius is known: nothing."""
    taken_back(second, served_by_bad=False)
    found = wrote(second).incident
    assert found.impact.stages == {}
    assert found.blast_radius == BlastRadius()
    assert found.times.first_request is None
    assert found.spans[0].seconds is None
    assert "consumers" not in {one.key for one in found.follow_ups}


def test_a_canary_is_told_apart_from_the_champion(second: House) -> None:
    """Requests that another version answered in its place are fallbacks, not answers of its."""
    champion = standing(second).state.champion
    versions = {one.number: one for one in second.registry.versions(steps.LINE)}
    bad = Variant(
        role="canary",
        version=2,
        model_digest=versions[2].model_digest,
        weight_percent=10.0,
    )
    declare_state(
        second,
        variants=(champion.model_copy(update={"weight_percent": 90.0}), bad),
    )
    of_bad = {"variant": "canary", "version": 2, "model_digest": bad.model_digest}
    write(
        second,
        [
            served(second, "a", 61, distance=512.0, prediction=0.5, **of_bad),
            served(second, "b", 62, distance=512.0, prediction=0.5),
            served(
                second,
                "c",
                63,
                distance=512.0,
                prediction=0.5,
                variant="canary",
                outcome="fallback",
                error="it hung",
                assigned_version=2,
            ),
        ],
    )
    second.clock.move(timedelta(minutes=30))
    declare_state(second, variants=(champion,), withdrawn=(2,))
    write(second, [served(second, "d", 91, distance=512.0, prediction=0.5)])
    found = wrote(second).incident
    assert (found.method, found.legs) == ("canary taken back", ("canary",))
    assert found.impact.stages == {"canary": StageCounts(requests=1, rows=1, fallbacks=1)}
    assert found.blast_radius is not None
    assert found.blast_radius.requests == 1
    assert found.times.first_sign == f"{DAY}T10:03:00.000000+00:00"
    assert found.times.first_restored == f"{DAY}T10:31:00.000000+00:00"


def test_a_shadow_has_no_blast_radius(second: House) -> None:
    """Nobody got its answers; what it was asked is told."""
    digest = second.registry.versions(steps.LINE)[-1].model_digest
    shadow = Shadow(version=2, model_digest=digest, sample_percent=50.0)
    declare_state(second, shadows=(shadow,))
    asked = {"variant": "shadow", "version": 2, "model_digest": digest, "shadow": True}
    write(second, [served(second, "a", 61, distance=512.0, prediction=0.5, **asked)])
    second.clock.move(timedelta(minutes=30))
    declare_state(second, shadows=(), withdrawn=(2,))
    found = wrote(second).incident
    assert found.method == "shadow taken back"
    assert found.impact.shadowed.requests == 1
    assert found.blast_radius == BlastRadius()
    assert found.times.first_request == f"{DAY}T10:01:00.000000+00:00"


def test_masked_features_are_said_not_to_be_comparable(
    second: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hash is no distance: nothing is compared, and it is said of how many rows and why."""
    digest = second.registry.versions(steps.LINE)[-1].model_digest
    files = second.models.read(digest)
    signature = json.loads(files[SIGNATURE_FILE])
    signature["personal"] = {"distance": "hash"}
    masked = second.models.publish({**files, SIGNATURE_FILE: json.dumps(signature).encode()})
    champion = standing(second).state.champion
    declare_state(
        second,
        variants=(champion.model_copy(update={"version": 2, "model_digest": masked}),),
    )
    # Going back to what masks nothing is no fit way back: clients were told that it is masked.
    monkeypatch.setattr(rollback_target, "judge_contract", lambda *_, **__: ())
    hashed = {"distance": "hash:1f", "carrier": "AA", "minute": 600.0, "carrier_rate": 0.25}
    write(
        second,
        [served(second, "a", 61, distance=0.0, features=hashed, prediction=0.5)],
    )
    second.clock.move(timedelta(minutes=30))
    steps.go_back(second, request=BY_HAND)
    found = wrote(second).incident
    assert found.blast_radius is not None
    assert found.blast_radius.total == Changes(rows=1)
    assert found.blast_radius.not_rescored == {"distance: masked in the log as personal": 1}
    assert "not-rescored" in {one.key for one in found.follow_ups}
    # Its training is not on record either, which is said.
    assert any(text.startswith("record of version 2") for text in found.missing)


def test_without_mlflow_everything_but_its_addresses_is_there(second: House) -> None:
    """And it is said; once MLflow is back, that is another revision."""
    taken_back(second)
    found = wrote(second, experiments=MlflowIsDown()).incident
    assert len([text for text in found.missing if "MLflow does not answer" in text]) == 2
    assert found.blast_radius is not None
    assert found.blast_radius.total.rescored == 5
    assert found.differences
    back = wrote(second).incident
    assert (back.revision, back.missing) == (2, ())


def test_written_again_it_is_the_same_record(second: House) -> None:
    """Later, by anybody: one document, one revision."""
    taken_back(second)
    first = wrote(second)
    document = second.evidence.find(steps.LINE, INCIDENT, first.incident.incident_id)
    second.clock.move(timedelta(hours=3))
    again = wrote(second)
    assert (first.changed, again.changed) == (True, False)
    assert again.incident == first.incident
    assert again.page_digest == first.page_digest
    found = second.evidence.find(steps.LINE, INCIDENT, first.incident.incident_id)
    assert found == document
    assert second.evidence.newest_subject(steps.LINE, INCIDENT_HISTORY) is None


def test_more_that_is_known_is_a_revision_and_the_one_before_is_kept(second: House) -> None:
    """A late answer of the bad version, then a verification."""
    taken_back(second)
    first = wrote(second).incident
    late = {"version": 2, "model_digest": first.bad.model_digest}
    write(second, [served(second, "i", 92, distance=512.0, prediction=0.5, **late)])
    later = wrote(second).incident
    assert (later.revision, later.earlier) == (2, first.digest)
    assert later.impact.served.requests == first.impact.served.requests + 1
    kept = second.evidence.find(steps.LINE, INCIDENT_HISTORY, first.digest)
    assert kept == first.to_json()
    good = Verification(outcome=Outcome.PASS, verified_at=f"{DAY}T11:00:00+00:00")
    verified = wrote(second, verification=good).incident
    assert (verified.revision, verified.status) == (3, "verified")
    assert wrote(second).incident == verified


def test_what_people_say_is_kept_over_revisions(second: House) -> None:
    """And words about nothing leave the record as it is."""
    taken_back(second)
    first = wrote(second).incident
    with pytest.raises(InputError, match="found 'cause'"):
        wrote(second, words=Words(by="Ada", answers={"cause": "x"}))
    words = Words(by="Bob", answers={"root_cause": "a leak"}, owners={"consumers": "Eve"})
    said = wrote(second, words=words).incident
    assert said.revision == first.revision + 1
    assert "root-cause" not in {one.key for one in said.follow_ups}
    second.clock.move(timedelta(hours=1))
    again = wrote(second).incident
    assert again == said
    assert {one.owner for one in again.follow_ups} == {"Eve", "unassigned"}
    assert wrote(second, words=Words(by="Bob", closes=True)).incident.status == "closed"


def test_several_rollbacks_are_several_incidents(second: House) -> None:
    """Each by its name or its commit; the newest without one."""
    taken_back(second)
    house = second
    house.clock.move(timedelta(days=2))
    assert candidate_version(house) == 3
    steps.declare(house, 3)
    house.clock.move(timedelta(minutes=5))
    steps.go_back(house, request=BY_HAND)
    newest = wrote(house).incident
    assert newest.bad.version == 3
    known = known_incidents(
        house.line, environment="production", deployments=house.deployments, evidence=house.evidence
    )
    assert [one.taken.version for one in known] == [2, 3]
    assert [one.incident for one in known] == [None, newest]
    first = known[0].taken
    # Two days later the log of the first is read as far as its day, and no farther.
    by_commit = wrote(house, first.after.commit[:9]).incident
    assert by_commit.incident_id == first.incident_id
    assert by_commit.impact.served.requests == 6
    assert by_commit == wrote(house, first.incident_id).incident
    with pytest.raises(NotFoundError, match="one rollback named 'nothing'"):
        find_rollback(
            house.line, "nothing", environment="production", deployments=house.deployments
        )


def test_without_a_rollback_there_is_no_incident(serving: House) -> None:
    """A promotion is none."""
    with pytest.raises(NotFoundError, match="expected a rollback in production, found none"):
        wrote(serving)


def test_an_artefact_that_is_gone_leaves_the_impact(second: House) -> None:
    """What was served is in the log; what would have been is not known."""
    taken_back(second)
    del second.models.artefacts[standing(second).state.champion.model_digest]
    found = wrote(second).incident
    assert found.impact.served.requests == 6
    assert found.blast_radius is not None
    assert found.blast_radius.total.rescored == 0
    assert sum(found.blast_radius.not_rescored.values()) == 7
    assert any("artefact of the restored version" in text for text in found.missing)


class Broken(ByDistance):
    """It loads, and then does not answer."""

    def predict(self, values: Columns) -> npt.NDArray[np.float64]:
        message = f"model: expected probabilities, found none of {len(values)}"
        raise IntegrityError(message)


class LoadsBroken:
    """`ModelLoader` of `Broken`."""

    def load(self, files: Mapping[str, bytes]) -> LoadedModel:
        return Broken(plan=plan_from_json(files[PLAN_FILE]))


def test_a_restored_version_that_does_not_answer_leaves_the_impact(second: House) -> None:
    """It is said of every row, and the rest of the incident is there."""
    taken_back(second)
    found = wrote(second, loader=LoadsBroken()).incident
    assert found.impact.served.requests == 6
    assert found.blast_radius is not None
    assert found.blast_radius.not_rescored == {
        "the bad version failed": 1,
        "the restored version did not answer": 6,
    }
    assert found.missing == ("inference log: model: expected probabilities, found none of 4",)


def test_a_log_that_cannot_be_read_is_said(second: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is counted as 0 that was not counted: the blast radius is not known."""
    taken_back(second)

    def between(*_: object, **__: object) -> None:
        message = "an archive was edited"
        raise IntegrityError(message)

    monkeypatch.setattr(type(second.inference_log), "between", between)
    found = wrote(second).incident
    assert found.blast_radius is None
    assert found.times.first_request is None
    assert "inference log: an archive was edited" in found.missing


def test_answers_of_several_classes_are_not_compared(second: House) -> None:
    """One number stands for none of them."""
    digest = standing(second).state.champion.model_digest
    files = second.models.read(digest)
    signature = json.loads(files[SIGNATURE_FILE])
    signature |= {"output_kind": "probabilities", "classes": ["a", "b", "c"]}
    of_classes = second.models.publish({**files, SIGNATURE_FILE: json.dumps(signature).encode()})
    champion = standing(second).state.champion
    versions = second.registry.versions(steps.LINE)
    for number, digest in ((1, of_classes), (2, versions[1].model_digest)):
        variant = champion.model_copy(update={"version": number, "model_digest": digest})
        declare_state(second, variants=(variant,), threshold=None)
    write(second, [served(second, "a", 61, distance=512.0, prediction=0.5)])
    declare_state(
        second, variants=(champion.model_copy(update={"model_digest": of_classes}),), withdrawn=(2,)
    )
    found = wrote(second, loader=LoadsByDistance()).incident
    assert found.unit == "probabilities"
    assert found.blast_radius is not None
    assert found.blast_radius.not_rescored["answers of 3 classes are not compared"] == 1


def test_an_edited_incident_is_not_built_on(second: House) -> None:
    """Evidence like any other."""
    taken_back(second)
    first = wrote(second).incident
    steps.edit(second, INCIDENT, first.incident_id, lambda document: document.pop("line"))
    with pytest.raises(IntegrityError):
        wrote(second)
