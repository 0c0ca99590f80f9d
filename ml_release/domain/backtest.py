"""Whether a retraining would have been worth it, told by a cheap one before the expensive one.

Two small models of the line's own family are fitted by the same recipe: one on what the champion
has learned from, one on that and the newer rows. What they differ in on rows that neither has seen
is what the newer rows are worth; the champion itself is asked beside them. Both windows are looked
at: the newest days, and the days the champion was tested on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ml_release.domain.recorded import Recorded, known, read_recorded
from ml_release.domain.verdict import Finding, Outcome, Verdict

if TYPE_CHECKING:
    from ml_release.domain.backtest_policy import BacktestPolicy
    from ml_release.domain.governor_memory import Kind

JUDGE = "backtest/1"
RULE = "retraining_is_justified"
DESCRIPTIONS = {
    RULE: "A person asked, or a cheap retraining on newer rows does better on the newest ones.",
}
"""The rules of this judge: claims, each a check of the asset, with what they say."""

RULES = tuple(DESCRIPTIONS)

NOT_HELD_BY_DOUBT: frozenset[Kind] = frozenset({"performance", "drift", "staleness"})
"""Triggers that say something is wrong: a backtest that cannot tell does not hold them back."""


class Gain(Recorded):
    """How much better one model is than another, above 0 is better; None where it is not known."""

    estimate: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """With its interval."""
        if self.estimate is None:
            return "unknown"
        if self.low is None or self.high is None:
            return f"{self.estimate:+.4f} (no interval)"
        return f"{self.estimate:+.4f} ({self.low:+.4f} to {self.high:+.4f})"


class Meeting(Recorded):
    """What the models do on the same rows.

    Attributes
    ----------
    first_day, last_day
        Of those rows, both included; None without any.
    champion, old, new
        Scores of the champion, of the cheap model on its data, and of that on the newer rows too.
    gain
        Of the newer rows: ``new`` less ``old``, one recipe.
    over_champion
        ``new`` less the champion, which was fitted on everything and at its full size.
    """

    first_day: str | None = None
    last_day: str | None = None
    rows: int = 0
    champion: float | None = None
    old: float | None = None
    new: float | None = None
    gain: Gain = Gain(estimate=None, low=None, high=None)
    over_champion: Gain = Gain(estimate=None, low=None, high=None)
    problem: str = ""


class BacktestRecord(Recorded):
    """One backtest.

    Attributes
    ----------
    champion
        Model digest.
    partition
        Newest partition that a retraining would learn from.
    score
        ``auc_score``, or ``negative_mean_absolute_error`` of a regression: more is better.
    newest, tested
        On the newest days, and on those the champion was tested on.
    rows_old, rows_new
        Rows the two cheap models were fitted on.
    seconds
        What it cost.
    """

    champion: str
    partition: str
    score: Literal["auc_score", "negative_mean_absolute_error"]
    newest: Meeting
    tested: Meeting
    rows_old: int = 0
    rows_new: int = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0

    def sentence(self) -> str:
        """What it found, in one line."""
        if self.newest.problem:
            return f"cannot tell: {self.newest.problem}"
        return (
            f"newer rows are worth {self.newest.gain} {self.score} on {self.newest.rows} rows to"
            f" {self.newest.last_day}; against the champion {self.newest.over_champion}; where it"
            f" was tested {self.tested.problem or self.tested.gain}"
        )


def backtest_from_json(content: bytes) -> BacktestRecord:
    """Read a recorded backtest back; `IntegrityError` if it is none."""
    return read_recorded(BacktestRecord, content, "backtest")


def gain_of(estimate: float, low: float, high: float) -> Gain:
    """A `Gain` of numbers that may be NaN."""
    return Gain(estimate=known(estimate), low=known(low), high=known(high))


def outcome_of(meeting: Meeting, policy: BacktestPolicy) -> Outcome:
    """Pass if the newer rows are shown to bring the gain, fail if they are shown not to.

    A cheap model that is below the champion shows nothing: the real one is fitted at full size.
    """
    if meeting.problem or meeting.rows < policy.minimum_rows:
        return Outcome.INCONCLUSIVE
    least, gain, over = policy.minimum_gain, meeting.gain, meeting.over_champion
    if gain.low is not None and gain.low > least:
        return Outcome.PASS
    if gain.high is not None and gain.high <= least:
        return Outcome.FAIL
    # By another recipe alone: with the full one the newer rows have to bring it.
    is_above = over.low is not None and over.low > least
    leans = gain.estimate is not None and gain.estimate > least
    return Outcome.PASS if is_above and leans else Outcome.INCONCLUSIVE


def judge_backtest(
    record: BacktestRecord | None,
    *,
    line: str,
    kind: Kind,
    policy: BacktestPolicy,
    why_not: str = "",
) -> Verdict:
    """Whether the expensive run goes on.

    A person is never held. A trigger that says something is wrong is not held by doubt, only by
    newer rows that are shown to bring nothing.

    Parameters
    ----------
    record
        None where none was made, with the reason in ``why_not``.
    kind
        What has asked.
    """
    if kind == "human":
        said = why_not if record is None else record.sentence()
        asked = Finding(rule=RULE, subject="a person", outcome=Outcome.PASS, detail=said)
        return _verdict(line, record, (asked,))
    if record is None:
        finding = Finding(
            rule=RULE,
            subject="newest days",
            outcome=Outcome.INCONCLUSIVE,
            votes=kind not in NOT_HELD_BY_DOUBT,
            detail=why_not or "it was not made",
        )
        return _verdict(line, None, (finding,))
    found = outcome_of(record.newest, policy)
    is_let_go = found is Outcome.INCONCLUSIVE and kind in NOT_HELD_BY_DOUBT
    newest = Finding(
        rule=RULE,
        subject="newest days",
        outcome=found,
        observed=record.newest.gain.estimate,
        limit=policy.minimum_gain,
        bound="at least",
        unit=record.score,
        n=record.newest.rows,
        votes=not is_let_go,
        detail=record.sentence(),
    )
    return _verdict(line, record, (newest, _old_window(record, policy)))


def _old_window(record: BacktestRecord, policy: BacktestPolicy) -> Finding:
    """Where the champion was tested: shown, since the candidate's own gates look there again."""
    gain, margin = record.tested.gain, policy.old_margin
    if record.tested.problem or gain.low is None or gain.high is None:
        outcome = Outcome.INCONCLUSIVE
    elif gain.high < -margin:
        outcome = Outcome.FAIL
    else:
        outcome = Outcome.PASS if gain.low >= -margin else Outcome.INCONCLUSIVE
    return Finding(
        rule=RULE,
        subject="the champion's test days",
        outcome=outcome,
        observed=gain.estimate,
        limit=-margin,
        bound="at least",
        unit=record.score,
        n=record.tested.rows,
        votes=False,
        detail=record.tested.problem,
    )


def _verdict(line: str, record: BacktestRecord | None, findings: tuple[Finding, ...]) -> Verdict:
    return Verdict(
        judge=JUDGE,
        line=line,
        subject_digest="none" if record is None else record.digest,
        evidence={} if record is None else {"champion_digest": record.champion},
        findings=findings,
    )
