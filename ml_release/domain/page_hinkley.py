"""Page-Hinkley: has the mean of a stream grown, judged value by value.

Page (1954), Biometrika 41; in the form with a running mean of Mouss et al. (2004) and a fading
factor, as river's ``PageHinkley`` with ``mode="up"`` has it. The state is all that a further value
needs, so a stream is never read twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class PageHinkleyPolicy(BaseModel):
    """When a mean is said to have grown.

    Attributes
    ----------
    minimum_values
        Fewer values since the beginning, or since the last change, show nothing.
    delta
        Growth that is allowed, in the unit of the values.
    threshold
        Sum of the deviations above it, in the unit of the values, that is a change.
    fading
        Factor by which earlier deviations count less with every value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_values: Annotated[int, Field(ge=1)] = 30
    delta: Annotated[float, Field(ge=0)] = 0.005
    threshold: Annotated[float, Field(gt=0)] = 50.0
    fading: Annotated[float, Field(gt=0, le=1)] = 1 - 0.0001


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHinkley:
    """What a stream has shown so far.

    Attributes
    ----------
    n, mean
        Values since the beginning or since the last change, and their mean.
    deviations, least
        Faded sum of deviations from the running mean, and the least it has been; None at first.
    changed
        Whether the last value showed a change; the next one begins anew.
    """

    n: int = 0
    mean: float = 0.0
    deviations: float = 0.0
    least: float | None = None
    changed: bool = False

    def after(self, value: float, policy: PageHinkleyPolicy) -> PageHinkley:
        """The state after one more value, which has to be finite."""
        before = PageHinkley() if self.changed else self
        n = before.n + 1
        mean = before.mean + (value - before.mean) / n
        deviations = policy.fading * before.deviations + (value - mean) - policy.delta
        least = deviations if before.least is None else min(before.least, deviations)
        return replace(
            before,
            n=n,
            mean=mean,
            deviations=deviations,
            least=least,
            changed=n >= policy.minimum_values and deviations - least > policy.threshold,
        )

    @property
    def rise(self) -> float:
        """What is held against the threshold: the sum of deviations above its least."""
        return 0.0 if self.least is None else self.deviations - self.least
