"""What every adapter of `EvidenceStore` has to do."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.evidence_files import EvidenceFiles
from ml_release.adapters.in_memory import InMemoryEvidence
from ml_release.domain.identity import digest_of_bytes
from ml_release.errors import DeclarationError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_release.ports import EvidenceStore


@pytest.fixture(params=["in_memory", "files"])
def evidence(request: pytest.FixtureRequest, tmp_path: Path) -> EvidenceStore:
    return InMemoryEvidence() if request.param == "in_memory" else EvidenceFiles(tmp_path)


def test_a_document_is_found_by_its_subject(evidence: EvidenceStore) -> None:
    """With the digest that its bytes have."""
    document = b'{"outcome":"pass"}\r\n\x00'
    assert evidence.record("line", "verdict", "a", document) == digest_of_bytes(document)
    assert evidence.find("line", "verdict", "a") == document


def test_what_was_not_recorded_is_not_found(evidence: EvidenceStore) -> None:
    """Absence is None, whatever part of the name differs."""
    assert evidence.find("line", "verdict", "a") is None
    assert evidence.newest_subject("line", "verdict") is None
    evidence.record("line", "verdict", "a", b"x")
    assert evidence.find("line", "verdict", "b") is None
    assert evidence.find("line", "candidate", "a") is None
    assert evidence.find("other", "verdict", "a") is None
    assert evidence.newest_subject("line", "candidate") is None
    assert evidence.newest_subject("other", "verdict") is None


def test_the_newest_document_of_a_subject_stands(evidence: EvidenceStore) -> None:
    """A later verdict replaces an earlier one, the other subjects stay."""
    evidence.record("line", "verdict", "a", b"1")
    evidence.record("line", "verdict", "b", b"2")
    evidence.record("line", "verdict", "a", b"3")
    assert evidence.find("line", "verdict", "a") == b"3"
    assert evidence.find("line", "verdict", "b") == b"2"
    assert evidence.newest_subject("line", "verdict") == "a"


@pytest.mark.parametrize(
    "subject", ["sha256:" + "a" * 64, "../../etc/passwd", "a/b", "", "ä\r\nb", "x" * 1000, "newest"]
)
def test_any_text_can_be_a_subject(evidence: EvidenceStore, subject: str) -> None:
    """A free name is never a path, and comes back as it was."""
    evidence.record("line", "verdict", subject, b"x")
    assert evidence.find("line", "verdict", subject) == b"x"
    assert evidence.newest_subject("line", "verdict") == subject


@pytest.mark.parametrize(("line", "kind"), [("../line", "verdict"), ("line", "../verdict")])
def test_line_and_kind_are_plain_names(evidence: EvidenceStore, line: str, kind: str) -> None:
    """They become folders."""
    with pytest.raises(DeclarationError):
        evidence.record(line, kind, "a", b"x")


def test_concurrent_records_are_whole(evidence: EvidenceStore) -> None:
    """A reader meets one document or the other, never a mixture, and nothing is left behind."""
    documents = [bytes([n]) * 200_000 for n in range(4)]
    seen: list[bytes | None] = []
    evidence.record("line", "verdict", "a", documents[0])

    def work(document: bytes) -> None:
        for _ in range(5):
            evidence.record("line", "verdict", "a", document)
            seen.append(evidence.find("line", "verdict", "a"))

    threads = [threading.Thread(target=work, args=(document,)) for document in documents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 20
    assert set(seen) <= set(documents)


def test_files_leave_no_drafts(tmp_path: Path) -> None:
    """One file per subject and the name of the newest."""
    evidence = EvidenceFiles(tmp_path)
    for document in (b"1", b"2"):
        evidence.record("line", "verdict", "a", document)
    names = sorted(path.name for path in (tmp_path / "line" / "verdict").iterdir())
    assert len(names) == 2
    assert names[1] == "newest"


def test_a_killed_writer_leaves_the_document_that_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write ends before the file is in its place: nothing has changed."""
    evidence = EvidenceFiles(tmp_path)
    evidence.record("line", "verdict", "a", b"old")

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ml_release.adapters.evidence_files.os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        evidence.record("line", "verdict", "a", b"new")
    assert evidence.find("line", "verdict", "a") == b"old"


def only_file(folder: Path) -> Path:
    """The one document of a folder."""
    (path,) = folder.glob("*.json")
    return path


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda text: text.replace(b"fail", b"pass"), id="outcome edited"),
        pytest.param(lambda text: text + b" ", id="one byte more"),
        pytest.param(lambda text: text.split(b"\n", 1)[1], id="seal removed"),
        pytest.param(lambda _: b"", id="emptied"),
    ],
)
def test_an_edited_record_is_noticed(tmp_path: Path, edit: Callable[[bytes], bytes]) -> None:
    """Consistent or not: who edits a file has no seal for what it says now."""
    evidence = EvidenceFiles(tmp_path)
    evidence.record("line", "verdict", "a", b'{"outcome":"fail"}')
    path = only_file(tmp_path / "line" / "verdict")
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(IntegrityError, match="was changed after it was"):
        evidence.find("line", "verdict", "a")


def test_a_record_copied_to_another_subject_is_noticed(tmp_path: Path) -> None:
    """The pass of a good snapshot does not seal a bad one."""
    evidence = EvidenceFiles(tmp_path)
    evidence.record("line", "verdict", "good", b"pass")
    good = only_file(tmp_path / "line" / "verdict").read_bytes()
    evidence.record("line", "verdict", "bad", b"fail")
    for path in (tmp_path / "line" / "verdict").glob("*.json"):
        path.write_bytes(good)
    assert evidence.find("line", "verdict", "good") == b"pass"
    with pytest.raises(IntegrityError):
        evidence.find("line", "verdict", "bad")


def test_records_under_another_key_are_not_believed(tmp_path: Path) -> None:
    """Nor when the key was lost: a new one seals none of the old records."""
    evidence = EvidenceFiles(tmp_path)
    evidence.record("line", "verdict", "a", b"pass")
    (tmp_path / "key").unlink()
    with pytest.raises(IntegrityError):
        evidence.find("line", "verdict", "a")


def test_the_key_is_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    """Writers at once agree on one."""
    threads = [
        threading.Thread(
            target=EvidenceFiles(tmp_path).record, args=("line", "verdict", f"s{number}", b"x")
        )
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    key = tmp_path / "key"
    assert key.stat().st_mode & 0o777 == 0o600
    evidence = EvidenceFiles(tmp_path)
    assert [evidence.find("line", "verdict", f"s{number}") for number in range(6)] == [b"x"] * 6
