"""Models made bad on purpose, each the way a real one goes bad.

Some are trained on spoiled rows, some answer otherwise than they were trained to, some are bad
artefacts. What cannot be made of a line, as a broken slice where none is declared, is left out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.features import Category, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from ml_release.domain.features import Columns, FeaturePlan
    from ml_release.ports import LoadedModel
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.training import Window

    Floats = npt.NDArray[np.float64]
    _After = Callable[[Floats, Columns], Floats]
    _Where = Callable[[Columns], npt.NDArray[np.bool_]]
    Fit = Callable[[Window, Mapping[str, object] | None], tuple[LoadedModel, Mapping[str, bytes]]]

_SLOW_S = 0.1
_BALLAST_BYTES = 400_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """A model as the gates meet it.

    Attributes
    ----------
    expected
        What its estimator answered on the holdout; None: what the model itself answers.
    files
        Its artefact, if that is to be measured in a process of its own.
    holdout
        The holdout as this model meets it; None: as it is.
    problem
        Why it could not be loaded.
    """

    name: str
    model: LoadedModel | None
    expected: Floats | None = None
    files: Mapping[str, bytes] | None = None
    holdout: Columns | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Spoiled:
    """A model with something done to its input or its answers."""

    model: LoadedModel
    before: Callable[[Columns], Columns]
    after: Callable[[Floats, Columns], Floats]

    @property
    def platform(self) -> str:
        """Of the model inside."""
        return self.model.platform

    @property
    def plan(self) -> FeaturePlan:
        """Of the model inside."""
        return self.model.plan

    def predict(self, values: Columns) -> Floats:
        """Spoiled answers."""
        return self.after(self.model.predict(self.before(values)), values)


def mutants(
    line: ReleaseLine,
    window: Window,
    honest: tuple[LoadedModel, Mapping[str, bytes]],
    fit: Fit,
) -> Iterator[Made]:
    """Every mutant of a classifier that can be made of the line.

    Parameters
    ----------
    window
        Rows of which the honest model was fitted on those before the holdout.
    honest
        It, with its artefact.
    fit
        Fits the line's estimator on a window, with other parameters if given.
    """
    yield from _spoiled_training(line, window, fit)
    yield from _spoiled_answers(line, window, honest[0])
    yield from _spoiled_input(line, honest[0])
    yield from _spoiled_artefacts(window, honest)


def _spoiled_training(
    line: ReleaseLine,
    window: Window,
    fit: Fit,
) -> Iterator[Made]:
    generator = np.random.default_rng(line.seed)
    rows = np.flatnonzero(window.fit)
    days = window.days[rows]

    def labels(change: Callable[[Floats], Floats]) -> Window:
        target = window.target.copy()
        target[rows] = change(target[rows])
        return replace(window, target=target)

    flipped = generator.uniform(size=len(rows)) < 0.4  # noqa: PLR2004 (share of wrong labels)
    last = days >= days.max() - (days.max() - days.min()) // 3
    first = days <= days.min() + np.timedelta64(9, "D")
    spoiled: dict[str, Window] = {
        "40 % of the labels are wrong": labels(lambda t: np.where(flipped, 1 - t, t)),
        "labels are shuffled": labels(generator.permutation),
        "labels are turned round": labels(lambda t: 1 - t),
        "late labels count as 0": labels(lambda t: np.where(last, 0.0, t)),
        "stale: only the first ten days": labels(lambda t: np.where(first, t, np.nan)),
        "late rows are kept, others mostly lost": labels(
            lambda t: np.where((t > 0) | (generator.uniform(size=len(t)) < 0.2), t, np.nan)  # noqa: PLR2004
        ),
    }
    for name, changed in spoiled.items():
        model, _ = fit(changed, None)
        yield Made(name=name, model=model)
    core = _core(line)
    if core is not None:
        dropped = _without(core, window.features)
        model, _ = fit(replace(window, features=dropped), None)
        spoiled_model = _Spoiled(model, lambda values: _without(core, values), _same)
        yield Made(name=f"feature {core} is lost", model=spoiled_model)
        leaked = {**window.features, core: window.target.copy()}
        model, _ = fit(replace(window, features=leaked), None)
        held = window.holdout
        yield Made(
            name=f"the label leaks into {core}",
            model=model,
            holdout={name: column[held] for name, column in leaked.items()},
        )
    model, _ = fit(
        window,
        {"max_iter": 400, "max_leaf_nodes": 400, "min_samples_leaf": 1, "learning_rate": 0.3},
    )
    yield Made(name="overfitted", model=model)
    model, _ = fit(window, {"max_iter": 1})
    yield Made(name="stopped after one tree", model=model)


def _spoiled_answers(line: ReleaseLine, window: Window, honest: LoadedModel) -> Iterator[Made]:
    noise = np.random.default_rng(line.seed)
    rate = float(np.mean(window.target[window.fit]))
    held = {name: column[window.holdout] for name, column in window.features.items()}
    top = float(honest.predict(held).max())
    answers: dict[str, _After] = {
        "constant": lambda p, _: np.full(len(p), rate),
        "sign flipped": lambda p, _: 1 - p,
        "too sure of itself": lambda p, _: _shifted(p, slope=2.5),
        "too low by half": lambda p, _: p / 2,
        "threshold moved": lambda p, _: _shifted(p, intercept=1.0),
        "not the same answer twice": lambda p, _: np.clip(p + noise.normal(0, 0.001, len(p)), 0, 1),
        "no number when something is missing": _nan_for_missing,
        "rounded to one digit": lambda p, _: np.round(p, 1),
        "above 1 at times": lambda p, _: p * 1.3 / top,
    }
    answers |= _on_one_value(line, honest.plan, rate)
    for name, after in answers.items():
        yield Made(name=name, model=_Spoiled(honest, lambda values: values, after))


def _on_one_value(line: ReleaseLine, plan: FeaturePlan, rate: float) -> dict[str, _After]:
    """Answers that are wrong for the most frequent slice or group only."""
    found: dict[str, _After] = {}
    for column, is_slice in ((line.slices[:1], True), (line.sensitive[:1], False)):
        feature = next(
            (f for f in line.features if isinstance(f, Category) and f.column in column), None
        )
        if feature is None:
            continue
        where = partial(_holds, feature.name, plan.vocabularies[feature.name][0])
        subject = f"{feature.column} {plan.vocabularies[feature.name][0]}"
        if is_slice:
            found[f"{subject} gets the mean"] = partial(_mean_where, where, rate)
            found[f"{subject} is turned round"] = partial(_turned_where, where, rate)
        else:
            found[f"{subject} is held worse"] = partial(_worse_where, where)
    return found


def _holds(name: str, word: str, values: Columns) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = values[name] == word
    return found


def _mean_where(where: _Where, rate: float, p: Floats, values: Columns) -> Floats:
    return np.where(where(values), rate, p)


def _turned_where(where: _Where, rate: float, p: Floats, values: Columns) -> Floats:
    return np.where(where(values), 2 * rate - p, p).clip(0, 1)


def _worse_where(where: _Where, p: Floats, values: Columns) -> Floats:
    return (p + 0.25 * where(values)).clip(0, 1)


def _spoiled_input(line: ReleaseLine, honest: LoadedModel) -> Iterator[Made]:
    numbers = [f.name for f in line.features if isinstance(f, Number)]
    words = [f.name for f in line.features if isinstance(f, Category)]
    core = _core(line)
    inputs: dict[str, Callable[[Columns], Columns]] = {}
    if numbers:
        inputs["numbers in other units"] = lambda values: {
            **values,
            **{name: values[name].astype(np.float64) * 1.609 for name in numbers},
        }
        inputs["missing numbers count as 0"] = lambda values: {
            **values,
            **{name: np.nan_to_num(values[name].astype(np.float64)) for name in numbers},
        }
    if core is not None and len(numbers) > 0:
        other = next((name for name in numbers if name != core), core)
        inputs[f"{core} and {other} are swapped"] = lambda values: {
            **values,
            core: values[other],
            other: values[core],
        }
    if words:
        inputs["every word is unknown"] = lambda values: {
            **values,
            **{name: np.array(["?"] * len(values[name]), dtype=np.object_) for name in words},
        }
    if core is not None:
        inputs[f"{core} is ignored"] = lambda values: {
            **values,
            core: np.full(len(values[core]), _middle(values[core].astype(np.float64))),
        }
    for name, before in inputs.items():
        yield Made(name=name, model=_Spoiled(honest, before, _same))


def _spoiled_artefacts(
    window: Window, honest: tuple[LoadedModel, Mapping[str, bytes]]
) -> Iterator[Made]:
    model, files = honest
    held = {name: column[window.holdout] for name, column in window.features.items()}
    answers = model.predict(held)
    yield Made(
        name="slow",
        model=_Spoiled(model, _slowly, _same),
    )
    yield Made(name="huge", model=model, files={**files, "ballast.bin": b"\1" * _BALLAST_BYTES})
    yield Made(
        name="answers otherwise than its estimator",
        model=model,
        expected=answers + 1e-6,
    )
    yield Made(name="cannot be loaded", model=None, problem="the artefact is no model")
    wrong = next(iter(files))
    yield Made(name="half of its file", model=model, files={**files, wrong: files[wrong][:1000]})


def _core(line: ReleaseLine) -> str | None:
    core = line.policies.evaluation.attribution.core_features
    numbers = [f.name for f in line.features if isinstance(f, Number)]
    return next(iter((*core, *numbers)), None)


def _without(name: str, values: Columns) -> dict[str, npt.NDArray[np.generic]]:
    """A feature that says nothing any more; a number that is missing throughout fits no tree."""
    column = values[name]
    nothing = None if column.dtype == object else 0.0
    return {**values, name: np.array([nothing] * len(column), dtype=column.dtype)}


def _middle(column: Floats) -> float:
    known = column[np.isfinite(column)]
    return float(np.median(known)) if len(known) else 0.0


def _same(answers: Floats, _: Columns) -> Floats:
    return answers


def _slowly(values: Columns) -> Columns:
    time.sleep(_SLOW_S)
    return values


def _shifted(p: Floats, *, slope: float = 1.0, intercept: float = 0.0) -> Floats:
    clipped = np.clip(p, 1e-9, 1 - 1e-9)
    logit = np.log(clipped) - np.log1p(-clipped)
    shifted: Floats = 1 / (1 + np.exp(-(slope * logit + intercept)))
    return shifted


def _nan_for_missing(answers: Floats, values: Columns) -> Floats:
    missing = np.zeros(len(answers), dtype=np.bool_)
    for column in values.values():
        missing |= (
            np.array([word is None for word in column])
            if column.dtype == object
            else np.isnan(column.astype(np.float64))
        )
    return np.where(missing, np.nan, answers)
