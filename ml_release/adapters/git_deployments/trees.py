"""A bare Git repository with its branch, trees and files, as dulwich gives them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from dulwich.errors import NotGitRepository
from dulwich.file import FileLocked
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

from ml_release.errors import InputError, UnavailableError

BRANCH = Ref(b"refs/heads/main")
_FILE_MODE = 0o100644
_TREE_MODE = 0o040000


def open_at(root: Path) -> Repo | None:
    """The repository; None if there is none."""
    try:
        return Repo(str(root))
    except NotGitRepository:
        return None


def open_or_create(root: Path) -> Repo:
    """The repository, made where there is none; `InputError` if other files are there."""
    repository = open_at(root)
    if repository is not None:
        return repository
    root.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved there whole: two writers may come first at once.
    draft = Path(tempfile.mkdtemp(dir=root.parent, prefix=".draft-"))
    with Repo.init_bare(str(draft)) as made:
        made.refs.set_symbolic_ref(Ref(b"HEAD"), BRANCH)
    draft.chmod(0o755)
    try:
        draft.rename(root)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
    repository = open_at(root)
    if repository is None:
        message = (
            f"deployments repository {root}: expected a bare Git repository, an empty"
            " folder or none, found other files"
        )
        raise InputError(message)
    return repository


def moved(repository: Repo, head: ObjectID | None, commit: ObjectID) -> bool:
    """Whether the branch now is at ``commit``; not if it had left ``head`` or is being written."""
    try:
        if head is None:
            return repository.refs.add_if_new(BRANCH, commit)
        return repository.refs.set_if_equals(BRANCH, head, commit)
    except FileLocked:
        return False


def head_of(repository: Repo) -> ObjectID | None:
    """The newest commit of the branch; None if there is none."""
    head = repository.refs.read_ref(BRANCH)
    return None if head is None else ObjectID(head)


def commit_at(repository: Repo, sha: ObjectID) -> Commit:
    """The commit of an id; `UnavailableError` if it is none."""
    found = repository[sha]
    if not isinstance(found, Commit):
        message = f"deployments repository: expected a commit at {sha.decode()}, found {found!r}"
        raise UnavailableError(message)
    return found


def descend(repository: Repo, tree_id: ObjectID, parts: list[str]) -> Tree | None:
    """The folder at a path; None if there is none."""
    found = repository[tree_id]
    for part in parts:
        if not isinstance(found, Tree) or part.encode() not in found:
            return None
        found = repository[found[part.encode()][1]]
    return found if isinstance(found, Tree) else None


def read_file(repository: Repo, tree_id: ObjectID, parts: list[str]) -> bytes | None:
    """The file at a path; None if there is none."""
    folder = descend(repository, tree_id, parts[:-1])
    name = parts[-1].encode()
    if folder is None or name not in folder:
        return None
    blob = repository[folder[name][1]]
    return blob.data if isinstance(blob, Blob) else None


def with_file(
    repository: Repo, tree_id: ObjectID | None, parts: list[str], blob_id: ObjectID
) -> ObjectID:
    """The id of a tree with one file replaced; its objects are added, nothing else changes."""
    tree = Tree()
    if tree_id is not None:
        existing = repository[tree_id]
        if isinstance(existing, Tree):
            for entry in existing.items():
                tree.add(entry.path, entry.mode, entry.sha)
    name = parts[0].encode()
    if len(parts) == 1:
        tree.add(name, _FILE_MODE, blob_id)
    else:
        child = tree[name][1] if name in tree else None
        tree.add(name, _TREE_MODE, with_file(repository, child, parts[1:], blob_id))
    repository.object_store.add_object(tree)
    return tree.id
