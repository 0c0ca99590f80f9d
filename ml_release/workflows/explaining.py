"""Gather everything that is known of one answer or one moment, and check it again on the way."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ml_release.domain.declared_spans import counted
from ml_release.domain.explained_answer import (
    answer_section,
    assignment_section,
    served_section,
)
from ml_release.domain.explained_release import (
    declaration_section,
    evidence_of,
    evidence_section,
    since_section,
    training_section,
)
from ml_release.domain.explanation import Explanation, Section, Sought, unknown
from ml_release.errors import InputError, MlReleaseError, NotFoundError
from ml_release.workflows.explained_files import masked_of, version_files
from ml_release.workflows.labels import gathered_labels
from ml_release.workflows.logged_records import records_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ml_release.domain.deployment import Declaration
    from ml_release.ports import (
        Deployments,
        EvidenceStore,
        InferenceLog,
        ModelRegistry,
        ModelStore,
        Tables,
    )
    from ml_release.spec.release_line import ReleaseLine

AROUND = timedelta(minutes=5)
"""On both sides of a moment: what was served then."""

_ROWS_PER_BATCH = 20_000


def explain_request(
    line: ReleaseLine,
    request_id: str,
    *,
    unit: str | None,
    environment: str,
    inference_log: InferenceLog,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
) -> Explanation:
    """What answered a request, why this variant, and all that stands behind it.

    Parameters
    ----------
    unit
        As the client sent it in ``x-unit-id``; the log holds its bucket only. None leaves out that
        check.

    Raises
    ------
    NotFoundError
        If the log holds no such request: it was never answered, or is older than the log is kept.
    """
    frame, _ = inference_log.records(line.name, after={})
    own = frame[(frame["request_id"] == request_id) & ~frame["shadow"]]
    if own.empty:
        message = (
            f"{line.name}: expected the request {request_id!r} in the inference log, found none"
            f" among {len(frame)} records. It was not answered here, or is older than the log is"
            " kept."
        )
        raise NotFoundError(message)
    records = records_of(own.sort_values("row", kind="stable"))
    first = records[0]
    history = deployments.history(line.name, environment)
    declaration = next((one for one in history if one.commit == first.route_commit), None)
    sections = [
        answer_section(
            records,
            masked=masked_of(first.model_digest, models=models),
            label=_label(line, request_id, tables=tables),
        ),
        assignment_section(first, declaration, unit=unit),
        declaration_section(history, declaration),
    ]
    if first.version:
        sections += _of_version(
            line,
            first.version,
            first.model_digest,
            history,
            declaration,
            tables=tables,
            evidence=evidence,
            models=models,
            registry=registry,
        )
    return Explanation(
        line=line.name,
        environment=environment,
        asked=f"request {request_id}",
        sections=tuple(sections),
    )


def explain_moment(
    line: ReleaseLine,
    at: datetime,
    *,
    environment: str,
    inference_log: InferenceLog,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
    deployments: Deployments,
) -> Explanation:
    """What was declared to serve at a moment, what the log shows around it, and what it rests on.

    Raises
    ------
    InputError
        If the moment has no time zone.
    """
    if at.tzinfo is None:
        message = f"moment {at.isoformat()}: expected a time zone, as 2013-10-01T12:00Z, found none"
        raise InputError(message)
    history = deployments.history(line.name, environment)
    standing = [one for one in counted(history) if _declared_at(one) <= at]
    declaration = standing[-1] if standing else None
    sections = [
        _served(line, at, inference_log=inference_log),
        declaration_section(history, declaration),
    ]
    if declaration is not None:
        state = declaration.state
        served = {v.version: v.model_digest for v in state.variants}
        asked = {s.version: s.model_digest for s in state.shadows}
        for number, digest in {**served, **asked}.items():
            sections += _of_version(
                line,
                number,
                digest,
                history,
                declaration,
                tables=tables,
                evidence=evidence,
                models=models,
                registry=registry,
            )
    return Explanation(
        line=line.name,
        environment=environment,
        asked=f"at {at.isoformat()}",
        sections=tuple(sections),
    )


def _declared_at(one: Declaration) -> datetime:
    return datetime.fromisoformat(one.committed_at)


def _served(line: ReleaseLine, at: datetime, *, inference_log: InferenceLog) -> Section:
    found: Counter[tuple[int, str, str]] = Counter()
    until = at + AROUND + timedelta(microseconds=1)
    try:
        for frame in inference_log.between(
            line.name, at - AROUND, until, rows_per_batch=_ROWS_PER_BATCH
        ):
            own = frame[frame["row"] == 0]
            found.update(zip(own["version"], own["variant"], own["model_digest"], strict=True))
    except (MlReleaseError, OSError) as error:
        return served_section(at, (), f"the inference log cannot be read: {error}")
    counts = [
        (int(version), name, digest, n) for (version, name, digest), n in sorted(found.items())
    ]
    minutes = AROUND.total_seconds() / 60
    why = f"the log holds nothing within {minutes:g} minutes of it"
    return served_section(at, counts, why)


def _of_version(
    line: ReleaseLine,
    number: int,
    model_digest: str,
    history: Sequence[Declaration],
    declaration: Declaration | None,
    *,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    registry: ModelRegistry,
) -> list[Section]:
    files = version_files(
        line,
        number,
        model_digest,
        tables=tables,
        evidence=evidence,
        models=models,
        registry=registry,
    )
    declared = evidence_of(_introducing(history, declaration, number), number)
    sections = [
        evidence_section(number, declared, files),
        training_section(number, declared, files),
    ]
    if declaration is None:
        why = "the declaration it was answered by is not in the repository"
        return [*sections, Section(title="since", facts=(unknown("withdrawn", why),))]
    return [*sections, since_section(history, number, declaration)]


def _introducing(
    history: Sequence[Declaration], declaration: Declaration | None, number: int
) -> Declaration | None:
    """The declaration itself, or the newest before it that names the evidence of a version."""
    if declaration is None:
        return None
    place = next(n for n, one in enumerate(history) if one.commit == declaration.commit)
    for one in reversed(counted(history[: place + 1])):
        if evidence_of(one, number) is not None:
            return one
    return None


def _label(line: ReleaseLine, request_id: str, *, tables: Tables) -> Sought[str]:
    try:
        labels: pd.DataFrame = gathered_labels(line, tables=tables)
    except MlReleaseError as error:
        return Sought(why_not=str(error))
    own = labels[labels["request_id"] == request_id]
    if own.empty:
        return Sought(why_not="no label of this request was gathered yet")
    one = own.iloc[0]
    known_at = one["known_at"].isoformat()
    return Sought(found=f"{one['label']}, known at {known_at}, by {one['source']}")
