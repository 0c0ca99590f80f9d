"""Proposes parameters with Optuna: a tree-structured Parzen estimator, and median pruning.

Bergstra, Bardenet, Bengio and Kégl (2011), NeurIPS 24; Akiba et al. (2019), KDD. One trial at a
time and one seed: the same results lead to the same proposals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.search import TrialState
from ml_release.spec.search_space import FloatRange, IntRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna

    from ml_release.domain.search import Scalar, Trial
    from ml_release.spec.search_space import SearchRange


class OptunaSearch:
    """`ParameterSearch` on an Optuna study in memory."""

    def begin(
        self,
        space: Mapping[str, SearchRange],
        *,
        first: Mapping[str, Scalar],
        maximise: bool,
        seed: int,
    ) -> OptunaProposals:
        """A new search."""
        import optuna

        # Each trial is reported by whoever asked for the search.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            direction="maximize" if maximise else "minimize",
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.MedianPruner(),
        )
        study.enqueue_trial({name: first[name] for name in space})
        return OptunaProposals(study, space)


class OptunaProposals:
    """`Proposals` of one study."""

    def __init__(self, study: optuna.Study, space: Mapping[str, SearchRange]) -> None:
        self._study = study
        self._space = dict(space)
        self._trial: optuna.Trial | None = None

    def propose(self) -> dict[str, Scalar]:
        """The next parameters; the very first are those the search began with."""
        self._trial = self._study.ask()
        return {name: _suggest(self._trial, name, kind) for name, kind in self._space.items()}

    def is_hopeless(self, fold_values: Sequence[float]) -> bool:
        """Whether the mean so far is worse than the median of the trials before, at this fold."""
        trial = self._open()
        trial.report(sum(fold_values) / len(fold_values), step=len(fold_values) - 1)
        return trial.should_prune()

    def conclude(self, trial: Trial) -> None:
        """Learn from the result of the last proposal."""
        from optuna.trial import TrialState as State

        states = {
            TrialState.COMPLETE: State.COMPLETE,
            TrialState.PRUNED: State.PRUNED,
            TrialState.FAILED: State.FAIL,
        }
        self._study.tell(self._open(), trial.value, state=states[trial.state])
        self._trial = None

    def _open(self) -> optuna.Trial:
        assert self._trial is not None, "propose() comes first"  # noqa: S101 (a mistake of the caller)
        return self._trial


def _suggest(trial: optuna.Trial, name: str, kind: SearchRange) -> Scalar:
    if isinstance(kind, IntRange):
        return trial.suggest_int(name, kind.low, kind.high, step=kind.step, log=kind.log)
    if isinstance(kind, FloatRange):
        return trial.suggest_float(name, kind.low, kind.high, log=kind.log)
    return trial.suggest_categorical(name, kind.options)
