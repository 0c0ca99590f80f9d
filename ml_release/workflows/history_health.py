"""Judge what the history look-ups of the newest window met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.history_health import judge_history
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.performance import window_from_json
from ml_release.workflows.monitoring import INFERENCE_WINDOW

if TYPE_CHECKING:
    from ml_release.domain.verdict import Verdict
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

HISTORY_VERDICT = "history_verdict"


def check_history(
    line: ReleaseLine, *, environment: str, evidence: EvidenceStore
) -> Verdict | None:
    """Judge the window recorded last under the line's policy, and record the verdict.

    None if no window was recorded, or nothing was declared when it was.
    """
    content = evidence.find(line.name, INFERENCE_WINDOW, environment)
    if content is None:
        return None
    window = window_from_json(content)
    if window.model_digest is None:
        return None
    verdict = judge_history(
        window, subject_digest=digest_of_bytes(content), policy=line.policies.history
    )
    evidence.record(line.name, HISTORY_VERDICT, environment, verdict.to_json())
    return verdict
