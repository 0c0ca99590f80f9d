"""Reads logged rewards, without pandas: the endpoint server learns from them at its start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ml_release.domain.identity import check_line_name
from ml_release.domain.inference import Reward, is_segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class RewardSegments:
    """The reward segments of `InferenceLogFiles`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def rewards(self, line: str) -> Iterator[Reward]:
        """Every reward in the order of arrival; a line that was torn by a crash is left out."""
        decoder = msgspec.json.Decoder(Reward)
        folder = self._root / check_line_name(line)
        names = sorted(p.name for p in folder.glob("*.jsonl") if is_segment("rewards", p.name))
        for name in names:
            with (folder / name).open("rb") as file:
                for content in file:
                    try:
                        yield decoder.decode(content)
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        # It was never acknowledged: an acknowledged one is a whole line.
                        continue
