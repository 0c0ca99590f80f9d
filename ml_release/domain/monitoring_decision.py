"""What monitoring leads to: nothing, watching, mending data, retraining, or rolling back.

One tree of questions, asked in one order, data first: a model that is given broken rows is neither
cured by a retraining, which would learn from them, nor by a rollback, since the version before gets
the same rows. What cannot be told is watched and said, never taken for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ml_release.domain.drift_standing import DriftStanding
from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from ml_release.domain.decision_evidence import DecisionEvidence, FeatureShift, Worsening
    from ml_release.domain.decision_policy import DecisionPolicy

JUDGE = "decision/1"

Action = Literal["nothing", "watch", "fix_data", "retrain", "reduce_canary", "roll_back"]
ACTIONS: tuple[Action, ...] = (
    "nothing",
    "watch",
    "fix_data",
    "retrain",
    "reduce_canary",
    "roll_back",
)
"""From mild to severe."""

Cause = Literal["drift", "performance"]
"""What a retraining is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One question of the path with its answer and the numbers behind it."""

    question: str
    answer: Literal["yes", "no", "cannot tell", "does not apply"]
    numbers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done, why, and by which questions it was found.

    Attributes
    ----------
    causes
        Of a retraining; none for another action.
    path
        In the order in which they were asked; the last one decided.
    """

    action: Action
    reason: str
    path: tuple[Step, ...]
    causes: tuple[Cause, ...] = ()


def decide(evidence: DecisionEvidence, policy: DecisionPolicy) -> Decision:
    """Ask every question in order; the first that answers with an action decides.

    Examples
    --------
    >>> from ml_release.domain.decision_evidence import DecisionEvidence
    >>> from ml_release.domain.decision_policy import DecisionPolicy
    >>> decide(DecisionEvidence(), DecisionPolicy()).action
    'watch'
    >>> decide(DecisionEvidence(is_serving=False), DecisionPolicy()).action
    'nothing'
    """
    asked = _Asked(evidence, policy)
    return (
        asked.serving()
        or asked.data()
        or asked.canary()
        or asked.failing()
        or asked.suspect()
        or asked.labels()
        or asked.learning()
        or asked.doubt()
    )


class _Asked:
    """The questions that were asked so far, and what is watched if none of them decides."""

    def __init__(self, evidence: DecisionEvidence, policy: DecisionPolicy) -> None:
        self._e, self._p = evidence, policy
        self._path: list[Step] = []
        self._watched: list[str] = list(evidence.unknown)

    def serving(self) -> Decision | None:
        known = self._e.is_serving
        self._say("Does a version answer?", known)
        if known is None:
            self._watched.append("whether anything is served is not known")
        return self._end("nothing", "nothing is served") if known is False else None

    def data(self) -> Decision | None:
        problems = self._e.data_problems
        question = "Is something wrong with the data itself?"
        if problems is None:
            self._watched.append("the quality of the served data is not known")
            self._say(question, None)
            return None
        self._say(question, bool(problems), "; ".join(problems))
        if not problems:
            return None
        if self._e.canary is Outcome.FAIL:
            # Both arms are given the same rows: what one of them alone does is its own fault.
            return self.canary()
        return self._end("fix_data", "; ".join(problems))

    def canary(self) -> Decision | None:
        found = self._e.canary
        question = "Is the canary worse than its control?"
        if found is None:
            self._path.append(Step(question=question, answer="does not apply"))
            return None
        version = f"version {self._e.canary_version}"
        self._say(question, None if found is not Outcome.FAIL else True, f"{version}: {found}")
        if found is Outcome.FAIL:
            return self._end("reduce_canary", f"the canary, {version}, is worse than its control")
        if found is not Outcome.PASS:
            self._watched.append(f"nothing can be said of the canary, {version}, yet")
        return None

    def failing(self) -> Decision | None:
        """Answers that fail are the version's own, however old it is."""
        rate, limit = self._e.error_rate, self._p.error_rate_limit
        question = "Do more answers fail than may?"
        if rate is None:
            self._watched.append("the share of failed answers is not known")
            self._say(question, None)
            return None
        is_failing = rate.is_shown_above(limit)
        self._say(question, is_failing, f"{rate}, limit {limit:g}")
        if is_failing:
            return self._taken_back(f"answers fail: {rate}, limit {limit:g}")
        if rate.estimate > limit:
            self._watched.append(f"answers may fail too often: {rate}, limit {limit:g}")
        return None

    def suspect(self) -> Decision | None:
        """What is bad enough for a rollback, as long as the version itself is suspected."""
        e, p = self._e, self._p
        found = []
        # What is measured by labels shows nothing where they are wrong themselves.
        if not e.label_problems:
            found = [
                *_shown(e.auc_drop, p.roll_back_drop, "AUC lost"),
                *_shown(e.loss_rise, p.roll_back_loss_rise, "log loss gained"),
                *_shown(e.cost_rise, p.roll_back_cost_rise, "cost per 1000 answers gained"),
            ]
            if e.fairness is Outcome.FAIL:
                found.append("fairness does not hold")
        if e.burn == "page":
            found.append("an error budget burns fast enough to wake somebody up")
        self._say("Is it much worse than at its release?", bool(found), "; ".join(found))
        if not found:
            return None
        reason = "; ".join(found)
        is_young = None if e.age_days is None else e.age_days <= p.young_days
        age = "unknown" if e.age_days is None else f"{e.age_days:.1f} days"
        self._say("Is the version young?", is_young, f"{age}, limit {p.young_days:g} days")
        if is_young:
            return self._taken_back(reason)
        self._watched.append(reason)
        return None

    def labels(self, beside: str = "") -> Decision | None:
        """Before anything is learned from them; answers that fail need no label."""
        problems = "; ".join(self._e.label_problems)
        self._say("Is something wrong with the labels?", bool(problems), problems)
        if not problems:
            return None
        return self._end("fix_data", "; ".join(part for part in (problems, beside) if part))

    def learning(self) -> Decision | None:
        """What a retraining may mend: less skill, or inputs that moved where it hurts."""
        e, p = self._e, self._p
        lost = [
            *_shown(e.auc_drop, p.retrain_drop, "AUC lost"),
            *_shown(e.loss_rise, p.retrain_loss_rise, "log loss gained"),
            *_shown(e.cost_rise, p.retrain_cost_rise, "cost per 1000 answers gained"),
        ]
        for outcome, said in (
            (e.performance, "realised performance is worse than at the release"),
            (e.calibration, "probabilities are not calibrated any more"),
            (e.fairness, "fairness does not hold"),
        ):
            if outcome is Outcome.FAIL:
                lost.append(said)
        is_known = self._performance_is_known()
        self._say(
            "Has it lost skill since its release?",
            True if lost else False if is_known else None,
            "; ".join(lost) or (f"AUC lost {e.auc_drop}" if e.auc_drop else ""),
        )
        hurting = self._hurting(labels_say_fine=is_known and not lost)
        causes: tuple[Cause, ...] = (
            *(("performance",) if lost else ()),
            *(("drift",) if hurting else ()),
        )
        if not causes:
            return None
        shifted = [f"inputs drifted and hurt: {', '.join(hurting)}"] if hurting else []
        return self._end("retrain", "; ".join([*lost, *shifted]), causes)

    def _performance_is_known(self) -> bool:
        """Whether labels show that it is as good as at its release, near enough."""
        e, p = self._e, self._p
        if e.performance is Outcome.PASS:
            return True
        drop = e.auc_drop
        if drop is not None and drop.is_shown_below(p.retrain_drop) and e.performance is None:
            return True
        said = "nothing" if drop is None else str(drop)
        self._watched.append(f"realised performance is not known well enough (AUC lost: {said})")
        return False

    def _hurting(self, *, labels_say_fine: bool) -> tuple[str, ...]:
        shifts = self._e.shifts
        question = "Have inputs moved where it hurts?"
        if shifts is None:
            self._watched.append("drift of the inputs is not known")
            self._say(question, None)
            return ()
        hurting = [s for s in shifts if s.standing is DriftStanding.HURTING]
        unknown = [s.feature for s in shifts if s.standing is DriftStanding.UNKNOWN]
        if unknown or not shifts:
            self._watched.append(f"drift is not known of {', '.join(unknown) or 'any feature'}")
        counted = [s for s in hurting if not _is_small(s, self._p.drift_loss_change)]
        enough = len(counted) >= self._p.hurting_features
        is_drift = enough and not labels_say_fine
        numbers = "; ".join(map(str, hurting)) or f"{len(shifts)} features looked at"
        if hurting and labels_say_fine:
            numbers += "; labels show no loss, and overrule"
        answer = True if is_drift else None if (unknown and not hurting) or not shifts else False
        self._say(question, answer, numbers)
        if hurting and not is_drift:
            self._watched.append(f"inputs moved: {', '.join(s.feature for s in hurting)}")
        return tuple(s.feature for s in counted) if is_drift else ()

    def doubt(self) -> Decision:
        e, p = self._e, self._p
        if e.estimated_drop is not None and e.estimated_drop > p.retrain_drop:
            # Without labels, and blind to a changed concept: a reason to look, not to act.
            self._watched.append(f"{e.estimated_drop:+.4f} AUC is estimated to be lost")
        if e.errors_change is Outcome.FAIL:
            self._watched.append("the errors have changed")
        if e.burn == "ticket":
            self._watched.append("an error budget is being spent too fast")
        for outcome, name in (
            (e.calibration, "calibration"),
            (e.fairness, "fairness"),
            (e.errors_change, "whether the errors changed"),
        ):
            if outcome is not None and outcome not in (Outcome.PASS, Outcome.FAIL):
                self._watched.append(f"{name} cannot be told ({outcome.value})")
        reasons = tuple(dict.fromkeys(self._watched))
        self._say("Is anything unknown or close to a limit?", bool(reasons), "; ".join(reasons))
        if reasons:
            return self._end("watch", "; ".join(reasons))
        return self._end("nothing", "everything that is asked for is known and within its limits")

    def _taken_back(self, reason: str) -> Decision:
        target = self._e.target
        self._say(
            "Is there a version that came through its watch?",
            target is not None,
            "" if target is None else f"version {target}",
        )
        if target is not None:
            return self._end("roll_back", reason)
        why = "no version that came through its watch can be gone back to; a person decides"
        both = f"{reason}; {why}"
        return self.labels(beside=both) or self.learning() or self._end("watch", both)

    def _say(self, question: str, answer: bool | None, numbers: str = "") -> None:  # noqa: FBT001 (the answer)
        word: Literal["yes", "no", "cannot tell"] = (
            "cannot tell" if answer is None else "yes" if answer else "no"
        )
        self._path.append(Step(question=question, answer=word, numbers=numbers))

    def _end(self, action: Action, reason: str, causes: tuple[Cause, ...] = ()) -> Decision:
        return Decision(action=action, reason=reason, path=tuple(self._path), causes=causes)


def _shown(found: Worsening | None, limit: float | None, name: str) -> list[str]:
    if found is None or limit is None or not found.is_shown_above(limit):
        return []
    return [f"{name}: {found}, limit {limit:g}"]


def _is_small(shift: FeatureShift, limit: float) -> bool:
    return shift.loss_change is not None and shift.loss_change < limit
