"""Whatever happens in whatever order, a withdrawn version never serves, and one champion answers.

The machine acts as people, automation, crashes and hands do: releases, canary steps, rollbacks,
withdrawals, lifts; writers that end before or after they wrote; writers that read something old;
files edited or put back by hand, and branches merged. After every step it asks what serves.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from ml_release.adapters.in_memory import InMemoryDeployments, InMemoryOnlineHistory
from ml_release.domain.artefact import PLAN_FILE, SIGNATURE_FILE, signature_of
from ml_release.domain.deployment import Evidence
from ml_release.domain.features import FeaturePlan, Number
from ml_release.domain.rollout_moves import aborted, promoted, settled, shadowed, shared
from ml_release.domain.withdrawal_moves import lifted, without
from ml_release.domain.withdrawals import known_to, served_by
from ml_release.errors import MlReleaseError, RefusedError
from ml_release.workflows.promotion import Request, roll_back
from ml_release.workflows.restoring import restore
from ml_release_tests.declared_by_hand import commit_by_hand, file_of, git_deployments
from ml_release_tests.domain.test_deployment import variant
from ml_release_tests.small_line import SMALL_LINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.ports import Deployments

LINE = SMALL_LINE.name
START = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = FeaturePlan(features=(Number(name="distance", column="distance"),), vocabularies={})
SIGNATURE = signature_of(LINE, PLAN, output="probability")
EVIDENCE = Evidence(verdict_digest="v", policy_digest="p", feature_version=PLAN.version)
VERSIONS = st.integers(1, 4)


class _Ended(Exception):  # noqa: N818 (a process that was killed raises nothing of ours)
    """The process was killed."""


@dataclass
class Crashing:
    """`Deployments` whose writer ends before or after the write, when told to."""

    real: Deployments
    crash: str = ""
    written: list[Declaration] = field(default_factory=list)

    def read(self, line: str, environment: str) -> Declaration | None:
        return self.real.read(line, environment)

    def sealed(self, line: str, environment: str) -> Declaration | None:
        return self.real.sealed(line, environment)

    def history(self, line: str, environment: str) -> tuple[Declaration, ...]:
        return self.real.history(line, environment)

    def declare(
        self,
        state: DeclaredState,
        *,
        expected_commit: str | None,
        trailers: Mapping[str, str],
        at: datetime,
    ) -> Declaration:
        crash, self.crash = self.crash, ""
        if crash == "before":
            raise _Ended
        made = self.real.declare(state, expected_commit=expected_commit, trailers=trailers, at=at)
        self.written.append(made)
        if crash == "after":
            raise _Ended
        return made


@dataclass
class Ticking:
    """A clock that never says the same second twice."""

    moment: datetime = START

    def now(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


class Artefacts:
    """Every version is the same fit artefact: what is tried here is what is declared."""

    def read(self, model_digest: str) -> dict[str, bytes]:
        assert model_digest
        return {PLAN_FILE: PLAN.model_dump_json().encode(), SIGNATURE_FILE: SIGNATURE.to_json()}

    def publish(self, files: Mapping[str, bytes]) -> str:
        raise NotImplementedError

    def load(self, files: Mapping[str, bytes]) -> Any:
        return files


class Releases(RuleBasedStateMachine):
    """Against `InMemoryDeployments`; hands have nothing to get hold of there."""

    def __init__(self) -> None:
        super().__init__()
        self.deployments = Crashing(self.made())
        self.clock = Ticking()
        self.withdrawn: set[int] = set()
        self.stale: Declaration | None = None

    def made(self) -> Deployments:
        return InMemoryDeployments()

    @property
    def standing(self) -> Declaration | None:
        return self.deployments.read(LINE, "production")

    def declare(self, state: DeclaredState, before: Declaration | None, *, by: str) -> None:
        self.deployments.declare(
            state,
            expected_commit=None if before is None else before.commit,
            trailers={"Actor": by, "Reason": "a rule of the machine"},
            at=self.clock.now(),
        )

    @contextmanager
    def acting(self, crash: str) -> Iterator[None]:
        """An act that may be refused or killed; what is withdrawn is read off what was written."""
        self.deployments.crash = crash
        count = len(self.deployments.written)
        with suppress(MlReleaseError, _Ended):
            yield
        self.deployments.crash = ""
        for made in self.deployments.written[count:]:
            self.withdrawn = set(made.state.withdrawn)

    CRASH = st.sampled_from(["", "", "", "before", "after"])

    @rule(version=VERSIONS, crash=CRASH, watch=st.booleans())
    def promote(self, version: int, crash: str, watch: bool) -> None:
        with self.acting(crash):
            before = self.usable()
            state = promoted(
                None if before is None else before.state,
                line=LINE,
                environment="production",
                version=variant(version),
                release=f"r{self.clock.now():%s}",
                evidence=EVIDENCE,
                watched_from=self.clock.now() if watch and before is not None else None,
            )
            self.declare(state, before, by="ada")

    @rule(version=VERSIONS, crash=CRASH, to=st.sampled_from(["shadow", "canary", "settle", "stop"]))
    def move(self, version: int, crash: str, to: str) -> None:
        with self.acting(crash):
            before = self.usable()
            if before is None:
                return
            now, state = self.clock.now(), before.state
            if version == state.champion.version and to in ("shadow", "canary"):
                return
            if to == "stop":
                state = aborted(state, release="stop")
            elif to == "settle":
                state = settled(state)
            elif to == "shadow":
                state = shadowed(
                    state,
                    version=variant(version),
                    evidence=EVIDENCE,
                    sample_percent=10.0,
                    release="shadow",
                    now=now,
                )
            else:
                state = shared(
                    state,
                    version=variant(version),
                    evidence=EVIDENCE,
                    step=0,
                    weight_percent=10.0,
                    release="canary",
                    now=now,
                )
            self.declare(state, before, by="automation")

    @rule(crash=CRASH)
    def go_back(self, crash: str) -> None:
        with self.acting(crash):
            self.roll_back()

    def roll_back(self) -> None:
        roll_back(
            SMALL_LINE,
            None,
            environment="production",
            request=Request(by="bob", reason="it is bad", run_id="r"),
            models=Artefacts(),
            loader=Artefacts(),
            online=InMemoryOnlineHistory(),
            deployments=self.deployments,
            clock=self.clock,
        )

    @rule(version=VERSIONS, crash=CRASH)
    def withdraw(self, version: int, crash: str) -> None:
        with self.acting(crash):
            before = self.usable()
            if before is not None:
                self.declare(without(before.state, version), before, by="grace")

    @rule(version=VERSIONS, crash=CRASH)
    def lift(self, version: int, crash: str) -> None:
        with self.acting(crash):
            before = self.usable()
            if before is not None:
                self.declare(lifted(before.state, version), before, by="grace")

    @rule()
    def somebody_reads(self) -> None:
        self.stale = self.standing

    @rule(version=VERSIONS)
    @precondition(lambda self: self.stale is not None)
    def somebody_writes_what_they_once_read(self, version: int) -> None:
        """With the commit they had read, and a version they know nothing of."""
        assert self.stale is not None
        with self.acting(""):
            state = promoted(
                None,
                line=LINE,
                environment="production",
                version=variant(version),
                release="stale",
                evidence=EVIDENCE,
            )
            self.declare(state, self.stale, by="somebody")

    def usable(self) -> Declaration | None:
        found = self.standing
        if found is not None and found.seal_problem:
            raise RefusedError(found.seal_problem)
        return found

    @invariant()
    def what_serves_is_not_withdrawn(self) -> None:
        served = self.deployments.sealed(LINE, "production")
        if served is None:
            return
        assert not served_by(served.state) & self.withdrawn
        assert self.withdrawn <= set(served.state.withdrawn)
        champions = [v for v in served.state.variants if v.role == "champion"]
        assert len(champions) == 1
        assert served.state.rollback_target is None or (
            served.state.rollback_target.version not in self.withdrawn
        )

    @invariant()
    def every_change_of_traffic_has_somebody_to_answer_for_it(self) -> None:
        for made in self.deployments.written:
            assert made.actor != "unknown"
            assert made.reason != "unknown"
        known = [known_to(one.state).turns for one in self.deployments.written]
        for before, after in pairwise(known):
            assert all(after.get(version, 0) >= turn for version, turn in before.items())

    def teardown(self) -> None:
        """The next act after whatever happened puts everything right."""
        if self.standing is None:
            return
        with self.acting(""):
            restore(
                SMALL_LINE,
                environment="production",
                request=Request(by="ada", reason="put right", run_id="r"),
                deployments=self.deployments,
                clock=self.clock,
            )
        found = self.standing
        assert found is not None
        assert (found.seal_problem, found.forgotten) == ("", ())
        assert not served_by(found.state) & self.withdrawn


class ReleasesByHand(Releases):
    """Against a Git repository, into which people reach with their hands."""

    def made(self) -> Deployments:
        self.folder = TemporaryDirectory()
        return git_deployments(Path(self.folder.name))

    @property
    def root(self) -> Path:
        return Path(self.folder.name) / "deployments"

    def __init__(self) -> None:
        super().__init__()
        self.files: list[str] = []

    @invariant()
    def every_file_is_kept_by_somebody(self) -> None:
        if self.standing is not None and (text := file_of(self.root, LINE)) not in self.files:
            self.files.append(text)

    @rule(place=st.integers(0, 20))
    @precondition(lambda self: len(self.files) > 1)
    def somebody_puts_an_old_file_back(self, place: int) -> None:
        text = self.files[place % len(self.files)]
        commit_by_hand(self.root, LINE, text, message="Revert")

    @rule(version=VERSIONS)
    @precondition(lambda self: self.standing is not None)
    def somebody_edits_the_file(self, version: int) -> None:
        text = file_of(self.root, LINE)
        commit_by_hand(self.root, LINE, text.replace("version: ", f"version: {version}", 1))

    @rule()
    def another_process_takes_over(self) -> None:
        self.deployments.real = git_deployments(Path(self.folder.name))

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


SETTINGS = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    # Shrinking a history takes minutes, and the one that failed is short enough to read.
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
TestReleases = Releases.TestCase
TestReleases.settings = SETTINGS
TestReleasesByHand = ReleasesByHand.TestCase
TestReleasesByHand.settings = settings(SETTINGS, max_examples=20, stateful_step_count=20)
