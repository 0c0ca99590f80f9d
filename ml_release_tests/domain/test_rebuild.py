"""Is a rebuilt model the recorded one, and what diverged if it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.divergence import PredictionGap, Rebuilt, Source
from ml_release.domain.provenance import CandidateRecord
from ml_release.domain.rebuild import (
    NOT_DETERMINISTIC,
    Rebuild,
    RebuildOutcome,
    judge_rebuild,
)
from ml_release_tests.domain.test_build_record import BUILD

CANDIDATE = CandidateRecord(
    line="line",
    model_digest="sha256:model",
    run_id="run-1",
    partitions={"2013-02": "sha256:f2", "2013-03": "sha256:f3"},
    snapshots={"2013-01": "sha256:s1", "2013-02": "sha256:s2", "2013-03": "sha256:s3"},
    feature_version="sha256:plan",
    policy_digest="sha256:evaluation",
    training_policy_digest="sha256:training",
    seed=7,
    parameters={"depth": 3, "rate": 0.1},
    build=BUILD,
    window_from="2013-02-01",
    holdout_from="2013-03-18",
    window_to="2013-03-31",
    train_rows=10,
    holdout_rows=4,
    trained_at="2013-04-01T00:00:00+00:00",
)
SAME = Rebuilt(
    build=BUILD,
    snapshots=CANDIDATE.snapshots,
    features=CANDIDATE.partitions,
    built_from={"2013-02": ("2013-01", "2013-02"), "2013-03": ("2013-02", "2013-03")},
    declarations={"2013-02": "sha256:declared", "2013-03": "sha256:declared"},
    declaration="sha256:declared",
    seed=7,
    parameters=CANDIDATE.parameters,
    policy_digest="sha256:evaluation",
    training_policy_digest="sha256:training",
    holdout_from="2013-03-18",
    feature_version="sha256:plan",
    model_digest="sha256:model",
)
FAR = PredictionGap(rows=4, largest=0.25)


def judged(rebuilt: Rebuilt, *, tolerance: float = 1e-6) -> Rebuild:
    return judge_rebuild(CANDIDATE, rebuilt, version=1, tolerance=tolerance)


def other_model(**changes: Any) -> Rebuilt:
    return replace(SAME, model_digest="sha256:other", **{"gap": FAR, **changes})


def test_equal_bytes_need_no_further_question() -> None:
    """Nothing diverged, and no cause is named."""
    found = judged(SAME)
    assert found.outcome is RebuildOutcome.EQUAL_BYTES
    assert (found.is_same, found.divergences, found.causes) == (True, (), ())
    assert found.sentence() == "same bytes"
    assert Rebuild.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("gap", "outcome", "sentence"),
    [
        pytest.param(
            PredictionGap(rows=4, largest=0.0),
            RebuildOutcome.EQUAL_PREDICTIONS,
            "same predictions, other bytes: largest difference 0 on 4 rows",
            id="none",
        ),
        pytest.param(
            PredictionGap(rows=4, largest=1e-6),
            RebuildOutcome.EQUAL_PREDICTIONS,
            "same predictions, other bytes: largest difference 1e-06 on 4 rows",
            id="at the tolerance",
        ),
        pytest.param(
            PredictionGap(rows=4, largest=1.1e-6),
            RebuildOutcome.DIFFERS,
            "differs by up to 1.1e-06 on 4 rows; at most 1e-06 is allowed",
            id="beyond it",
        ),
        pytest.param(
            PredictionGap(rows=4, largest=float("nan")),
            RebuildOutcome.CANNOT_TELL,
            "cannot tell: the bytes are others, and of the predictions: they are no numbers",
            id="no number",
        ),
        pytest.param(
            PredictionGap(rows=0, largest=0.0),
            RebuildOutcome.CANNOT_TELL,
            "cannot tell: the bytes are others, and no row was there to answer",
            id="no rows",
        ),
        pytest.param(
            PredictionGap(rows=4, largest=None, problem="recorded model: no such artefact"),
            RebuildOutcome.CANNOT_TELL,
            "cannot tell: the bytes are others, and of the predictions: recorded model: no such"
            " artefact",
            id="artefact lost",
        ),
        pytest.param(
            None,
            RebuildOutcome.CANNOT_TELL,
            "cannot tell: the bytes are others, and of the predictions: they were not compared",
            id="not compared",
        ),
    ],
)
def test_other_bytes_are_judged_by_their_predictions(
    gap: PredictionGap | None, outcome: RebuildOutcome, sentence: str
) -> None:
    """And whatever cannot be told is not the same; without a divergence it is not deterministic."""
    found = judged(other_model(gap=gap))
    assert (found.outcome, found.sentence()) == (outcome, sentence)
    assert found.is_same is (outcome is RebuildOutcome.EQUAL_PREDICTIONS)
    assert found.causes == (NOT_DETERMINISTIC,)


@pytest.mark.parametrize("tolerance", [float("nan"), -1.0])
def test_a_tolerance_that_is_none_lets_nothing_through(tolerance: float) -> None:
    """Not even predictions without any difference."""
    found = judged(other_model(gap=PredictionGap(rows=4, largest=0.0)), tolerance=tolerance)
    assert not found.is_same


MOVED = BUILD.model_copy(update={"code_digest": "sha256:9", "code_dirty": True})
CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "data": (
        {"snapshots": {**CANDIDATE.snapshots, "2013-02": "sha256:x"}},
        ["data 2013-02: recorded sha256:s2, found sha256:x"],
    ),
    "data with the features of it": (
        {
            "snapshots": {**CANDIDATE.snapshots, "2013-01": "sha256:x"},
            "features": {**CANDIDATE.partitions, "2013-02": "sha256:y"},
            "feature_version": "sha256:z",
        },
        ["data 2013-01: recorded sha256:s1, found sha256:x"],
    ),
    "features of the same data": (
        {"features": {**CANDIDATE.partitions, "2013-03": "sha256:y"}},
        ["features 2013-03: recorded sha256:f3, found sha256:y"],
    ),
    "features of other declarations": (
        {
            "declaration": "sha256:new",
            "features": {"2013-02": "sha256:y", "2013-03": "sha256:z"},
            "feature_version": "sha256:n",
        },
        ["features as declared: recorded sha256:declared, found sha256:new"],
    ),
    "what is learned of the same rows": (
        {"feature_version": "sha256:n"},
        ["features as learned: recorded sha256:plan, found sha256:n"],
    ),
    "code": ({"build": MOVED}, ["code: recorded sha256:111111111111, found sha256:9"]),
    "lock": (
        {"build": BUILD.model_copy(update={"lock_digest": None})},
        ["lock: recorded sha256:222222222222, found none"],
    ),
    "package": (
        {"build": BUILD.model_copy(update={"packages": {**BUILD.packages, "numpy": "2.5.0"}})},
        ["environment package numpy: recorded 2.4.6, found 2.5.0"],
    ),
    "python": (
        {"build": BUILD.model_copy(update={"python": "3.13.1"})},
        ["environment python: recorded 3.11.7, found 3.13.1"],
    ),
    "seed": ({"seed": 8}, ["seed: recorded 7, found 8"]),
    "parameters": (
        {"parameters": {"depth": 4, "width": 2}},
        [
            "parameters depth: recorded 3, found 4",
            "parameters rate: recorded 0.1, found none",
            "parameters width: recorded none, found 2",
        ],
    ),
    "training policy": (
        {"training_policy_digest": "sha256:t"},
        ["policy of training: recorded sha256:training, found sha256:t"],
    ),
    "holdout": (
        {"policy_digest": "sha256:e", "holdout_from": "2013-03-25", "feature_version": "sha256:n"},
        [
            "policy of evaluation: recorded sha256:evaluation, found sha256:e"
            " (holdout from 2013-03-25, then 2013-03-18)"
        ],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_diverged_is_named_alone_as_the_probable_cause(name: str) -> None:
    """One change in, that one and no other out."""
    changes, expected = CHANGES[name]
    found = judged(other_model(**changes))
    assert [one.sentence() for one in found.divergences] == expected
    assert list(found.causes) == expected


@pytest.mark.parametrize("name", CHANGES)
def test_what_diverged_without_effect_is_named_and_no_cause(name: str) -> None:
    """With equal bytes it is a remark."""
    changes, expected = CHANGES[name]
    found = judged(replace(SAME, **changes))
    assert found.outcome is RebuildOutcome.EQUAL_BYTES
    assert [one.sentence() for one in found.divergences] == expected
    assert found.causes == ()


@pytest.mark.parametrize("name", CHANGES)
def test_landing_data_that_are_gone_are_named(name: str) -> None:
    """With why they cannot be read, and whatever else has diverged; it is no pass."""
    changes, _ = CHANGES[name]
    rebuilt = replace(
        SAME,
        **{
            **changes,
            "snapshots": {"2013-01": "sha256:s1", "2013-03": "sha256:s3"},
            "missing": {"2013-02": "no such file"},
            "features": {},
            "feature_version": None,
            "model_digest": None,
            "problem": "gone: 2013-02",
        },
    )
    found = judged(rebuilt)
    assert found.outcome is RebuildOutcome.CANNOT_TELL
    assert found.sentence() == "cannot tell: gone: 2013-02"
    gone = "data 2013-02: recorded sha256:s2, found none (no such file)"
    assert gone in found.causes
    assert not found.is_same


def test_another_commit_of_the_same_sources_is_a_remark() -> None:
    """The digest of the code decides; the commit is told among the differences."""
    build = BUILD.model_copy(update={"code_commit": "b" * 40})
    found = judged(other_model(build=build))
    assert [one.name for one in found.environment] == ["code commit"]
    assert found.divergences == ()
    assert found.causes == (NOT_DETERMINISTIC,)


def test_a_policy_that_leaves_the_holdout_explains_no_other_model() -> None:
    """It is named, but gates change no byte."""
    found = judged(other_model(policy_digest="sha256:e"))
    (policy,) = found.divergences
    assert (policy.source, policy.explains) == (Source.POLICY, False)
    assert found.causes == (NOT_DETERMINISTIC,)


@pytest.mark.parametrize(
    ("digest", "causes"),
    [
        pytest.param(
            "sha256:model", ["seed: recorded 7, found 8"], id="the recorded seed gives the bytes"
        ),
        pytest.param(
            "sha256:third",
            ["code: recorded sha256:111111111111, found sha256:9", "seed: recorded 7, found 8"],
            id="it does not",
        ),
        pytest.param(
            None,
            ["code: recorded sha256:111111111111, found sha256:9", "seed: recorded 7, found 8"],
            id="not asked for",
        ),
    ],
)
def test_code_is_cleared_by_a_rebuild_with_the_recorded_seed(
    digest: str | None, causes: list[str]
) -> None:
    """A seed is declared in code: only a rebuild shows that nothing else in it matters."""
    found = judged(other_model(seed=8, build=MOVED, digest_as_recorded=digest))
    assert list(found.causes) == causes
    assert "code" in {one.name for one in found.environment}


def test_data_that_diverged_beside_a_cleared_seed_stay_named() -> None:
    """They are shown, and explain nothing."""
    snapshots = {**CANDIDATE.snapshots, "2013-01": "sha256:x"}
    found = judged(other_model(seed=8, snapshots=snapshots, digest_as_recorded="sha256:model"))
    assert {one.source: one.explains for one in found.divergences} == {
        Source.DATA: False,
        Source.SEED: True,
    }


@given(
    st.sets(st.sampled_from(sorted(CHANGES))),
    st.sampled_from([None, "sha256:model", "sha256:other"]),
    st.one_of(st.none(), st.floats()),
)
def test_a_model_is_the_same_only_if_it_was_shown(
    names: set[str], digest: str | None, largest: float | None
) -> None:
    """By its bytes, or by a number within the tolerance, whatever diverged."""
    changes = {key: value for name in sorted(names) for key, value in CHANGES[name][0].items()}
    gap = PredictionGap(rows=4, largest=largest)
    found = judged(replace(SAME, **{**changes, "model_digest": digest, "gap": gap}))
    within = largest is not None and largest <= 1e-6 and largest > -float("inf")
    assert found.is_same is (digest == "sha256:model" or (digest is not None and within))
    assert found.sentence()
    assert found.is_same or digest is None or found.causes
