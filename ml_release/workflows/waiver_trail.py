"""Which waivers a version was registered on, so that a later edit or addition is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.identity import check_digest
from ml_release.domain.waivers import (
    holding,
    waiver_changes,
    waivers_digest,
    waivers_from_json,
    waivers_to_json,
)
from ml_release.errors import IntegrityError
from ml_release.workflows.waiving import recorded_waivers

if TYPE_CHECKING:
    from ml_release.domain.identity import ModelVersion
    from ml_release.domain.waivers import Waiver
    from ml_release.ports import EvidenceStore
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.release_gate import Releasable

USED_WAIVERS = "used_waivers"
WAIVERS_TAG = "waivers_digest"


def keep_waivers(
    line: ReleaseLine, found: Releasable, *, evidence: EvidenceStore
) -> dict[str, str]:
    """Record the waivers an act goes on; the tags of a version that name them, none without any.

    Kept by their digest: what was given, let expire or edited later changes nothing here.
    """
    if not found.waived:
        return {}
    used = holding(found.waived)
    digest = waivers_digest(used)
    evidence.record(line.name, USED_WAIVERS, digest, waivers_to_json(used))
    return {"waived": "\n".join(one.sentence() for one in found.waived), WAIVERS_TAG: digest}


def waivers_since_registration(
    line: ReleaseLine, version: ModelVersion, found: Releasable, *, evidence: EvidenceStore
) -> tuple[str, ...]:
    """Waivers that are used now and were not at registration, and the other way round.

    One that has expired and was given again is such a change, and is let go: somebody answers for
    it. One that was edited is not.

    Raises
    ------
    IntegrityError
        If a waiver of the registration is no longer recorded as it was, naming each, or if what
        was recorded at registration is lost or changed.
    """
    before = _registered_on(line, version, evidence=evidence)
    recorded = recorded_waivers(line, version.model_digest, evidence=evidence)
    edited = [waiver.label for waiver in before if waiver not in recorded]
    if edited:
        rows = "\n".join(f"  - {label}" for label in edited)
        message = (
            f"waivers of {line.name} version {version.number}: expected those it was registered on"
            f" among the recorded ones, found that these were edited or removed.\n{rows}\n"
            "Evaluate again, and waive what is to be let go."
        )
        raise IntegrityError(message)
    return waiver_changes(before, holding(found.waived))


def _registered_on(
    line: ReleaseLine, version: ModelVersion, *, evidence: EvidenceStore
) -> tuple[Waiver, ...]:
    digest = version.tags.get(WAIVERS_TAG)
    if digest is None:
        return ()
    subject = f"waivers that {line.name} version {version.number} was registered on"
    content = evidence.find(line.name, USED_WAIVERS, digest)
    if content is None:
        message = f"{subject}: expected a record of {digest[:19]}, found none. Train again."
        raise IntegrityError(message)
    waivers = waivers_from_json(content)
    check_digest(subject, expected=digest, found=waivers_digest(waivers))
    return waivers
