"""Try the evaluation gates of a line on mutants and on honest retrainings.

Nothing is published, registered or recorded with a candidate: the models live in memory, and only
the scorecard is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.artefact import PLAN_FILE, SIGNATURE_FILE, signature_of
from ml_release.domain.evaluation_gates import judge_evaluation
from ml_release.domain.features import encode, fit_plan
from ml_release.domain.gates_old_window import OldWindow
from ml_release.domain.gates_servability import Servability, ServabilityEvidence
from ml_release.domain.gates_sets import SetsEvidence
from ml_release.domain.holdout_use import HoldoutUse
from ml_release.domain.identity import canonical_json
from ml_release.domain.quarantine import judge_coverage
from ml_release.domain.scorecard import Scorecard, Trial
from ml_release.errors import IntegrityError, NotFoundError
from ml_release.workflows.attribution_evidence import require_attributor
from ml_release.workflows.evaluation import gather_evidence
from ml_release.workflows.feature_building import FEATURES_TABLE
from ml_release.workflows.fitting import fit_estimator, output_kind_of
from ml_release.workflows.holdout_answers import Answered, Holdout, holdout_of, problem_of
from ml_release.workflows.model_mutants import Made, mutants
from ml_release.workflows.quality_evidence import Judged
from ml_release.workflows.training import read_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ml_release.ports import (
        Attributor,
        LoadedModel,
        ModelCompiler,
        ModelLoader,
        ServabilityProbe,
        Tables,
    )
    from ml_release.spec.release_line import ReleaseLine
    from ml_release.workflows.training import Window

_PROBED_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bench:
    """What models are made and measured with."""

    line: ReleaseLine
    compiler: ModelCompiler
    loader: ModelLoader
    probe: ServabilityProbe
    attributor: Attributor

    def fit(
        self,
        window: Window,
        changes: Mapping[str, object] | None = None,
        *,
        seed: int | None = None,
    ) -> tuple[LoadedModel, Mapping[str, bytes]]:
        """The line's estimator on a window, as the artefact that would serve."""
        line = self.line
        values = {name: column[window.fit] for name, column in window.features.items()}
        plan = fit_plan(line.features, values)
        parameters = {**line.parameters, **(changes or {})}
        seeded = line if seed is None else line.model_copy(update={"seed": seed})
        target = window.target[window.fit]
        estimator = fit_estimator(seeded, parameters, encode(plan, values), target)
        files = {
            **self.compiler.model_files(estimator),
            PLAN_FILE: canonical_json(plan.model_dump(mode="json")),
            SIGNATURE_FILE: signature_of(
                line.name, plan, output=line.output, output_kind=output_kind_of(line)
            ).to_json(),
        }
        return self.loader.load(files), files


def run_scorecard(
    bench: Bench,
    *,
    tables: Tables,
    windows: int | None = None,
    seeds: int | None = None,
    on_trial: Callable[[Trial], None] = lambda _trial: None,
) -> Scorecard:
    """Mutants of the first window, then honest retrainings of every window.

    Mutants meet the champion that they were made of. An honest retraining meets the one of the
    window before, as it would have in life; those of the first window meet none.

    Parameters
    ----------
    windows, seeds
        Fewer than the policy says, for a quick look.

    Raises
    ------
    NotFoundError
        If the line has features of fewer partitions than one window.
    DeclarationError
        If the policy asks for Shapley values and what computes them is not installed.
    """
    require_attributor(bench.line, bench.attributor)
    line, policy = bench.line, bench.line.policies.scorecard
    spans = _spans(line, tables=tables, length=policy.window_partitions)[:windows]
    trials: list[Trial] = []

    def told(found: Iterator[Trial]) -> None:
        for trial in found:
            trials.append(trial)
            on_trial(trial)

    champion = None
    for position, span in enumerate(spans):
        current = {s.partition: s for s in tables.current(line.name, FEATURES_TABLE)}
        window = read_window(line, [current[name] for name in span], tables=tables)
        base = bench.fit(window)
        if position == 0:
            told(_mutants(bench, window, base))
        told(
            _honest(
                bench,
                window,
                name=f"{span[0]} to {span[-1]}",
                base=base,
                champion=champion,
                seeds=policy.seeds if seeds is None else seeds,
            )
        )
        champion = base[0]
    return Scorecard(line=line.name, trials=tuple(trials))


def _spans(line: ReleaseLine, *, tables: Tables, length: int) -> list[tuple[str, ...]]:
    made = sorted(s.partition for s in tables.current(line.name, FEATURES_TABLE))
    if len(made) < length:
        message = (
            f"scorecard of {line.name}: expected features of at least {length} partitions, found"
            f" {made}. Materialize {line.name}/snapshot and {line.name}/features first."
        )
        raise NotFoundError(message)
    return [tuple(made[i : i + length]) for i in range(len(made) - length + 1)]


def _mutants(
    bench: Bench, window: Window, base: tuple[LoadedModel, Mapping[str, bytes]]
) -> Iterator[Trial]:
    holdout = holdout_of(window)
    champion = base[0].predict(holdout.values)
    fit_with = _known_parameters(bench)
    for made in mutants(bench.line, window, base, fit_with):
        met = holdout if made.holdout is None else replace(holdout, values=made.holdout)
        yield _trial(bench, made, met, is_mutant=True, champion=(base[0], champion))


def _known_parameters(
    bench: Bench,
) -> Callable[[Window, Mapping[str, object] | None], tuple[LoadedModel, Mapping[str, bytes]]]:
    def fit(
        window: Window, changes: Mapping[str, object] | None
    ) -> tuple[LoadedModel, Mapping[str, bytes]]:
        known = {k: v for k, v in (changes or {}).items() if k in bench.line.parameters}
        return bench.fit(window, known)

    return fit


def _honest(
    bench: Bench,
    window: Window,
    *,
    name: str,
    base: tuple[LoadedModel, Mapping[str, bytes]],
    champion: LoadedModel | None,
    seeds: int,
) -> Iterator[Trial]:
    holdout = holdout_of(window)
    other = None if champion is None else (champion, champion.predict(holdout.values))
    for number in range(seeds):
        model, files = base if number == 0 else bench.fit(window, seed=bench.line.seed + number)
        made = Made(name=f"{name}, seed {number}", model=model, files=files)
        yield _trial(bench, made, holdout, is_mutant=False, champion=other)


def _trial(
    bench: Bench,
    made: Made,
    holdout: Holdout,
    *,
    is_mutant: bool,
    champion: tuple[LoadedModel, np.ndarray[tuple[int], np.dtype[np.float64]]] | None,
) -> Trial:
    line, model = bench.line, made.model
    nothing = np.full(holdout.n, np.nan)
    answers = nothing if model is None else model.predict(holdout.values)
    problem = made.problem or problem_of(line, answers)
    evidence = gather_evidence(
        line,
        Judged(
            holdout=holdout,
            candidate=Answered(
                version=0, model_digest=made.name, model=model, answers=answers, problem=problem
            ),
            champion=None
            if champion is None
            else Answered(
                version=1, model_digest="champion", model=champion[0], answers=champion[1]
            ),
            anchor=None,
        ),
        model_digest=made.name,
        sets=SetsEvidence(),
        old_window=None
        if champion is None
        else OldWindow(version=1, days="of the scorecard", missing="the scorecard has none"),
        servability=_servability(bench, made, holdout, answers, problem),
        coverage=judge_coverage(("all",), {}, line.policies.quarantine),
        holdout_use=HoldoutUse(holdout="scorecard", candidates=(made.name,)),
        attributor=bench.attributor,
        digests={},
    )
    # The models of the scorecard meet on the holdout alone.
    policy = line.policies.evaluation.model_copy(update={"sets": None})
    verdict = judge_evaluation(evidence, policy)
    rules = tuple(dict.fromkeys(finding.rule for finding in verdict.objections))
    return Trial(name=made.name, is_mutant=is_mutant, stopped_by=rules)


def _servability(
    bench: Bench,
    made: Made,
    holdout: Holdout,
    answers: np.ndarray[tuple[int], np.dtype[np.float64]],
    problem: str,
) -> ServabilityEvidence:
    model, sample = made.model, holdout.sample(_PROBED_ROWS)
    measured, repeats = None, False
    if model is not None and not problem:
        repeats = bool(np.array_equal(model.predict(sample.values), model.predict(sample.values)))
        try:
            measured = (
                _measured(model, sample)
                if made.files is None
                else bench.probe.measure(made.files, sample.values)
            )
        except IntegrityError as error:
            problem = str(error)
    expected = answers if made.expected is None else made.expected
    return ServabilityEvidence(
        rows=holdout.n,
        parity=float(np.max(np.abs(expected - answers))) if holdout.n else float("nan"),
        repeats=repeats,
        measured=measured,
        problem=problem,
    )


def _measured(model: LoadedModel, sample: Holdout) -> Servability:
    """Time of each row here; what such a model has no artefact for counts as nothing."""
    times = []
    for row in range(sample.n):
        one = {name: column[row : row + 1] for name, column in sample.values.items()}
        start = perf_counter()
        model.predict(one)
        times.append((perf_counter() - start) * 1000)
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    return Servability(
        n=len(times),
        load_ms=0.0,
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        memory_mb=0.0,
    )
