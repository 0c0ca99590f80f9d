"""Words that tell two samples apart, and those that are never named."""

from __future__ import annotations

from ml_release.domain.text_words import FEWEST_TEXTS, LEAST_Z, telling_words


def test_words_are_named_by_how_much_they_tell() -> None:
    """Those more frequent now come first, each side from the most telling on."""
    before = ["Train late"] * 60 + ["train ok"] * 40
    after = ["bus late"] * 70 + ["bus Strike"] * 30
    found = telling_words(before, after, limit=2)
    assert [one.word for one in found] == ["bus", "strike", "train", "ok"]
    assert [(one.reference_share, one.current_share) for one in found] == [
        (0.0, 1.0),
        (0.0, 0.3),
        (1.0, 0.0),
        (0.4, 0.0),
    ]
    assert all(abs(one.z) >= LEAST_Z for one in found)
    assert found[0].change == 1.0


def test_a_word_of_few_texts_is_never_named() -> None:
    """It may be a name."""
    after = ["Lovelace called"] * (FEWEST_TEXTS - 1) + ["nobody called"] * FEWEST_TEXTS
    assert [one.word for one in telling_words(["silence"] * 20, after, limit=9)] == [
        "called",
        "nobody",
        "silence",
    ]


def test_a_word_counts_once_per_text_and_alike_samples_have_none() -> None:
    """However often it stands there."""
    assert telling_words(["late " * 9, "ok"] * 20, ["late", "ok"] * 20, limit=5) == ()
    assert telling_words([], ["late"] * 20, limit=5) == ()
