"""Answers with scikit-learn itself, from state that holds no code.

For models that cannot be written as an exact graph. No pickle is ever read. The types a file names
are checked here, before skops makes anything of them, and once more by skops: each has to be
recorded in the artefact and on the list of `ml_release.domain.trusted_types`. skops warns of one
type on that list: the trees of histogram gradient boosting are followed without checking bounds, so
a crafted file could crash the process, though not run code. An artefact is served by its digest.
"""

from __future__ import annotations

import io
import json
import zipfile
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.domain.artefact import (
    PLAN_FILE,
    SIGNATURE_FILE,
    SKOPS_FILE,
    SKOPS_RECORD_FILE,
    TWO_CLASSES,
    class_names,
    signature_from_json,
)
from ml_release.domain.calibrated_margin import CalibratedMargin
from ml_release.domain.features import FeaturePlan, encode, plan_from_json
from ml_release.domain.identity import check_digest, digest_of_bytes
from ml_release.domain.skops_record import SkopsRecord, skops_record_from_json
from ml_release.domain.trusted_types import named_types, untrusted_types
from ml_release.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ml_release.domain.artefact import OutputKind, Signature
    from ml_release.domain.features import Columns

EXTRA = "serving-sklearn"


class SkopsModel:
    """`LoadedModel` on one fitted estimator, safe to call from several threads."""

    platform = "sklearn_skops"

    def __init__(
        self, plan: FeaturePlan, estimator: Any, *, output: OutputKind, classes: int = 0
    ) -> None:
        self._plan = plan
        self._estimator = estimator
        self._output = output
        self._classes = classes

    @property
    def plan(self) -> FeaturePlan:
        """The feature plan it was fitted with."""
        return self._plan

    def predict(self, values: Columns) -> npt.NDArray[np.float64]:
        """As `LoadedModel`, shape (n,) or (n, k)."""
        return self._predict(encode(self._plan, values))

    def predict_row(self, encoded: Sequence[float]) -> float:
        """As `predict`, of one encoded row."""
        (answer,) = self._predict(np.array([encoded], dtype=np.float64)).tolist()
        return float(answer)

    def _predict(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if not len(matrix):
            return np.empty((0, self._classes) if self._classes else 0)
        if self._classes:
            return np.asarray(self._estimator.predict_proba(matrix), dtype=np.float64)
        if self._output == "value":
            answers = self._estimator.predict(matrix)
        else:
            answers = self._estimator.predict_proba(matrix)[:, 1]
        result: npt.NDArray[np.float64] = np.asarray(answers, dtype=np.float64).reshape(-1)
        return result


class SkopsLoader:
    """`ModelLoader` of artefacts that hold an estimator's state."""

    def load(self, files: Mapping[str, bytes]) -> SkopsModel:
        """Build the model, or say which file does not fit, or what has to be installed."""
        expected = {SKOPS_FILE, SKOPS_RECORD_FILE, PLAN_FILE, SIGNATURE_FILE}
        if missing := sorted(expected - set(files)):
            message = f"model artefact: expected also the files {missing}, found {sorted(files)}"
            raise IntegrityError(message)
        plan = plan_from_json(files[PLAN_FILE])
        signature = signature_from_json(files[SIGNATURE_FILE])
        output = signature.output_kind
        record = skops_record_from_json(files[SKOPS_RECORD_FILE])
        content = files[SKOPS_FILE]
        check_digest(
            f"model artefact: {SKOPS_FILE}", expected=record.digest, found=digest_of_bytes(content)
        )
        trusted = _trusted_types(content, record)
        _require_same_version(record)
        estimator = _made(content, trusted)
        width = getattr(estimator, "n_features_in_", None)
        method = "predict" if output == "value" else "predict_proba"
        asked = estimator
        if record.calibration is not None:
            asked = CalibratedMargin(
                estimator=estimator,
                slope=record.calibration.slope,
                intercept=record.calibration.intercept,
            )
        if width != len(plan.features) or not hasattr(asked, method):
            message = (
                f"model artefact: expected {SKOPS_FILE} to take {len(plan.features)} features and"
                f" to have {method} as {PLAN_FILE} and {SIGNATURE_FILE} say, found a"
                f" {type(estimator).__name__} of {width} features"
            )
            raise IntegrityError(message)
        _require_classes(estimator, signature, has_calibration=record.calibration is not None)
        return SkopsModel(plan, asked, output=output, classes=len(signature.classes))


def _require_classes(estimator: Any, signature: Signature, *, has_calibration: bool) -> None:
    """The columns of its answer have to be those the signature names, in the same order."""
    if signature.output_kind == "value":
        return
    # Without this, three classes would answer the second one's column as the probability.
    expected = signature.classes or TWO_CLASSES
    found = class_names(getattr(estimator, "classes_", ()))
    if found != expected:
        message = (
            f"model artefact: expected {SKOPS_FILE} to answer the {signature.output_kind} of the"
            f" classes {list(expected)} as {SIGNATURE_FILE} says, found a"
            f" {type(estimator).__name__} of the classes {list(found)}"
        )
        raise IntegrityError(message)
    if signature.classes and has_calibration:
        message = (
            f"model artefact: expected {SKOPS_RECORD_FILE} without a calibration of a margin, which"
            f" only two classes have, found one and the classes {list(found)}"
        )
        raise IntegrityError(message)


def _trusted_types(content: bytes, record: SkopsRecord) -> list[str]:
    """The types a file names; refused if any of them is not trusted, or not recorded."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            types = named_types(json.loads(archive.read("schema.json")))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as error:
        message = f"model artefact: {SKOPS_FILE} is no file of skops ({error})"
        raise IntegrityError(message) from error
    named = {found.path for found in types}
    if found := untrusted_types(types) or sorted(named - set(record.types)):
        message = (
            f"model artefact: expected {SKOPS_FILE} to name trusted types of scikit-learn, numpy"
            f" and scipy that {SKOPS_RECORD_FILE} lists, found also {', '.join(found)}. Nothing was"
            " loaded from it; train again, and find out who made this file."
        )
        raise IntegrityError(message)
    return sorted(named)


def _require_same_version(record: SkopsRecord) -> None:
    try:
        import skops.io  # noqa: F401 (whether it can be)

        found = version("scikit-learn")
    except ImportError as error:
        message = (
            f"model artefact: expected skops and scikit-learn, which answer {SKOPS_FILE}, found"
            f" that they cannot be imported here ({error}). Install the extra with"
            f" `pip install 'ml-release[{EXTRA}]'`, or train an estimator that is written as an"
            " exact graph."
        )
        raise UnavailableError(message) from error
    if found != record.scikit_learn:
        message = (
            f"model artefact: expected scikit-learn {record.scikit_learn}, which {SKOPS_FILE} was"
            f" fitted with, found {found}. Another version may answer otherwise: install that one,"
            " or train again."
        )
        raise UnavailableError(message)


def _made(content: bytes, trusted: list[str]) -> Any:
    from skops.io import loads

    try:
        return loads(content, trusted=trusted)
    # skops and the types themselves raise whatever they like on a state that does not fit them;
    # to the caller it is one answer: this is not a model.
    except Exception as error:
        message = f"model artefact: {SKOPS_FILE} cannot be loaded by skops ({error})"
        raise IntegrityError(message) from error
