"""Why a request met its variant, and what it was answered: from its record and the declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.assignment import assign, pick
from ml_release.domain.explanation import Fact, Section, fact, recorded, unknown
from ml_release.domain.masking import HASH_PREFIX
from ml_release.domain.truth_tally import KILL_SWITCH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml_release.domain.deployment import Declaration, DeclaredState
    from ml_release.domain.explanation import Sought
    from ml_release.domain.inference import InferenceRecord

_PINNED = "pinned"


def answer_section(
    records: Sequence[InferenceRecord],
    *,
    masked: Sought[frozenset[str]],
    label: Sought[str],
) -> Section:
    """What was asked and answered, as it was logged; masked values stay masked.

    Parameters
    ----------
    records
        Rows of one request, at least one, in their order.
    masked
        Names of the features that the model's artefact says are masked.
    """
    first = records[0]
    rows: list[Fact] = []
    for record in records:
        of_row = f" of row {record.row}" if len(records) > 1 else ""
        why_not = record.error or "the model answers one probability per class, or gave none"
        rows.append(recorded(f"prediction{of_row}", record.prediction, why_not))
        if record.probabilities is not None:
            rows.append(fact(f"probabilities{of_row}", list(record.probabilities)))
        if record.decision is not None:
            rows.append(fact(f"decision{of_row}", "yes" if record.decision else "no"))
        rows += [
            fact(f"feature {name}{of_row}", _in_words(name, value, masked))
            for name, value in record.features.items()
        ]
        rows += [
            fact(f"feature {name}{of_row}", "masked: dropped, on purpose")
            for name in sorted((masked.found or frozenset()) - set(record.features))
        ]
    return Section(
        title="answer",
        facts=(
            fact("received", first.received_time),
            fact("event", first.event_time),
            fact("version", first.version),
            fact("model digest", first.model_digest),
            fact("variant", first.variant),
            fact("outcome", first.outcome if first.error is None else _failure(first)),
            fact("latency, ms", f"{first.latency_ms:g}"),
            *rows,
            recorded("label", label.found, label.why_not),
        ),
    )


def _failure(record: InferenceRecord) -> str:
    return f"{record.outcome}: {record.error}"


def _in_words(name: str, value: float | str | None, masked: Sought[frozenset[str]]) -> str:
    if isinstance(value, str) and value.startswith(HASH_PREFIX):
        return f"masked: {value}"
    if masked.found is not None and name in masked.found:
        return "masked" if value is None else f"masked: {value}"
    return "missing" if value is None else str(value)


def assignment_section(
    record: InferenceRecord, declaration: Declaration | None, *, unit: str | None
) -> Section:
    """Why this variant: the rule, the bucket, and whether both lead to who answered."""
    title = "why this variant"
    if declaration is None:
        why = f"route commit {record.route_commit[:12]} is not in the repository"
        return Section(title=title, facts=(unknown("rule", why),))
    if record.variant == KILL_SWITCH:
        return Section(title=title, facts=(fact("rule", "the kill switch answered every row"),))
    if record.variant == _PINNED:
        said = "the client named the champion's version; it met no assignment"
        return Section(title=title, facts=(fact("rule", said),))
    state = declaration.state
    facts = [
        fact("declared", _declared_shares(state)),
        recorded("bucket", record.bucket, "the request named no unit; its bucket was chance"),
        *([] if record.propensity is None else [fact("propensity", f"{record.propensity:g}")]),
        _rule(record, state, unit=unit),
    ]
    if record.outcome == "fallback":
        assigned = _assigned(record)
        facts.append(fact("fallback", f"version {assigned} was to answer: {record.error}"))
    return Section(title=title, facts=tuple(facts))


def _declared_shares(state: DeclaredState) -> str:
    shares = ", ".join(f"version {v.version}: {v.weight_percent:g} %" for v in state.variants)
    experiment = state.experiment
    if experiment is None:
        return shares
    arms = ", ".join(f"version {arm.version}: {arm.weight_percent:g} %" for arm in experiment.arms)
    part = f"{experiment.share_percent:g} % of the units take part in {experiment.name}"
    return f"{shares}; {part}: {arms}"


def _assigned(record: InferenceRecord) -> int:
    return record.version if record.assigned_version is None else record.assigned_version


def _rule(record: InferenceRecord, state: DeclaredState, *, unit: str | None) -> Fact:
    """The assignment computed again, from the unit if it is given, else from what was logged."""
    experiment = state.experiment
    if record.experiment is not None and experiment is not None:
        if experiment.allocation != "fixed":
            why = "the weights of the arms were learned, and those of that moment are not kept"
            return unknown("rule", why)
        if unit is None and record.bucket is not None:
            percent = {arm.version: arm.weight_percent for arm in experiment.arms}
            return _leads_to(record, pick(percent, record.bucket)[0], "logged bucket")
    if unit is not None:
        found = assign(state, unit=unit, request_id=record.request_id)
        if record.bucket is not None and found.bucket != record.bucket:
            return Fact(
                name="rule",
                value=f"bucket {found.bucket} of the unit that was given",
                check="does not check out",
                said=f"logged is bucket {record.bucket}: it was another unit, or another salt",
            )
        return _leads_to(record, found.version, f"bucket {found.bucket} of the unit")
    if record.bucket is not None:
        percent = {v.version: v.weight_percent for v in state.variants}
        return _leads_to(record, pick(percent, record.bucket)[0], "logged bucket")
    found = assign(state, unit=None, request_id=record.request_id)
    return _leads_to(record, found.version, f"bucket {found.bucket} of the request")


def _leads_to(record: InferenceRecord, version: int, by: str) -> Fact:
    assigned = _assigned(record)
    same = assigned == version
    return Fact(
        name="rule",
        value=f"the {by} leads to version {version}",
        check="verified" if same else "does not check out",
        said="" if same else f"assigned was version {assigned}",
    )


def served_section(
    at: datetime, counts: Sequence[tuple[int, str, str, int]], why_not: str
) -> Section:
    """What the log shows around a moment: version, variant, digest and requests of each."""
    title = "served around that time"
    if not counts:
        return Section(title=title, facts=(unknown("served", why_not or f"nothing near {at}"),))
    return Section(
        title=title,
        facts=tuple(
            fact(f"version {version} as {variant}", f"{n} requests, digest {digest}")
            for version, variant, digest, n in counts
        ),
    )
