"""A house whose served version was evaluated for fairness, and answers with known groups."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.answers import Answer, AnswerTable, NewLabels
from ml_release.domain.fairness_watch_policy import FairnessWatchPolicy
from ml_release.domain.gates_fairness import FairnessPolicy
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from ml_release.spec.release_line import ReleaseLine
    from ml_release_tests.small_line import House

FIRST = date(2013, 4, 1)
NOW = datetime(2013, 6, 1, 12, 0, tzinfo=UTC)
LIMITS = {"demographic_parity_difference": 1.0, "false_positive_rate_difference": 1.0}


def fair(line: ReleaseLine) -> ReleaseLine:
    """The line with carriers for groups of people."""
    watched = line.model_copy(update={"sensitive": ("carrier",)})
    with_gate = steps.with_policy(
        watched, "evaluation", fairness=FairnessPolicy(limits=LIMITS, minimum_rows=20)
    )
    policies = with_gate.policies.model_copy(
        update={
            "fairness_watch": FairnessWatchPolicy(
                window_days=7,
                minimum_rows=30,
                margin=0.1,
                slice_minimum_rows=50,
                slice_minimum_per_class=10,
            )
        }
    )
    return with_gate.model_copy(update={"policies": policies})


def release(house: House) -> None:
    """Train, evaluate for fairness, register and declare."""
    house.line = fair(house.line)
    steps.release(house, last="2013-03")
    house.clock.move(NOW - house.clock.now())


def answer(
    house: House,
    *,
    days: int,
    a_day: int = 60,
    labelled: float = 1.0,
    against: str | None = None,
    seed: int = 1,
) -> None:
    """Answers that tell lateness as it comes; or a yes for one carrier alone."""
    declaration = house.deployments.read(steps.LINE, house.environment)
    assert declaration is not None
    generator = np.random.default_rng(seed)
    found = []
    for number in range(days * a_day):
        day = FIRST + timedelta(days=number // a_day)
        carrier = str(generator.choice(["AA", "BB", "CC"]))
        score = float(generator.beta(2, 4)) + (0.2 if carrier == "AA" else 0.0)
        label = int(generator.uniform() < min(1.0, score))
        moment = datetime(day.year, day.month, day.day, 16, tzinfo=UTC)
        found.append(
            Answer(
                request_id=f"{seed}-{number}",
                model_digest=declaration.state.champion.model_digest,
                day=day,
                received_us=1,
                event_us=int(moment.timestamp()) * 1_000_000 + number,
                prediction=score,
                decision=None if against is None else int(carrier == against),
                slices={"carrier": carrier},
                label=label if generator.uniform() < labelled else None,
                label_received_us=1,
            )
        )
    progress = house.answers.progress(steps.LINE, house.environment)
    house.answers.add(
        steps.LINE,
        house.environment,
        answers=AnswerTable.of(found),
        labels=NewLabels.none(),
        progress=progress.model_copy(update={"log": {f"seed {seed}": days}}),
        expected=progress,
        keep_from=date.min,
    )
