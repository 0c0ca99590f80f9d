"""Why a candidate was trained: goes with it into its run, its record and its card."""

from __future__ import annotations

from ml_release.domain.recorded import Recorded, read_recorded


class TrainingReason(Recorded):
    """Why a candidate was trained, as its run and its card keep it.

    Attributes
    ----------
    request
        Key of the governor's request; None where nobody was governed.
    backtest
        What the trial before it found, in one line.
    """

    trigger: str
    reason: str
    request: str | None = None
    backtest: str | None = None
    backtest_digest: str | None = None

    def tags(self) -> dict[str, str]:
        """For the experiment-tracking run; what is not known has no tag."""
        return {
            f"ml_release.{name}": str(value)[:5000]
            for name, value in self.model_dump().items()
            if value is not None
        }


def reason_from_json(content: bytes) -> TrainingReason:
    """Read a recorded reason back; `IntegrityError` if it is none."""
    return read_recorded(TrainingReason, content, "reason of a training")
