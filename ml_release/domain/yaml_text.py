"""Reads YAML as plain data, fast where that is safe."""

from __future__ import annotations

from typing import Any

import yaml

_FAST: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 2000
_OPENS = "-[{?\n"


def read_yaml(text: str) -> object:
    """What a YAML document says, as dict, list, str, number, bool or None.

    libyaml is about ten times as fast as the parser in Python, and histories hold hundreds of
    files. It recurses on the C stack, which deep nesting would overflow, and take the process down.
    A level of nesting takes at least one indicator or one line, so that a text with few of them is
    not deep; any other goes to the parser in Python, which ends with an error.

    Raises
    ------
    yaml.YAMLError
        If it is not YAML.
    RecursionError
        If it is nested too deeply.

    Examples
    --------
    >>> read_yaml("weights: [95, 5]")
    {'weights': [95, 5]}
    """
    loader = parser_of(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def parser_of(text: str) -> Any:  # noqa: ANN401 (two kinds without a common type)
    """The parser for a text; either makes plain data only."""
    is_flat = sum(text.count(sign) for sign in _OPENS) < _DEEPEST
    return (_FAST if is_flat else yaml.SafeLoader)(text)
