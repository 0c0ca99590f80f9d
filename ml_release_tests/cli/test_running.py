"""What a job's failed step was, once it is back in the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from ml_release import errors
from ml_release.cli.running import _KINDS, _cause
from ml_release.errors import DeclarationError, MlReleaseError
from ml_release.orchestration.rendering import reported

if TYPE_CHECKING:
    from collections.abc import Iterator


def kinds_below(kind: type[MlReleaseError]) -> Iterator[type[MlReleaseError]]:
    for lower in kind.__subclasses__():
        yield lower
        yield from kinds_below(lower)


def failed_with(error: Exception) -> dg.ExecuteInProcessResult:
    @dg.op
    def step() -> None:
        with reported():
            raise error

    @dg.job
    def work() -> None:
        step()

    return work.execute_in_process(raise_on_error=False)


def test_every_error_of_the_tree_comes_back_as_what_it_is() -> None:
    """Its kind decides the exit code."""
    declared = {kind for kind in kinds_below(MlReleaseError) if kind.__module__ == errors.__name__}
    assert set(_KINDS.values()) == declared


def test_a_declaration_that_makes_no_sense_comes_back_as_one() -> None:
    """The author has to change it: bad input, not something that broke."""
    cause = _cause("work", failed_with(DeclarationError("the model: expected trees, found none")))
    assert type(cause) is DeclarationError
    assert str(cause) == "the model: expected trees, found none"


@pytest.mark.parametrize("error", [ValueError("whatever"), ZeroDivisionError()])
def test_what_is_none_of_ours_broke(error: Exception) -> None:
    """And says in which step."""
    cause = _cause("work", failed_with(error))
    assert type(cause) is RuntimeError
    assert str(cause).startswith("work: step step broke: ")
