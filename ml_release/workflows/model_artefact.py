"""The files of a model artefact, written in one way by training and by rebuilding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.artefact import (
    EXAMPLE_FILE,
    PLAN_FILE,
    REFERENCE_FILE,
    SIGNATURE_FILE,
    signature_of,
)
from ml_release.domain.features import encode
from ml_release.domain.holdout_profile import with_holdout
from ml_release.domain.identity import canonical_json
from ml_release.domain.masking import masks_of
from ml_release.domain.reference_profile import fit_profile
from ml_release.workflows.columns import columns_of
from ml_release.workflows.fitting import answers_of, output_kind_of
from ml_release.workflows.snapshots import SNAPSHOT_TABLE

if TYPE_CHECKING:
    import numpy.typing as npt

    from ml_release.domain.features import Columns, FeaturePlan
    from ml_release.domain.identity import SnapshotId
    from ml_release.ports import ModelCompiler, Tables
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.model_choice import Chosen
    from ml_release.workflows.training import Window


def artefact_files(
    line: ReleaseLine,
    chosen: Chosen,
    window: Window,
    snapshot: SnapshotId,
    *,
    answers: npt.NDArray[np.float64],
    compiler: ModelCompiler,
    tables: Tables,
) -> dict[str, bytes]:
    """Everything the endpoint server needs of a fitted model, as it is published.

    Parameters
    ----------
    window
        All of its rows make the reference profile.
    snapshot
        Its first row becomes the example of a request.
    answers
        Of the fitted model on the holdout, see `holdout_answers`.

    Raises
    ------
    DeclarationError
        If the model cannot be written without code.
    """
    plan = chosen.plan
    return {
        **compiler.model_files(chosen.model),
        PLAN_FILE: canonical_json(plan.model_dump(mode="json")),
        SIGNATURE_FILE: signature_of(
            line.name,
            plan,
            output=line.output,
            output_kind=output_kind_of(line),
            personal=line.personal,
        ).to_json(),
        REFERENCE_FILE: _reference(line, plan, window, answers),
        EXAMPLE_FILE: _example(line, plan, snapshot, tables=tables),
    }


def holdout_answers(line: ReleaseLine, chosen: Chosen, window: Window) -> npt.NDArray[np.float64]:
    """The model's own answers on the holdout, shape (labelled rows of it,)."""
    rows = {name: column[window.holdout] for name, column in window.features.items()}
    return answers_of(line, chosen.model, encode(chosen.plan, rows))


def _reference(
    line: ReleaseLine, plan: FeaturePlan, window: Window, answers: npt.NDArray[np.float64]
) -> bytes:
    profile = fit_profile(
        window.features, window.days, masked=frozenset(masks_of(line.personal, plan.features))
    )
    whole = with_holdout(
        profile,
        values={name: column[window.holdout] for name, column in window.features.items()},
        days=window.days[window.holdout],
        target=window.target[window.holdout],
        scores=answers,
        is_probability=output_kind_of(line) == "probability",
    )
    return whole.model_dump_json().encode()


def _example(
    line: ReleaseLine, plan: FeaturePlan, snapshot: SnapshotId, *, tables: Tables
) -> bytes:
    """One real request, in the form of MLflow's scoring protocol."""
    row = tables.read(snapshot, SNAPSHOT_TABLE).head(1)
    columns = columns_of(row, plan.request_fields(), subject=line.name)
    return canonical_json({"dataframe_records": plain_records(columns)})


def plain_records(columns: Columns) -> list[dict[str, str | float | None]]:
    """Raw columns as JSON records, one per row."""
    listed = [[_plain(value) for value in column] for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*listed, strict=True)]


def _plain(value: object) -> str | float | None:
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value.astype("datetime64[s]"))
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return None if value is None else str(value)
