"""Access tokens: only entries that can be read admit somebody, and the file keeps hashes alone."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.errors import InputError, UnavailableError
from ml_release.serving.token_file import CHECK_SECONDS, TokenFile, add_token
from ml_release.serving.tokens import hash_of, holder_of, parse_tokens

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {"name": "shop", "sha256": hash_of("t"), "scopes": ["predict"]}


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def lines(*entries: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(entry).encode() for entry in entries)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": ""}, "name: expected 1 to 128"),
        ({"name": "a\nb"}, "name: expected 1 to 128"),
        ({"sha256": "t"}, "expected 64 hexadecimal digits"),
        ({"sha256": hash_of("t").upper()}, "expected 64 hexadecimal digits"),
        ({"scopes": []}, "expected one or more"),
        ({"scopes": ["admin"]}, "admin"),
        ({"lines": []}, "expected line names"),
        ({"lines": ["../x"]}, "../x"),
        ({"expires": "2013-10-01"}, "expected ISO 8601 with a zone"),
        ({"token": "t"}, "unknown field"),
        ({"scopes": None}, "scopes"),
    ],
)
def test_an_entry_that_cannot_be_used_admits_nobody(change: dict[str, Any], problem: str) -> None:
    """It is named by its line, and the entries around it count."""
    other = {**GOOD, "name": "other", "sha256": hash_of("o")}
    found, problems = parse_tokens(b"# who\n\n" + lines({**GOOD, **change}, other))
    assert [token.name for token in found] == ["other"]
    assert len(problems) == 1
    assert problems[0].startswith("line 3: ")
    assert problem in problems[0]


def test_a_name_and_a_token_stand_once() -> None:
    """The second entry with either is a problem, whatever it would allow."""
    found, problems = parse_tokens(
        lines(GOOD, {**GOOD, "sha256": hash_of("u")}, {**GOOD, "name": "other"})
    )
    assert [token.name for token in found] == ["shop"]
    assert ["line 2" in problems[0], "line 3" in problems[1]] == [True, True]


@given(st.binary(max_size=200))
def test_no_content_breaks_the_reader(content: bytes) -> None:
    """What is no entry is a problem, never an exception."""
    found, problems = parse_tokens(content)
    assert found == ()
    assert all(problem.startswith("line ") for problem in problems)


@given(st.text(max_size=60))
def test_only_the_token_itself_has_a_holder(presented: str) -> None:
    """Neither its hash nor its name, nor anything else."""
    tokens, _ = parse_tokens(lines(GOOD))
    holder = holder_of(presented, tokens)
    assert (holder is not None) == (presented == "t")
    assert holder_of(hash_of("t"), tokens) is None


def test_a_token_ends_at_its_moment() -> None:
    """From then on, not after it."""
    (token,), _ = parse_tokens(lines({**GOOD, "expires": "2013-10-01T00:00:00-04:00"}))
    assert not token.is_expired(datetime(2013, 10, 1, 3, 59, 59, tzinfo=UTC))
    assert token.is_expired(datetime(2013, 10, 1, 4, tzinfo=UTC))


def test_a_new_token_is_told_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    """The file is for its owner alone; comments and other entries stay."""
    path = tmp_path / "below" / "tokens.jsonl"
    first = add_token(path, name="shop", scopes=["predict", "predict"], lines=["small_line"])
    path.write_bytes(b"# rotated in May\n" + path.read_bytes().rstrip(b"\n"))
    path.chmod(0o600)
    second = add_token(path, name="till", scopes=["label"])
    content = path.read_text(encoding="utf-8")
    assert first != second
    assert first not in content
    assert second not in content
    assert content.startswith("# rotated in May\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["tokens.jsonl"]
    tokens, problems = parse_tokens(path.read_bytes())
    assert problems == ()
    holder = holder_of(first, tokens)
    assert holder is not None
    assert (holder.name, holder.scopes, holder.lines) == ("shop", ("predict",), ("small_line",))


def test_a_token_that_cannot_be_kept_is_not_made(tmp_path: Path) -> None:
    """A name that is taken, or a file that is broken already, leaves the file as it was."""
    path = tmp_path / "tokens.jsonl"
    add_token(path, name="shop", scopes=["predict"])
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"found shop again\. Nothing was changed"):
        add_token(path, name="shop", scopes=["label"])
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="it cannot be written"):
        add_token(path / "below", name="shop", scopes=["label"])


def test_tokens_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    """No writer loses the entry of another."""
    path = tmp_path / "tokens.jsonl"
    threads = [
        threading.Thread(
            target=add_token, args=(path,), kwargs={"name": f"n{i}", "scopes": ["label"]}
        )
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tokens, _ = parse_tokens(path.read_bytes())
    assert {token.name for token in tokens} == {f"n{i}" for i in range(8)}


def test_a_change_of_the_file_counts_within_a_second(tmp_path: Path) -> None:
    """Who was taken out is out, even when another entry is broken; a lost file admits nobody."""
    path, clock = tmp_path / "tokens.jsonl", Clock()
    other = {**GOOD, "name": "other", "sha256": hash_of("o")}
    path.write_bytes(lines(GOOD, other))
    file = TokenFile(path, seconds=clock)
    assert [token.name for token in file.tokens()] == ["shop", "other"]
    path.write_bytes(lines({"name": "broken"}, other))
    assert len(file.tokens()) == 2
    clock.seconds += CHECK_SECONDS
    assert [token.name for token in file.tokens()] == ["other"]
    assert file.problems[0].startswith("line 1: ")
    path.unlink()
    clock.seconds += CHECK_SECONDS
    with pytest.raises(UnavailableError, match="cannot read them"):
        file.tokens()
    path.write_bytes(lines(GOOD))
    clock.seconds += CHECK_SECONDS
    assert [token.name for token in file.tokens()] == ["shop"]
    assert file.problems == ()


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (None, 0o600, "expected a readable file"),
        (b"# nobody yet\n", 0o600, "expected at least one token"),
        (b"{}", 0o600, "line 1"),
        (lines(GOOD), 0o666, "not everybody may write"),
    ],
)
def test_a_server_does_not_start_on_a_file_it_cannot_use(
    tmp_path: Path, content: bytes | None, mode: int, message: str
) -> None:
    """One error that names the file."""
    path = tmp_path / "tokens.jsonl"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(InputError, match=message):
        TokenFile(path)
