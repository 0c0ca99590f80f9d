"""What all sealed files in the history of a repository know of withdrawn versions.

Every commit that the branch holds counts, also those on a side of a merge that was not taken. What
was read once is remembered by the process, so that only new commits are read again, and a branch
that is set back by force takes nothing back while this runs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dulwich.objects import Blob, Tree

from ml_release.adapters.git_deployments.trees import commit_at
from ml_release.domain.withdrawals import Withdrawals, known_to, turns_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from dulwich.objects import ObjectID
    from dulwich.repo import Repo

    from ml_release.domain.deployment import DeclaredState

_LIST = rb"^ +%s:(?: \[\]|((?:\n +- \d+)+))$"
_WITHDRAWN = re.compile(_LIST % b"withdrawn", re.MULTILINE)
_LIFTED = re.compile(_LIST % b"lifted", re.MULTILINE)


class SealedWithdrawals:
    """The withdrawals of every file, read as far as they are new.

    Parameters
    ----------
    sealed_state
        The state of a file by its path, if a trusted key has sealed it; None if not.
    """

    def __init__(self, sealed_state: Callable[[str, bytes], DeclaredState | None]) -> None:
        self._sealed_state = sealed_state
        self._read: dict[str, set[ObjectID]] = {}
        self._known: dict[str, Withdrawals] = {}

    def at(self, repository: Repo, head: ObjectID | None, path: str) -> Withdrawals:
        """What is known of a path by the history of ``head``, and by what was read before."""
        commits = self._read.setdefault(path, set())
        known = self._known.get(path, Withdrawals())
        for blob_id in _files(repository, head, path.split("/"), commits):
            blob = repository[blob_id]
            if isinstance(blob, Blob):
                known = known.joined(self._of(path, blob.data, known))
        self._known[path] = known
        return known

    def _of(self, path: str, content: bytes, known: Withdrawals) -> Withdrawals:
        claimed = _claimed(content)
        # Reading and verifying costs milliseconds: not for what is known anyway.
        if claimed is not None and known.joined(claimed).turns == known.turns:
            return known
        state = self._sealed_state(path, content)
        return known if state is None else known_to(state)


def _files(
    repository: Repo, head: ObjectID | None, parts: list[str], seen: set[ObjectID]
) -> dict[ObjectID, None]:
    """Every content that a file had in commits that were not seen, newest first; they are now."""
    found: dict[ObjectID, None] = {}
    looked_up: dict[tuple[ObjectID, int], ObjectID | None] = {}
    to_see = [] if head is None or head in seen else [head]
    # A commit is marked as seen before its parents are: a walk that breaks off has to begin anew.
    walked: set[ObjectID] = set()
    while to_see:
        sha = to_see.pop()
        if sha in walked or sha in seen:
            continue
        walked.add(sha)
        commit = commit_at(repository, sha)
        to_see += commit.parents
        blob_id = _look_up(repository, commit.tree, parts, looked_up)
        if blob_id is not None:
            found[blob_id] = None
    seen |= walked
    return found


def _look_up(
    repository: Repo,
    tree_id: ObjectID,
    parts: list[str],
    known: dict[tuple[ObjectID, int], ObjectID | None],
) -> ObjectID | None:
    """The id of a file's content; folders that commits share are opened once."""
    key = (tree_id, len(parts))
    if key not in known:
        tree, name = repository[tree_id], parts[0].encode()
        if not isinstance(tree, Tree) or name not in tree:
            known[key] = None
        elif len(parts) == 1:
            known[key] = tree[name][1]
        else:
            known[key] = _look_up(repository, tree[name][1], parts[1:], known)
    return known[key]


def _claimed(content: bytes) -> Withdrawals | None:
    """What a file says in the form in which it is written here; None if in any other."""
    withdrawn, lifted = _WITHDRAWN.findall(content), _LIFTED.findall(content)
    if len(withdrawn) != 1 or len(lifted) != content.count(b"lifted:"):
        return None
    return turns_of(*(map(int, re.findall(rb"\d+", b"".join(one))) for one in (withdrawn, lifted)))
