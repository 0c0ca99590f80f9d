"""Archive what the servers have finished, then delete what the line does not keep any longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_release.domain.log_archive import Archived, Deleted
from ml_release.domain.retention import kept_from, retention_problems
from ml_release.errors import DeclarationError

if TYPE_CHECKING:
    from datetime import datetime

    from ml_release.ports import InferenceArchive
    from ml_release.spec.release_line import ReleaseLine


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKept:
    """What was done.

    Attributes
    ----------
    kept_from
        Everything that came in before is deleted; None for a line that keeps all.
    """

    archived: Archived
    deleted: Deleted
    kept_from: datetime | None


def keep_log(line: ReleaseLine, *, archive: InferenceArchive, now: datetime) -> LogKept:
    """Archive and delete; the same again does nothing.

    What servers write to just now stays as it is, for a day at most: then they close it.

    Raises
    ------
    DeclarationError
        If the line keeps its records for a shorter time than it needs them; nothing is deleted.
    IntegrityError
        If an archive does not read back as its segment, which then stays.
    """
    policy = line.policies.retention
    if policy is not None:
        problems = retention_problems(
            policy, label_delay=line.label_delay, labels=line.policies.labels
        )
        if problems:
            message = f"{line.name}: {'; '.join(problems)}"
            raise DeclarationError(message)
    archived = archive.archive(line.name)
    if policy is None:
        return LogKept(archived=archived, deleted=Deleted(), kept_from=None)
    moment = kept_from(policy, now)
    deleted = archive.delete_before(line.name, moment)
    return LogKept(archived=archived, deleted=deleted, kept_from=moment)
