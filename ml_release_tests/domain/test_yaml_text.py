"""YAML as plain data, whichever parser reads it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.yaml_text import parser_of, read_yaml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=VALUES)
def test_both_parsers_read_the_same(value: Any) -> None:
    """What was written comes back."""
    text = yaml.safe_dump(value, sort_keys=False)
    assert read_yaml(text) == yaml.safe_load(text) == value


@pytest.mark.parametrize("text", ["[" * 50_000, "- " * 50_000, "{a: " * 50_000, "? " * 50_000])
def test_deep_nesting_ends_with_an_error(text: str) -> None:
    """And not with the process."""
    with pytest.raises((RecursionError, yaml.YAMLError)):
        read_yaml(text)


@pytest.mark.parametrize("text", ["a: [1, 2", "a: b: c", "\ta: 1"])
def test_what_is_no_yaml_is_an_error(text: str) -> None:
    """Whoever parses it."""
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)


def test_a_flat_text_takes_the_fast_parser() -> None:
    """One with many lines does not."""
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for text, expected in (("a: 1\n", fast), ("a: 1\n" * 3000, yaml.SafeLoader)):
        assert type(parser_of(text)) is expected
