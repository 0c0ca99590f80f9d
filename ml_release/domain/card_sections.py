"""Put a model card together: the sections of Mitchell et al. (2019), from what is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain import gates_behaviour
from ml_release.domain.model_card import UNKNOWN, CardSection, CardTable, LineNotes, ModelCard
from ml_release.domain.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_release.domain.evaluation_measures import EvaluationMeasures, Measured, OtherVersion
    from ml_release.domain.provenance import CandidateRecord
    from ml_release.domain.training_reason import TrainingReason
    from ml_release.domain.verdict import Finding, Verdict
    from ml_release.domain.waivers import Waived


def build_card(
    declared: LineNotes,
    candidate: CandidateRecord,
    verdict: Verdict,
    measures: EvaluationMeasures,
    *,
    waived: Sequence[Waived],
    version: int | None,
    asked: TrainingReason | None = None,
) -> ModelCard:
    """The card of a candidate, whether or not it passes.

    Parameters
    ----------
    version
        None if it is not registered.
    asked
        Why it was trained; None if that was not kept.
    """
    return ModelCard(
        line=declared.line,
        model_digest=candidate.model_digest,
        candidate_digest=candidate.digest,
        verdict_digest=verdict.digest,
        notes_digest=declared.digest,
        sections=(
            _details(declared, candidate, version),
            _intended_use(declared),
            _factors(declared),
            _metrics(measures),
            _evaluation_data(candidate, measures),
            _training_data(declared, candidate, asked),
            _analyses(measures, verdict),
            _behaviour(verdict),
            CardSection(
                title="Ethical considerations",
                points=_points(declared.notes.ethical_considerations),
            ),
            _caveats(declared, verdict, waived),
        ),
    )


def _details(declared: LineNotes, candidate: CandidateRecord, version: int | None) -> CardSection:
    calibration = candidate.calibration
    search = candidate.search
    return CardSection(
        title="Model details",
        facts=(
            ("Release line", declared.line),
            ("Version", UNKNOWN if version is None else str(version)),
            ("Objective", declared.objective),
            ("Owner", declared.owner),
            ("Whom to ask", declared.notes.contact or UNKNOWN),
            ("Trained at", candidate.trained_at),
            ("Algorithm", candidate.algorithm or UNKNOWN),
            (
                "Parameters",
                ", ".join(f"{n} = {v}" for n, v in sorted(candidate.parameters.items()))
                or "none set",
            ),
            ("Seed", str(candidate.seed)),
            (
                "Search",
                "none" if search is None else f"{search.complete} trials by {search.objective}",
            ),
            (
                "Calibration",
                "none"
                if calibration is None
                else f"{calibration.method}, fitted on {calibration.rows} rows",
            ),
            ("Answers", f"{declared.output} ({declared.task})"),
            ("Model digest", candidate.model_digest),
            ("Feature version", candidate.feature_version),
            ("Experiment run", candidate.run_id),
        ),
    )


def _intended_use(declared: LineNotes) -> CardSection:
    return CardSection(
        title="Intended use",
        facts=(("Intended use", declared.notes.intended_use or UNKNOWN),),
        points=tuple(f"Not for: {use}" for use in _points(declared.notes.out_of_scope)),
    )


def _factors(declared: LineNotes) -> CardSection:
    return CardSection(
        title="Factors",
        facts=(
            ("Scores are told apart by", ", ".join(declared.slices) or "nothing declared"),
            ("Sensitive columns", ", ".join(declared.sensitive) or "none declared"),
        ),
    )


def _metrics(measures: EvaluationMeasures) -> CardSection:
    return CardSection(
        title="Metrics",
        facts=(
            ("Compared by", measures.primary),
            ("Expected calibration error", number(measures.calibration_error)),
        ),
        tables=(
            CardTable(
                caption="Scores on the evaluation data, with two-sided confidence intervals.",
                columns=("score", "estimate", "interval", "confidence", "rows"),
                rows=tuple(
                    (name, number(s.estimate), ends(s), f"{s.confidence:.4g}", str(s.n))
                    for name, s in sorted(measures.scores.items())
                )
                or (("any", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN),),
            ),
        ),
    )


def _evaluation_data(candidate: CandidateRecord, measures: EvaluationMeasures) -> CardSection:
    return CardSection(
        title="Evaluation data",
        facts=(
            ("Days", f"{candidate.holdout_from} to {candidate.window_to}, after the training data"),
            ("Labelled rows", str(measures.rows)),
            ("Mean label (base rate)", number(measures.label_mean)),
            ("Candidates judged on these days", str(measures.holdout_candidates)),
            ("Evaluated at", measures.evaluated_at),
        ),
    )


def _training_data(
    declared: LineNotes, candidate: CandidateRecord, asked: TrainingReason | None
) -> CardSection:
    days = declared.label_delay.total_seconds() / 86400
    delay = f"{days:g} {'day' if days == 1 else 'days'}"
    return CardSection(
        title="Training data",
        facts=(
            ("Window", f"{candidate.window_from} to {candidate.window_to}"),
            ("Fitted on days before", candidate.holdout_from),
            ("Labelled rows fitted on", str(candidate.train_rows)),
            ("Partitions", ", ".join(sorted(candidate.partitions))),
            ("Label", f"{declared.target}, known {delay} after the event"),
            ("Data digest", candidate.data_digest),
            (
                "Trained because of",
                UNKNOWN if asked is None else f"{asked.trigger}: {asked.reason}",
            ),
            (
                "Backtest before it",
                UNKNOWN if asked is None or asked.backtest is None else asked.backtest,
            ),
        ),
        points=tuple(
            f"Left out: {name}, {reason}" for name, reason in sorted(candidate.left_out.items())
        ),
    )


def _analyses(measures: EvaluationMeasures, verdict: Verdict) -> CardSection:
    limits = {f.subject: f for f in verdict.findings}
    tables = []
    if measures.slices:
        tables.append(
            CardTable(
                caption="Per slice; intervals hold for all judged slices at once.",
                columns=("slice", "score", "estimate", "interval", "rows", "judged"),
                rows=tuple(
                    (
                        s.name,
                        s.score,
                        number(s.interval.estimate),
                        ends(s.interval),
                        str(s.n),
                        "yes" if s.judged else "too few rows",
                    )
                    for s in measures.slices
                ),
            )
        )
    if measures.fairness:
        tables.append(
            CardTable(
                caption="Between groups of sensitive columns.",
                columns=("measure", "value", "interval", "limit", "groups compared", "left out"),
                rows=tuple(
                    (
                        f.name,
                        number(f.interval.estimate),
                        ends(f.interval),
                        _limit(limits.get(f.name)),
                        _groups(f.compared),
                        _groups(f.left_out),
                    )
                    for f in measures.fairness
                ),
            )
        )
    return CardSection(
        title="Quantitative analyses",
        facts=(
            ("Against the champion", _against(measures.champion, measures.primary)),
            ("Against the anchor", _against(measures.anchor, measures.primary)),
            ("Per slice", "below" if measures.slices else UNKNOWN),
            ("Fairness", "below" if measures.fairness else UNKNOWN),
        ),
        tables=tuple(tables),
    )


def _behaviour(verdict: Verdict) -> CardSection:
    found = [f for f in verdict.findings if f.rule == gates_behaviour.RULE and f.subject != "none"]
    return CardSection(
        title="Behavioural tests",
        points=() if found else ("none declared",),
        tables=(
            CardTable(
                caption="What declared changes of the input do to the answer.",
                columns=("test", "outcome", "observed", "limit", "unit"),
                rows=tuple(
                    (f.subject, f.outcome.value, number(f.observed), _limit(f), f.unit)
                    for f in found
                ),
            ),
        )
        if found
        else (),
    )


def _caveats(declared: LineNotes, verdict: Verdict, waived: Sequence[Waived]) -> CardSection:
    notes = declared.notes
    let_go = {one.finding for one in waived}
    passes = verdict.outcome is Outcome.PASS
    return CardSection(
        title="Caveats and recommendations",
        facts=(("Verdict", "pass" if passes else f"{verdict.outcome.value}, not a pass"),),
        points=(
            *(f"Limitation: {point}" for point in _points(notes.limitations)),
            *(f"Known issue: {point}" for point in _points(notes.known_issues)),
            *(f"Does not pass: {f.sentence()}" for f in verdict.objections if f not in let_go),
            *(f"Does not pass. {one.sentence()}" for one in waived),
        ),
    )


def number(value: float | None) -> str:
    """A number for reading, the word "unknown" for None.

    >>> number(0.7256789), number(None)
    ('0.7257', 'unknown')
    """
    return UNKNOWN if value is None else f"{value:.4g}"


def ends(measured: Measured) -> str:
    """Both ends of an interval in words."""
    if measured.low is None or measured.high is None:
        return UNKNOWN
    return f"{number(measured.low)} to {number(measured.high)}"


def _limit(finding: Finding | None) -> str:
    if finding is None or finding.limit is None:
        return UNKNOWN
    return f"{finding.bound} {number(finding.limit)}"


def _against(other: OtherVersion | None, primary: str) -> str:
    if other is None:
        return "there is none"
    if other.difference is None:
        return f"version {other.version}: {other.problem or UNKNOWN}"
    found = other.difference
    return f"version {other.version}: {primary} differs by {number(found.estimate)} ({ends(found)})"


def _points(texts: tuple[str, ...] | None) -> tuple[str, ...]:
    return texts or (UNKNOWN,)


def _groups(names: tuple[str | None, ...]) -> str:
    return ", ".join("missing" if name is None else name for name in names) or "none"
