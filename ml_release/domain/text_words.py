"""Words that stand in more texts of one sample than of another: what a person reads of a shift."""

from __future__ import annotations

import re
from collections import Counter
from math import sqrt
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\w{2,30}")
FEWEST_TEXTS = 5
"""A word of fewer texts, both samples together, is never shown: it may name somebody."""
LEAST_Z = 3.0


class TellingWord(BaseModel):
    """One word with its share of texts in both samples.

    Attributes
    ----------
    z
        Current less reference share, in standard errors of that difference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    word: str
    reference_share: float
    current_share: float
    z: float

    @property
    def change(self) -> float:
        """Current less reference share."""
        return self.current_share - self.reference_share


def telling_words(
    reference: Sequence[str], current: Sequence[str], *, limit: int
) -> tuple[TellingWord, ...]:
    """At most ``limit`` words that have become more frequent, then as many that became rarer.

    A word counts once per text, whatever its case. Its z is that of two pooled proportions; only
    words of `LEAST_Z` and more, in `FEWEST_TEXTS` texts and more, are named. They are to be read,
    not tested: among thousands of words some reach 3 by chance, and the classifier decides.

    Examples
    --------
    >>> found = telling_words(["late train"] * 20, ["late bus"] * 20, limit=1)
    >>> [(one.word, one.reference_share, one.current_share) for one in found]
    [('bus', 0.0, 1.0), ('train', 1.0, 0.0)]
    """
    if not reference or not current:
        return ()
    before, after = _texts_per_word(reference), _texts_per_word(current)
    n, m = len(reference), len(current)
    found = []
    for word in before.keys() | after.keys():
        together = before[word] + after[word]
        pooled = together / (n + m)
        spread = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        if together < FEWEST_TEXTS or not spread:
            continue
        z = (after[word] / m - before[word] / n) / spread
        if abs(z) >= LEAST_Z:
            found.append(
                TellingWord(
                    word=word, reference_share=before[word] / n, current_share=after[word] / m, z=z
                )
            )
    # By the word where two are alike, so that the same texts give the same words.
    found.sort(key=lambda one: (-abs(one.z), one.word))
    more = [one for one in found if one.z > 0][:limit]
    return (*more, *[one for one in found if one.z < 0][:limit])


def _texts_per_word(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in {w.lower() for w in _WORD.findall(text)})
