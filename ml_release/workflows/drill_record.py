"""The last drill of a line, as it was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.drill import DrillRecord

if TYPE_CHECKING:
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

DRILL = "drill"


def recorded_drill(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> DrillRecord | None:
    """The last drill; None if there never was one, `IntegrityError` if its record was edited."""
    content = evidence.find(line.name, DRILL, environment)
    return None if content is None else DrillRecord.from_json(content)
