"""Count the pairs of a shadow's step: each tick reads what is new and adds it to the tally."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.shadow_counts import PairCounts, count_pairs
from ml_release.domain.shadow_tally import (
    DayTally,
    SampledPair,
    ShadowTally,
    SliceTally,
    sample_key,
    shadow_tally_from_json,
)
from ml_release.workflows.columns import floats_of
from ml_release.workflows.shadow_pairing import match_halves, slice_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from ml_release.domain.deployment import DeclaredState
    from ml_release.ports import Deployments, EvidenceStore, InferenceLog
    from ml_release.spec.release_line import ReleaseLine

SHADOW_TALLY = "shadow_tally"
SLICE_VALUES = 500
"""Values of a slice column that are told apart; those seen later are one slice."""

_OTHER = "any other"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStep:
    """One stay of a version in the shadow.

    Attributes
    ----------
    release, step
        Name of the release, and the step in it, counted from 0.
    since
        When it began, with a time zone.
    """

    release: str
    step: int
    version: int
    model_digest: str
    champion_digest: str
    since: datetime

    @property
    def subject(self) -> str:
        """What its tally is recorded under."""
        return f"{self.release}/{self.step}"


def tally_shadow(
    line: ReleaseLine,
    step: ShadowStep,
    *,
    environment: str,
    inference_log: InferenceLog,
    deployments: Deployments,
    evidence: EvidenceStore,
    afresh: bool = False,
) -> ShadowTally:
    """Read the records behind the tally's cursor, pair them, and record the tally.

    What the ticks add up to is what one reading of the whole log gives, as long as both halves of a
    pair are logged within `shadow_pairing.SETTLE_MINUTES` and no more of them wait than
    `shadow_pairing.WAITING_LIMIT`; a half beyond that counts as missing. A client that repeats a
    request id after its pair was counted adds another pair.

    Parameters
    ----------
    afresh
        Count the step from the beginning of the log.

    Raises
    ------
    IntegrityError
        If the recorded tally was edited.
    """
    nothing = ShadowTally(
        line=line.name,
        release=step.release,
        step=step.step,
        version=step.version,
        model_digest=step.model_digest,
        champion_digest=step.champion_digest,
        since=step.since.astimezone(UTC).isoformat(),
    )
    before = nothing
    content = None if afresh else evidence.find(line.name, SHADOW_TALLY, step.subject)
    if content is not None:
        found = shadow_tally_from_json(content)
        before = found if found.is_of_same_step(nothing) else nothing
    routes = routes_of(line, step, environment=environment, deployments=deployments)
    records, cursor = inference_log.records(line.name, after=before.cursor, since=step.since)
    tally = _added(line, before, records, routes).model_copy(update={"cursor": cursor})
    evidence.record(line.name, SHADOW_TALLY, step.subject, tally.model_dump_json().encode())
    return tally


def routes_of(
    line: ReleaseLine, step: ShadowStep, *, environment: str, deployments: Deployments
) -> dict[str, DeclaredState]:
    """Declared states of the step by commit: this champion with this shadow, since it began."""
    # A commit knows whole seconds.
    begun = step.since.replace(microsecond=0)
    return {
        declaration.commit: declaration.state
        for declaration in deployments.history(line.name, environment)
        if declaration.state.champion.model_digest == step.champion_digest
        and any(
            (shadow.version, shadow.model_digest) == (step.version, step.model_digest)
            for shadow in declaration.state.shadows
        )
        and datetime.fromisoformat(declaration.committed_at) >= begun
    }


def _added(
    line: ReleaseLine,
    before: ShadowTally,
    records: pd.DataFrame,
    routes: dict[str, DeclaredState],
) -> ShadowTally:
    """The tally with new records."""
    slices = slice_columns(line)
    matched = match_halves(before, records, routes, slices=slices)
    pairs = matched.pairs
    first = pairs[pairs["row"] == 0]
    received = [
        moment.isoformat() for moment in first["received_time_champion"].agg(["min", "max"])
    ]
    known = received if len(first) else []
    mine = records["route_commit"].isin(list(routes)) & (
        records["model_digest"] == before.model_digest
    )
    return before.model_copy(
        update={
            "routes": tuple(routes),
            "requests": before.requests.plus(counts_of(first)),
            "rows": before.rows.plus(counts_of(pairs)),
            "slices": _slices(before, first, tuple(slices)),
            "days": _days(line, before, first),
            "unanswered": before.unanswered + matched.unanswered,
            "orphans": before.orphans + matched.orphans,
            "classes": before.classes + int(records.loc[mine, "probabilities"].notna().sum()),
            "first_received": min([*known, *filter(None, [before.first_received])], default=None),
            "last_received": max([*known, *filter(None, [before.last_received])], default=None),
            "newest_received": matched.newest_received,
            "waiting_champion": matched.waiting_champion,
            "waiting_shadow": matched.waiting_shadow,
        }
    )


def counts_of(pairs: pd.DataFrame) -> PairCounts:
    """Counts of matched pairs."""
    return count_pairs(
        floats_of(pairs["score_champion"]),
        floats_of(pairs["score_shadow"]),
        champion_failed=pairs["failed_champion"].to_numpy(dtype=bool),
        shadow_failed=pairs["failed_shadow"].to_numpy(dtype=bool),
        champion_decision=floats_of(pairs["decision_champion"]),
        shadow_decision=floats_of(pairs["decision_shadow"]),
    )


def _slices(
    before: ShadowTally, pairs: pd.DataFrame, columns: tuple[str, ...]
) -> tuple[SliceTally, ...]:
    counts = {(one.column, one.value): one.counts for one in before.slices}
    for place, column in enumerate(columns):
        words = [values[place] for values in pairs["slices_champion"]]
        told = {value for name, value in counts if name == column}
        for value, rows in _groups(pairs, words):
            is_new = value is not None and value not in told
            name = _OTHER if is_new and len(told) >= SLICE_VALUES else value
            told.add(name)
            counted = counts_of(rows)
            standing = counts.get((column, name))
            counts[column, name] = counted if standing is None else standing.plus(counted)
    order = sorted(counts, key=lambda key: (key[0], key[1] is None, key[1] or ""))
    return tuple(SliceTally(column=key[0], value=key[1], counts=counts[key]) for key in order)


def _groups(
    pairs: pd.DataFrame, words: list[str | None]
) -> Iterator[tuple[str | None, pd.DataFrame]]:
    """Pairs by their word, missing ones under None."""
    places: dict[str | None, list[int]] = {}
    for place, word in enumerate(words):
        places.setdefault(word, []).append(place)
    for word in sorted(places, key=lambda word: (word is None, word or "")):
        yield word, pairs.iloc[places[word]]


def _days(line: ReleaseLine, before: ShadowTally, pairs: pd.DataFrame) -> dict[str, DayTally]:
    days = dict(before.days)
    local = pairs["event_time_champion"].dt.tz_convert(line.time_zone).dt.strftime("%Y-%m-%d")
    for day, rows in pairs.groupby(local):
        standing = days.get(str(day), DayTally())
        days[str(day)] = standing.plus(len(rows), _sampled(rows))
    return dict(sorted(days.items()))


def _sampled(pairs: pd.DataFrame) -> Iterator[SampledPair]:
    """The pairs of two finite scores, as a day keeps them."""
    champion, shadow = floats_of(pairs["score_champion"]), floats_of(pairs["score_shadow"])
    has_failed = (pairs["failed_champion"] | pairs["failed_shadow"]).to_numpy(dtype=bool)
    scored = pairs[np.isfinite(champion) & np.isfinite(shadow) & ~has_failed]
    request_ids: list[str] = scored["request_id"].tolist()
    yield from (
        SampledPair(sample_key(request_id), request_id, *rest)
        for request_id, *rest in zip(
            request_ids,
            [moment.isoformat() for moment in scored["event_time_champion"]],
            scored["score_champion"].tolist(),
            scored["score_shadow"].tolist(),
            scored["latency_ms_champion"].tolist(),
            scored["latency_ms_shadow"].tolist(),
            strict=True,
        )
    )
