"""A domain classifier on hashed pieces of texts: no vocabulary, no embedding, no model to load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_BUCKETS = 2**18


class HashedNgrams:
    """`TextClassifier`: words, pairs of words and three to five letters; logistic regression.

    Pieces are counted as there or not, so that the length of a text weighs little, and hashed into
    a fixed number of buckets; letters within words tell another spelling or language where words
    are rare. Wang and Manning (2012), ACL, for why a linear model on such pieces is hard to beat on
    short texts.
    """

    def out_of_fold(
        self,
        texts: Sequence[str],
        is_current: npt.NDArray[np.bool_],
        *,
        folds: int,
        seed: int,
    ) -> npt.NDArray[np.float64]:
        """Log-odds of each text being of the current sample, by a classifier that never saw it."""
        from scipy.sparse import hstack
        from sklearn.feature_extraction.text import HashingVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold

        if len(texts) != len(is_current):
            message = (
                f"text classifier: expected one side per text, found {len(texts)} texts and"
                f" {len(is_current)} sides"
            )
            raise InputError(message)
        fewest = int(min(is_current.sum(), (~is_current).sum()))
        if fewest < folds:
            message = f"text classifier: expected at least {folds} texts a side, found {fewest}"
            raise InputError(message)
        pieces = [
            HashingVectorizer(
                analyzer=analyzer,
                ngram_range=sizes,
                n_features=_BUCKETS,
                alternate_sign=False,
                binary=True,
                norm="l2",
            ).transform(texts)
            for analyzer, sizes in (("word", (1, 2)), ("char_wb", (3, 5)))
        ]
        matrix = hstack(pieces, format="csr")
        scores = np.empty(len(texts), dtype=np.float64)
        cut = StratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
        for fitted, judged in cut.split(matrix, is_current):
            # The dual problem has a variable per text, not per bucket: five times as fast.
            model = LogisticRegression(
                solver="liblinear", dual=True, class_weight="balanced", random_state=0
            )
            model.fit(matrix[fitted], is_current[fitted])
            scores[judged] = model.decision_function(matrix[judged])
        return scores
