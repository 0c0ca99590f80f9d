"""Many swaps of the declared version under continuous load, and what the clients saw of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_release_tests.serving.load import Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_release.domain.deployment import Declaration

LONGEST_SECONDS = 10
_PAUSE_SECONDS = 0.05
"""The new version answers alone for so long before the next swap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped:
    """What was seen.

    Attributes
    ----------
    answers, failed
        Requests that were answered; those that were not, in words.
    misplaced
        Answers by a version that their commit does not declare, by a commit that was not there yet,
        or sent more than ``late_s`` after another one was declared.
    first_s, last_s
        Per swap the seconds from before its commit to the first answer by the new version, and to
        the last one by the version before, 0 if there was none.
    """

    answers: int
    failed: list[str]
    misplaced: list[str]
    first_s: list[float]
    last_s: list[float]


def swap_under_load(
    url: str,
    declare: Callable[[int], Declaration],
    *,
    swaps: int,
    threads: int = 2,
    path: str | None = None,
    row: dict[str, Any] | None = None,
    late_s: float = 1.0,
) -> Swapped:
    """Declare versions 1 and 2 in turn, each as soon as the one before answers."""
    declared: list[tuple[float, str, int]] = []
    load = Load(url, threads=threads, limit=1_000_000)
    load.path, load.row = path or load.path, row or load.row
    load.start()
    try:
        for number in range(swaps + 1):
            version = 1 + number % 2
            begun = time.monotonic()
            declared.append((begun, declare(version).commit, version))
            _wait_for(load, declared[-1][1])
            time.sleep(_PAUSE_SECONDS)
    finally:
        load.stop()
    return _seen(load, declared, late_s=late_s)


def _wait_for(load: Load, commit: str) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while not any(answer.commit == commit for answer in load.acknowledged[-20:]):
        if load.failed or time.monotonic() > deadline:
            message = f"no answer by commit {commit} in {LONGEST_SECONDS} s; {load.failed[:3]}"
            raise AssertionError(message)
        time.sleep(0.005)


def _seen(load: Load, declared: list[tuple[float, str, int]], *, late_s: float) -> Swapped:
    number_of = {commit: number for number, (_, commit, _) in enumerate(declared)}
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    misplaced = []
    for answer in load.acknowledged:
        number = number_of.get(answer.commit)
        if number is None:
            # Declared before the load began.
            number = -1
        else:
            begun, _, version = declared[number]
            if answer.version != version or answer.received_at < begun:
                misplaced.append(f"{answer.request_id}: version {answer.version} of {number}")
        if number + 1 < len(declared) and answer.sent_at > declared[number + 1][0] + late_s:
            misplaced.append(f"{answer.request_id}: sent {late_s:g} s after swap {number + 1}")
        first[number] = min(first.get(number, answer.received_at), answer.received_at)
        last[number] = max(last.get(number, answer.received_at), answer.received_at)
    # The first declaration replaces whatever was served before, and is no swap between the two.
    swaps = range(1, len(declared))
    return Swapped(
        answers=len(load.acknowledged),
        failed=load.failed,
        misplaced=misplaced,
        first_s=[first[number] - declared[number][0] for number in swaps],
        last_s=[max(last[number - 1] - declared[number][0], 0.0) for number in swaps],
    )
