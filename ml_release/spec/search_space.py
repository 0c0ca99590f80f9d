"""What a search may try: per parameter of the estimator a range or a list.

Nothing is drawn here: an adapter of `ParameterSearch` does, and it is seeded.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.search import Scalar


class _Range(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class IntRange(_Range):
    """Whole numbers from ``low`` to ``high``, both included, ``step`` apart.

    With ``log`` every power of ten gets as many trials as the next; ``low`` is 1 or more then and
    ``step`` is 1.

    >>> IntRange(low=15, high=127, log=True).holds(31)
    True
    >>> IntRange(low=80, high=400, step=20).holds(170)
    False
    """

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    step: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        problems = _order_problems(self.low, self.high)
        if self.log and (self.low < 1 or self.step != 1):
            problems.append(
                f"log: expected low of 1 or more and step 1, found low {self.low} and step"
                f" {self.step}"
            )
        elif (self.high - self.low) % self.step:
            problems.append(
                f"step: expected one that leads from {self.low} to {self.high}, found {self.step}"
            )
        _refuse(problems)
        return self

    def holds(self, value: object) -> bool:
        """Whether a search may try this value."""
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
            and (value - self.low) % self.step == 0
        )


class FloatRange(_Range):
    """Numbers from ``low`` to ``high``, both included; with ``log`` even on the log scale.

    >>> FloatRange(low=0.01, high=0.3, log=True).holds(0.06)
    True
    """

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        problems = _order_problems(self.low, self.high)
        if self.log and self.low <= 0:
            problems.append(f"log: expected low above 0, found {self.low}")
        _refuse(problems)
        return self

    def holds(self, value: object) -> bool:
        """Whether a search may try this value."""
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
        )


class Choice(_Range):
    """One of a list, whose order says nothing.

    >>> Choice(options=("sqrt", None)).holds(None)
    True
    """

    kind: Literal["choice"] = "choice"
    options: Annotated[tuple[Scalar, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        # 1, 1.0 and True are equal: a search could not tell which of them it has tried.
        equal = [a for i, a in enumerate(self.options) if a in self.options[:i]]
        if equal:
            _refuse([f"options: expected different ones, found {list(self.options)}"])
        return self

    def holds(self, value: object) -> bool:
        """Whether a search may try this value."""
        return any(type(value) is type(option) and value == option for option in self.options)


SearchRange = Annotated[IntRange | FloatRange | Choice, Field(discriminator="kind")]


def _order_problems(low: float, high: float) -> list[str]:
    return [] if low < high else [f"high: expected more than low {low}, found {high}"]


def _refuse(problems: list[str]) -> None:
    if problems:
        message = "; ".join(problems)
        raise ValueError(message)
