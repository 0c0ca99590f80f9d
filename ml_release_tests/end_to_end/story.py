"""What happens to releases of flights on a whole installation, and what can be read of it after."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ml_release.domain.rollout_policy import RolloutPolicy
from ml_release.domain.verdict import verdict_from_json
from ml_release.lines.flight_delay.line import LINE
from ml_release.workflows.evaluation import EVALUATION_VERDICT
from ml_release_tests.end_to_end.installation import said

if TYPE_CHECKING:
    from collections.abc import Mapping

    import dagster as dg
    import pandas as pd

    from ml_release.domain.deployment import Declaration
    from ml_release.spec.release_line import ReleaseLine
    from ml_release_tests.end_to_end.installation import Installation

LOOSENED = (
    "slices_are_good_enough",
    "answers_are_robust",
    "attributions_are_stable",
    "no_worse_than_champion",
    "no_worse_on_old_window",
    "no_slice_falls_behind",
    "behaves_as_declared",
    "probabilities_are_calibrated",
)
THIRD = ("distance", "temp", "dewp", "humid", "wind_dir", "pressure")
AUTHOR, REVIEWER = "grace", "ada"
FIRST_DAY = date(2013, 4, 1)
SHARES = (5.0, 25.0, 50.0)

# The shipped policy with its time compressed, so that some thousand flights decide what takes weeks
# at 900 flights a day. Judges, error probabilities and consequences are the shipped ones.
COMPRESSED = {
    # Fewer rows and a shorter load: staging has an end-to-end test of its own.
    "staging": {"smoke_rows": 60, "load_requests": 400},
    # 1,500 pairs instead of 2,000, and no 24 hours between the first and the last of them.
    "shadow": {
        "minimum_pairs": 1500,
        "minimum_hours": 0.0,
        # Another month of training moves one carrier's decisions more than the shipped limits let.
        "slice_agreement_floor": 0.6,
        "slice_shift_limit": 0.25,
    },
    # A step lasts 40 requests of the canary instead of 300, and as good as no time instead of an
    # hour: the sensor would find it too short and its run, a moment later, not any more.
    "canary_steps": [
        {"weight_percent": share, "minimum_minutes": 0.001, "minimum_requests": 40}
        for share in SHARES
    ],
    "canary": {
        # To show that errors are less than 0.01 more takes 471 requests of a canary without any:
        # at 5 percent 9,420 flights. Less than 0.05 more takes 81, which are 1,620 flights.
        "metrics": [
            {"name": "error_rate", "kind": "error_rate", "tolerance": 0.05},
            {
                "name": "latency_p95",
                "kind": "latency_exceedance",
                # Other tests share the machine; a canary's process yields to them.
                "allowance_ms": 150.0,
                "tolerance": 0.05,
                "minimum_effect": 0.01,
            },
            {
                "name": "score_mean",
                "kind": "score_mean",
                "tolerance": 0.05,
                "minimum_effect": 0.05,
                "vote": "voting",
            },
        ],
        "reference_requests": 500,
    },
    # No time instead of 48 hours, as above. Labels are due at once: the flights are of 2013.
    "watch": {"minimum_hours": 0.00001, "minimum_requests": 1000},
}


def compressed(line: ReleaseLine) -> ReleaseLine:
    """The line with the same code, and a rollout that takes minutes."""
    shipped = line.policies.rollout.model_dump(mode="json")
    changed = {
        name: {**shipped[name], **value} if isinstance(value, dict) else value
        for name, value in COMPRESSED.items()
    }
    rollout = RolloutPolicy.model_validate({**shipped, **changed})
    policies = line.policies.model_copy(update={"rollout": rollout})
    return line.model_copy(update={"policies": policies})


def worse(line: ReleaseLine) -> ReleaseLine:
    """The line with a candidate that was trained on a third of the features.

    It takes the same requests. Its evaluation gates find it out and never let it be registered;
    those are loosened here: shown, and blocking nothing.
    """
    evaluation = line.policies.evaluation
    loosened = evaluation.model_copy(
        update={"blocking": {**evaluation.blocking, **dict.fromkeys(LOOSENED, False)}}
    )
    policies = line.policies.model_copy(update={"evaluation": loosened})
    return line.model_copy(update={"policies": policies, "build_estimator": on_a_third})


def on_a_third(parameters: Mapping[str, Any], seed: int) -> Any:
    """The estimator of the line behind a choice of six of its eighteen features."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    names = [feature.name for feature in LINE.features]
    places = [names.index(name) for name in THIRD]
    kept = ColumnTransformer([("kept", "passthrough", places)])
    return Pipeline([("third", kept), ("trees", LINE.build_estimator(parameters, seed))])


@dataclass(kw_only=True)
class Look:
    """One tick of the sensor: what was declared before, what it said, what its run has shown."""

    leg: str
    step: int
    said: str
    shown: dict[str, dict[str, Any]]


@dataclass(kw_only=True)
class Story:
    """What has happened so far."""

    here: Installation
    server: str
    next_day: date = FIRST_DAY
    sent: int = 0
    failed: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    waited_for: list[str] = field(default_factory=list)

    def release(self, version: int, *, reason: str) -> None:
        """Stage, approve and promote to the next place, each by its job."""
        here = self.here
        for result in (
            here.stage(version, by=AUTHOR, reason=reason),
            here.act("approve", "approve_version", version=version, by=REVIEWER, reason="read it"),
            here.act("promote", "promote_version", version=version, by=AUTHOR, reason=reason),
        ):
            assert result.success, said(result)

    def replay(self, *, monitored: bool) -> None:
        """One more day of flights, with their labels."""
        self.here.await_server(self.server)
        sent = self.here.replay(self.next_day, server=self.server)
        self.next_day += timedelta(days=1)
        self.sent += sent.requests
        if sent.failed:
            self.failed.append(f"{sent.failed} on {self.next_day}: {sent.first_failure}")
        if monitored:
            # The rest of monitoring moves no release; it is run once, in the end.
            result = self.here.run("monitor", assets=("inference_window", "labels"))
            assert result.success, said(result)

    def look(self) -> Look:
        """One tick."""
        rollout = self.here.state.rollout
        words, result = self.here.tick()
        found = Look(
            leg="none" if rollout is None else rollout.leg,
            step=0 if rollout is None else rollout.step,
            said=words,
            shown={} if result is None else materialized(result),
        )
        self.looks.append(found)
        # What it waits for after a move is said of the next place.
        is_moved = self.here.state.rollout != rollout
        self.waited_for.append("" if is_moved else self.here.status().waits_for)
        return found

    def drive(self, *, days: int) -> None:
        """Replay day after day, with a tick after each, until no release is under way."""
        for _ in range(days):
            if (rollout := self.here.state.rollout) is None:
                return
            # The canary is not judged by labels here.
            self.replay(monitored=rollout.leg != "canary")
            self.look()
        assert self.here.state.rollout is None, self.looks[-1].said


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """By asset, what a run has shown of it."""
    return {
        event.asset_key.path[-1]: {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.all_events
        if event.is_step_materialization and event.asset_key is not None
    }


def trailers(story: Story, commit: str) -> dict[str, str]:
    """Of a commit, as `git log` shows them."""
    folder = story.here.settings.deployments
    shown = ["git", "-C", str(folder), "log", "-1", "--format=%(trailers)", commit]
    text = subprocess.run(shown, check=True, capture_output=True, text=True).stdout
    return dict(row.split(": ", 1) for row in text.splitlines() if row)


def records(story: Story) -> pd.DataFrame:
    """Everything the server has logged."""
    found, _ = story.here.wiring.inference_log.records(LINE.name, after={})
    return found


def answered(story: Story) -> pd.DataFrame:
    """What clients were answered, without what was asked in secret."""
    found = records(story)
    return found[~found["shadow"]]


def unit_of(request_id: str) -> str:
    """Who asked: airline and flight number, of the keys that make the name of a request."""
    _, carrier, flight, _ = request_id.split("/")
    return f"{carrier}/{flight}"


def verdict_digest(story: Story, number: int) -> str:
    """Of the evaluation of a version."""
    here = story.here
    (version,) = [v for v in here.wiring.registry.versions(LINE.name) if v.number == number]
    content = here.wiring.evidence.find(LINE.name, EVALUATION_VERDICT, version.model_digest)
    assert content is not None
    return verdict_from_json(content).digest


def places(story: Story) -> list[str]:
    """What each declaration says, in a word."""
    return [places_of(one) for one in story.here.history]


def places_of(declaration: Declaration) -> str:
    """Champion and its share, and where the release under way stands."""
    rollout, champion = declaration.state.rollout, declaration.state.champion
    under_way = "" if rollout is None else f", {rollout.version} {rollout.leg} {rollout.step}"
    return f"{champion.version} {champion.weight_percent:g}{under_way}"
