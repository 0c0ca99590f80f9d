"""What was edited by hand, in words, and what its reader is to do."""

from __future__ import annotations

from ml_release.domain.sealing import edits, refusal
from ml_release_tests.domain.test_deployment import state, variant


def test_equal_states_have_no_edits() -> None:
    """Nothing is made up."""
    assert edits(state(withdrawn=(2,)), state(withdrawn=(2,))) == ()


def test_every_edited_field_is_named_with_both_values() -> None:
    """Of nested parts and lists by their path; what is new or gone was nothing."""
    sealed = state(variant(1), withdrawn=(2, 3))
    found = state(
        variant(1, weight_percent=90.0),
        variant(4, role="canary", weight_percent=10.0),
        withdrawn=(),
        threshold=0.5,
    )
    said = edits(sealed, found)
    assert "variants.0.weight_percent: 100.0, now 90.0" in said
    assert "variants.1.version: nothing, now 4" in said
    assert "withdrawn.0: 2, now nothing" in said
    assert "threshold: None, now 0.5" in said
    assert not any(one.startswith("line") for one in said)


def test_a_refusal_says_what_was_edited_and_what_to_do() -> None:
    """With more than six edits it counts the others."""
    found = state(variant(2, weight_percent=100.0), withdrawn=tuple(range(3, 12)))
    said = refusal("file at commit abc: no", line="l", sealed=state(variant(1)), found=found)
    assert said.startswith("file at commit abc: no. Edited: ")
    assert "; 6 more. Roll back, or run `ml-release restore l --by WHO --reason WHY`" in said


def test_where_nothing_was_ever_sealed_it_says_how_to_seal() -> None:
    """A repository from before seals, or of a key that was replaced."""
    said = refusal("file at commit abc: no seal", line="l", sealed=None, found=state())
    assert "--adopt COMMIT" in said
    assert "ML_RELEASE_VERIFY_KEY" in said
