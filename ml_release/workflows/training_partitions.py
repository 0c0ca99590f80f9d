"""Which partitions of features a candidate is trained on, and which are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.quarantine import judge_coverage
from ml_release.domain.verdict import Outcome
from ml_release.errors import RefusedError
from ml_release.workflows.feature_building import FEATURES_TABLE
from ml_release.workflows.quarantine import partitions_that_go_on

if TYPE_CHECKING:
    from ml_release.domain.identity import SnapshotId
    from ml_release.ports import EvidenceStore, Tables
    from ml_release.spec.release_line import ReleaseLine


def partitions_of_window(
    line: ReleaseLine,
    *,
    first: str | None,
    last: str | None,
    tables: Tables,
    evidence: EvidenceStore,
) -> tuple[tuple[SnapshotId, ...], dict[str, str]]:
    """Features of the window, and what is left out of it, with the reason.

    Raises
    ------
    RefusedError
        If the window is empty or has a gap, or if more of it is set aside than the policy allows.
    """
    known = {s.partition: s for s in tables.current(line.name, FEATURES_TABLE)}
    chosen = [
        name
        for name in known
        if (first is None or name >= first) and (last is None or name <= last)
    ]
    begin, end = first or min(chosen, default=""), last or max(chosen, default="")
    wanted = line.landing.between(begin, end) if begin and end else ()
    fit, left_out = partitions_that_go_on(line, wanted, tables=tables, evidence=evidence)
    missing = [name for name in fit if name not in known]
    if not wanted or missing:
        message = (
            f"training of {line.name} refused: expected features of"
            f" {first or 'the oldest partition'} to {last or 'the newest partition'} without a gap,"
            f" found {sorted(known) or 'none'}"
            + (f"; missing {missing}" if missing else "")
            + f". Materialize {line.name}/snapshot and {line.name}/features for them first."
        )
        raise RefusedError(message)
    coverage = judge_coverage(fit, left_out, line.policies.quarantine)
    if coverage.outcome is not Outcome.PASS:
        message = (
            f"training of {line.name} refused: too much of the window is set aside.\n"
            f"  - {coverage.sentence()}\n"
            "Let the partitions arrive again, choose another window, or declare a lower"
            " quarantine.minimum_coverage in policy.yaml."
        )
        raise RefusedError(message)
    return tuple(known[name] for name in fit), left_out
