"""The version to go back to: one that accepts what is asked now, has what it needs, and loads.

Everything is told from artefacts and declared state: registry, experiments and evidence may be
down when it matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.artefact import PLAN_FILE
from ml_release.domain.features import plan_from_json
from ml_release.domain.request_contract import judge_contract
from ml_release.domain.rollback import choose_rollback
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError, NotFoundError, UnavailableError
from ml_release.workflows.request_contracts import declared_contract, recorded_contract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.deployment import DeclaredState, Variant
    from ml_release.domain.history_table import HistoryTable
    from ml_release.domain.rollback import RollbackChoice
    from ml_release.ports import ModelLoader, ModelStore, OnlineHistory
    from ml_release.spec.release_line import ReleaseLine

_CANNOT_BE_READ = (IntegrityError, NotFoundError, UnavailableError, KeyError)


def find_target(
    line: ReleaseLine,
    states: Sequence[DeclaredState],
    *,
    wanted: int | None,
    models: ModelStore,
    loader: ModelLoader,
    online: OnlineHistory,
) -> RollbackChoice:
    """The state to restore, its champion proven fit; the next older one if the newest is not.

    Parameters
    ----------
    states
        Declared and sealed, oldest first; the last one is the present.
    wanted
        The version to go back to, None for the newest good one before the present.

    Raises
    ------
    RefusedError
        If there is none, with the reason for every version that was tried.
    """
    unfit: dict[int, str] = {}
    while True:
        choice = choose_rollback(states, wanted=wanted, unfit=unfit)
        trial = _Trial(line=line, present=states[-1], models=models, loader=loader, online=online)
        problem = trial.problem_of(choice.target)
        if not problem:
            return choice
        unfit[choice.target.champion.version] = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    line: ReleaseLine
    present: DeclaredState
    models: ModelStore
    loader: ModelLoader
    online: OnlineHistory

    def problem_of(self, target: DeclaredState) -> str:
        """Why a state cannot take over now; "" if it can."""
        champion = target.champion
        try:
            files = self.models.read(champion.model_digest)
            plan = plan_from_json(files[PLAN_FILE])
            # The way the endpoint server builds it: what does not load here answers nobody there.
            self.loader.load(files)
        except _CANNOT_BE_READ as error:
            return f"it does not load ({error})"
        if plan.version != target.evidence.feature_version:
            return (
                f"it was declared with the feature version {target.evidence.feature_version}, and"
                f" its artefact has {plan.version}"
            )
        return self._broken_contract(champion) or self._missing_history(champion)

    def _broken_contract(self, champion: Variant) -> str:
        kept = recorded_contract(self.present.champion.model_digest, models=self.models)
        # The present artefact may be what is broken: its clients still ask what the line declares.
        findings = judge_contract(
            kept or declared_contract(self.line),
            recorded_contract(champion.model_digest, models=self.models),
            self.line.policies.rollout.staging.contract,
            subject=f"version {self.present.champion.version}",
        )
        broken = [one.sentence() for one in findings if one.outcome is not Outcome.PASS]
        return f"its clients would be broken ({'; '.join(broken)})" if broken else ""

    def _missing_history(self, champion: Variant) -> str:
        try:
            table = self.online.read(self.line.name)
        except (IntegrityError, UnavailableError):
            table = None
        if table is None:
            # Whichever version answers has none to look up in.
            return ""
        lacking = self._lacking(champion, table)
        # What the present version lacks as well is no reason to keep it.
        worse = lacking - self._lacking(self.present.champion, table)
        if not worse:
            return ""
        return f"the history table has nothing for its features {sorted(worse)}"

    def _lacking(self, champion: Variant, table: HistoryTable) -> set[str]:
        try:
            plan = plan_from_json(self.models.read(champion.model_digest)[PLAN_FILE])
        except _CANNOT_BE_READ:
            return set()
        return {feature.name for feature in plan.history_features} - set(table.values)
