"""Fit two cheap models of the line's family, and see what the newer rows are worth.

The cost is bounded: two fits on a bounded number of rows with a bounded number of iterations, and
three models asked about the test rows. No search, no calibration, nothing published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.domain.backtest import BacktestRecord, Meeting, backtest_from_json, gain_of
from ml_release.domain.clustered_auc import auc_difference_by_groups
from ml_release.domain.features import encode, fit_plan
from ml_release.domain.intervals import mean_interval
from ml_release.domain.scores import auc_score
from ml_release.errors import IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.feature_building import FEATURES_TABLE
from ml_release.workflows.fitting import answers_of, fit_estimator, require_labels
from ml_release.workflows.holdout_answers import Holdout, ask
from ml_release.workflows.training import find_candidate, read_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ml_release.domain.backtest import Gain
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.ports import Clock, EvidenceStore, ModelLoader, ModelStore, Tables
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.training import Window

    Mask = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]

BACKTEST = "backtest"
_ITERATIONS = ("max_iter", "n_estimators", "iterations", "n_iter", "num_iterations")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cheap:
    """A cheap model: how it encodes rows, and what it answers them with."""

    line: ReleaseLine
    plan: Any
    estimator: Any

    def answers(self, rows: Holdout) -> Floats:
        return answers_of(self.line, self.estimator, encode(self.plan, rows.values))


def run_backtest(
    line: ReleaseLine,
    *,
    champion: str,
    version: int,
    partition: str,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    loader: ModelLoader,
    clock: Clock,
) -> BacktestRecord:
    """What a retraining up to a partition would have brought over the champion's data.

    Both cheap models are fitted without the champion's own test days, so that all three may meet
    there too. Whatever lacks is a ``problem`` of the record, never an error: a trigger that is not
    held by doubt goes on without it.

    Parameters
    ----------
    champion, version
        Digest and number of the model that serves.
    partition
        Newest one whose features may be used.
    """
    began = clock.now()
    record = _compared(
        line,
        champion,
        version,
        partition,
        tables=tables,
        evidence=evidence,
        models=models,
        loader=loader,
    )
    seconds = max(0.0, (clock.now() - began).total_seconds())
    return record.model_copy(update={"seconds": seconds})


def recorded_backtest(
    line: ReleaseLine, subject: str, *, evidence: EvidenceStore
) -> BacktestRecord | None:
    """The backtest of a run, None if it has made none; `IntegrityError` if it was edited."""
    content = evidence.find(line.name, BACKTEST, subject)
    return None if content is None else backtest_from_json(content)


def _compared(
    line: ReleaseLine,
    champion: str,
    version: int,
    partition: str,
    *,
    tables: Tables,
    evidence: EvidenceStore,
    models: ModelStore,
    loader: ModelLoader,
) -> BacktestRecord:
    try:
        known = find_candidate(line, champion, evidence=evidence)
    except (NotFoundError, IntegrityError) as error:
        said = f"what the champion was fitted on is not known ({error})"
        return _nothing(line, champion, partition, said)
    features = [s for s in tables.current(line.name, FEATURES_TABLE) if s.partition <= partition]
    if not features:
        return _nothing(line, champion, partition, f"there are no features up to {partition}")
    window = read_window(line, features, tables=tables)
    policy = line.policies.retraining.backtest
    labelled = ~np.isnan(window.target)
    newest = window.days[labelled].max() if labelled.any() else None
    if newest is None or newest <= np.datetime64(known.window_to):
        said = f"no labelled rows are newer than {known.window_to}, the last the champion knows"
        return _nothing(line, champion, partition, said)
    test_from = max(
        newest - np.timedelta64(policy.test_days - 1, "D"),
        np.datetime64(known.window_to) + np.timedelta64(1, "D"),
    )
    old, new = _training_rows(line, window, known, test_from)
    if new.sum() <= old.sum():
        said = f"no rows are newer than {known.window_to} and older than the test days"
        return _nothing(line, champion, partition, said)
    try:
        cheap = {name: _fitted(line, window, rows) for name, rows in (("old", old), ("new", new))}
    except RefusedError as error:
        return _nothing(line, champion, partition, str(error))
    tested = labelled & (window.days >= np.datetime64(known.holdout_from))
    tested &= window.days <= np.datetime64(known.window_to)
    meetings = [
        _meeting(line, _rows(window, rows), cheap, champion, version, models=models, loader=loader)
        for rows in (labelled & (window.days >= test_from), tested)
    ]
    return BacktestRecord(
        champion=champion,
        partition=partition,
        score=_score_name(line),
        newest=meetings[0],
        tested=meetings[1],
        rows_old=min(int(old.sum()), policy.maximum_rows),
        rows_new=min(int(new.sum()), policy.maximum_rows),
    )


def _training_rows(
    line: ReleaseLine, window: Window, known: CandidateRecord, test_from: np.datetime64
) -> tuple[Mask, Mask]:
    """What the champion was fitted on, and that with what came after it.

    Neither the days it was tested on nor those whose labels were not known when the test began.
    """
    usable = ~np.isnan(window.target)
    for span in window.kept_out.values():
        usable &= ~span.holds(window.days)
    until = test_from - np.timedelta64(line.embargo_days, "D")
    old = usable & (window.days >= np.datetime64(known.window_from))
    old &= window.days < np.datetime64(known.holdout_from)
    after = usable & (window.days > np.datetime64(known.window_to)) & (window.days < until)
    return old, old | after


def _fitted(line: ReleaseLine, window: Window, chosen: Mask) -> _Cheap:
    policy = line.policies.retraining.backtest
    rows = _rows(window, chosen).sample(policy.maximum_rows)
    require_labels(line, rows.target, part="backtest")
    plan = fit_plan(line.features, rows.values)
    parameters = cheap_parameters(line.parameters, policy.maximum_iterations)
    estimator = fit_estimator(line, parameters, encode(plan, rows.values), rows.target)
    return _Cheap(line=line, plan=plan, estimator=estimator)


def cheap_parameters(parameters: Mapping[str, Any], iterations: int) -> dict[str, Any]:
    """The parameters with every number of trees or iterations cut.

    >>> cheap_parameters({"max_iter": 160, "max_leaf_nodes": 31}, 60)
    {'max_iter': 60, 'max_leaf_nodes': 31}
    """
    return {
        name: min(value, iterations) if name in _ITERATIONS and isinstance(value, int) else value
        for name, value in parameters.items()
    }


def _rows(window: Window, chosen: Mask) -> Holdout:
    whole = Holdout(values=window.features, target=window.target, days=window.days)
    return whole.only(chosen)


def _meeting(
    line: ReleaseLine,
    rows: Holdout,
    cheap: Mapping[str, _Cheap],
    champion: str,
    version: int,
    *,
    models: ModelStore,
    loader: ModelLoader,
) -> Meeting:
    if not rows.n:
        return Meeting(problem="there are no labelled rows")
    asked = ask(champion, rows, version=version, line=line, models=models, loader=loader)
    answers = {name: model.answers(rows) for name, model in cheap.items()}
    known = not asked.problem
    meeting = Meeting(
        first_day=str(rows.days.min()),
        last_day=str(rows.days.max()),
        rows=rows.n,
        old=_score(line, rows, answers["old"]),
        new=_score(line, rows, answers["new"]),
        gain=_gain(line, rows, answers["new"], answers["old"]),
    )
    if not known:
        return meeting
    return meeting.model_copy(
        update={
            "champion": _score(line, rows, asked.answers),
            "over_champion": _gain(line, rows, answers["new"], asked.answers),
        }
    )


def _score(line: ReleaseLine, rows: Holdout, answers: Floats) -> float | None:
    value = (
        auc_score(rows.target, answers)
        if line.task == "classification"
        else -float(np.abs(rows.target - answers).mean())
    )
    return value if np.isfinite(value) else None


def _gain(line: ReleaseLine, rows: Holdout, challenger: Floats, champion: Floats) -> Gain:
    """Paired on the same rows, by days: rows of one day share what makes a day good or bad."""
    confidence = line.policies.retraining.backtest.confidence
    groups = rows.days.astype(np.int64)
    if line.task == "classification":
        found = auc_difference_by_groups(
            rows.target, challenger, champion, groups, confidence=confidence
        )
    else:
        errors = np.abs(rows.target - champion) - np.abs(rows.target - challenger)
        found = mean_interval(errors, confidence=confidence, groups=groups)
    return gain_of(found.estimate, found.low, found.high)


def _score_name(line: ReleaseLine) -> Any:  # noqa: ANN401 (one of two words)
    return "auc_score" if line.task == "classification" else "negative_mean_absolute_error"


def _nothing(line: ReleaseLine, champion: str, partition: str, problem: str) -> BacktestRecord:
    return BacktestRecord(
        champion=champion,
        partition=partition,
        score=_score_name(line),
        newest=Meeting(problem=problem),
        tested=Meeting(problem=problem),
    )
