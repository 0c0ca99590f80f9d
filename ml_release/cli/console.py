"""What the command says: progress and messages to standard error, results to standard output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

messages = Console(stderr=True, highlight=False)
results = Console(highlight=False)


def progress_bar() -> Progress:
    """A progress bar with the name of what is being done and the time it has taken."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=messages,
    )


def print_json(document: Mapping[str, object]) -> None:
    """One object to standard output, and nothing else."""
    print(json.dumps(document, indent=2, sort_keys=True, default=str))


def print_facts(facts: Sequence[tuple[str, str]], *, title: str, alarm: str | None = None) -> None:
    """Name and value per line, below an alarm in red if there is one.

    A long value is not broken, so that it can be copied.
    """
    results.print(title, style="bold", soft_wrap=True)
    if alarm is not None:
        results.print(f"  {alarm}", style="bold red", markup=False, soft_wrap=True)
    width = max(len(name) for name, _ in facts) + 2
    for name, value in facts:
        results.print(f"  {name:<{width}}{value}", markup=False, soft_wrap=True)
