"""How Dagster shows which code and environment made a candidate, and what differs from it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ml_release.orchestration.tables import text_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml_release.domain.build_record import BuildRecord, Difference

ENVIRONMENT_DRIFT = "environment drift"


def build_metadata(build: BuildRecord) -> Mapping[str, dg.MetadataValue]:
    """Code, lock, interpreter and packages of the process that trained."""
    dirty = {None: "", False: "", True: ", with uncommitted changes"}[build.code_dirty]
    return {
        "code commit": dg.MetadataValue.text(
            "no checkout" if build.code_commit is None else build.code_commit + dirty
        ),
        "code digest": dg.MetadataValue.text(build.code_digest),
        "lock digest": dg.MetadataValue.text(build.lock_digest or "no lock"),
        "python": dg.MetadataValue.text(
            f"{build.implementation} {build.python} on {build.platform}, {build.machine}"
        ),
        "packages": dg.JsonMetadataValue(dict(build.packages)),
    }


def environment_drift_metadata(
    drift: Sequence[Difference] | None,
) -> Mapping[str, dg.MetadataValue]:
    """What differs between the running environment and the recorded one; it stops nothing."""
    if drift is None:
        return {ENVIRONMENT_DRIFT: dg.MetadataValue.text("unknown: no readable record")}
    if not drift:
        return {ENVIRONMENT_DRIFT: dg.MetadataValue.text("none")}
    return {
        ENVIRONMENT_DRIFT: text_table(
            ("what", "recorded", "found", "detail"),
            ((one.name, one.recorded or "none", one.found or "none", one.detail) for one in drift),
        )
    }
