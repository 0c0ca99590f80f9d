"""What monitoring would have recorded of a house, planted, so that a test names what is special."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from ml_release.domain.decision_record import DecisionRecord
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.label_counts import LabelsRecord
from ml_release.domain.monitoring_decision import Step
from ml_release.domain.performance import WindowRecord
from ml_release.workflows.labels import LABELS_RECORD
from ml_release.workflows.monitoring import INFERENCE_WINDOW
from ml_release.workflows.monitoring_decision import DECISION_RECORD

if TYPE_CHECKING:
    from ml_release_tests.small_line import House

SERVED_TO = date(2013, 5, 2)
"""A day on which April is complete and its last label known."""


def seen(
    house: House, *, as_of: date | None = SERVED_TO, labels: int = 0, digest: str | None = None
) -> str:
    """Record a window of the champion and gathered labels; gives the digest of the window."""
    standing = house.deployments.sealed(house.line.name, house.environment)
    champion = None if standing is None else standing.state.champion
    window = WindowRecord(
        line=house.line.name,
        version=None if champion is None else champion.version,
        model_digest=digest or (None if champion is None else champion.model_digest),
        days=7,
        as_of=as_of,
        rows=5000,
        errors=0,
        labels=0,
        counts={},
        latency_p50_ms=None,
        latency_p99_ms=None,
    )
    content = window.model_dump_json().encode()
    house.evidence.record(house.line.name, INFERENCE_WINDOW, house.environment, content)
    gathered = LabelsRecord(
        line=house.line.name, labels=labels, contradicted=0, digest=None, sources={}
    )
    house.evidence.record(
        house.line.name, LABELS_RECORD, house.environment, gathered.model_dump_json().encode()
    )
    return digest_of_bytes(content)


def decided(house: House, action: str, **changes: Any) -> DecisionRecord:
    """Record a window, and a decision on it about what answers."""
    window = seen(house, **{n: changes.pop(n) for n in ("as_of", "labels") if n in changes})
    standing = house.deployments.sealed(house.line.name, house.environment)
    champion = None if standing is None else standing.state.champion
    known: dict[str, Any] = {
        "line": house.line.name,
        "environment": house.environment,
        "version": None if champion is None else champion.version,
        "model_digest": None if champion is None else champion.model_digest,
        "commit": None if standing is None else standing.commit,
        "as_of": SERVED_TO,
        "decided_at": house.clock.now(),
        "action": action,
        "reason": "planted",
        "causes": ("drift", "performance") if action == "retrain" else (),
        "path": (Step(question="planted?", answer="yes"),),
        "evidence": {INFERENCE_WINDOW: window},
    }
    record = DecisionRecord(**{**known, **changes})
    house.evidence.record(house.line.name, DECISION_RECORD, house.environment, record.to_json())
    return record
