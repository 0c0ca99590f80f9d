"""What a candidate's scores have to reach: the policy of the quality gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_release.domain.decision_costs import DecisionCosts

SCORES = ("auc_score", "average_precision_score", "precision_score", "recall_score", "f1_score")


LOSSES = ("log_loss", "brier_loss")


ERRORS = ("mean_absolute_error", "root_mean_squared_error", "pinball_loss")


class QualityPolicy(BaseModel):
    """What a candidate has to reach.

    Attributes
    ----------
    primary
        The score that champion and anchor are compared in, and that importances and noise are
        measured by. A name in ``_score`` grows with quality, ``_loss`` and ``_error`` shrink.
    floors, ceilings
        Score or loss to limit, of the same kind of model as ``primary``. It is the worse end of the
        interval that has to keep it. A floor lies between 0 and 1, a ceiling above 0, so that none
        is kept by every model.
    calibration_error_limit
        Expected calibration error, a probability; None, as for a regression, judges none.
    calibration_margin
        How much greater than the champion's it may be on the same rows; None compares none. When
        the world moves both are off, a miscalibrated candidate alone.
    further_margins
        Further scores or losses that the champion is compared in, to their margins.
    champion_margin
        How much worse than the champion is acceptable, in the unit of ``primary``.
    anchor_margin
        The same against the anchor; None compares with none. A margin towards the champion alone
        lets quality slide by that margin with every version.
    anchor_version
        The version that stays the yardstick; None takes the oldest registered one that was not
        withdrawn.
    threshold
        Probability from which a row is decided as 1.
    pinball_alpha
        Quantile that a regression with ``pinball_loss`` predicts.
    cost_false_positive, cost_false_negative
        Cost of a wrong decision in any one unit; both or neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    primary: str = "auc_score"
    floors: Mapping[str, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    ceilings: Mapping[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    calibration_error_limit: Annotated[float, Field(gt=0, le=1)] | None = None
    calibration_margin: Annotated[float, Field(ge=0, le=1)] | None = None
    further_margins: Mapping[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    champion_margin: Annotated[float, Field(ge=0)]
    anchor_margin: Annotated[float, Field(ge=0)] | None = None
    anchor_version: Annotated[int, Field(ge=1)] | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    pinball_alpha: Annotated[float, Field(gt=0, lt=1)] = 0.5
    cost_false_positive: Annotated[float, Field(ge=0)] | None = None
    cost_false_negative: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        problems = [
            f"{field}: expected names of {list(known)}, found {sorted(set(found) - set(known))}"
            for field, found, known in (
                ("floors", self.floors, SCORES),
                ("ceilings", self.ceilings, (*LOSSES, *ERRORS)),
                ("primary", (self.primary,), (*SCORES, *LOSSES, *ERRORS)),
                ("further_margins", self.further_margins, (*SCORES, *LOSSES, *ERRORS)),
            )
            if set(found) - set(known)
        ]
        if not (self.floors or self.ceilings):
            problems.append("floors, ceilings: expected a limit on the model itself, found none")
        others = (*SCORES, *LOSSES) if self.primary in ERRORS else ERRORS
        foreign = sorted({*self.floors, *self.ceilings, *self.further_margins} & set(others))
        if foreign:
            problems.append(
                "floors, ceilings, further_margins: expected scores of a model"
                f" with the primary {self.primary!r},"
                f" found {foreign}"
            )
        if self.primary in ERRORS and self.calibration_error_limit is not None:
            problems.append(
                "calibration_error_limit: expected none for a regression, found"
                f" {self.calibration_error_limit:g}"
            )
        if self.anchor_version is not None and self.anchor_margin is None:
            problems.append("anchor_version: expected an anchor_margin with it, found none")
        if (self.cost_false_positive is None) != (self.cost_false_negative is None):
            problems.append("costs: expected both or neither, found one")
        elif self.cost_false_positive == self.cost_false_negative == 0:
            problems.append("costs: expected one of them above 0, found none")
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    @property
    def costs(self) -> DecisionCosts | None:
        """What wrong decisions cost; None if that is not declared."""
        if self.cost_false_positive is None or self.cost_false_negative is None:
            return None
        return DecisionCosts(
            false_positive=self.cost_false_positive, false_negative=self.cost_false_negative
        )

    @property
    def greater_is_better(self) -> bool:
        """Whether ``primary`` grows with quality."""
        return self.primary.endswith("_score")
