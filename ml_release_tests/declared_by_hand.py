"""What a person can do to the deployments repository without the engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dulwich.objects import Blob, Commit
from dulwich.repo import Repo

from ml_release.adapters.git_deployments import GitDeployments
from ml_release.adapters.git_deployments.trees import BRANCH, head_of, moved, read_file, with_file
from ml_release.adapters.seals import Seals
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.domain.deployment import path_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AT = datetime(2013, 6, 1, tzinfo=UTC)


def git_deployments(home: Path) -> GitDeployments:
    """The repository of a home folder, with the keys of that home."""
    return GitDeployments(home / "deployments", Seals(SigningKeys(home / "keys")))


def file_of(root: Path, line: str, environment: str = "production") -> str:
    """The text of what is declared."""
    with Repo(str(root)) as repository:
        content = read_file(
            repository, _head(repository).tree, path_of(line, environment).split("/")
        )
    assert content is not None
    return content.decode()


def commit_by_hand(
    root: Path,
    line: str,
    text: str | bytes | None,
    *,
    environment: str = "production",
    message: str = "by hand",
) -> str:
    """Commit any text as what is declared, or remove the file for None; gives the commit."""
    parts = path_of(line, environment).split("/")
    with Repo(str(root)) as repository:
        old = _head(repository)
        store = repository.object_store
        if text is None:
            tree = _without_file(repository, old.tree, parts)
        else:
            blob = Blob.from_string(text.encode() if isinstance(text, str) else text)
            store.add_object(blob)
            tree = with_file(repository, old.tree, parts, blob.id)
        new = Commit()
        new.tree, new.parents = tree, [old.id]
        new.author = new.committer = b"a person <a@b.c>"
        new.author_time = new.commit_time = int(AT.timestamp())
        new.author_timezone = new.commit_timezone = 0
        new.message = message.encode()
        store.add_object(new)
        assert moved(repository, old.id, new.id)
        return new.id.decode()


def edit_by_hand(
    root: Path, line: str, edit: Callable[[str], str], *, environment: str = "production"
) -> str:
    """Commit what ``edit`` makes of the text that is declared; gives the commit."""
    before = file_of(root, line, environment)
    after = edit(before)
    assert after != before
    return commit_by_hand(root, line, after, environment=environment)


def replacing(old: str, new: str) -> Callable[[str], str]:
    """An edit of the one place that says ``old``."""

    def edit(text: str) -> str:
        assert text.count(old) >= 1, f"{old!r} is not in\n{text}"
        return text.replace(old, new, 1)

    return edit


def _head(repository: Repo) -> Commit:
    head = head_of(repository)
    assert head is not None, BRANCH
    found = repository[head]
    assert isinstance(found, Commit)
    return found


def _without_file(repository: Repo, tree_id: bytes, parts: list[str]) -> bytes:
    from dulwich.objects import Tree

    old = repository[tree_id]
    assert isinstance(old, Tree)
    tree = Tree()
    for entry in old.items():
        if entry.path != parts[0].encode():
            tree.add(entry.path, entry.mode, entry.sha)
        elif len(parts) > 1:
            tree.add(entry.path, entry.mode, _without_file(repository, entry.sha, parts[1:]))  # type: ignore[arg-type]
    repository.object_store.add_object(tree)
    return tree.id
