"""Texts of a made-up language and what may happen to them, for tests and benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ml_release.domain.text_reference import TextSample

if TYPE_CHECKING:
    from collections.abc import Sequence

Shift = Literal["topic", "spelling", "length", "language"]
SHIFTS: tuple[Shift, ...] = ("topic", "spelling", "length", "language")
TOPIC = ("strike", "refund", "cancelled", "volcano")
_LETTERS = np.array(list("abcdefghijklmnoprstuvw"))
_OTHER_LETTERS = np.array(list("äöüßéèñçøåæœ"))
_WORDS = 600


class Language:
    """A few hundred words, the k-th as frequent as 1/k; the same seed is the same language."""

    def __init__(self, *, seed: int = 1) -> None:
        generator = np.random.default_rng(seed)
        self._words = _some_words(generator, _LETTERS)
        self._foreign = _some_words(generator, _OTHER_LETTERS)
        weights = 1 / np.arange(1, _WORDS + 1)
        self._weights = weights / weights.sum()

    def texts(
        self, n: int, *, seed: int, shift: Shift | None = None, share: float = 0.0
    ) -> list[str]:
        """``n`` texts of 6 to 17 words; of a ``share`` of them something has moved.

        ``topic``: three words of one new subject; ``spelling``: z stands for s; ``length``: four
        words; ``language``: words of another one.
        """
        generator = np.random.default_rng([seed, n])
        found = []
        for _ in range(n):
            moved = shift is not None and generator.uniform() < share
            count = 4 if moved and shift == "length" else int(generator.integers(6, 18))
            words = self._foreign if moved and shift == "language" else self._words
            chosen = list(generator.choice(words, count, p=self._weights))
            if moved and shift == "topic":
                chosen[:3] = list(generator.choice(TOPIC, 3, replace=False))
            text = " ".join(chosen)
            found.append(text.replace("s", "z") if moved and shift == "spelling" else text)
        return found


def sample_of(texts: Sequence[str], *partitions: str) -> TextSample:
    """A sample of some texts, in equal runs of the partitions; of one month unless told."""
    names = partitions or ("2013-01",)
    size = -(-len(texts) // len(names))
    return TextSample(
        rows=len(texts),
        missing=0,
        texts=tuple(texts),
        partitions=tuple(names[place // size] for place in range(len(texts))),
    )


def _some_words(
    generator: np.random.Generator, letters: np.ndarray[tuple[int], np.dtype[np.str_]]
) -> list[str]:
    return ["".join(generator.choice(letters, generator.integers(3, 9))) for _ in range(_WORDS)]
