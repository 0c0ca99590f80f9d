"""What differs between two builds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.build_record import BuildRecord, differences

BUILD = BuildRecord(
    code_commit="a" * 40,
    code_dirty=False,
    code_digest="sha256:" + "1" * 64,
    code_files={"ml_release/a.py": "sha256:a", "ml_release/b.py": "sha256:b"},
    lock_digest="sha256:" + "2" * 64,
    python="3.11.7",
    implementation="CPython",
    platform="Linux glibc2.36",
    machine="x86_64",
    packages={"numpy": "2.4.6", "scipy": "1.17.1"},
)
NAMES = {
    "code_commit": "code commit",
    "code_dirty": "uncommitted changes",
    "code_digest": "code",
    "lock_digest": "lock",
    "python": "python",
    "implementation": "implementation",
    "platform": "platform",
    "machine": "machine",
}


def told(**changes: Any) -> list[str]:
    return [one.sentence() for one in differences(BUILD, BUILD.model_copy(update=changes))]


def test_a_build_does_not_differ_from_itself() -> None:
    """Read back from its bytes neither."""
    read = BuildRecord.model_validate_json(BUILD.model_dump_json())
    assert differences(BUILD, read) == ()


@pytest.mark.parametrize("field", NAMES)
def test_every_field_is_compared_and_named_alone(field: str) -> None:
    """Another value, and none where there was one, are a difference of that name only."""
    other: Any = True if field == "code_dirty" else "other"
    (found,) = differences(BUILD, BUILD.model_copy(update={field: other}))
    assert found.name == NAMES[field]
    assert found.recorded != found.found
    (lost,) = differences(BUILD, BUILD.model_copy(update={field: None}))
    assert (lost.name, lost.found) == (NAMES[field], None)


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        pytest.param(
            {"numpy": "2.5.0", "scipy": "1.17.1"},
            ["package numpy: recorded 2.4.6, found 2.5.0"],
            id="changed",
        ),
        pytest.param(
            {"numpy": "2.4.6"}, ["package scipy: recorded 1.17.1, found none"], id="removed"
        ),
        pytest.param(
            {"numpy": "2.4.6", "scipy": "1.17.1", "shap": "0.51"},
            ["package shap: recorded none, found 0.51"],
            id="added",
        ),
    ],
)
def test_packages_are_compared_one_by_one(packages: dict[str, str], expected: list[str]) -> None:
    """Added, removed, changed."""
    assert told(packages=packages) == expected


@pytest.mark.parametrize(
    ("files", "detail"),
    [
        pytest.param(
            {"ml_release/a.py": "sha256:x", "ml_release/b.py": "sha256:b"},
            "(ml_release/a.py)",
            id="changed",
        ),
        pytest.param({"ml_release/a.py": "sha256:a"}, "(ml_release/b.py)", id="removed"),
        pytest.param(
            {f"ml_release/{name}.py": "sha256:n" for name in "cdef"},
            "(ml_release/a.py, ml_release/b.py, ml_release/c.py and 3 more files)",
            id="many",
        ),
    ],
)
def test_other_code_is_told_with_the_files(files: dict[str, str], detail: str) -> None:
    """A few by name, more of them by their number."""
    (found,) = told(code_digest="sha256:" + "9" * 64, code_files=files)
    assert found.startswith("code: recorded sha256:111111111111, found sha256:999999999999")
    assert found.endswith(detail)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["1", "2", "3"])),
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["1", "2", "3"])),
)
def test_the_other_way_round_the_same_things_differ(
    recorded: dict[str, str], running: dict[str, str]
) -> None:
    """With the two sides exchanged, and as many as there are names with two values."""
    first = BUILD.model_copy(update={"packages": recorded})
    second = BUILD.model_copy(update={"packages": running})
    there, back = differences(first, second), differences(second, first)
    assert [(d.name, d.recorded, d.found) for d in there] == [
        (d.name, d.found, d.recorded) for d in back
    ]
    names = {n for n in {*recorded, *running} if recorded.get(n) != running.get(n)}
    assert {d.name for d in there} == {f"package {name}" for name in names}
