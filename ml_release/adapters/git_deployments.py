"""Declared state in a bare Git repository, written through dulwich.

The repository has no work tree: what is declared is what a commit on ``main`` holds, so nobody can
serve a file that was written but never committed. Work on a clone and push, or read it in place
with ``git -C .ml_release/deployments log``.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dulwich.errors import NotGitRepository
from dulwich.file import FileLocked
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

from ml_release.domain.deployment import Declaration, from_yaml, path_of, to_yaml
from ml_release.domain.identity import check_line_name
from ml_release.errors import DeclarationError, InputError, StaleWriteError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.deployment import DeclaredState

_BRANCH = Ref(b"refs/heads/main")
_FILE_MODE = 0o100644
_TREE_MODE = 0o040000
_AUTHOR = b"ml_release <ml_release@localhost>"
_ATTEMPTS = 20


class GitDeployments:
    """`Deployments` in a bare repository, made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def head(self) -> str | None:
        """The newest commit of the repository, whichever line it is about."""
        repository = self._open()
        if repository is None:
            return None
        with repository:
            head = _head(repository)
            return head.decode() if head else None

    def read(self, line: str, environment: str) -> Declaration | None:
        """What is declared now, with the commit that last changed the file."""
        declarations = self._walk(path_of(line, environment), newest_only=True)
        return declarations[0] if declarations else None

    def history(self, line: str, environment: str) -> tuple[Declaration, ...]:
        """Every declaration, oldest first."""
        return tuple(reversed(self._walk(path_of(line, environment), newest_only=False)))

    def lines(self, environment: str) -> tuple[str, ...]:
        """Names of the lines that have a declared state in this environment."""
        repository = self._open()
        if repository is None:
            return ()
        with repository:
            head = _head(repository)
            if head is None:
                return ()
            tree = _commit(repository, head).tree
            applications = _descend(repository, tree, ["applications"])
            if applications is None:
                return ()
            names = sorted(entry.path.decode() for entry in applications.items())
            return tuple(
                name
                for name in names
                if _is_line_name(name)
                and _read_file(repository, tree, path_of(name, environment).split("/")) is not None
            )

    def declare(
        self,
        state: DeclaredState,
        *,
        expected_commit: str | None,
        trailers: Mapping[str, str],
        at: datetime,
    ) -> Declaration:
        """Write the whole file as one commit, if the declaration is still the expected one.

        A state that is declared already is not declared twice: the declaration that stands is
        returned.
        """
        path = path_of(state.line, state.environment)
        content = to_yaml(state).encode()
        text = _message(state, trailers).encode()
        for _ in range(_ATTEMPTS):
            with self._open_or_create() as repository:
                head = _head(repository)
                standing = self._check_expected(path, expected_commit)
                if standing is not None and standing.state == state:
                    return standing
                blob = Blob.from_string(content)
                repository.object_store.add_object(blob)
                base = None if head is None else _commit(repository, head).tree
                commit = Commit()
                commit.tree = _with_file(repository, base, path.split("/"), blob.id)
                commit.parents = [] if head is None else [head]
                commit.author = commit.committer = _AUTHOR
                commit.author_time = commit.commit_time = int(at.timestamp())
                commit.author_timezone = commit.commit_timezone = 0
                commit.encoding = b"UTF-8"
                commit.message = text
                repository.object_store.add_object(commit)
                if _moved(repository, head, commit.id):
                    return _declaration(state, commit)
            # Another line's writer came first: look again, our own file may be untouched.
            time.sleep(0.05)
        message = (
            f"{path}: other writers kept coming first; nothing was declared. Try again; if no"
            f" writer runs, remove {self._root / _BRANCH.decode()}.lock, which a killed one left."
        )
        raise UnavailableError(message)

    def _check_expected(self, path: str, expected_commit: str | None) -> Declaration | None:
        found = self._walk(path, newest_only=True)
        found_commit = found[0].commit if found else None
        if found_commit != expected_commit:
            message = (
                f"{path}: expected to replace the declaration of commit {expected_commit}, found"
                f" {found_commit}. Somebody declared another state meanwhile; look at it and"
                " decide again."
            )
            raise StaleWriteError(message)
        return found[0] if found else None

    def _open(self) -> Repo | None:
        try:
            return Repo(str(self._root))
        except NotGitRepository:
            return None

    def _open_or_create(self) -> Repo:
        repository = self._open()
        if repository is not None:
            return repository
        self._root.parent.mkdir(parents=True, exist_ok=True)
        # Made beside its place and moved there whole: two writers may come first at once.
        draft = Path(tempfile.mkdtemp(dir=self._root.parent, prefix=".draft-"))
        with Repo.init_bare(str(draft)) as made:
            made.refs.set_symbolic_ref(Ref(b"HEAD"), _BRANCH)
        draft.chmod(0o755)
        try:
            draft.rename(self._root)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
        repository = self._open()
        if repository is None:
            message = (
                f"deployments repository {self._root}: expected a bare Git repository, an empty"
                " folder or none, found other files"
            )
            raise InputError(message)
        return repository

    def _walk(self, path: str, *, newest_only: bool) -> list[Declaration]:
        repository = self._open()
        if repository is None:
            return []
        with repository:
            head = _head(repository)
            if head is None:
                return []
            declarations = []
            walker = repository.get_walker(
                include=[head], paths=[path.encode()], max_entries=1 if newest_only else None
            )
            for entry in walker:
                commit = entry.commit
                content = _read_file(repository, commit.tree, path.split("/"))
                if content is not None:
                    subject = f"{path} at commit {commit.id.decode()[:12]}"
                    declarations.append(
                        _declaration(from_yaml(content.decode(), subject=subject), commit)
                    )
            return declarations


def _declaration(state: DeclaredState, commit: Commit) -> Declaration:
    trailers = trailers_of(commit.message.decode())
    return Declaration(
        state=state,
        commit=commit.id.decode(),
        committed_at=datetime.fromtimestamp(commit.commit_time, tz=UTC).isoformat(),
        actor=trailers.get("Actor", "unknown"),
        reason=trailers.get("Reason", "unknown"),
    )


def trailers_of(message: str) -> dict[str, str]:
    """Trailers of a commit message: the ``Key: value`` lines of its last paragraph.

    The first paragraph is the summary and holds none.
    """
    paragraph = message.rstrip("\n").partition("\n\n")[2].rsplit("\n\n", 1)[-1]
    # By \n alone: splitlines also splits at characters that a value may hold in a foreign commit.
    pairs = (line.partition(": ") for line in paragraph.split("\n"))
    return {key: value for key, separator, value in pairs if separator}


def _moved(repository: Repo, head: ObjectID | None, commit: ObjectID) -> bool:
    """Whether the branch now is at ``commit``; not if it had left ``head`` or is being written."""
    try:
        if head is None:
            return repository.refs.add_if_new(_BRANCH, commit)
        return repository.refs.set_if_equals(_BRANCH, head, commit)
    except FileLocked:
        return False


def _is_line_name(name: str) -> bool:
    try:
        check_line_name(name)
    except DeclarationError:
        return False
    return True


def _message(state: DeclaredState, trailers: Mapping[str, str]) -> str:
    for key, value in trailers.items():
        if len(key.splitlines()) != 1 or ":" in key or len(value.splitlines()) != 1:
            message = f"trailer {key!r}: expected one line, found {value!r}"
            raise InputError(message)
    shares = ", ".join(
        f"{variant.role} version {variant.version} at {variant.weight_percent:g} %"
        for variant in state.variants
    )
    rows = "\n".join(f"{key}: {value}" for key, value in trailers.items())
    return f"{state.line} {state.environment}: {shares}\n\n{rows}\n"


def _head(repository: Repo) -> ObjectID | None:
    head = repository.refs.read_ref(_BRANCH)
    return None if head is None else ObjectID(head)


def _commit(repository: Repo, sha: ObjectID) -> Commit:
    found = repository[sha]
    if not isinstance(found, Commit):
        message = f"deployments repository: expected a commit at {sha.decode()}, found {found!r}"
        raise UnavailableError(message)
    return found


def _descend(repository: Repo, tree_id: ObjectID, parts: list[str]) -> Tree | None:
    found = repository[tree_id]
    for part in parts:
        if not isinstance(found, Tree) or part.encode() not in found:
            return None
        found = repository[found[part.encode()][1]]
    return found if isinstance(found, Tree) else None


def _read_file(repository: Repo, tree_id: ObjectID, parts: list[str]) -> bytes | None:
    folder = _descend(repository, tree_id, parts[:-1])
    name = parts[-1].encode()
    if folder is None or name not in folder:
        return None
    blob = repository[folder[name][1]]
    return blob.data if isinstance(blob, Blob) else None


def _with_file(
    repository: Repo, tree_id: ObjectID | None, parts: list[str], blob_id: ObjectID
) -> ObjectID:
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
        tree.add(name, _TREE_MODE, _with_file(repository, child, parts[1:], blob_id))
    repository.object_store.add_object(tree)
    return tree.id
