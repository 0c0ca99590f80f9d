"""Who declared a version, on what it rests, what it was trained on, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.audited_evidence import counted_words
from ml_release.domain.explanation import (
    Fact,
    Section,
    Sought,
    compared,
    fact,
    recorded,
    unknown,
)
from ml_release.domain.moves_in_words import move_in_words, shares_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.approvals import Approval
    from ml_release.domain.declared_rollout import Evidence
    from ml_release.domain.deployment import Declaration
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.verdict import Verdict
    from ml_release.domain.waivers import Waiver

_NOT_KEPT = "its declaration names none"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFiles:
    """What was read again of one version.

    Attributes
    ----------
    snapshots
        Partition to whether its rows have the digest they were trained on: found says so.
    artefact
        What was verified of its files.
    """

    verdict: Sought[Verdict]
    candidate: Sought[CandidateRecord]
    approvals: Sought[tuple[Approval, ...]]
    waivers: Sought[tuple[Waiver, ...]]
    registered: Sought[tuple[int, str]]
    artefact: Sought[str]
    snapshots: Mapping[str, Sought[str]]


def declaration_section(history: Sequence[Declaration], declaration: Declaration | None) -> Section:
    """Who declared what then, when and why, and whether it is sealed."""
    title = "declared"
    if declaration is None:
        why = "no sealed declaration stood then, or its commit is not in the repository"
        return Section(title=title, facts=(unknown("commit", why),))
    place = next(n for n, one in enumerate(history) if one.commit == declaration.commit)
    earlier = [one.state for one in history[:place] if not one.seal_problem]
    trailers = declaration.trailers
    sealed = not declaration.seal_problem
    return Section(
        title=title,
        facts=(
            Fact(
                name="commit",
                value=declaration.commit,
                check="verified" if sealed else "does not check out",
                said="sealed by a trusted key" if sealed else declaration.seal_problem,
            ),
            fact("at", declaration.committed_at),
            fact("by", declaration.actor),
            fact("why", declaration.reason),
            fact("move", move_in_words(earlier[-1] if earlier else None, declaration.state)),
            fact("shares", shares_in_words(declaration.state)),
            recorded("approved by", trailers.get("Approved-By"), "the commit names nobody"),
            recorded("run", trailers.get("Run-Id"), "the commit names none"),
            fact("release", declaration.state.release),
        ),
    )


def evidence_of(declaration: Declaration | None, version: int) -> Evidence | None:
    """What a declaration names as the evidence of a version; None if it names none of it."""
    if declaration is None:
        return None
    state = declaration.state
    if state.rollout is not None and state.rollout.version == version:
        return state.rollout.evidence
    return state.evidence if state.champion.version == version else None


def evidence_section(version: int, declared: Evidence | None, files: VersionFiles) -> Section:
    """The verdict, policy, approvals and waivers that a version went on."""
    verdict = files.verdict.found
    facts = [
        unknown("verdict", files.verdict.why_not)
        if verdict is None
        else compared(
            "verdict",
            f"{verdict.outcome.value} by {verdict.judge}, {verdict.digest}",
            declared=None if declared is None else declared.verdict_digest,
            found=verdict.digest,
            against="Git",
        ),
        unknown("policy", files.verdict.why_not)
        if verdict is None or "policy_digest" not in verdict.evidence
        else compared(
            "policy",
            verdict.evidence["policy_digest"],
            declared=None if declared is None else declared.policy_digest,
            found=verdict.evidence["policy_digest"],
            against="Git",
        ),
        recorded(
            "features version", None if declared is None else declared.feature_version, _NOT_KEPT
        ),
        *_objections(verdict),
        *_words(declared, files.approvals),
        *_waivers(files.waivers),
    ]
    return Section(title=f"evidence of version {version}", facts=tuple(facts))


def _objections(verdict: Verdict | None) -> list[Fact]:
    return (
        [] if verdict is None else [fact("objection", one.sentence()) for one in verdict.objections]
    )


def _words(declared: Evidence | None, approvals: Sought[tuple[Approval, ...]]) -> list[Fact]:
    if declared is None:
        return [unknown("approval", _NOT_KEPT)]
    if declared.approval_digest is None:
        return [fact("approval", "none was needed")]
    if approvals.found is None:
        return [unknown("approval", approvals.why_not)]
    words = counted_words(declared, approvals.found)
    if words is None:
        said = f"Git says {declared.approval_digest}, no such words are on record"
        return [Fact(name="approval", value="none", check="does not check out", said=said)]
    return [
        Fact(
            name="approval",
            value=f"{one.by} at {one.at.isoformat()}: {one.reason}; on "
            + ", ".join(f"{name} {digest}" for name, digest in sorted(one.evidence.items())),
            check="verified",
            said="the words have the declared digest",
        )
        for one in words
    ]


def _waivers(waivers: Sought[tuple[Waiver, ...]]) -> list[Fact]:
    if waivers.found is None:
        return [unknown("waivers", waivers.why_not)]
    if not waivers.found:
        return [fact("waivers", "none")]
    return [
        fact("waiver", f"{one.label}, by {one.by} until {one.expires_at.isoformat()}: {one.reason}")
        for one in waivers.found
    ]


def training_section(version: int, declared: Evidence | None, files: VersionFiles) -> Section:
    """When it was trained, by whom, on which rows, and what of that was read again."""
    title = f"training of version {version}"
    artefact = (
        unknown("artefact", files.artefact.why_not)
        if files.artefact.found is None
        else Fact(name="artefact", value=files.artefact.found, check="verified", said="read again")
    )
    record = files.candidate.found
    if record is None:
        return Section(title=title, facts=(artefact, unknown("candidate", files.candidate.why_not)))
    rows = [
        unknown(f"snapshot {partition}", sought.why_not)
        if sought.found is None
        else Fact(
            name=f"snapshot {partition}",
            value=sought.found,
            check="verified",
            said="its rows were read again",
        )
        for partition, sought in sorted(files.snapshots.items())
    ]
    return Section(
        title=title,
        facts=(
            _registration(record, files.registered),
            artefact,
            fact("trained at", record.trained_at),
            recorded("trained by", record.trained_by, "the record is of before this was kept"),
            fact("window", f"{record.window_from} to {record.window_to}"),
            fact("rows", f"{record.train_rows} to fit, {record.holdout_rows} held out"),
            fact("features version", record.feature_version),
            compared(
                "data",
                record.data_digest,
                declared=None if declared is None else declared.data_digest,
                found=record.data_digest,
                against="Git",
            ),
            *rows,
            fact("experiment run", record.run_id),
        ),
    )


def _registration(record: CandidateRecord, registered: Sought[tuple[int, str]]) -> Fact:
    if registered.found is None:
        return unknown("registered", registered.why_not)
    number, digest = registered.found
    return compared(
        "registered",
        f"version {number}, {digest}",
        declared=record.model_digest,
        found=digest,
        against="the candidate's record",
    )


def since_section(history: Sequence[Declaration], version: int, declared: Declaration) -> Section:
    """What became of a version since: withdrawn by which incident, lifted, or still answering."""
    sealed = [one for one in history if not one.seal_problem]
    place = next((n for n, one in enumerate(sealed) if one.commit == declared.commit), 0)
    facts = []
    for before, after in zip(sealed[place:], sealed[place + 1 :], strict=False):
        had, has = version in before.state.withdrawn, version in after.state.withdrawn
        if had != has:
            name = "withdrawn" if has else "lifted"
            facts.append(
                fact(
                    name,
                    f"{after.committed_at} by {after.actor}, commit {after.commit[:12]}:"
                    f" {after.reason}",
                )
            )
    if not facts:
        facts.append(fact("withdrawn", "not since"))
    now = sealed[-1].state
    share = sum(one.weight_percent for one in now.variants if one.version == version)
    facts.append(fact("now", f"declared for {share:g} %" if share else "not declared to answer"))
    return Section(title=f"since, version {version}", facts=tuple(facts))
