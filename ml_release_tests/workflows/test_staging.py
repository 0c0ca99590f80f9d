"""A version meets a server before anybody does; the recorded verdict is what later acts rest on."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.in_memory import InMemoryDeployments, InMemoryTrialServer
from ml_release.domain.deployment import Variant
from ml_release.domain.staging_gates import StagingPolicy
from ml_release.domain.trial import TrialReply
from ml_release.domain.verdict import Outcome, verdict_from_json
from ml_release.errors import (
    NotFoundError,
    RefusedError,
    StaleWriteError,
    UnavailableError,
)
from ml_release.workflows.feature_building import publish_online_history
from ml_release.workflows.stage_verdicts import STAGING_VERDICT
from ml_release.workflows.staging import Verified, declare_in_staging, verify_in_staging
from ml_release.workflows.staging_record import (
    NO_CHAMPION,
    STAGING_TAG,
    champion_digest_of,
    require_staging,
)
from ml_release_tests.small_line import MONTHS
from ml_release_tests.workflows import steps
from ml_release_tests.workflows.test_promotion import candidate_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ml_release.domain.deployment import Declaration
    from ml_release.domain.trial import LoadMeasured, Served, Trial, TrialLoad
    from ml_release.domain.verdict import Finding, Verdict
    from ml_release.ports import Deployments, RunningTrial
    from ml_release_tests.small_line import House

POLICY = StagingPolicy(
    smoke_rows=40,
    load_requests=60,
    minimum_load_requests=50,
    latency_p99_limit_ms=5000.0,
    start_limit_s=60.0,
)


@dataclass
class Spoilt:
    """`TrialServer` that does one thing wrong: what it replaces of the one that runs."""

    house: House
    ask: Callable[[RunningTrial, str, str, bytes, TrialReply], TrialReply] | None = None
    logged: Callable[[Mapping[str, int]], Mapping[str, int]] | None = None
    load: Callable[[LoadMeasured], LoadMeasured] | None = None
    memory_mb: float | None = 1.0
    problem: str = ""

    @contextmanager
    def start(self, trial: Trial) -> Iterator[_SpoiltRunning]:
        if self.problem:
            raise UnavailableError(self.problem)
        server = InMemoryTrialServer(
            self.house.models, self.house.loader, deployments=InMemoryDeployments
        )
        with server.start(trial) as running:
            yield _SpoiltRunning(self, running)


@dataclass
class _SpoiltRunning:
    spoilt: Spoilt
    running: RunningTrial

    @property
    def start_s(self) -> float:
        return self.running.start_s

    @property
    def deployments(self) -> Deployments:
        return self.running.deployments

    def served(self) -> tuple[Served, ...]:
        return self.running.served()

    def ask(
        self, method: str, path: str, *, body: bytes = b"", request_id: str | None = None
    ) -> TrialReply:
        reply = self.running.ask(method, path, body=body, request_id=request_id)
        spoil = self.spoilt.ask
        return reply if spoil is None else spoil(self.running, method, path, body, reply)

    def load(
        self, path: str, load: TrialLoad, *, on_progress: Callable[[int, int], None] | None = None
    ) -> LoadMeasured:
        found = self.running.load(path, load, on_progress=on_progress)
        return found if self.spoilt.load is None else self.spoilt.load(found)

    def logged(self) -> Mapping[str, int]:
        found = self.running.logged()
        return found if self.spoilt.logged is None else self.spoilt.logged(found)

    def memory_mb(self) -> float | None:
        return self.spoilt.memory_mb


def verify(
    house: House, number: int | None = None, *, policy: StagingPolicy = POLICY, **more: Any
) -> Verified:
    return verify_in_staging(
        house.line,
        number,
        policy=policy,
        server=house.trial_server,
        evidence=house.evidence,
        models=house.models,
        loader=house.loader,
        tables=house.tables,
        online=house.online,
        registry=house.registry,
        experiments=house.experiments,
        deployments=house.deployments,
        clock=house.clock,
        **more,
    )


def declare(
    house: House, number: int | None = None, *, policy: StagingPolicy = POLICY
) -> tuple[Declaration, bool]:
    return declare_in_staging(
        house.line,
        number,
        policy=policy,
        request=steps.REQUEST,
        evidence=house.evidence,
        models=house.models,
        registry=house.registry,
        deployments=house.deployments,
        clock=house.clock,
    )


def require(
    house: House, *, policy: StagingPolicy = POLICY, champion: str | None = None
) -> Verdict:
    production = house.deployments.read(steps.LINE, "production")
    return require_staging(
        house.line,
        house.registry.versions(steps.LINE)[-1],
        policy=policy,
        champion_digest=champion or champion_digest_of(production),
        act="the act",
        evidence=house.evidence,
        registry=house.registry,
    )


def held(verdict: Verdict) -> dict[str, Outcome]:
    """Rules that do not pass, with the worst that was found."""
    return {finding.rule: finding.outcome for finding in reversed(verdict.objections)}


def of_rule(verdict: Verdict, rule: str) -> tuple[Finding, ...]:
    return tuple(finding for finding in verdict.findings if finding.rule == rule)


@pytest.fixture
def registered(evaluated: House) -> House:
    """Version 1 is registered, nothing answers in production, the history is published."""
    steps.register(evaluated)
    publish_online_history(
        evaluated.line,
        tables=evaluated.tables,
        evidence=evaluated.evidence,
        online=evaluated.online,
    )
    return evaluated


@pytest.fixture
def second(serving: House) -> House:
    """Version 1 answers in production, version 2 is registered."""
    candidate_version(serving)
    return serving


def test_a_good_first_version_passes_every_rule(registered: House) -> None:
    """On as many real rows as were asked for, judged beside the line as declared."""
    verified = verify(registered)
    assert held(verified.verdict) == {}
    assert {finding.rule for finding in verified.verdict.findings} == set(POLICY.judged)
    assert [f.n for f in of_rule(verified.verdict, "answers_as_recorded")] == [40, 40]
    (contract,) = of_rule(verified.verdict, "contract_is_kept")
    assert contract.subject == "the line as declared"
    # Every smoke request, all at once, the one after the malformed ones, and the load.
    (logged,) = of_rule(verified.verdict, "every_row_is_logged")
    assert logged.n == 40 + 1 + 1 + 60
    assert verified.load is not None
    assert verified.load.requests == 60


def test_the_verdict_names_what_it_rests_on_and_is_recorded(registered: House) -> None:
    """Under the model digest, with its own digest on the experiment run."""
    verified = verify(registered)
    version, verdict = verified.version, verified.verdict
    assert verdict.subject_digest == version.model_digest
    assert verdict.evidence["champion_digest"] == NO_CHAMPION
    assert verdict.evidence["policy_digest"] == POLICY.digest
    assert verdict.evidence["verdict_digest"] == steps.gate(registered).verdict.digest
    history = registered.online.read(steps.LINE)
    assert history is not None
    assert verdict.evidence["history_digest"] == history.digest
    content = registered.evidence.find(steps.LINE, STAGING_VERDICT, version.model_digest)
    assert content is not None
    assert verdict_from_json(content).digest == verdict.digest
    run_id = steps.gate(registered).candidate.run_id
    assert registered.registry.run_tags(run_id)[STAGING_TAG] == verdict.digest
    assert registered.deployments.read(steps.LINE, "staging") is None


def test_a_second_version_keeps_the_contract_of_the_champion_that_is_warm(second: House) -> None:
    """Both versions have the same line, so nothing breaks."""
    verified = verify(second)
    assert held(verified.verdict) == {}
    assert verified.version.number == 2
    (contract,) = of_rule(verified.verdict, "contract_is_kept")
    (target,) = of_rule(verified.verdict, "rollback_target_is_loadable")
    assert (contract.subject, target.subject) == ("version 1", "version 1")
    first = second.registry.versions(steps.LINE)[0].model_digest
    assert verified.verdict.evidence["champion_digest"] == first


def test_progress_is_told_step_by_step(registered: House) -> None:
    """Each step ends with all of its requests."""
    told: list[tuple[str, int, int]] = []
    verify(registered, progress=lambda *step: told.append(step))
    last = {step: (done, total) for step, done, total in told}
    assert last["smoke"] == (40, 40)
    assert last["load"] == (60, 60)
    assert last["malformed"][0] == last["malformed"][1] > 20


def _answer_otherwise(
    _running: RunningTrial, _method: str, path: str, _body: bytes, reply: TrialReply
) -> TrialReply:
    """A last bit that differs, in the answer to a single row."""
    document = json.loads(reply.body)
    if not path.endswith("invocations") or len(document.get("predictions", ())) != 1:
        return reply
    document["predictions"] = [document["predictions"][0] * (1 + 2**-52)]
    return replace(reply, body=json.dumps(document).encode())


def _answer_nothing_finite(
    _running: RunningTrial, _method: str, path: str, _body: bytes, reply: TrialReply
) -> TrialReply:
    document = json.loads(reply.body)
    if "predictions" not in document:
        return reply
    document["predictions"] = [float("inf")] * len(document["predictions"])
    return replace(reply, body=json.dumps(document).encode())


def _take_everything(
    _running: RunningTrial, _method: str, path: str, _body: bytes, reply: TrialReply
) -> TrialReply:
    is_bad = path.endswith("invocations") and reply.status == 400
    return TrialReply(status=200, body=b"{}") if is_bad else reply


def _fall_over_at_bad_bodies(
    _running: RunningTrial, _method: str, path: str, _body: bytes, reply: TrialReply
) -> TrialReply:
    is_bad = path.endswith("invocations") and reply.status == 400
    return TrialReply(status=500, body=b"boom") if is_bad else reply


def _name_another_version(
    _running: RunningTrial, _method: str, path: str, _body: bytes, reply: TrialReply
) -> TrialReply:
    return reply if reply.version is None else replace(reply, version=7)


def _describe_another_version(
    _running: RunningTrial, _method: str, path: str, _body: bytes, reply: TrialReply
) -> TrialReply:
    is_metadata = path.startswith("/v2/models/")
    return replace(reply, body=b'{"versions": ["7"]}') if is_metadata else reply


def _hide_the_digest(
    _running: RunningTrial, _method: str, path: str, _body: bytes, reply: TrialReply
) -> TrialReply:
    return replace(reply, body=b"{}") if path == "/status" else reply


def _hide_the_metadata(
    _running: RunningTrial, _method: str, path: str, _body: bytes, reply: TrialReply
) -> TrialReply:
    return replace(reply, status=503) if path.startswith("/v2/models/") else reply


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Outcome]]] = {
    "a bit differs": (
        {"ask": _answer_otherwise},
        {
            "answers_as_recorded": Outcome.FAIL,
            # A good request is to be answered as before too.
            "malformed_requests_are_refused": Outcome.FAIL,
        },
    ),
    "not finite": (
        {"ask": _answer_nothing_finite},
        {
            "answers_as_recorded": Outcome.FAIL,
            "answers_are_finite": Outcome.FAIL,
            "malformed_requests_are_refused": Outcome.FAIL,
        },
    ),
    "bad bodies are taken": (
        {"ask": _take_everything},
        {"malformed_requests_are_refused": Outcome.FAIL},
    ),
    "bad bodies are an error of the server": (
        {"ask": _fall_over_at_bad_bodies},
        {"malformed_requests_are_refused": Outcome.FAIL},
    ),
    "answers name another version": (
        {"ask": _name_another_version},
        {"explains_itself": Outcome.FAIL},
    ),
    "metadata name another version": (
        {"ask": _describe_another_version},
        {"explains_itself": Outcome.FAIL},
    ),
    "no digest": ({"ask": _hide_the_digest}, {"explains_itself": Outcome.FAIL}),
    "no metadata": ({"ask": _hide_the_metadata}, {"explains_itself": Outcome.INCONCLUSIVE}),
    "one is not logged": (
        {"logged": lambda found: {k: n for k, n in found.items() if k != "load-3"}},
        {"every_row_is_logged": Outcome.FAIL},
    ),
    "one is logged twice": (
        {"logged": lambda found: {**found, "smoke-0": 2}},
        {"every_row_is_logged": Outcome.FAIL},
    ),
    "the batch is logged by half": (
        {"logged": lambda found: {**found, "together": 20}},
        {"every_row_is_logged": Outcome.FAIL},
    ),
    "one fails under load": (
        {"load": lambda found: replace(found, failed=1)},
        {"errors_under_load": Outcome.FAIL},
    ),
    "slow": (
        {"load": lambda found: replace(found, latencies_ms=(6000.0,) * 60)},
        {"latency_is_within_limit": Outcome.FAIL},
    ),
    "little load": (
        {"load": lambda found: replace(found, acknowledged=("load-1",), latencies_ms=(1.0,))},
        {
            "latency_is_within_limit": Outcome.INCONCLUSIVE,
            "errors_under_load": Outcome.INCONCLUSIVE,
        },
    ),
    "memory is not known": ({"memory_mb": None}, {"memory_is_within_limit": Outcome.INCONCLUSIVE}),
    "too much memory": ({"memory_mb": 1001.0}, {"memory_is_within_limit": Outcome.FAIL}),
}


@pytest.mark.parametrize(("fault", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_a_server_that_does_one_thing_wrong_is_held_by_its_rule(
    registered: House, fault: dict[str, Any], expected: dict[str, Outcome]
) -> None:
    """By that rule, and by no other."""
    registered.other_trial_server = Spoilt(registered, **fault)
    verified = verify(registered)
    assert held(verified.verdict) == expected
    assert not verified.is_fit
    with pytest.raises(RefusedError, match="verdict of staging_gates/1 is"):
        declare(registered)
    assert registered.deployments.read(steps.LINE, "staging") is None


def test_a_server_that_does_not_start_fails_and_shows_nothing_else(registered: House) -> None:
    """What its log says is in the finding; whatever needs a server is inconclusive."""
    registered.other_trial_server = Spoilt(registered, problem="exit code 3:\nTraceback")
    verdict = verify(registered).verdict
    found = held(verdict)
    assert found.pop("loads_in_time") is Outcome.FAIL
    assert set(found.values()) == {Outcome.INCONCLUSIVE}
    # The contract is read from files.
    assert set(POLICY.judged) - set(found) == {"loads_in_time", "contract_is_kept"}
    (finding,) = of_rule(verdict, "loads_in_time")
    assert finding.detail == "exit code 3:\nTraceback"


def test_a_champion_that_cannot_be_read_is_no_way_back(second: House) -> None:
    """Nor can anybody say what its clients rely on."""
    steps.tamper(second, second.registry.versions(steps.LINE)[0].model_digest)
    assert held(verify(second).verdict) == {
        "rollback_target_is_loadable": Outcome.FAIL,
        "contract_is_kept": Outcome.INCONCLUSIVE,
    }


def test_too_few_real_rows_decide_nothing(registered: House) -> None:
    """They are answered, and yet say little."""
    policy = POLICY.model_copy(update={"smoke_rows": 5})
    assert held(verify(registered, policy=policy).verdict) == {
        "answers_as_recorded": Outcome.INCONCLUSIVE,
        "answers_are_finite": Outcome.INCONCLUSIVE,
    }


def test_without_a_good_snapshot_there_is_nothing_to_ask(registered: House) -> None:
    """Every month has arrived again, and is not fit; nothing is recorded."""
    for month in MONTHS:
        registered.land(month, steps.with_nulls(month, share=0.5))
        steps.snapshot(registered, month)
    with pytest.raises(RefusedError, match="expected real rows of a snapshot that passed"):
        verify(registered)
    digest = registered.registry.versions(steps.LINE)[0].model_digest
    assert registered.evidence.find(steps.LINE, STAGING_VERDICT, digest) is None


def test_the_newest_good_snapshot_is_asked(registered: House) -> None:
    """A newer one that is not fit is passed over."""
    april, march = steps.current(registered, "snapshot")["2013-04"], "2013-03"
    assert verify(registered).verdict.evidence["rows_digest"] == april.digest
    registered.land("2013-04", steps.with_nulls("2013-04", share=0.5))
    steps.snapshot(registered, "2013-04")
    good = steps.current(registered, "snapshot")[march]
    assert verify(registered).verdict.evidence["rows_digest"] == good.digest


def test_a_version_whose_evidence_was_lost_meets_no_server(registered: House) -> None:
    """The release gate comes first."""
    registered.other_trial_server = Spoilt(registered, problem="it was started")
    digest = registered.registry.versions(steps.LINE)[0].model_digest
    steps.forget(registered, "evaluation_verdict", digest)
    with pytest.raises(RefusedError, match="verification in staging of version 1"):
        verify(registered)


def test_an_unknown_version_is_not_found(registered: House) -> None:
    """Those that are known are listed."""
    with pytest.raises(NotFoundError, match=r"found \[1\]"):
        verify(registered, 9)


def test_a_withdrawn_version_is_refused(second: House) -> None:
    """Staging is a way to production."""
    steps.declare(second, 2)
    steps.go_back(second)
    for act in (verify, declare):
        with pytest.raises(RefusedError, match="version 2 refused: it was withdrawn"):
            act(second, 2)


def test_a_lost_deployments_repository_is_no_first_release(second: House) -> None:
    """The registry knows of a champion."""
    second.deployments._histories.clear()
    with pytest.raises(RefusedError, match="may be lost"):
        verify(second)


def test_a_passing_verdict_declares_the_version_in_staging(second: House) -> None:
    """Alone, with the champion of production as the way back, and nothing in production moves."""
    verdict = verify(second).verdict
    before = second.deployments.history(steps.LINE, "production")
    declaration, is_new = declare(second)
    state, champion = declaration.state, before[-1].state.champion
    assert is_new
    assert state.variants == (
        Variant(
            role="champion",
            version=2,
            model_digest=verdict.subject_digest,
            weight_percent=100.0,
        ),
    )
    assert (state.environment, state.rollback_target) == ("staging", champion)
    assert state.threshold == second.line.policies.evaluation.quality.threshold
    assert second.deployments.history(steps.LINE, "production") == before


def test_the_commit_says_who_why_and_on_what_evidence(registered: House) -> None:
    """The evidence is the verdict of staging."""
    verdict = verify(registered).verdict
    seen: list[Mapping[str, str]] = []
    real = registered.deployments.declare

    def spied(*arguments: Any, **more: Any) -> Declaration:
        seen.append(more["trailers"])
        return real(*arguments, **more)

    registered.deployments.declare = spied  # type: ignore[method-assign]
    declare(registered)
    assert seen == [
        {
            "Actor": "Ada",
            "Reason": "passed its gates",
            "Run-Id": "run-of-the-job",
            "Release": "small_line-1-20261121T090000Z",
            "Evidence-Digest": verdict.digest,
        }
    ]


def test_declaring_twice_declares_once(registered: House) -> None:
    """Also after a second verification, at another time."""
    verify(registered)
    first, _ = declare(registered)
    registered.clock.move(timedelta(hours=1))
    verify(registered)
    assert declare(registered) == (first, False)
    assert registered.deployments.history(steps.LINE, "staging") == (first,)


def test_somebody_who_declares_meanwhile_is_not_overwritten(second: House) -> None:
    """The writer says what it has read."""
    verify(second, 2)
    real = second.deployments.declare

    def meanwhile(*arguments: Any, **more: Any) -> Declaration:
        return real(*arguments, **{**more, "expected_commit": "0" * 40})

    second.deployments.declare = meanwhile  # type: ignore[method-assign]
    with pytest.raises(StaleWriteError):
        declare(second)


def test_what_was_edited_by_hand_in_staging_is_not_built_on(registered: House) -> None:
    """Not even where it says what would be declared."""
    verify(registered)
    first, _ = declare(registered)
    edited = replace(first, seal_problem="nobody has sealed it")
    real = registered.deployments.read
    registered.deployments.read = lambda line, environment: (  # type: ignore[method-assign]
        edited if environment == "staging" else real(line, environment)
    )
    with pytest.raises(RefusedError, match="nobody has sealed it"):
        declare(registered)


def test_the_recorded_verdict_is_read_again(registered: House) -> None:
    """The very one that was given."""
    verdict = verify(registered).verdict
    assert require(registered).digest == verdict.digest


def _edited_outcome(document: dict[str, Any]) -> None:
    document["outcome"] = "fail"


def _edited_finding(document: dict[str, Any]) -> None:
    document["findings"][0]["observed"] = 0.001


def _edited_subject(document: dict[str, Any]) -> None:
    document["subject_digest"] = steps.NOWHERE


@pytest.mark.parametrize("change", [_edited_outcome, _edited_finding, _edited_subject])
def test_an_edited_verdict_is_refused(
    registered: House, change: Callable[[dict[str, Any]], None]
) -> None:
    """Whether or not its findings still give its outcome."""
    digest = verify(registered).version.model_digest
    steps.edit(registered, STAGING_VERDICT, digest, change)
    with pytest.raises(RefusedError, match="again"):
        require(registered)


def test_a_failed_verdict_rewritten_into_a_pass_is_refused(registered: House) -> None:
    """Findings and outcome agree; the experiment run does not."""
    registered.other_trial_server = Spoilt(registered, memory_mb=2000.0)
    digest = verify(registered).version.model_digest

    def into_a_pass(document: dict[str, Any]) -> None:
        document["outcome"] = "pass"
        for finding in document["findings"]:
            finding["outcome"] = "pass"

    steps.edit(registered, STAGING_VERDICT, digest, into_a_pass)
    with pytest.raises(RefusedError, match="One of them was changed"):
        require(registered)


def test_no_verdict_is_refused(registered: House) -> None:
    """A version that was only registered has met no server."""
    with pytest.raises(RefusedError, match=r"found none.*staging_endpoint"):
        require(registered)
    with pytest.raises(RefusedError, match="found none"):
        declare(registered)


def test_a_verdict_under_another_policy_is_refused(registered: House) -> None:
    """A limit that was tightened since holds."""
    verify(registered)
    tighter = POLICY.model_copy(update={"latency_p99_limit_ms": 1.0})
    with pytest.raises(RefusedError, match="policy_digest: the verdict judged"):
        require(registered, policy=tighter)


def test_a_verdict_beside_another_champion_is_refused(second: House) -> None:
    """Its contract and its way back were those of somebody else."""
    verify(second)
    with pytest.raises(RefusedError, match="champion_digest: the verdict judged"):
        require(second, champion=NO_CHAMPION)


def test_a_verdict_on_an_older_evaluation_is_refused(registered: House) -> None:
    """It was evaluated again, with other numbers."""
    digest = verify(registered).version.model_digest

    def later(document: dict[str, Any]) -> None:
        document["evidence"]["note"] = "another evaluation"

    steps.edit(registered, "evaluation_verdict", digest, later)
    with pytest.raises(RefusedError, match="verdict_digest: the verdict judged"):
        require(registered)


def test_a_verdict_of_other_rules_is_refused(registered: House) -> None:
    """Rules that were added since have not been shown."""
    verified = verify(registered)
    older = replace(verified.verdict, judge="staging_gates/0")
    registered.evidence.record(
        steps.LINE, STAGING_VERDICT, verified.version.model_digest, older.to_json()
    )
    run = registered.experiments.resume(steps.gate(registered).candidate.run_id)
    run.tag({STAGING_TAG: older.digest})
    with pytest.raises(RefusedError, match="the rules are now those of staging_gates/1"):
        require(registered)
