"""Pictures of a training and an evaluation, kept so that a page can show them later."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from ml_release.domain.identity import canonical_json
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine

TRAINING_PICTURES = "training_pictures"
EVALUATION_PICTURES = "evaluation_pictures"


def record_pictures(
    line: ReleaseLine,
    kind: str,
    model_digest: str,
    pictures: Mapping[str, bytes],
    *,
    evidence: EvidenceStore,
) -> None:
    """Keep pictures by file name, so that a page can show them later."""
    encoded = {name: base64.b64encode(png).decode() for name, png in pictures.items()}
    evidence.record(line.name, kind, model_digest, canonical_json(encoded))


def recorded_pictures(
    line: ReleaseLine, kind: str, model_digest: str, *, evidence: EvidenceStore
) -> dict[str, bytes]:
    """File name to PNG, none where none were kept; `IntegrityError` if the record is not one."""
    content = evidence.find(line.name, kind, model_digest)
    if content is None:
        return {}
    try:
        return {
            name: base64.b64decode(text, validate=True)
            for name, text in json.loads(content).items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        message = (
            f"{line.name} candidate {model_digest[:19]}: expected recorded pictures, found"
            f" something else ({error}). Evaluate again."
        )
        raise IntegrityError(message) from error
