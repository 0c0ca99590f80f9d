"""Feed the change detectors with the days that have settled since the last look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ml_release.domain.error_changes import (
    ErrorChanges,
    changes_from_json,
    days_to_feed,
    fed_with,
    kept_since,
)
from ml_release.domain.identity import digest_of_json
from ml_release.domain.performance_window import squared_errors
from ml_release.errors import IntegrityError
from ml_release.workflows.due_days import last_due_day

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.ports import AnswerStore, EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

ERROR_CHANGES = "error_changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvancedChanges:
    """The detectors after a look; ``anew`` says why they were fed from the beginning."""

    state: ErrorChanges
    anew: str


def advance_changes(
    line: ReleaseLine,
    *,
    environment: str,
    digest: str,
    answers: AnswerStore,
    evidence: EvidenceStore,
    now: datetime,
) -> AdvancedChanges:
    """Feed what has settled, and record it; a state that cannot be trusted is made anew.

    Only the days that are fed are read.
    """
    policy = line.policies.performance.changes
    beginning = ErrorChanges(
        model_digest=digest, policy_digest=digest_of_json(policy.model_dump(mode="json"))
    )
    state, anew = _recorded(line, environment, beginning, evidence=evidence)
    counts = answers.days(line.name, environment, model_digest=digest)
    by_day = {one.day: one for one in counts}
    state = kept_since(state, by_day)
    due_before = last_due_day(line, now) + timedelta(days=1)
    wanted = days_to_feed(state, counts, due_before=due_before, policy=policy)
    anew = anew or wanted.anew
    if wanted.anew:
        state = beginning
    for day in wanted.days:
        errors = None
        if day not in wanted.left_out:
            own = answers.between(
                line.name,
                environment,
                model_digest=digest,
                since=day,
                until=day + timedelta(days=1),
            )
            errors = squared_errors(own.where(own.is_labelled & own.is_scored))
        state = fed_with(state, day, labelled=by_day[day].labelled, errors=errors, policy=policy)
    evidence.record(line.name, ERROR_CHANGES, environment, state.to_json())
    return AdvancedChanges(state=state, anew=anew)


def _recorded(
    line: ReleaseLine, environment: str, beginning: ErrorChanges, *, evidence: EvidenceStore
) -> tuple[ErrorChanges, str]:
    try:
        content = evidence.find(line.name, ERROR_CHANGES, environment)
        if content is None:
            return beginning, ""
        found = changes_from_json(content)
    except IntegrityError as error:
        return beginning, str(error)
    if found.model_digest != beginning.model_digest:
        return beginning, ""
    if found.policy_digest != beginning.policy_digest:
        return beginning, "the policy has changed"
    return found, ""
