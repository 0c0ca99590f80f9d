"""The bounded sample of a version's texts that travels inside its artefact."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.personal_data import masked
from ml_release.domain.recorded import Recorded, read_recorded

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT_FILE = "texts.json"


class TextSample(BaseModel):
    """Texts of one column, and how many rows they are of.

    Attributes
    ----------
    rows, missing
        All rows seen, and those of them without a text.
    texts, partitions
        The sample in the order of its rows' hashes, and the partition each text is of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(ge=0)
    missing: int = Field(ge=0)
    texts: tuple[str, ...]
    partitions: tuple[str, ...]

    @model_validator(mode="after")
    def _is_of_its_rows(self) -> Self:
        if len(self.texts) != len(self.partitions) or len(self.texts) > self.rows - self.missing:
            message = (
                f"text sample: expected a partition per text and at most {self.rows - self.missing}"
                f" texts, found {len(self.texts)} texts and {len(self.partitions)} partitions"
            )
            raise ValueError(message)
        return self

    @property
    def missing_share(self) -> float | None:
        """Share of rows without a text; None without a row."""
        return self.missing / self.rows if self.rows else None


class TextReference(Recorded):
    """The samples of every text column of a line."""

    line: str
    columns: Mapping[str, TextSample]


def text_reference_from_json(content: bytes) -> TextReference:
    """Read a reference back from an artefact; `IntegrityError` if it is none."""
    return read_recorded(TextReference, content, "text reference", expected="a recorded sample")


class TextSampler:
    """Keeps the texts of the rows with the smallest hashes, whatever order they come in.

    A row is chosen by SHA-256 of its key alone: the same rows give the same sample, and which row
    is in it says nothing of its text. Personal data of a known form is masked and long texts are
    cut before anything is kept. Memory is bounded by the sample.
    """

    def __init__(self, *, rows: int, characters: int) -> None:
        self._limit = rows
        self._characters = characters
        self._kept: list[tuple[int, str, str]] = []
        self._rows = 0
        self._missing = 0

    def add(self, partition: str, keyed: Iterable[tuple[str, str | None]]) -> None:
        """Rows of a partition as key and text; None and blank texts are missing."""
        for key, text in keyed:
            self._rows += 1
            if text is None or not text.strip():
                self._missing += 1
                continue
            # Largest hash first in the heap, so that it is the one to go.
            rank = -int.from_bytes(hashlib.sha256(f"{partition}\0{key}".encode()).digest())
            if len(self._kept) < self._limit:
                heapq.heappush(self._kept, (rank, partition, self._shown(text)))
            elif rank > self._kept[0][0]:
                heapq.heapreplace(self._kept, (rank, partition, self._shown(text)))

    def sample(self) -> TextSample:
        """What was kept so far."""
        ordered = sorted(self._kept, reverse=True)
        return TextSample(
            rows=self._rows,
            missing=self._missing,
            texts=tuple(text for _, _, text in ordered),
            partitions=tuple(partition for _, partition, _ in ordered),
        )

    def _shown(self, text: str) -> str:
        # Masked before it is cut: half an address would no longer look like one.
        return masked(text)[: self._characters]
