"""What differs between the version that was taken back and the restored one, by their records.

A difference is no cause. It is where to look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.build_record import differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_release.domain.features import Feature, FeaturePlan
    from ml_release.domain.provenance import CandidateRecord

_DIGEST_LETTERS = 19
_NAMED = 12
"""Packages or partitions that are named one by one; of more only the number is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDifference:
    """One thing that is not the same in both records.

    Attributes
    ----------
    about
        ``data``, ``features``, ``parameters``, ``code and environment`` or ``policy``.
    bad, restored
        In words; ``none`` where there is none.
    """

    about: str
    what: str
    bad: str
    restored: str


def version_differences(
    bad: CandidateRecord, restored: CandidateRecord
) -> tuple[VersionDifference, ...]:
    """Everything in which two candidates differ: data first, then what was made of it."""
    return (
        *_data(bad, restored),
        *_fields("features", bad, restored, {"feature_version": "feature version"}),
        *_parameters(bad, restored),
        *_environment(bad, restored),
        *_fields(
            "policy",
            bad,
            restored,
            {
                "policy_digest": "evaluation policy",
                "training_policy_digest": "training policy",
            },
        ),
    )


def plan_differences(bad: FeaturePlan, restored: FeaturePlan) -> tuple[VersionDifference, ...]:
    """Features that one of two models has, declares otherwise, or has learned other words of."""
    first, second = (_by_name(plan) for plan in (bad, restored))
    declared = tuple(
        VersionDifference(
            about="features",
            what=f"feature {name}",
            bad=_declared(first.get(name)),
            restored=_declared(second.get(name)),
        )
        for name in sorted({*first, *second})
        if first.get(name) != second.get(name)
    )
    words = tuple(
        VersionDifference(
            about="features",
            what=f"words of {name}",
            bad=_more(bad.vocabularies[name], restored.vocabularies[name]),
            restored=_more(restored.vocabularies[name], bad.vocabularies[name]),
        )
        for name in sorted(set(bad.vocabularies) & set(restored.vocabularies))
        if set(bad.vocabularies[name]) != set(restored.vocabularies[name])
    )
    return declared + words


def features_that_cannot_be_asked(
    bad: FeaturePlan, restored: FeaturePlan, *, masked: frozenset[str]
) -> dict[str, str]:
    """Features of the restored model whose values the bad version's records do not hold, and why.

    Parameters
    ----------
    masked
        Features of the bad version that its records hold as hashes, or not at all.

    Returns
    -------
    dict
        Feature to its reason; empty if every answer can be given again.
    """
    known = _by_name(bad)
    reasons = {}
    for feature in restored.features:
        if feature.name in masked:
            reasons[feature.name] = "masked in the log as personal"
        elif feature.name not in known:
            reasons[feature.name] = "not a feature of the bad version, so not in its records"
        elif known[feature.name] != feature:
            reasons[feature.name] = "declared otherwise for the bad version"
    return reasons


def _by_name(plan: FeaturePlan) -> dict[str, Feature]:
    return {feature.name: feature for feature in plan.features}


def _data(bad: CandidateRecord, restored: CandidateRecord) -> Iterator[VersionDifference]:
    windows = [
        f"{one.window_from} to {one.window_to}, tested from {one.holdout_from}"
        for one in (bad, restored)
    ]
    yield from _differs("data", "window", *windows)
    yield from _differs("data", "training rows", str(bad.train_rows), str(restored.train_rows))
    yield from _mappings("data", "features of", bad.partitions, restored.partitions)
    yield from _mappings("data", "snapshot of", bad.snapshots, restored.snapshots)
    yield from _mappings("data", "left out", bad.left_out, restored.left_out)
    kept = [
        {name: f"{days}, {days.rows} rows" for name, days in one.kept_out.items()}
        for one in (bad, restored)
    ]
    yield from _mappings("data", "kept out", *kept)


def _parameters(bad: CandidateRecord, restored: CandidateRecord) -> Iterator[VersionDifference]:
    about = "parameters"
    yield from _differs(about, "algorithm", _text(bad.algorithm), _text(restored.algorithm))
    values = [
        {name: str(value) for name, value in one.parameters.items()} for one in (bad, restored)
    ]
    yield from _mappings(about, "parameter", *values)
    yield from _differs(about, "seed", str(bad.seed), str(restored.seed))
    searched = ["no search" if one.search is None else "searched" for one in (bad, restored)]
    yield from _differs(about, "search", *searched)
    calibrated = ["none" if one.calibration is None else "yes" for one in (bad, restored)]
    yield from _differs(about, "calibration", *calibrated)


def _environment(bad: CandidateRecord, restored: CandidateRecord) -> Iterator[VersionDifference]:
    found = differences(restored.build, bad.build)
    for one in found[:_NAMED]:
        yield VersionDifference(
            about="code and environment",
            what=one.name + (f" ({one.detail})" if one.detail else ""),
            bad=_text(one.found),
            restored=_text(one.recorded),
        )
    if len(found) > _NAMED:
        yield VersionDifference(
            about="code and environment",
            what="further packages that differ",
            bad=str(len(found) - _NAMED),
            restored="",
        )


def _fields(
    about: str, bad: CandidateRecord, restored: CandidateRecord, names: Mapping[str, str]
) -> Iterator[VersionDifference]:
    for name, words in names.items():
        yield from _differs(about, words, _text(getattr(bad, name)), _text(getattr(restored, name)))


def _mappings(
    about: str, what: str, bad: Mapping[str, str], restored: Mapping[str, str]
) -> Iterator[VersionDifference]:
    names = [name for name in sorted({*bad, *restored}) if bad.get(name) != restored.get(name)]
    for name in names[:_NAMED]:
        yield VersionDifference(
            about=about,
            what=f"{what} {name}",
            bad=_text(bad.get(name)),
            restored=_text(restored.get(name)),
        )
    if len(names) > _NAMED:
        yield VersionDifference(
            about=about, what=f"{what}: more", bad=f"{len(names) - _NAMED} differ", restored=""
        )


def _differs(about: str, what: str, bad: str, restored: str) -> Iterator[VersionDifference]:
    if bad != restored:
        yield VersionDifference(about=about, what=what, bad=bad, restored=restored)


def _text(value: str | None) -> str:
    if value is None:
        return "none"
    return value[:_DIGEST_LETTERS] if value.startswith("sha256:") else value


def _declared(feature: Feature | None) -> str:
    if feature is None:
        return "none"
    fields = feature.model_dump(mode="json", exclude={"name"})
    # Fields without a description, or of a default that is none, say nothing.
    said = {name: value for name, value in fields.items() if value is not None and value != ""}
    return ", ".join(f"{name} {value}" for name, value in said.items())


def _more(words: tuple[str, ...], others: tuple[str, ...]) -> str:
    more = sorted(set(words) - set(others))
    shown = ", ".join(more[:_NAMED]) + (f" and {len(more) - _NAMED} more" if more[_NAMED:] else "")
    return f"only here: {shown}" if more else "none that the other lacks"
