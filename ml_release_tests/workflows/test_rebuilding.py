"""Rebuilding a version: the same from the same, and exactly what diverged is named."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.adapters.delta_tables import DeltaTables
from ml_release.adapters.evidence_files import EvidenceFiles
from ml_release.adapters.in_memory import InMemoryModels, InMemoryTables
from ml_release.adapters.model_files import ModelFiles
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.domain.rebuild import NOT_DETERMINISTIC, Rebuild, RebuildOutcome
from ml_release.errors import IntegrityError, NotFoundError
from ml_release.workflows.feature_building import FEATURES_RECORD
from ml_release.workflows.rebuilding import Scratch, rebuild_version
from ml_release.workflows.training import CANDIDATE
from ml_release_tests.small_line import MONTHS, SMALL_LINE, trips
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release_tests.small_line import House


@pytest.fixture
def registered(evaluated: House) -> House:
    """Version 1, of the first three months."""
    steps.register(evaluated)
    return evaluated


def rebuild(house: House, number: int = 1, **options: Any) -> Rebuild:
    scratch = Scratch(tables=InMemoryTables(), models=InMemoryModels(), compiler=house.compiler)
    return rebuild_version(
        house.line,
        number,
        **{
            "landing": house.landing,
            "evidence": house.evidence,
            "models": house.models,
            "registry": house.registry,
            "loader": house.loader,
            "workplace": house.workplace,
            "scratch": scratch,
            **options,
        },
    )


def named(found: Rebuild) -> list[str]:
    return [f"{one.source} {one.subject}".strip() for one in found.divergences]


def train_and_register(house: House, **options: Any) -> int:
    """Retrain the house's line on three months, whatever its gates would say; the version."""
    record = steps.train(house, last="2013-03", **options)
    return house.registry.register(
        steps.LINE, model_digest=record.model_digest, run_id=record.run_id, tags={}
    ).number


def test_from_the_same_inputs_the_same_bytes_are_built(registered: House) -> None:
    """Nothing diverged, nothing is named."""
    found = rebuild(registered)
    assert found.outcome is RebuildOutcome.EQUAL_BYTES
    assert found.rebuilt_digest == found.recorded_digest
    assert (found.divergences, found.environment, found.causes) == ((), (), ())
    assert (found.line, found.version) == ("small_line", 1)


def test_a_searched_and_calibrated_model_is_built_without_searching(prepared: House) -> None:
    """The recorded best parameters are fitted, and their folds calibrate again."""
    prepared.line = steps.with_policy(
        prepared.line, "training", calibration="sigmoid", validation_days=5
    )
    number = train_and_register(prepared, trials=3, search_seconds=60.0)
    # No proposals are asked for: the search is not even at hand.
    found = rebuild(prepared, number)
    assert found.outcome is RebuildOutcome.EQUAL_BYTES
    assert found.divergences == ()


def test_a_declared_parameter_that_a_search_leaves_alone_is_compared(prepared: House) -> None:
    """And one that it has chosen is not: the declaration only begins with it."""
    number = train_and_register(prepared, trials=2)
    parameters = {**SMALL_LINE.parameters, "max_iter": 9, "learning_rate": 0.2}
    prepared.line = SMALL_LINE.model_copy(update={"parameters": parameters})
    found = rebuild(prepared, number)
    assert named(found) == ["parameters max_iter"]
    assert found.outcome is RebuildOutcome.DIFFERS


def test_one_changed_value_of_landed_data_is_named_by_its_partition(registered: House) -> None:
    """Neither the features of it, nor of the month that looks back into it."""
    rows = trips("2013-02")
    rows.loc[rows.index[17], "is_late"] = 1.0 - (rows.loc[rows.index[17], "is_late"] == 1.0)
    registered.land("2013-02", rows)
    found = rebuild(registered)
    assert named(found) == ["data 2013-02"]
    assert found.outcome is RebuildOutcome.DIFFERS
    assert len(found.causes) == 1
    assert found.largest_difference is not None
    assert found.largest_difference > found.tolerance
    assert found.rows


def test_data_of_months_outside_of_the_window_are_no_input(registered: House) -> None:
    """April came later."""
    registered.land("2013-04", trips("2013-04", seed=9))
    assert rebuild(registered).outcome is RebuildOutcome.EQUAL_BYTES


def test_another_seed_is_named_alone(prepared: House) -> None:
    """Of an estimator that draws columns by chance, the model is another one."""
    parameters = {**SMALL_LINE.parameters, "max_features": 0.5}
    prepared.line = SMALL_LINE.model_copy(update={"parameters": parameters})
    number = train_and_register(prepared)
    assert rebuild(prepared, number).outcome is RebuildOutcome.EQUAL_BYTES
    prepared.line = prepared.line.model_copy(update={"seed": 8})
    found = rebuild(prepared, number)
    assert found.outcome is RebuildOutcome.DIFFERS
    assert found.causes == ("seed: recorded 7, found 8",)
    # As it is in a checkout: the seed is changed in a file.
    prepared.workplace.move(code_digest="sha256:other", code_dirty=True)
    again = rebuild(prepared, number)
    assert again.causes == found.causes
    assert named(again) == ["seed"]
    assert [one.name for one in again.environment] == ["uncommitted changes", "code"]


def test_a_seed_that_nothing_is_drawn_by_makes_no_difference(registered: House) -> None:
    """It diverged, and the bytes are equal."""
    registered.line = SMALL_LINE.model_copy(update={"seed": 8})
    found = rebuild(registered)
    assert found.outcome is RebuildOutcome.EQUAL_BYTES
    assert (named(found), found.causes) == (["seed"], ())


@pytest.mark.parametrize(
    ("change", "name"),
    [
        pytest.param({"lock_digest": "sha256:other"}, "lock", id="lock"),
        pytest.param({"code_digest": "sha256:other"}, "code", id="code"),
        pytest.param({"packages": {"numpy": "2.5.0"}}, "environment package numpy", id="package"),
        pytest.param({"python": "3.13.1"}, "environment python", id="python"),
    ],
)
def test_another_place_of_work_is_named_alone(
    registered: House, change: dict[str, Any], name: str
) -> None:
    """That it has no effect is shown by the bytes."""
    registered.workplace.move(**change)
    found = rebuild(registered)
    assert named(found) == [name]
    assert found.outcome is RebuildOutcome.EQUAL_BYTES


@pytest.mark.parametrize(
    ("policy", "change", "outcome", "name"),
    [
        pytest.param(
            "training",
            {"calibration": "sigmoid", "validation_days": 5},
            RebuildOutcome.DIFFERS,
            "policy of training",
            id="calibration",
        ),
        pytest.param(
            "evaluation",
            {"holdout_days": 10},
            RebuildOutcome.DIFFERS,
            "policy of evaluation",
            id="holdout",
        ),
        pytest.param(
            "evaluation",
            {"minimum_rows": 101},
            RebuildOutcome.EQUAL_BYTES,
            "policy of evaluation",
            id="a limit of a gate",
        ),
    ],
)
def test_another_policy_is_named_alone(
    registered: House, policy: str, change: dict[str, Any], outcome: RebuildOutcome, name: str
) -> None:
    """It changes the model only where it decides what is fitted."""
    registered.line = steps.with_policy(registered.line, policy, **change)
    found = rebuild(registered)
    assert (named(found), found.outcome) == ([name], outcome)


def test_other_features_are_named_as_the_declaration(registered: House) -> None:
    """Not every partition of them, nor what is learned of them."""
    features = tuple(f for f in SMALL_LINE.features if f.name != "minute")
    registered.line = SMALL_LINE.model_copy(update={"features": features})
    found = rebuild(registered)
    assert named(found) == ["features as declared"]
    # The recorded model needs a feature that is built no longer: it cannot be asked.
    assert found.outcome is RebuildOutcome.CANNOT_TELL
    assert "no longer built as it learned them: ['minute']" in found.problem


def test_an_estimator_that_leaves_it_to_chance_is_not_deterministic(prepared: House) -> None:
    """No input diverged, and that is what is said."""
    seeds = iter(range(100))

    def by_chance(parameters: Any, _seed: int) -> Any:
        return SMALL_LINE.build_estimator({**parameters, "max_features": 0.5}, next(seeds))

    prepared.line = SMALL_LINE.model_copy(update={"build_estimator": by_chance})
    found = rebuild(prepared, train_and_register(prepared))
    assert found.outcome is RebuildOutcome.DIFFERS
    assert (found.divergences, found.causes) == ((), (NOT_DETERMINISTIC,))


def test_bytes_may_differ_where_predictions_do_not(registered: House) -> None:
    """Within the tolerance that is asked for."""
    parameters = {**SMALL_LINE.parameters, "learning_rate": 0.1 + 1e-9}
    registered.line = SMALL_LINE.model_copy(update={"parameters": parameters})
    found = rebuild(registered)
    assert found.outcome is RebuildOutcome.EQUAL_PREDICTIONS
    assert found.rebuilt_digest != found.recorded_digest
    assert rebuild(registered, tolerance=0.0).outcome is RebuildOutcome.DIFFERS


def test_data_that_have_gone_from_landing_are_named(registered: House) -> None:
    """Nothing is built, so that nothing can be told; other divergences are named beside it."""
    del registered.landing._tables["trips/2013-02.parquet"]
    registered.line = SMALL_LINE.model_copy(update={"seed": 8})
    found = rebuild(registered)
    assert found.outcome is RebuildOutcome.CANNOT_TELL
    assert found.rebuilt_digest is None
    assert named(found) == ["data 2013-02", "seed"]
    assert "no longer holds what the version was built from: 2013-02" in found.sentence()
    assert "trips/2013-02.parquet" in found.causes[0]


def test_data_that_can_no_longer_be_trained_on_are_named(registered: House) -> None:
    """Without one of the classes in the holdout there is no model, and the data are why."""
    rows = trips("2013-03")
    rows.loc[rows.index[200:], "is_late"] = 0.0
    registered.land("2013-03", rows)
    found = rebuild(registered)
    assert found.outcome is RebuildOutcome.CANNOT_TELL
    assert named(found) == ["data 2013-03"]
    assert "expected labels 0 and 1" in found.problem


def test_a_lost_artefact_matters_only_if_the_bytes_differ(registered: House) -> None:
    """Equal digests need no predictions."""
    registered.models.artefacts.clear()
    assert rebuild(registered).outcome is RebuildOutcome.EQUAL_BYTES
    registered.land("2013-02", trips("2013-02", seed=3))
    found = rebuild(registered)
    assert found.outcome is RebuildOutcome.CANNOT_TELL
    assert "recorded model" in found.problem


def test_a_version_that_is_not_there_is_an_error(registered: House) -> None:
    """With those that are."""
    with pytest.raises(NotFoundError, match=r"expected version 4 in the registry, found \[1\]"):
        rebuild(registered, 4)


@pytest.mark.parametrize("kind", [CANDIDATE, FEATURES_RECORD])
def test_a_version_without_its_records_is_an_error(registered: House, kind: str) -> None:
    """Nothing says what it was built from, and the message says which record is missing."""
    (version,) = registered.registry.versions(steps.LINE)
    subject = version.model_digest
    if kind == FEATURES_RECORD:
        subject = steps.current(registered, "features")["2013-02"].digest
    steps.forget(registered, kind, subject)
    with pytest.raises(NotFoundError, match=r"version 1: expected the record of .*found none"):
        rebuild(registered)


def test_a_record_that_was_changed_is_an_error(registered: House) -> None:
    """It is no evidence."""
    (version,) = registered.registry.versions(steps.LINE)
    steps.edit(registered, CANDIDATE, version.model_digest, lambda record: record.pop("build"))
    with pytest.raises(IntegrityError):
        rebuild(registered)


def test_every_step_is_told_in_order(registered: House) -> None:
    """With how many there are."""
    told: list[tuple[str, int, int]] = []
    rebuild(registered, progress=lambda step, done, total: told.append((step, done, total)))
    months = MONTHS[:3]
    assert [step for step, _, _ in told] == [
        *(f"snapshot {month}" for month in months),
        *(f"features {month}" for month in months),
        "fit",
        "compare",
    ]
    assert [done for _, done, _ in told] == [0, 1, 2, 3, 4, 5, 6, 8]
    assert {total for _, _, total in told} == {8}


def test_the_home_is_not_touched(house: House, tmp_path: Path) -> None:
    """Not one byte of it, whether the rebuild differs or not; the lake is not even read."""
    home = tmp_path / "home"
    # The adapters of one machine in place of those in memory.
    kept: Any = house
    kept.tables = DeltaTables(home / "lake")
    kept.evidence = EvidenceFiles(home / "evidence")
    kept.models = ModelFiles(home / "models", ModelSignatures(SigningKeys(home / "keys")))
    steps.prepare(house, *MONTHS[:3])
    number = train_and_register(house)
    before = content(home)
    scratch = Scratch(
        tables=DeltaTables(tmp_path / "scratch" / "lake"),
        models=ModelFiles(
            tmp_path / "scratch" / "models",
            ModelSignatures(SigningKeys(tmp_path / "scratch" / "keys")),
        ),
        compiler=house.compiler,
    )
    assert rebuild(house, number, scratch=scratch).outcome is RebuildOutcome.EQUAL_BYTES
    house.land("2013-02", trips("2013-02", seed=3))
    assert rebuild(house, number, scratch=scratch).outcome is RebuildOutcome.DIFFERS
    assert content(home) == before
    assert len(before) > 10


def content(folder: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of change of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
