"""Which features of a model are masked in the inference log, as its artefact says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.artefact import PLAN_FILE, SIGNATURE_FILE, signature_from_json
from ml_release.domain.features import plan_from_json
from ml_release.domain.masking import masks_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def masked_features(files: Mapping[str, bytes]) -> frozenset[str]:
    """Names of the features whose logged values are hashes, or are missing on purpose.

    Parameters
    ----------
    files
        Of the artefact. One without a signature is of before anything was masked.

    Raises
    ------
    IntegrityError
        If its signature or its plan cannot be read.
    """
    if SIGNATURE_FILE not in files:
        return frozenset()
    personal = signature_from_json(files[SIGNATURE_FILE]).personal
    if not personal:
        return frozenset()
    plan = plan_from_json(files[PLAN_FILE])
    return frozenset(masks_of(personal, plan.features)) & frozenset(plan.names)
