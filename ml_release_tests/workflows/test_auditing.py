"""The audit of a house, in memory and in a Git repository that somebody rewrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dulwich.objects import ObjectID
from dulwich.repo import Repo

from ml_release.adapters.git_deployments.trees import BRANCH
from ml_release.errors import NotFoundError
from ml_release.workflows.approving import APPROVALS
from ml_release.workflows.auditing import audit_line
from ml_release.workflows.evaluation import EVALUATION_VERDICT
from ml_release.workflows.training import CANDIDATE
from ml_release_tests.declared_by_hand import edit_by_hand, git_deployments, replacing
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.audit import Audit
    from ml_release.ports import Deployments
    from ml_release_tests.small_line import House


def audited(house: House, deployments: Deployments | None = None) -> Audit:
    return audit_line(
        house.line,
        environment="production",
        evidence=house.evidence,
        deployments=deployments or house.deployments,
    )


def rules(audit: Audit) -> set[str]:
    return {one.rule for one in audit.violations}


def test_a_released_line_is_clean(serving: House) -> None:
    """By its evidence as it is on record."""
    found = audited(serving)
    assert found.is_clean, found.violations
    (row,) = found.rows
    assert (row.actor, row.reason, row.version) == ("Ada", "passed its gates", 1)
    assert row.evidence_checks_out


def test_nothing_declared_is_not_found(evaluated: House) -> None:
    """There is nothing to say it of."""
    with pytest.raises(NotFoundError, match="expected something declared"):
        audited(evaluated)


@pytest.mark.parametrize("kind", [EVALUATION_VERDICT, CANDIDATE])
def test_evidence_that_is_gone_or_edited_is_a_violation(serving: House, kind: str) -> None:
    """Every version's evidence is read again."""
    digest = serving.registry.versions(steps.LINE)[0].model_digest
    edited = serving.copied(serving.log_folder)
    steps.edit(edited, kind, digest, lambda found: found.update(line="x", extra=1))
    steps.forget(serving, kind, digest)
    assert rules(audited(serving)) == {"evidence_checks_out"}
    assert rules(audited(edited)) == {"evidence_checks_out"}


def test_words_that_cannot_be_read_are_named(serving: House) -> None:
    """Among the problems of the version they are on."""
    digest = serving.registry.versions(steps.LINE)[0].model_digest
    serving.evidence.record(steps.LINE, APPROVALS, digest, b"{}")
    (violation,) = audited(serving).violations
    assert "approvals:" in violation.said


@pytest.fixture
def repository(serving: House, tmp_path: Path) -> Path:
    """The declared state of the house, twice, in a Git repository."""
    deployments = git_deployments(tmp_path)
    state = serving.deployments.history(steps.LINE, "production")[0].state
    trailers = {"Actor": "Ada", "Reason": "r", "Approved-By": "none"}
    first = deployments.declare(
        state, expected_commit=None, trailers=trailers, at=serving.clock.now()
    )
    deployments.declare(
        state.model_copy(update={"threshold": 0.4}),
        expected_commit=first.commit,
        trailers=trailers,
        at=serving.clock.now(),
    )
    return tmp_path


def test_a_repository_is_audited_with_its_seals(serving: House, repository: Path) -> None:
    """What was edited by hand is named, with its commit."""
    assert audited(serving, git_deployments(repository)).is_clean
    commit = edit_by_hand(
        repository / "deployments", steps.LINE, replacing("threshold: 0.4", "threshold: 0.9")
    )
    found = audited(serving, git_deployments(repository))
    assert rules(found) == {"commits_are_sealed", "commits_say_who_and_why"}
    assert {one.commit for one in found.violations} == {commit}


def test_a_rewritten_history_is_noticed(serving: House, repository: Path) -> None:
    """A head that was recorded is no ancestor of the present one."""
    deployments = git_deployments(repository)
    history = deployments.history(steps.LINE, "production")
    assert audited(serving, deployments).is_clean
    with Repo(str(repository / "deployments")) as opened:
        opened.refs[BRANCH] = ObjectID(history[0].commit.encode())
    found = audited(serving, git_deployments(repository))
    assert [(one.rule, one.commit) for one in found.violations] == [
        ("history_is_not_rewritten", history[1].commit)
    ]
