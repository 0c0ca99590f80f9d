"""One thing that canary and control are compared in, as a policy declares it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal[
    "error_rate",
    "missing_rate",
    "latency_exceedance",
    "score_mean",
    "score_distribution",
    "quality",
    "reward",
]
Direction = Literal["increase", "decrease", "either"]
RATES: tuple[Kind, ...] = ("error_rate", "missing_rate", "latency_exceedance")
_HARM: dict[Kind, Direction] = {
    "error_rate": "increase",
    "missing_rate": "increase",
    "latency_exceedance": "increase",
    "score_mean": "either",
    "score_distribution": "either",
    "quality": "decrease",
    "reward": "decrease",
}
_MINIMUM_N: dict[Kind, int] = {
    "error_rate": 100,
    "missing_rate": 100,
    "latency_exceedance": 100,
    "score_mean": 200,
    "score_distribution": 1000,
    "quality": 20,
    "reward": 200,
}
# Above it the test for common events needs fewer requests, below it the other one.
_COMMON_RATE = 0.05


class Declared(BaseModel):
    """What is declared of a canary: frozen, with known fields only, and finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CanaryMetric(Declared):
    """One thing that canary and control are compared in.

    Attributes
    ----------
    name
        As findings name it.
    kind
        ``error_rate``: requests that the assigned version did not answer, whether somebody else
        did in its place or nobody. ``missing_rate``: requests with a missing value of ``feature``.
        ``latency_exceedance``: requests slower than the ``quantile`` of the control's latency, as
        it was frozen when the step began, and the allowance. ``score_mean``,
        ``score_distribution``: of the answers. ``quality``: `score` in blocks of labelled requests.
        ``reward``: what answers were worth.
    feature
        Of a missing rate; None counts requests with any missing feature.
    quantile
        Of a latency exceedance, between 0 and 1.
    allowance_ms
        Of a latency exceedance: added to that quantile. The control answers in the server, a canary
        from a process of its own, which costs it time that it will not cost the same version as a
        champion: 2 ms in the middle, and 55 ms for one in a hundred on a machine that others keep
        busy.
    score
        Of quality: a name in ``_score`` grows with it, ``_loss`` shrinks.
    block_rows
        Labelled requests of one arm that make a block of quality.
    harm
        The change that is harm; None takes that of the kind (either for scores, decrease for
        quality and rewards, increase for all others).
    tolerance
        Largest worsening that still lets the canary advance, in the unit of the metric (a rate is a
        fraction): advancing needs it shown that the canary is no worse than that. Also the size of
        the difference that tests of means are made for. Of a distribution: adjusted PSI in nats.
    minimum_effect
        A worsening has to be observed at least as large as this to be called harm, however sure it
        is.
    minimum_n
        Requests of the canary (for quality: blocks) below which it is not shown to be no worse,
        and means are not judged at all; harm of a rate can show with fewer. None takes 100 for
        rates, 200 for means, 1000 for a distribution, 20 for quality.
    vote
        ``critical``: harm rolls back, and advancing waits for it to be shown as no worse.
        ``voting``: harm holds, and rolls back when enough others are harmed with it. ``muted``:
        shown only.
    expected_rate
        Of a rate, as it is known beforehand; above 5 percent the test is one made for common
        events. Either is valid at every rate.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    kind: Kind
    feature: str | None = None
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95
    allowance_ms: Annotated[float, Field(ge=0)] = 50.0
    score: Literal["auc_score", "brier_loss", "log_loss"] = "auc_score"
    block_rows: Annotated[int, Field(ge=20)] = 300
    harm: Direction | None = None
    tolerance: Annotated[float, Field(gt=0)]
    minimum_effect: Annotated[float, Field(ge=0)] = 0.0
    minimum_n: Annotated[int, Field(ge=2)] | None = None
    vote: Literal["critical", "voting", "muted"] = "critical"
    expected_rate: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        problems = []
        if self.is_rate and self.tolerance >= 1:
            problems.append(f"tolerance: expected a rate below 1, found {self.tolerance:g}")
        if self.feature is not None and self.kind != "missing_rate":
            problems.append(f"feature: expected it for a missing_rate only, found {self.kind}")
        if self.expected_rate is not None and not self.is_rate:
            problems.append(f"expected_rate: expected it for a rate only, found {self.kind}")
        if self.kind == "score_distribution" and self.vote == "critical":
            problems.append(
                "vote: a distribution cannot be shown to be no worse; expected voting or muted,"
                " found critical"
            )
        if problems:
            message = "; ".join(f"metric {self.name}: {problem}" for problem in problems)
            raise ValueError(message)
        return self

    @property
    def is_rate(self) -> bool:
        """Whether it counts requests of which something holds."""
        return self.kind in RATES

    @property
    def direction(self) -> Direction:
        """The change that is harm."""
        if self.kind == "quality" and self.harm is None and self.score.endswith("_loss"):
            return "increase"
        return self.harm or _HARM[self.kind]

    @property
    def least_n(self) -> int:
        """Requests (or blocks) of the canary below which nothing is shown."""
        return _MINIMUM_N[self.kind] if self.minimum_n is None else self.minimum_n

    @property
    def is_common(self) -> bool:
        """Whether events of this kind are expected in more than 5 percent of the requests."""
        by_kind = 1 - self.quantile if self.kind == "latency_exceedance" else 0.0
        # Rounded, since 1 - 0.95 is a little above 0.05.
        return round(self.expected_rate or by_kind, 9) > _COMMON_RATE
