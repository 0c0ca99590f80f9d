"""An experiment: some units are split over arms by a rule of its own, everybody else is not.

The split is independent of the canary's, because its salt is another one. An arm names one of the
declared variants, which may have no weight outside the experiment.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Percent = Annotated[float, Field(ge=0, le=100)]
Allocation = Literal["fixed", "thompson"]

_Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
_TOLERANCE_PERCENT = 1e-9


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Arm(_Declared):
    """One answer that is tried, by the version that gives it."""

    version: Annotated[int, Field(ge=1)]
    weight_percent: Percent


class Experiment(_Declared):
    """Who takes part and who meets which arm.

    Attributes
    ----------
    name
        Goes into every record; rewards are counted under it.
    salt
        Another salt is another split of the same units.
    unit
        The header whose value is split. A request without it takes no part.
    share_percent
        Of the units, that take part.
    arms
        At least two, with weights that add to 100 percent.
    allocation
        ``fixed``: by the weights. ``thompson``: by the probability that an arm is the best one,
        given the rewards so far; the weights are those it begins with.
    floor_percent
        The least share of every arm under ``thompson``, so that none is forgotten while it could
        still turn out best, and so that no logged propensity is close to 0.
    """

    name: _Word
    salt: Annotated[str, StringConstraints(min_length=1)]
    unit: Literal["x-unit-id"] = "x-unit-id"
    share_percent: Annotated[float, Field(gt=0, le=100)]
    arms: Annotated[tuple[Arm, ...], Field(min_length=2)]
    allocation: Allocation = "fixed"
    floor_percent: Percent = 5.0

    @model_validator(mode="after")
    def _is_one_split(self) -> Self:
        problems = []
        versions = [arm.version for arm in self.arms]
        if len(set(versions)) != len(versions):
            problems.append(f"expected every version in one arm, found {versions}")
        total = sum(arm.weight_percent for arm in self.arms)
        if abs(total - 100) > _TOLERANCE_PERCENT:
            problems.append(f"expected weights of arms that add to 100 percent, found {total:g}")
        if self.floor_percent * len(self.arms) > 100:  # noqa: PLR2004 (percent)
            problems.append(
                f"expected a floor of at most {100 / len(self.arms):g} percent for"
                f" {len(self.arms)} arms, found {self.floor_percent:g}"
            )
        if problems:
            message = f"experiment {self.name}: " + "; ".join(problems)
            raise ValueError(message)
        return self

    @property
    def versions(self) -> frozenset[int]:
        """Those of the arms."""
        return frozenset(arm.version for arm in self.arms)
