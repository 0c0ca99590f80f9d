"""The sources, interpreter and packages of this process, and the Git commit they are of.

Git is read through dulwich and nothing is started, so that a record costs a fraction of a second.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from dulwich.errors import NotGitRepository
from dulwich.object_store import iter_tree_contents, tree_lookup_path
from dulwich.objects import Commit
from dulwich.repo import Repo

import ml_release
from ml_release.domain.build_record import BuildRecord
from ml_release.domain.identity import digest_of_bytes, digest_of_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_PACKAGE = Path(ml_release.__file__).parent
_LOCK_FILE = "requirements.lock"
_HEADER = re.compile(r"^(Name|Version): *(.+?) *$", re.MULTILINE)
_UNUSUAL = re.compile(r"[-_.]+")


class LocalWorkplace:
    """`Workplace` of this machine.

    Parameters
    ----------
    package
        Folder of the package; the lock is looked for beside it.
    """

    def __init__(self, package: Path = _PACKAGE) -> None:
        self._package = package.resolve()

    def build(self, modules: Sequence[str]) -> BuildRecord:
        """What is here at this moment; a module without a file, as in a notebook, is passed over.

        The sources are read as they are now: code that was edited after this process has loaded it
        is recorded as edited.
        """
        root = self._package.parent
        sources = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in _files_below(self._package)
        }
        commit, dirty = _commit_of(self._package, sources)
        sources |= {_name(path, root): path.read_bytes() for path in self._beside(modules)}
        files = {name: digest_of_bytes(content) for name, content in sources.items()}
        lock = root / _LOCK_FILE
        return BuildRecord(
            code_commit=commit,
            code_dirty=dirty,
            code_digest=digest_of_json(files),
            code_files=files,
            lock_digest=digest_of_bytes(lock.read_bytes()) if lock.is_file() else None,
            python=platform.python_version(),
            implementation=platform.python_implementation(),
            platform=_platform(),
            machine=platform.machine(),
            packages=_packages(),
        )

    def _beside(self, modules: Iterable[str]) -> Iterator[Path]:
        """Source files in the folders of modules outside of the package, sub-folders left out."""
        folders = set()
        for name in modules:
            file = getattr(sys.modules.get(name), "__file__", None)
            if file is not None and not Path(file).resolve().is_relative_to(self._package):
                folders.add(Path(file).resolve().parent)
        for folder in sorted(folders):
            yield from (path for path in sorted(folder.iterdir()) if _is_source(path, folder))


def _files_below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if _is_source(path, folder))


def _is_source(path: Path, folder: Path) -> bool:
    """Data files are sources as modules are: a policy decides what a model becomes."""
    parts = path.relative_to(folder).parts
    return (
        path.is_file()
        and path.suffix != ".pyc"
        and not any(part.startswith(".") or part == "__pycache__" for part in parts)
    )


def _name(path: Path, root: Path) -> str:
    """A name that does not depend on where a checkout is."""
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return f"{path.parent.name}/{path.name}"


def _commit_of(package: Path, sources: dict[str, bytes]) -> tuple[str | None, bool | None]:
    """The commit of the checkout that has the package in it, and whether it holds these sources.

    A package that is installed in an environment inside of somebody's checkout is no part of it.
    """
    try:
        repository = Repo.discover(str(package))
    except NotGitRepository:
        return None, None
    with repository:
        try:
            head = repository.head()
            commit = repository[head]
            if not isinstance(commit, Commit):
                return None, None
            inside = package.relative_to(Path(repository.path).resolve()).as_posix()
            _, tree = tree_lookup_path(repository.__getitem__, commit.tree, inside.encode())
        # No commit yet, a work tree elsewhere, or a package that no commit has.
        except (KeyError, ValueError):
            return None, None
        committed = {
            f"{package.name}/{entry.path.decode()}": entry.sha.decode()
            for entry in iter_tree_contents(repository.object_store, tree)
        }
    # Hidden files are no sources; they are told apart by their names alone here.
    expected = {
        name: sha
        for name, sha in committed.items()
        if not any(part.startswith(".") for part in name.split("/"))
    }
    found = {name: _blob_id(content) for name, content in sources.items()}
    return head.decode(), found != expected


def _blob_id(content: bytes) -> str:
    """Git's name of a file's content."""
    head = b"blob %d\0" % len(content)
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


def _platform() -> str:
    library, version = platform.libc_ver()
    detail = library + version or platform.mac_ver()[0] or platform.release()
    return f"{platform.system()} {detail}"


def _packages() -> dict[str, str]:
    """Name to version of every distribution; of two with one name Python takes the first too."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        # The headers alone: a whole parse of all of them takes a third of a second.
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        headers = dict(reversed(_HEADER.findall(text.split("\n\n", 1)[0])))
        if {"Name", "Version"} <= set(headers):
            found.setdefault(_UNUSUAL.sub("-", headers["Name"]).lower(), headers["Version"])
    return found
