"""Whether the values of a partition are spread as in the partitions that passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.column_profile import counts_in, reference_bins
from ml_release.domain.gates_table import shown
from ml_release.domain.psi import adjusted_psi_nats
from ml_release.domain.verdict import Finding, Outcome, compare

if TYPE_CHECKING:
    from ml_release.domain.column_profile import ColumnProfile, PartitionProfile

STEPS = "numbers_keep_their_steps"
DESCRIPTIONS = {
    "columns_vary": "No column holds one and the same value in every row.",
    "distributions_are_expected": "Values are spread as in the partitions that passed before.",
    STEPS: "A number measured in fixed steps takes steps that it took before.",
    "categories_are_expected": "Hardly a row holds a word that no earlier partition held.",
}

Share = Annotated[float, Field(ge=0, le=1)]


class DistributionPolicy(BaseModel):
    """How far the values of a partition may be from the reference.

    Attributes
    ----------
    psi_limit_nats
        Allowed adjusted PSI of a column that ``psi_limits_nats`` does not name.
    psi_limits_nats
        The same, per column.
    unseen_share_limit
        Allowed share of rows with a word that the reference did not hold, of a column that
        ``unseen_share_limits`` does not name.
    unseen_share_limits
        The same, per column.
    stepped
        Number columns measured in fixed steps to the allowed share of rows with a value that no
        reference held. Another unit is another set of steps, whatever the season.
    muted
        Columns whose spread is shown and has no vote, such as those seasonal by nature.
    constant_columns
        Columns that may hold one value only.
    minimum_rows
        Fewer known values in a column are inconclusive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    psi_limit_nats: Annotated[float, Field(gt=0)] = 0.1
    psi_limits_nats: Mapping[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    unseen_share_limit: Share = 0.005
    unseen_share_limits: Mapping[str, Share] = Field(default_factory=dict)
    stepped: Mapping[str, Share] = Field(default_factory=dict)
    muted: tuple[str, ...] = ()
    constant_columns: tuple[str, ...] = ()
    minimum_rows: Annotated[int, Field(ge=2)] = 100


def judge_distributions(
    current: PartitionProfile | None,
    references: Sequence[PartitionProfile],
    policy: DistributionPolicy,
    *,
    unseen_examples: Mapping[str, str],
) -> tuple[Finding, ...]:
    """Hold every column against the same column of the partitions that passed.

    Without such partitions there is nothing to compare with: inconclusive, and without a vote,
    since the first partition of a line could never pass otherwise.
    """
    rules = [rule for rule in DESCRIPTIONS if rule != STEPS or policy.stepped]
    if current is None or not current.columns:
        return tuple(
            Finding(rule=rule, subject="columns", outcome=Outcome.INCONCLUSIVE, detail="no column")
            for rule in rules
        )
    varying = tuple(_varies(name, column, policy) for name, column in current.columns.items())
    if not references:
        detail = "no other partition has passed yet: nothing to compare with, no vote"
        return varying + tuple(
            Finding(
                rule=rule,
                subject=current.partition,
                outcome=Outcome.INCONCLUSIVE,
                votes=False,
                detail=detail,
            )
            for rule in rules
            if rule != "columns_vary"
        )
    findings: list[Finding] = []
    for name, column in current.columns.items():
        others = tuple(r.columns[name] for r in references if name in r.columns)
        findings += _column(
            name, column, others, policy, unseen_example=unseen_examples.get(name, "")
        )
    findings += [
        _steps(name, current.columns.get(name), references, limit)
        for name, limit in policy.stepped.items()
    ]
    return varying + tuple(findings)


def _varies(name: str, column: ColumnProfile, policy: DistributionPolicy) -> Finding:
    known = column.known
    enough = known >= policy.minimum_rows
    held = column.varies or name in policy.constant_columns
    values = column.words or column.values
    return Finding(
        rule="columns_vary",
        subject=name,
        outcome=(Outcome.PASS if held else Outcome.FAIL) if enough else Outcome.INCONCLUSIVE,
        n=known,
        # A column that may be all missing is the business of nulls_are_within_limits.
        votes=enough or column.missing == 0,
        detail="" if held or not values else f"every known value is {next(iter(values))}",
    )


def _column(
    name: str,
    column: ColumnProfile,
    others: tuple[ColumnProfile, ...],
    policy: DistributionPolicy,
    *,
    unseen_example: str,
) -> list[Finding]:
    votes = name not in policy.muted
    if not others:
        return [
            Finding(
                rule="distributions_are_expected",
                subject=name,
                outcome=Outcome.INCONCLUSIVE,
                votes=votes,
                detail="no partition that passed has this column",
            )
        ]
    bins = reference_bins(others)
    reference = sum((counts_in(bins, other) for other in others[1:]), counts_in(bins, others[0]))
    counts = counts_in(bins, column)
    findings = [
        compare(
            rule="distributions_are_expected",
            subject=name,
            observed=adjusted_psi_nats(reference, counts),
            limit=policy.psi_limits_nats.get(name, policy.psi_limit_nats),
            bound="at most",
            unit="nats",
            n=int(counts.sum()),
            minimum_n=policy.minimum_rows,
            votes=votes,
        )
    ]
    if bins.words is not None:
        unseen = unseen_words(column, others)
        rows = sum((column.words or {}).get(word, 0) for word in unseen) + column.other
        findings.append(
            compare(
                rule="categories_are_expected",
                subject=name,
                observed=rows / column.known if column.known else None,
                limit=policy.unseen_share_limits.get(name, policy.unseen_share_limit),
                bound="at most",
                n=column.known,
                votes=votes,
                detail=shown(unseen_example),
            )
        )
    return findings


def _steps(
    name: str,
    column: ColumnProfile | None,
    references: Sequence[PartitionProfile],
    limit: float,
) -> Finding:
    """Share of rows with a value that no reference held.

    A column with more values than a profile keeps exactly, so that it holds quantiles with parts
    of rows, is no stepped one: inconclusive.
    """
    others = [r.columns[name] for r in references if name in r.columns]
    exact = column is not None and all(
        one.words is None and all(weight == int(weight) for weight in one.weights)
        for one in (column, *others)
    )
    observed, new = None, []
    if column is not None and others and exact and column.known:
        seen = {value for other in others for value in other.values}
        rows = dict(zip(column.values, column.weights, strict=True))
        new = [value for value in rows if value not in seen]
        observed = sum(rows[value] for value in new) / column.known
    return compare(
        rule=STEPS,
        subject=name,
        observed=observed,
        limit=limit,
        bound="at most",
        unit="share of rows with a new value",
        n=None if column is None else column.known,
        detail=f"for example {new[0]:.6g}" if new else "",
    )


def unseen_words(column: ColumnProfile, others: Sequence[ColumnProfile]) -> tuple[str, ...]:
    """Words that no reference held, the most frequent first."""
    seen = {word for other in others for word in other.words or {}}
    words = column.words or {}
    new = (word for word in words if word not in seen)
    return tuple(sorted(new, key=lambda word: (-words[word], word)))
