"""The key of masked columns: made once, for its owner only, never a short one."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.mask_keys import MaskKeyFile
from ml_release.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_key_is_made_once(tmp_path: Path) -> None:
    """The next process reads the same one, which nobody else can."""
    path = tmp_path / "keys" / "log.key"
    key = MaskKeyFile(path).read()
    assert len(key) == 32
    assert MaskKeyFile(path).read() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["log.key"]


def test_a_key_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    """Too short, or no file at all: nothing is hashed with it."""
    path = tmp_path / "log.key"
    path.write_bytes(b"short")
    with pytest.raises(UnavailableError, match="expected 32 bytes"):
        MaskKeyFile(path).read()
    with pytest.raises(UnavailableError, match="cannot be used"):
        MaskKeyFile(tmp_path).read()
