"""What every adapter of `ProfileStore` has to do."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.counted_log.profiles import ProfileFile
from ml_release.adapters.in_memory import InMemoryProfiles
from ml_release.domain.bucket_profile import SHADOW, BucketProfile
from ml_release.domain.counted_feature import CountedFeature
from ml_release.errors import (
    DeclarationError,
    InputError,
    IntegrityError,
    StaleWriteError,
    UnavailableError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.ports import ProfileStore

ENVIRONMENT = "production"
DAY = (datetime(2013, 4, 2, tzinfo=UTC), datetime(2013, 4, 3, tzinfo=UTC))


def a_bucket(hour: int, **changes: object) -> BucketProfile:
    known = BucketProfile(
        line="line",
        version=1,
        model_digest="a",
        variant="champion",
        bucket=f"2013-04-02T{hour:02}:00:00+00:00",
        rows=2,
        features={
            "x": CountedFeature(bins=(1, 1), n=1, mean=4.0, m2=0.0, minimum=4.0, maximum=4.0)
        },
        latency={3: 2},
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def hours(store: ProfileStore, **changes: object) -> list[int]:
    asked = {"model_digest": "a", "since": DAY[0], "until": DAY[1]} | changes
    found = store.between("line", ENVIRONMENT, **asked)  # type: ignore[arg-type]
    return [datetime.fromisoformat(one.bucket).hour for one in found]


def add(
    store: ProfileStore, *profiles: BucketProfile, to: dict[str, int], expected: dict[str, int]
) -> None:
    store.add("line", ENVIRONMENT, profiles=profiles, cursor=to, expected=expected)


@pytest.fixture(params=["in_memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ProfileStore:
    return InMemoryProfiles() if request.param == "in_memory" else _file(tmp_path)


def _file(folder: Path) -> ProfileFile:
    return ProfileFile(folder / "monitoring" / "profiles.db")


def test_nothing_is_kept_at_first(store: ProfileStore) -> None:
    """An empty cursor, no bucket, no newest one; clearing that changes nothing."""
    store.clear("line", ENVIRONMENT)
    assert store.cursor("line", ENVIRONMENT) == {}
    assert hours(store) == []
    assert store.newest("line", ENVIRONMENT, model_digest=None) is None


def test_profiles_of_one_bucket_add_up(store: ProfileStore) -> None:
    """What came later is merged into the bucket, and the cursor moves with it."""
    add(store, a_bucket(3), a_bucket(5), to={"s": 10}, expected={})
    add(store, a_bucket(3), to={"s": 20}, expected={"s": 10})
    assert store.cursor("line", ENVIRONMENT) == {"s": 20}
    found = store.between("line", ENVIRONMENT, model_digest="a", since=DAY[0], until=DAY[1])
    assert found == (a_bucket(3) + a_bucket(3), a_bucket(5))


def test_a_cursor_that_has_moved_refuses_everything(store: ProfileStore) -> None:
    """Two ticks at once count nothing twice."""
    add(store, a_bucket(3), to={"s": 10}, expected={})
    for expected in ({}, {"s": 9}, {"t": 10}):
        with pytest.raises(StaleWriteError, match="Somebody else"):
            add(store, a_bucket(4), to={"s": 20}, expected=expected)
    assert hours(store) == [3]
    assert store.cursor("line", ENVIRONMENT) == {"s": 10}


def test_one_of_many_at_once_wins(store: ProfileStore) -> None:
    """The others are told that they are late."""

    def attempt(_: int) -> bool:
        try:
            add(store, a_bucket(3), to={"s": 10}, expected={})
        except StaleWriteError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    (found,) = store.between("line", ENVIRONMENT, model_digest="a", since=DAY[0], until=DAY[1])
    assert found.rows == 2


def test_models_variants_lines_and_environments_are_apart(store: ProfileStore) -> None:
    """What counts over other bins is never merged; shadows are given only to who asks."""
    add(
        store,
        a_bucket(3),
        a_bucket(3, variant="canary"),
        a_bucket(4, model_digest="b", version=2),
        a_bucket(6, variant=SHADOW),
        to={"s": 1},
        expected={},
    )
    assert hours(store) == [3, 3]
    assert hours(store, model_digest="b") == [4]
    assert hours(store, model_digest=None) == [3, 3, 4]
    assert hours(store, shadows=True) == [3, 3, 6]
    assert store.cursor("line", "staging") == {}
    assert store.between("line", "staging", model_digest="a", since=DAY[0], until=DAY[1]) == ()
    newest = {
        digest: store.newest("line", ENVIRONMENT, model_digest=digest)
        for digest in ("a", "b", None)
    }
    assert {digest: found and found.hour for digest, found in newest.items()} == {
        "a": 3,
        "b": 4,
        None: 4,
    }


def test_a_span_holds_its_begin_and_not_its_end(store: ProfileStore) -> None:
    """By where the buckets begin, in whatever zone the question is put."""
    add(store, *(a_bucket(hour) for hour in range(24)), to={"s": 1}, expected={})
    since, until = datetime(2013, 4, 2, 3, tzinfo=UTC), datetime(2013, 4, 2, 5, tzinfo=UTC)
    assert hours(store, since=since, until=until) == [3, 4]


def test_what_is_cleared_is_counted_anew(store: ProfileStore) -> None:
    """The cursor goes too; another environment stays."""
    add(store, a_bucket(3), to={"s": 1}, expected={})
    store.add("line", "staging", profiles=[a_bucket(3)], cursor={"s": 1}, expected={})
    store.clear("line", ENVIRONMENT)
    assert (hours(store), store.cursor("line", ENVIRONMENT)) == ([], {})
    assert store.cursor("line", "staging") == {"s": 1}


def test_a_profile_of_another_line_is_refused(store: ProfileStore) -> None:
    """Nothing of it is kept, nor of what came with it."""
    with pytest.raises(InputError, match="another"):
        add(store, a_bucket(3), a_bucket(3, line="another"), to={"s": 1}, expected={})
    assert (hours(store), store.cursor("line", ENVIRONMENT)) == ([], {})


def test_a_line_is_a_plain_name(store: ProfileStore) -> None:
    """As everywhere."""
    with pytest.raises(DeclarationError):
        store.cursor("../line", ENVIRONMENT)


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE buckets SET document = replace(document, '"rows":2', '"rows":9')""",
        """UPDATE cursors SET document = replace(document, '10', '11')""",
        "PRAGMA user_version = 7",
    ],
)
def test_what_was_edited_is_not_believed(tmp_path: Path, statement: str) -> None:
    """Neither a bucket, nor a cursor, nor a file of another version; cleared, all is well again."""
    store = _file(tmp_path)
    add(store, a_bucket(3), to={"s": 10}, expected={})
    path = tmp_path / "monitoring" / "profiles.db"
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()
    with pytest.raises(IntegrityError):
        add(store, a_bucket(3), to={"s": 20}, expected={"s": 10})
    store.clear("line", ENVIRONMENT)
    add(store, a_bucket(3), to={"s": 10}, expected={})
    assert hours(store) == [3]


def test_a_file_that_is_no_database_is_told_and_can_be_cleared(tmp_path: Path) -> None:
    """It is not overwritten before somebody says so."""
    path = tmp_path / "monitoring" / "profiles.db"
    path.parent.mkdir()
    path.write_bytes(b"no database" * 100)
    store = ProfileFile(path)
    with pytest.raises(IntegrityError, match="not a database"):
        store.cursor("line", ENVIRONMENT)
    store.clear("line", ENVIRONMENT)
    assert store.cursor("line", ENVIRONMENT) == {}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """One clear error."""
    (tmp_path / "monitoring").write_text("a file", encoding="utf-8")
    with pytest.raises(UnavailableError, match="monitoring"):
        _file(tmp_path).cursor("line", ENVIRONMENT)
