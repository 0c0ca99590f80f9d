"""What is shown of rows: found again by their key, without personal data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_release.workflows.row_examples import MASK, masked_texts, row_example
from ml_release_tests.small_line import SMALL_LINE


def test_personal_data_are_masked_by_form_and_by_the_name_of_their_column() -> None:
    """A name has no form: only its column tells; what is missing stays so, the rows stay whole."""
    rows = pd.DataFrame(
        {
            "note": ["write to ada@example.org", None],
            "last_name": ["Lovelace", None],
            "distance": [1.5, 2.5],
        }
    )
    shown = masked_texts(rows)
    assert shown["note"].tolist() == ["write to a**@*******.***", None]
    assert shown["last_name"].tolist() == [MASK, None]
    assert shown["distance"].tolist() == [1.5, 2.5]
    assert rows["last_name"][0] == "Lovelace"


def test_an_example_is_the_key_of_the_first_chosen_row() -> None:
    """None chosen is no example."""
    rows = pd.DataFrame({"departure_utc": ["a", "b"], "trip": [1, 2]})
    assert row_example(SMALL_LINE, rows, np.array([False, True])) == "departure_utc b, trip 2"
    assert row_example(SMALL_LINE, rows, np.array([False, False])) == ""
