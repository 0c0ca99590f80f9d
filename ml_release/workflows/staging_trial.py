"""Ask a server on trial everything that its judge wants to know."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml_release.domain.malformed_requests import malformed_requests
from ml_release.domain.staging_evidence import (
    Described,
    Refusals,
    RollbackTarget,
    SmokeAnswer,
    StagingEvidence,
)
from ml_release.domain.trial import TrialLoad, TrialRequest
from ml_release.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ml_release.domain.artefact import Signature
    from ml_release.domain.staging_gates import StagingPolicy
    from ml_release.domain.trial import LoadMeasured, Trial, TrialReply
    from ml_release.ports import RunningTrial, TrialServer
    from ml_release.workflows.staging_rows import RealRows

    Progress = Callable[[str, int, int], None]

_OK = 200
_CLIENT_ERRORS = range(400, 500)


def try_out(
    trial: Trial,
    rows: RealRows,
    signature: Signature,
    policy: StagingPolicy,
    *,
    server: TrialServer,
    progress: Progress = lambda _step, _done, _total: None,
) -> StagingEvidence:
    """What a server does that serves this and nothing else; contracts are for others to add.

    A server that does not start is evidence too. One that ends on the way leaves what it did not
    answer as not answered.

    Parameters
    ----------
    signature
        Of the version on trial, which says what is malformed.
    progress
        Told what is done at the moment, with how much of it and of how much.
    """
    try:
        with server.start(trial) as running:
            return _Asking(
                trial=trial, rows=rows, policy=policy, running=running, progress=progress
            ).everything(signature)
    except UnavailableError as error:
        return StagingEvidence(problem=str(error))


@dataclass(slots=True, kw_only=True)
class _Asking:
    trial: Trial
    rows: RealRows
    policy: StagingPolicy
    running: RunningTrial
    progress: Progress
    acknowledged: Counter[str] = field(default_factory=Counter)
    named: Counter[int | None] = field(default_factory=Counter)

    def everything(self, signature: Signature) -> StagingEvidence:
        smoke = self._one_by_one()
        together = self._all_at_once()
        refusals = self._malformed(signature)
        load = self._load()
        status, described = self._described()
        logged = self.running.logged()
        return StagingEvidence(
            start_s=self.running.start_s,
            described=described,
            smoke=smoke,
            together=together,
            refusals=refusals,
            load=load,
            acknowledged=len(self.acknowledged),
            unlogged=sum(logged.get(name) != rows for name, rows in self.acknowledged.items()),
            memory_mb=self.running.memory_mb(),
            rollback=self._rollback(status),
        )

    @property
    def _path(self) -> str:
        return f"/models/{self.trial.state.line}/invocations"

    def _one_by_one(self) -> tuple[SmokeAnswer, ...]:
        found = []
        for position in range(len(self.rows.records)):
            found += self._predict(f"smoke-{position}", (position,))
            self.progress("smoke", position + 1, len(self.rows.records))
        return tuple(found)

    def _all_at_once(self) -> tuple[SmokeAnswer, ...]:
        if not self.rows.records:
            return ()
        return tuple(self._predict("together", range(len(self.rows.records))))

    def _predict(self, request_id: str, positions: Sequence[int]) -> list[SmokeAnswer]:
        body = self.rows.body(*positions)
        reply = self.running.ask("POST", self._path, body=body, request_id=request_id)
        expected = [self.rows.expected[position] for position in positions]
        answers = _predictions(reply)
        if reply.status == _OK:
            self.acknowledged[request_id] += len(positions)
            self.named[reply.version] += 1
        if len(answers) != len(positions):
            problem = f"{reply.status}: {reply.body[:300].decode(errors='replace')}"
            return [SmokeAnswer(expected=e, answered=None, problem=problem) for e in expected]
        return [SmokeAnswer(expected=e, answered=a) for e, a in zip(expected, answers, strict=True)]

    def _malformed(self, signature: Signature) -> Refusals | None:
        if not self.rows.records:
            return None
        cases = malformed_requests(signature, self.rows.records[0])
        taken = {}
        for done, case in enumerate(cases, start=1):
            reply = self.running.ask("POST", self._path, body=case.body)
            if reply.status not in _CLIENT_ERRORS:
                taken[case.name] = reply.status
            self.progress("malformed", done, len(cases))
        (again,) = self._predict("after-malformed", (0,))
        return Refusals(cases=len(cases), taken=taken, answers_on=again.is_equal)

    def _load(self) -> LoadMeasured | None:
        if not self.rows.records:
            return None
        bodies = [self.rows.body(position) for position in range(len(self.rows.records))]
        policy = self.policy
        measured = self.running.load(
            self._path,
            TrialLoad(
                requests=[
                    TrialRequest(request_id=f"load-{n}", body=bodies[n % len(bodies)])
                    for n in range(policy.load_requests)
                ],
                connections=policy.load_connections,
                seconds=policy.load_seconds,
            ),
            on_progress=lambda done, total: self.progress("load", done, total),
        )
        self.acknowledged.update(measured.acknowledged)
        return measured

    def _described(self) -> tuple[dict[str, Any], Described | None]:
        line = self.trial.state.line
        metadata = _document(self.running.ask("GET", f"/v2/models/{line}"))
        lines = _document(self.running.ask("GET", "/status")).get("lines")
        status = lines.get(line, {}) if isinstance(lines, dict) else {}
        serving = status.get("serving") or {}
        variants = serving.get("variants") or []
        versions = metadata.get("versions")
        if not isinstance(versions, list):
            return status, None
        return status, Described(
            versions=tuple(int(number) for number in versions if str(number).isdigit()),
            model_digest=variants[0].get("model_digest") if len(variants) == 1 else None,
            named=dict(self.named),
        )

    def _rollback(self, status: dict[str, Any]) -> RollbackTarget:
        target = self.trial.state.rollback_target
        if target is None:
            return RollbackTarget(version=None)
        seen = (status.get("serving") or {}).get("rollback_target") or {}
        is_same = seen.get("version") == target.version
        loaded = seen.get("loaded")
        return RollbackTarget(
            version=target.version,
            is_loaded=loaded if is_same and isinstance(loaded, bool) else None,
            problem="; ".join(map(str, status.get("problems") or ())),
        )


def _document(reply: TrialReply) -> dict[str, Any]:
    if reply.status != _OK:
        return {}
    try:
        document = json.loads(reply.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _predictions(reply: TrialReply) -> list[tuple[float, ...]]:
    """One tuple of numbers per row; none if the body holds anything else."""
    found = _document(reply).get("predictions")
    rows = [one if isinstance(one, list) else [one] for one in found or ()]
    if not all(isinstance(value, int | float) for row in rows for value in row):
        return []
    return [tuple(map(float, row)) for row in rows]
