"""What is loaded and who answers: immutable values that are replaced whole.

A request reads the table once and works on what it read, so a switch is one assignment and no
request meets half of one. How a table comes about is `reconciler`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.answering import require_answers
from ml_release.domain.artefact import EXAMPLE_FILE, SIGNATURE_FILE, signature_from_json
from ml_release.domain.features import feature_values
from ml_release.domain.history_table import look_up
from ml_release.domain.masking import masks_of
from ml_release.errors import InputError, IntegrityError
from ml_release.serving.protocols import decode_any
from ml_release.serving.row_plan import row_model_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ml_release.domain.answering import LoadedModel, ModelLoader
    from ml_release.domain.artefact import Signature
    from ml_release.domain.deployment import Declaration, KillSwitch, Shadow, Variant
    from ml_release.domain.features import Columns
    from ml_release.domain.history_table import HistoryTable
    from ml_release.domain.masking import Mask
    from ml_release.serving.row_plan import PreparedRow, RowModel
    from ml_release.serving.single_row import SingleRow


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedVersion:
    """A model that answered its own example request.

    Attributes
    ----------
    model_digest
        What it was loaded by.
    masks
        What of its records holds personal values, by column or feature name.
    example
        The example request that travels with it, in either protocol.
    row_model
        The same model for single rows; None if it answers columns only.
    """

    model_digest: str
    signature: Signature
    model: LoadedModel
    masks: Mapping[str, Mask] = field(default_factory=dict)
    example: bytes = b""
    row_model: RowModel | None = None

    def predict(
        self, columns: Columns, history: HistoryTable | None
    ) -> tuple[dict[str, npt.NDArray[np.generic]], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Answer typed request columns of shape (n,).

        Returns
        -------
        dict
            Readable feature values, each of shape (n,).
        numpy.ndarray
            One answer per row, as the signature says: a probability from 0 to 1 or the finite
            value of a regression, shape (n,), or the probabilities of k classes, shape (n, k).
        numpy.ndarray
            Look-ups in the history table that met no key, per row, shape (n,).

        Raises
        ------
        IntegrityError
            If an answer is not of the kind that the signature promises.
        """
        values, misses = self.prepare(columns, history)
        predictions = self.model.predict(values)
        self.check(predictions)
        return values, predictions, misses

    def predict_row(
        self, row: SingleRow, history: HistoryTable | None
    ) -> tuple[PreparedRow, float] | None:
        """As `predict`, of one row and without arrays of one value.

        None if this version answers columns only.
        """
        if self.row_model is None:
            return None
        prepared, prediction = self.row_model.predict(row, history)
        self._check_one(prediction)
        return prepared, prediction

    @property
    def takes_rows_together(self) -> bool:
        """Whether several rows cost less together than one by one, and get the same bits."""
        return self.row_model is not None and self.row_model.together is not None

    def predict_rows(
        self, rows: Sequence[SingleRow], history: HistoryTable | None
    ) -> list[tuple[PreparedRow, float]]:
        """As `predict_row` of each, of a version that has a ``row_model``."""
        assert self.row_model is not None  # noqa: S101 (for the type checker)
        answered = self.row_model.predict_rows(rows, history)
        for _, prediction in answered:
            self._check_one(prediction)
        return answered

    def _check_one(self, prediction: float) -> None:
        is_value = self.signature.output_kind == "value"
        if not (math.isfinite(prediction) if is_value else 0 <= prediction <= 1):
            self.check(np.array([prediction]))

    def prepare(
        self, columns: Columns, history: HistoryTable | None
    ) -> tuple[dict[str, npt.NDArray[np.generic]], npt.NDArray[np.int64]]:
        """Readable feature values and look-ups that met no key, as `predict` returns them."""
        plan = self.model.plan
        found, misses = look_up(plan.history_features, history, columns)
        return feature_values(plan.features, {**columns, **found}), misses

    def check(self, predictions: npt.NDArray[np.float64]) -> None:
        """Raise `IntegrityError` if an answer is not of the kind that the signature promises."""
        signature = self.signature
        require_answers(
            self.model_digest,
            predictions,
            signature.output_kind,
            classes=len(signature.classes),
        )


def load_version(
    line: str,
    model_digest: str,
    files: Mapping[str, bytes],
    loader: ModelLoader,
    history: HistoryTable | None,
) -> LoadedVersion:
    """Build a version from verified files and let it answer its example request.

    Raises
    ------
    IntegrityError
        If it is not a model of this line, or does not answer its own example.
    """
    model = loader.load(files)
    signature = signature_from_json(files[SIGNATURE_FILE])
    if signature.line != line:
        message = f"model {model_digest}: expected a model of line {line}, found {signature.line}"
        raise IntegrityError(message)
    if EXAMPLE_FILE not in files:
        message = (
            f"model {model_digest}: expected {EXAMPLE_FILE} to warm up with, found {sorted(files)}"
        )
        raise IntegrityError(message)
    version = LoadedVersion(
        model_digest=model_digest,
        signature=signature,
        model=model,
        masks=masks_of(signature.personal, model.plan.features),
        example=files[EXAMPLE_FILE],
        row_model=row_model_of(model, signature),
    )
    try:
        example = decode_any(files[EXAMPLE_FILE], signature)
        version.predict(example.columns, history)
    except InputError as error:
        message = f"model {model_digest}: {EXAMPLE_FILE} does not fit the signature ({error})"
        raise IntegrityError(message) from error
    except IntegrityError:
        raise
    # The exceptions of onnxruntime and of scikit-learn share no base below Exception. Whatever it
    # is, this model is not fit to answer anybody.
    except Exception as error:
        message = f"model {model_digest}: it cannot answer its own example ({error})"
        raise IntegrityError(message) from error
    return version


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """A loaded version in the role that the declaration gives it.

    Attributes
    ----------
    headers
        Sent with every answer: who answered, by which commit.
    """

    variant: Variant
    loaded: LoadedVersion
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowVersion:
    """A loaded version with the share of requests it is asked as well."""

    shadow: Shadow
    loaded: LoadedVersion


# Without slots, so that what every request asks for is found out once.
@dataclass(frozen=True, kw_only=True)
class Route:
    """What one line serves.

    Attributes
    ----------
    answering
        By version number: the declared variants that are loaded. The champion always is.
    warm
        The rollback target, ready to answer; None where there is none or it could not be loaded.
    shadows
        Who is asked in secret: those of the declared shadows that are loaded.
    since
        When this server switched to it, ISO 8601 in UTC.
    """

    declaration: Declaration
    answering: Mapping[int, Answering]
    warm: LoadedVersion | None
    history: HistoryTable | None
    since: str
    shadows: tuple[ShadowVersion, ...] = ()

    @cached_property
    def champion(self) -> Answering:
        """Who answers by default."""
        return self.answering[self.declaration.state.champion.version]

    @cached_property
    def threshold(self) -> float | None:
        """From this probability on the decision is yes; None where none is given.

        None is where the answers are probabilities of several classes, whatever is declared.
        """
        threshold = self.declaration.state.threshold
        if threshold is not None and self.champion.loaded.signature.classes:
            return None
        return threshold

    def answering_for(self, version: int) -> Answering:
        """Who answers those assigned to a version: that one, the champion in its place."""
        return self.answering.get(version) or self.champion


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """One line, as declared and as served.

    Attributes
    ----------
    route
        What answers; None as long as nothing could be loaded.
    declared_commit
        The newest declaration that was read. It differs from the route's where that could not be
        loaded.
    places
        Every version that serves, is asked in secret, is kept warm, or is declared to, by digest
        and whether in a process of its own.
    problems
        What keeps the line from serving exactly what is declared.
    history_problem
        What keeps it from using the newest history table.
    kill_switch
        As declared last, whether or not the models of that declaration could be loaded.
    """

    route: Route | None = None
    declared_commit: str | None = None
    places: frozenset[tuple[str, bool]] = frozenset()
    problems: tuple[str, ...] = ()
    history_problem: str | None = None
    kill_switch: KillSwitch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """All lines of an environment.

    Attributes
    ----------
    commit
        Head of the deployments repository this was made from; None if nothing was ever declared.
    is_reconciled
        Whether declared state was read at least once.
    problems
        What concerns no line in particular.
    """

    lines: Mapping[str, LineState] = field(default_factory=dict)
    commit: str | None = None
    is_reconciled: bool = False
    problems: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether every declared line is answered by something."""
        return self.is_reconciled and all(line.route is not None for line in self.lines.values())


def answering(declaration: Declaration, variant: Variant, loaded: LoadedVersion) -> Answering:
    """A loaded version as a variant of a declaration."""
    return Answering(
        variant=variant,
        loaded=loaded,
        headers=(
            ("x-model-version", str(variant.version)),
            ("x-variant", variant.role),
            ("x-route-commit", declaration.commit),
        ),
    )
