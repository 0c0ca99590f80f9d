"""How large a shift is, by a distance that does not saturate where bins are empty.

Above about one nat a PSI ranks nothing: it only counts empty bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.drift_distances import bin_positions, jensen_shannon, wasserstein_in_sd
from ml_release.domain.recorded import known

if TYPE_CHECKING:
    from ml_release.domain.drift_departure import WindowCounts
    from ml_release.domain.drift_limits import Calibration
    from ml_release.domain.reference_profile import NumberFacts


def effect_of(limits: Calibration, feature: str, window: WindowCounts) -> tuple[float | None, str]:
    """How far a feature moved, with the name of the distance, see `drift_distances`.

    A number: ``wasserstein_in_sd``, where its reference is known in numbers. Everything else:
    ``jensen_shannon``. None where the window has no rows of it.
    """
    counts = window.counts.get(feature)
    if counts is None:
        return None, ""
    reference, numbers = limits.sums[feature], limits.profile.numbers.get(feature)
    bins = limits.profile.bins.get(feature)
    if bins is None or bins.edges is None or numbers is None or numbers.sd is None:
        return known(jensen_shannon(reference, counts)), "jensen_shannon"
    positions = bin_positions(bins.edges, minimum=numbers.minimum, maximum=numbers.maximum)
    distance = wasserstein_in_sd(reference[:-1], counts[:-1], positions=positions, sd=numbers.sd)
    shift = _mean_shift(numbers, window.numbers.get(feature))
    return known(max(distance, shift)), "wasserstein_in_sd"


def _mean_shift(reference: NumberFacts, window: NumberFacts | None) -> float:
    """Change of the mean in standard deviations, which no Wasserstein distance is below.

    Of values far beyond the outer edges, as in another unit, it tells what the bins cannot.
    """
    if window is None or window.mean is None or reference.mean is None or not reference.sd:
        return 0.0
    return abs(window.mean - reference.mean) / reference.sd
