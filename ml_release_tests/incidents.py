"""Histories of declared states and an incident put together by hand, for tests to change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ml_release.domain.blast_radius import BlastRadius, Changes, Costs
from ml_release.domain.deployment import (
    Declaration,
    DeclaredState,
    Evidence,
    Shadow,
    Variant,
)
from ml_release.domain.incident import Incident, Release, Trigger, with_follow_ups
from ml_release.domain.incident_causes import VersionDifference
from ml_release.domain.incident_impact import Impact, StageCounts
from ml_release.domain.incident_timeline import Times
from ml_release.domain.verdict import Finding, Outcome

BEGUN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
EVIDENCE = Evidence(verdict_digest="v", policy_digest="p", feature_version="f")


def digest_of(version: int) -> str:
    return f"sha256:{version:064d}"


def state(
    champion: int,
    *,
    canary: int | None = None,
    shadow: int | None = None,
    arm: int | None = None,
    withdrawn: tuple[int, ...] = (),
    release: str = "",
) -> DeclaredState:
    """A declared state with at most one version beside the champion."""
    roles: dict[Literal["canary", "treatment"], int | None] = {"canary": canary, "treatment": arm}
    others = [
        Variant(role=role, version=version, model_digest=digest_of(version), weight_percent=5)
        for role, version in roles.items()
        if version is not None
    ]
    rest = 100.0 - 5 * len(others)
    first = Variant(
        role="champion", version=champion, model_digest=digest_of(champion), weight_percent=rest
    )
    return DeclaredState(
        line="small_line",
        environment="production",
        release=release or f"small_line-{canary or shadow or champion}",
        variants=(first, *others),
        evidence=EVIDENCE,
        shadows=()
        if shadow is None
        else (Shadow(version=shadow, model_digest=digest_of(shadow), sample_percent=50),),
        withdrawn=withdrawn,
        threshold=0.5,
    )


def history(*states: DeclaredState, **changes: Any) -> tuple[Declaration, ...]:
    """One declaration an hour; ``changes`` are of the last one."""
    found = [
        Declaration(
            state=one,
            commit=f"{number:02x}" * 20,
            committed_at=(BEGUN + timedelta(hours=number)).isoformat(),
            actor="Ada",
            reason="as planned",
            seal_problem="",
        )
        for number, one in enumerate(states)
    ]
    if changes:
        known = {name: getattr(found[-1], name) for name in Declaration.__dataclass_fields__}
        found[-1] = Declaration(**{**known, **changes})
    return tuple(found)


HARM = Finding(
    rule="errors_are_rare",
    subject="requests",
    outcome=Outcome.FAIL,
    observed=0.08,
    limit=0.01,
    n=900,
)


def incident(**changes: Any) -> Incident:
    """Version 2 was canary, then champion, failed, and was taken back by the watch."""
    known: dict[str, Any] = {
        "incident_id": "small_line-2@0123456789ab",
        "line": "small_line",
        "environment": "production",
        "commit": "0123456789ab" + "0" * 28,
        "release": "small_line-2",
        "bad": Release(version=2, model_digest=digest_of(2), trained_at=BEGUN.isoformat()),
        "restored": Release(version=1, model_digest=digest_of(1)),
        "method": "version pin restored",
        "legs": ("canary", "champion"),
        "trigger": Trigger(
            is_automatic=True,
            by="watch/1",
            reason="version 2, watch: errors_are_rare",
            findings=(HARM,),
            verdict_digest=digest_of(7),
        ),
        "times": Times(
            declared="2026-11-21T09:00:00+00:00",
            first_request="2026-11-21T09:00:12.500000+00:00",
            first_sign="2026-11-21T10:01:00+00:00",
            decided="2026-11-21T10:16:00.700000+00:00",
            committed="2026-11-21T10:16:00+00:00",
            first_restored="2026-11-21T10:16:02+00:00",
            last_request="2026-11-21T10:16:01.900000+00:00",
        ),
        "impact": Impact(
            stages={
                "canary": StageCounts(requests=100, rows=100),
                "champion": StageCounts(requests=900, rows=950, errors=72, fallbacks=3, missing=2),
                "shadow": StageCounts(requests=40, rows=40),
            },
            first_request="2026-11-21T09:00:12.500000+00:00",
            last_request="2026-11-21T10:16:01.900000+00:00",
        ),
        "blast_radius": BlastRadius(
            requests=1000,
            total=Changes(
                rows=1050,
                rescored=976,
                decided=976,
                to_yes=30,
                to_no=8,
                sum_of_differences=12.5,
                sum_of_absolutes=40.25,
                largest=0.75,
                largest_request="r17",
            ),
            days={
                "2026-11-21": Changes(rows=1050, rescored=976, decided=976, to_yes=30, largest=0.75)
            },
            slices={
                "carrier": {
                    "AA": Changes(rows=600, rescored=560, decided=560, to_yes=28, largest=0.75),
                    "missing": Changes(rows=450, rescored=416, decided=416, to_no=8, largest=0.5),
                }
            },
            not_rescored={"the bad version failed": 72, "not in the record: distance": 2},
            costs=Costs(
                labelled=400,
                labelled_served=90.0,
                labelled_restored=60.0,
                expected=576,
                expected_served=120.0,
                expected_restored=100.0,
            ),
        ),
        "threshold": 0.5,
        "threshold_before": 0.5,
        "differences": (
            VersionDifference(about="data", what="snapshot of 2013-04", bad="x", restored="none"),
        ),
        "open_findings": (),
        "missing": ("training run of version 2: MLflow does not answer",),
        "made_at": "2026-11-21T10:17:00+00:00",
    }
    return with_follow_ups(Incident(**{**known, **changes}))
