"""How well a line releases, as it is recorded: the judge reads nothing else."""

from __future__ import annotations

from pydantic import AwareDatetime

from ml_release.domain.recorded import Recorded, read_recorded
from ml_release.domain.release_kpi_policy import KpiName

NOT_KNOWN = "not known"


class Kpi(Recorded):
    """One value.

    Attributes
    ----------
    value
        None: not known.
    n
        How many things it was counted from.
    said
        What from, and what that assumes.
    """

    name: KpiName
    value: float | None
    unit: str
    n: int
    said: str

    def in_words(self) -> str:
        """The value with its unit."""
        return NOT_KNOWN if self.value is None else f"{self.value:.4g} {self.unit}"


class ReleaseKpis(Recorded):
    """All values of a line over one stretch of time."""

    line: str
    environment: str
    since: AwareDatetime
    until: AwareDatetime
    policy_digest: str
    kpis: tuple[Kpi, ...]

    def named(self, name: KpiName) -> Kpi:
        """One of them."""
        return next(one for one in self.kpis if one.name == name)


def kpis_from_json(content: bytes) -> ReleaseKpis:
    """Read recorded values back; `IntegrityError` if they are none."""
    return read_recorded(ReleaseKpis, content, "release KPIs", expected="recorded ones")
