"""Rehearse a rollback on a server of its own, under load, and measure it by what was served.

Nobody is harmed: the server has a home and declared state of its own. The fault is a made-up one,
and the drill itself detects it, as soon as the bad version answers. What is rehearsed is the real
thing from there on: the same use case, commits, server and log.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.artefact import EXAMPLE_FILE
from ml_release.domain.deployment import DeclaredState
from ml_release.domain.drill import DrillRecord, DrillRound, judge_drill
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.rollout_moves import promoted
from ml_release.domain.trial import Trial, TrialLoad, TrialRequest
from ml_release.errors import NotFoundError, RefusedError, UnavailableError
from ml_release.workflows.drill_record import DRILL
from ml_release.workflows.promotion import Request, roll_back
from ml_release.workflows.rollback_target import find_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ml_release.domain.deployment import Declaration, Variant
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import (
        Clock,
        Deployments,
        EvidenceStore,
        ModelLoader,
        ModelStore,
        OnlineHistory,
        RunningTrial,
        TrialServer,
    )
    from ml_release.spec.release_line import ReleaseLine

_BURST_S = 0.25
_BURST_REQUESTS = 1000
_MOST_ASKED = 100_000
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """What was measured, and the verdict on it."""

    record: DrillRecord
    verdict: Verdict


def drill(
    line: ReleaseLine,
    *,
    environment: str,
    rounds: int | None,
    request: Request,
    server: TrialServer,
    models: ModelStore,
    loader: ModelLoader,
    online: OnlineHistory,
    evidence: EvidenceStore,
    deployments: Deployments,
    clock: Clock,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Drilled:
    """Release the present champion over the version to go back to, and roll back, some times.

    The requests are those that travel with the artefact as its example. Where there is nothing to
    go back to yet, the champion takes the place of both.

    Parameters
    ----------
    rounds
        How often; as the policy says for None.

    Raises
    ------
    NotFoundError
        If nothing is declared and sealed.
    UnavailableError
        If the server does not start, or a switch takes longer than the policy allows. Nothing is
        recorded then.
    """
    policy = line.policies.rollout.drill
    sealed = [one for one in deployments.history(line.name, environment) if not one.seal_problem]
    if not sealed:
        message = (
            f"drill of {line.name}: expected something declared and sealed in {environment}, found"
            f" nothing. Run `ml-release promote {line.name}` first."
        )
        raise NotFoundError(message)
    present = sealed[-1].state
    good = _good(line, sealed, models=models, loader=loader, online=online)
    trial = Trial(
        state=_alone(good),
        history=online.read(line.name),
        start_limit_s=policy.switch_limit_s,
        later=(present.champion,),
    )
    total = rounds or policy.rounds
    measured = []
    with server.start(trial) as running:
        rehearsal = _Rehearsal(
            line=line,
            running=running,
            bad=present,
            body=models.read(present.champion.model_digest)[EXAMPLE_FILE],
            models=models,
            loader=loader,
            online=online,
            clock=clock,
        )
        for done in range(total):
            # A number that nobody has: every round withdraws its own.
            measured.append(rehearsal.round(_next_number(sealed) + done))
            progress(done + 1, total)
    record = DrillRecord(
        line=line.name,
        environment=environment,
        by=request.by,
        released=present.champion.version,
        restored=good.champion.version,
        is_same_model=good.champion.model_digest == present.champion.model_digest,
        at=clock.now(),
        rounds=tuple(measured),
    )
    content = record.to_json()
    evidence.record(line.name, DRILL, environment, content)
    verdict = judge_drill(record, policy, subject_digest=digest_of_bytes(content))
    return Drilled(record=record, verdict=verdict)


def _good(
    line: ReleaseLine,
    sealed: list[Declaration],
    *,
    models: ModelStore,
    loader: ModelLoader,
    online: OnlineHistory,
) -> DeclaredState:
    states = [one.state for one in sealed]
    try:
        return find_target(
            line, states, wanted=None, models=models, loader=loader, online=online
        ).target
    except RefusedError:
        return states[-1]


def _alone(state: DeclaredState) -> DeclaredState:
    """The champion of a state with all traffic, and nothing else."""
    return DeclaredState(
        line=state.line,
        environment=state.environment,
        release="drill",
        variants=(state.champion.model_copy(update={"weight_percent": 100.0}),),
        evidence=state.evidence,
        threshold=state.threshold,
    )


def _next_number(sealed: list[Declaration]) -> int:
    return 1 + max(
        number for one in sealed for number in (one.state.champion.version, *one.state.withdrawn)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rehearsal:
    line: ReleaseLine
    running: RunningTrial
    bad: DeclaredState
    body: bytes
    models: ModelStore
    loader: ModelLoader
    online: OnlineHistory
    clock: Clock

    def round(self, number: int) -> DrillRound:
        """Release the bad version as ``number``, and take it back."""
        before = len(self.running.served())
        is_over = threading.Event()
        with ThreadPoolExecutor(max_workers=1) as pool:
            load = pool.submit(self._load, number, is_over)
            try:
                times, commit = self._there_and_back(number)
            finally:
                is_over.set()
            failed = load.result()
        seen = self.running.served()[before:]
        restored = [one.received_time for one in seen if one.route_commit == commit]
        of_bad = [one.received_time for one in seen if one.version == number]
        return DrillRound(
            **times,
            first_bad_at=min(of_bad),
            first_restored_at=min(restored, default=None),
            last_bad_at=max(of_bad),
            requests=len(seen),
            failed=failed + sum(not one.is_ok for one in seen),
        )

    def _there_and_back(self, number: int) -> tuple[dict[str, datetime], str]:
        port = self.running.deployments
        standing = port.read(self.line.name, self.bad.environment)
        assert standing is not None  # noqa: S101 (declared before the server started)
        released_at = self.clock.now()
        self._declare(standing, number)
        self._await(lambda version: version == number, f"version {number} answers")
        # It is known to be bad from its first answer on: the drill's verdict.
        detected_at = decided_at = self.clock.now()
        moved = roll_back(
            self.line,
            None,
            environment=self.bad.environment,
            request=Request(
                by="drill", reason=f"version {number} is bad, to rehearse", run_id="drill"
            ),
            models=self.models,
            loader=self.loader,
            online=self.online,
            deployments=port,
            clock=self.clock,
        )
        committed_at = self.clock.now()
        restored = moved.declaration.state.champion.version
        self._await(lambda version: version == restored, f"version {restored} answers again")
        return {
            "released_at": released_at,
            "detected_at": detected_at,
            "decided_at": decided_at,
            "committed_at": committed_at,
        }, moved.declaration.commit

    def _declare(self, standing: Declaration, number: int) -> None:
        bad: Variant = self.bad.champion.model_copy(
            update={"version": number, "weight_percent": 100.0}
        )
        state = promoted(
            standing.state,
            line=self.line.name,
            environment=self.bad.environment,
            version=bad,
            release=f"drill-{number}",
            evidence=self.bad.evidence,
            threshold=self.bad.threshold,
        )
        self.running.deployments.declare(
            state,
            expected_commit=standing.commit,
            trailers={"Actor": "drill", "Reason": "a release to be taken back"},
            at=self.clock.now(),
        )

    def _await(self, is_there: Callable[[int | None], bool], what: str) -> None:
        """Ask until an answer comes from whom it should."""
        limit_s = self.line.policies.rollout.drill.switch_limit_s
        begun = self.clock.now()
        for _ in range(_MOST_ASKED):
            reply = self.running.ask("POST", self._path, body=self.body)
            if reply.status == _OK and is_there(reply.version):
                return
            if (self.clock.now() - begun).total_seconds() > limit_s:
                break
        message = (
            f"drill of {self.line.name}: expected that {what} within {limit_s:g} s, found that it"
            " does not; nothing was recorded"
        )
        raise UnavailableError(message)

    def _load(self, number: int, is_over: threading.Event) -> int:
        """Ask without a pause until it is over, and once more; how many were not answered."""
        failed, burst, is_last = 0, 0, False
        while not is_last:
            is_last = is_over.is_set()
            asked = self.running.load(
                self._path,
                TrialLoad(
                    requests=[
                        TrialRequest(request_id=f"drill-{number}-{burst}-{n}", body=self.body)
                        for n in range(_BURST_REQUESTS)
                    ],
                    connections=self.line.policies.rollout.drill.connections,
                    seconds=_BURST_S,
                ),
            )
            failed, burst = failed + asked.failed, burst + 1
        return failed

    @property
    def _path(self) -> str:
        return f"/models/{self.line.name}/invocations"
