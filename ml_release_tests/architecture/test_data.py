"""data/ holds the files that DATA.md says, byte for byte."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data"
ROW = re.compile(r"^\| `([^`]+)` \| (\d+) \| (\d+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)
RECORDED = ROW.findall((DATA / "DATA.md").read_text(encoding="utf-8"))


def test_data_md_records_every_file_of_data_and_no_other() -> None:
    """Inputs only: besides them the folder has its description and its builder."""
    files = {
        path.relative_to(DATA).as_posix()
        for path in DATA.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert files == {name for name, *_ in RECORDED} | {"DATA.md", "build_data.py"}


@pytest.mark.parametrize(
    ("name", "size_bytes", "digest"),
    [(name, int(size), digest) for name, _, size, digest in RECORDED],
    ids=[name for name, *_ in RECORDED],
)
def test_a_file_has_the_digest_that_data_md_records(
    name: str, size_bytes: int, digest: str
) -> None:
    """`make check-data` compares with a fresh build too."""
    content = (DATA / name).read_bytes()
    assert len(content) == size_bytes
    assert hashlib.sha256(content).hexdigest() == digest
