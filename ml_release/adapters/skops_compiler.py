"""Writes any other estimator of scikit-learn as data: its state, with skops, without code."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any, NoReturn

from ml_release.domain.artefact import (
    FEWEST_CLASSES,
    SKOPS_FILE,
    SKOPS_RECORD_FILE,
    TWO_CLASSES,
    class_names,
)
from ml_release.domain.calibrated_margin import CalibratedMargin
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.skops_record import MarginCalibration, SkopsRecord
from ml_release.domain.trusted_types import named_types, untrusted_types
from ml_release.errors import DeclarationError

_SCHEMA = "schema.json"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


class SkopsCompiler:
    """`ModelCompiler` for estimators of scikit-learn that are not written exactly.

    What answers is scikit-learn itself, so the answers are its own; a row takes milliseconds.
    """

    def model_files(self, estimator: object) -> dict[str, bytes]:
        """``model.skops`` and the record of what may be loaded from it.

        Raises
        ------
        DeclarationError
            If it is no fitted classifier of the classes 0 and 1 or of three or more, and no
            regressor with one output, or if its state names a type that is not trusted.
        """
        import sklearn
        from skops.io import dumps
        from skops.io.exceptions import UnsupportedTypeException

        fitted: Any = estimator
        calibration = None
        if isinstance(estimator, CalibratedMargin):
            fitted = estimator.estimator
            calibration = MarginCalibration(slope=estimator.slope, intercept=estimator.intercept)
        _require_answers(fitted, has_calibration=calibration is not None)
        try:
            content = _canonical(dumps(fitted))
        # skops meets objects of any kind here and raises what they raise; whichever it is, this
        # estimator cannot be kept.
        except (UnsupportedTypeException, TypeError, ValueError, AttributeError) as error:
            _refuse(f"a {type(fitted).__name__} that skops cannot write ({error})")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            types = named_types(json.loads(archive.read(_SCHEMA)))
        if untrusted := untrusted_types(types):
            _refuse(
                f"a {type(fitted).__name__} whose state names {', '.join(untrusted)}. Only types"
                " of scikit-learn, numpy and scipy that only predict are trusted; use one of them,"
                " no function of your own, and of a search its best estimator"
            )
        record = SkopsRecord(
            digest=digest_of_bytes(content),
            types=tuple(sorted({found.path for found in types})),
            scikit_learn=sklearn.__version__,
            calibration=calibration,
        )
        return {SKOPS_FILE: content, SKOPS_RECORD_FILE: record.to_json()}


def _require_answers(estimator: Any, *, has_calibration: bool) -> None:
    from sklearn.base import is_classifier, is_regressor
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except TypeError:
        _refuse(f"a {type(estimator).__name__}")
    except NotFittedError:
        _refuse(f"a {type(estimator).__name__} that is not fitted")
    if getattr(estimator, "n_features_in_", None) is None:
        _refuse(f"a {type(estimator).__name__} that does not say its number of features")
    if is_classifier(estimator):
        classes = class_names(getattr(estimator, "classes_", ()))
        if classes != TWO_CLASSES and (len(classes) < FEWEST_CLASSES or has_calibration):
            _refuse(f"the classes {list(classes)}")
        asked = ("decision_function", "predict_proba") if has_calibration else ("predict_proba",)
        if not any(hasattr(estimator, method) for method in asked):
            _refuse(
                f"a {type(estimator).__name__}, which gives no probability. Declare a calibration,"
                " or wrap it in a CalibratedClassifierCV"
            )
    elif not is_regressor(estimator) or has_calibration:
        _refuse(f"a {type(estimator).__name__}")


def _canonical(content: bytes) -> bytes:
    """The same state as the same bytes: skops names its parts by where they lay in memory."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    state = json.loads(parts.pop(_SCHEMA))
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    waiting: list[Any] = [state]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
            if "__id__" in part:
                # From 1: skops takes 0 for no number.
                part["__id__"] = numbers.setdefault(part["__id__"], len(numbers) + 1)
            file = part.get("file")
            if isinstance(file, str) and file in parts:
                ending = file.rpartition(".")[2]
                part["file"] = names.setdefault(file, f"{len(names)}.{ending}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for old, new in names.items():
            archive.writestr(_entry(new), parts[old], compress_type=zipfile.ZIP_DEFLATED)
        text = json.dumps(state, sort_keys=False)
        archive.writestr(_entry(_SCHEMA), text, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, date_time=_LONG_AGO)


def _refuse(found: str) -> NoReturn:
    message = (
        "model compiler: expected a fitted estimator of scikit-learn, a classifier with the classes"
        f" 0 and 1 or with three or more that gives probabilities, or a regressor, found {found}."
    )
    raise DeclarationError(message)
