"""No planted fault on real flights passes silently, and every untouched real month passes."""

from __future__ import annotations

import pytest

from ml_release.domain.verdict import Outcome
from ml_release_tests.data_faults import FAULTS, MONTHS, REFUSED, Fault, World


@pytest.fixture(scope="module")
def real() -> tuple[World, dict[str, Outcome]]:
    """The world with every real month in it, and what the gates said of each."""
    world = World()
    return world, {m: t.verdict.outcome for m, (t, _) in world.real_months().items()}


@pytest.mark.parametrize("month", MONTHS)
def test_an_untouched_real_month_passes(real: tuple[World, dict[str, Outcome]], month: str) -> None:
    """Compared with the months before it, as they would have arrived."""
    assert real[1][month] is Outcome.PASS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught_by_the_rule_that_names_it(
    real: tuple[World, dict[str, Outcome]], fault: Fault
) -> None:
    """Or refused; a fault that nothing here can see is declared as such, with the reason."""
    caught = real[0].plant(fault)
    assert caught.as_declared, f"{caught.rules}: {caught.sentence}"
    assert fault.caught_by or fault.why


def test_a_finding_on_rows_shows_one_of_them_by_its_key(
    real: tuple[World, dict[str, Outcome]],
) -> None:
    """And personal data in it is masked."""
    by_name = {fault.name: fault for fault in FAULTS}
    sentence = real[0].plant(by_name["e-mail addresses in tailnum"]).sentence
    assert "for example a**@*******.*** at scheduled_departure_utc 2013-04-01" in sentence
    assert "flight " in sentence


def test_a_refused_month_leaves_the_good_one_standing(
    real: tuple[World, dict[str, Outcome]],
) -> None:
    """A file that cannot be read changes nothing that is kept."""
    world = real[0]
    before = world.tables.current("flight_delay", "snapshot")
    assert world.plant(FAULTS[0]).rules == (REFUSED,)
    assert world.tables.current("flight_delay", "snapshot") == before
