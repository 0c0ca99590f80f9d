"""What differs between two versions, and which features can be asked again."""

from __future__ import annotations

from typing import Any

import pytest

from ml_release.domain.features import Category, FeaturePlan, History, Number
from ml_release.domain.incident_causes import (
    features_that_cannot_be_asked,
    plan_differences,
    version_differences,
)
from ml_release_tests.release_reports import CANDIDATE

DISTANCE = Number(name="distance", column="distance")
CARRIER = Category(name="carrier", column="carrier")


def plan(*features: Any, words: tuple[str, ...] = ("AA", "BB")) -> FeaturePlan:
    vocabularies = {f.name: words for f in features if isinstance(f, Category)}
    return FeaturePlan(features=features, vocabularies=vocabularies)


PACKAGES = CANDIDATE.build.model_copy(
    update={"packages": {f"p{n:02d}": "2" for n in range(20)}, "code_dirty": True}
)
CASES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "nothing": ({}, []),
    "the window": (
        {"window_to": "2013-02-28"},
        [("data", "window")],
    ),
    "a month": (
        {"partitions": {**CANDIDATE.partitions, "2013-02": "sha256:b"}, "train_rows": 900},
        [("data", "training rows"), ("data", "features of 2013-02")],
    ),
    "features": ({"feature_version": "features-2"}, [("features", "feature version")]),
    "parameters": (
        {"parameters": {"max_iter": 13, "depth": None}, "seed": 8},
        [
            ("parameters", "parameter depth"),
            ("parameters", "parameter max_iter"),
            ("parameters", "seed"),
        ],
    ),
    "policy": ({"policy_digest": "sha256:c"}, [("policy", "evaluation policy")]),
}


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_records_tell_what_differs(
    changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """By what it is about, data first."""
    found = version_differences(CANDIDATE.model_copy(update=changes), CANDIDATE)
    assert [(one.about, one.what) for one in found] == expected


def test_many_packages_are_counted_and_not_listed() -> None:
    """A page is for reading."""
    found = version_differences(CANDIDATE.model_copy(update={"build": PACKAGES}), CANDIDATE)
    assert {one.about for one in found} == {"code and environment"}
    assert len(found) == 13
    assert found[-1].what == "further packages that differ"
    assert found[0].what == "uncommitted changes"
    assert (found[0].bad, found[0].restored) == ("yes", "no")


def test_plans_tell_features_and_words() -> None:
    """With what each of them has."""
    bad = plan(CARRIER, words=("AA", "CC"))
    found = plan_differences(bad, plan(DISTANCE, CARRIER))
    assert [(one.what, one.bad, one.restored) for one in found] == [
        ("feature distance", "none", "kind number, column distance"),
        ("words of carrier", "only here: CC", "only here: BB"),
    ]


def test_a_feature_with_several_keys_is_told_whole() -> None:
    """Its keys are a list."""
    rate = History(name="rate", keys=("carrier",), window_days=28)
    (found,) = plan_differences(plan(rate), plan(rate.model_copy(update={"window_days": 7})))
    assert "window_days 28" in found.bad
    assert "keys ['carrier']" in found.restored


ASKABLE: dict[str, tuple[FeaturePlan, FeaturePlan, frozenset[str], set[str]]] = {
    "the same": (plan(DISTANCE), plan(DISTANCE), frozenset(), set()),
    "one less": (plan(DISTANCE, CARRIER), plan(DISTANCE), frozenset(), set()),
    "one more": (plan(DISTANCE), plan(DISTANCE, CARRIER), frozenset(), {"carrier"}),
    "masked": (plan(DISTANCE), plan(DISTANCE), frozenset({"distance"}), {"distance"}),
    "masked, not asked": (
        plan(DISTANCE, CARRIER),
        plan(CARRIER),
        frozenset({"distance"}),
        set(),
    ),
    "of another column": (
        plan(DISTANCE),
        plan(Number(name="distance", column="miles")),
        frozenset(),
        {"distance"},
    ),
}


@pytest.mark.parametrize(("bad", "restored", "masked", "lost"), ASKABLE.values(), ids=ASKABLE)
def test_a_row_is_asked_again_only_on_what_the_log_holds(
    bad: FeaturePlan, restored: FeaturePlan, masked: frozenset[str], lost: set[str]
) -> None:
    """A feature the restored model does not use may be missing or masked."""
    assert set(features_that_cannot_be_asked(bad, restored, masked=masked)) == lost
