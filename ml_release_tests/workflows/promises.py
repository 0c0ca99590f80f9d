"""What a house has counted of its requests, and verdicts on what it promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ml_release.domain.bucket_profile import BucketProfile
from ml_release.domain.slo import BUDGET
from ml_release.domain.verdict import Finding, Outcome, Verdict
from ml_release.workflows.budget_freeze import SLO_VERDICT
from ml_release.workflows.slo import SloReport, report_slo
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release_tests.small_line import House

FIRST = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hours(house: House, *requests: tuple[int, int], **changes: Any) -> list[BucketProfile]:
    """One profile per hour from `FIRST` on: requests, and those of them that failed."""
    declaration = house.deployments.read(steps.LINE, "production")
    champion = None if declaration is None else declaration.state.champion
    return [
        BucketProfile(
            **{
                "line": steps.LINE,
                "version": 1 if champion is None else champion.version,
                "model_digest": steps.NOWHERE if champion is None else champion.model_digest,
                "variant": "champion",
                "bucket": (FIRST + place * HOUR).isoformat(),
                "requests": n,
                "rows": n - failed,
                "failed_requests": failed,
                "errors": failed,
                "latency": {0: n - failed},
                "first_received": (FIRST + place * HOUR).isoformat(),
                "last_received": (FIRST + (place + 0.5) * HOUR).isoformat(),
                **changes,
            }
        )
        for place, (n, failed) in enumerate(requests)
    ]


def count(house: House, profiles: Sequence[BucketProfile]) -> None:
    """Keep them as counted, and let it be the end of the last of their hours."""
    cursor = house.profiles.cursor(steps.LINE, "production")
    after = {"records": sum(cursor.values()) + len(profiles)}
    house.profiles.add(steps.LINE, "production", profiles=profiles, cursor=after, expected=cursor)
    last = max(datetime.fromisoformat(one.bucket) for one in profiles)
    house.clock.move(max(timedelta(), last + HOUR - house.clock.now()))


def report(house: House) -> SloReport:
    return report_slo(
        house.line,
        environment=house.environment,
        profiles=house.profiles,
        deployments=house.deployments,
        evidence=house.evidence,
        plotter=house.plotter,
        now=house.clock.now(),
    )


def spend(house: House, *budgets: str, outcome: Outcome = Outcome.FAIL) -> Verdict:
    """Record a verdict by which these budgets are spent, or whatever they are."""
    verdict = Verdict(
        judge="slo/1",
        line=steps.LINE,
        subject_digest=steps.NOWHERE,
        evidence={"judged_at": house.clock.now().isoformat()},
        findings=tuple(
            Finding(rule=BUDGET, subject=name, outcome=outcome, detail="9 of 10 were bad")
            for name in budgets or ("availability",)
        ),
    )
    house.evidence.record(steps.LINE, SLO_VERDICT, house.environment, verdict.to_json())
    return verdict
