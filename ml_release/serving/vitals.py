"""What the parts of a server tell about themselves, beside what they count per line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(slots=True)
class Vitals:
    """Shared by the parts of one server; each field has one writer.

    Attributes
    ----------
    swaps
        How often another set of versions began to answer, by line; written by the reconciler.
    reconciled_at
        When a pass of the reconciler last got through, in seconds of `time.monotonic`; None if
        none has yet.
    responses
        Responses by line (empty if none that is declared), route and HTTP status; written by the
        application.
    is_draining
        Whether the server was asked to stop: it answers, and says that it is not ready.
    refused, access_problems
        Requests that were not admitted, by reason, and what is wrong with the tokens file.
    notes
        What does not keep anything from being served, but somebody should know: that the remote
        of the deployments repository cannot be reached, for one.
    """

    swaps: Counter[str] = field(default_factory=Counter)
    reconciled_at: float | None = None
    responses: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    is_draining: bool = False
    refused: Mapping[str, int] = field(default_factory=dict)
    access_problems: Callable[[], tuple[str, ...]] = tuple
    notes: Callable[[], tuple[str, ...]] = tuple
