"""Sequential tests of two arms on counts: valid however often one looks, and whenever one stops.

Each function gives the logarithm of an e-value: a number whose expectation is at most 1 while the
null hypothesis holds, at every look, so that it ever reaches 1 / alpha with a probability of at
most alpha (Ville 1939). Ramdas, Gruenwald, Vovk and Shafer (2023), Statistical Science 38(4), is
the survey. E-values of consecutive stretches multiply, their logarithms add: a stretch begins anew
where the split changes.

Arms are a canary and a concurrent control. ``share`` is the canary's share of what both were
exposed to. It is the realised share of the stretch, not the declared one: units that ask often
move exposure and events together. The e-values are exact for a known split of independent
requests; with the realised share they are so up to what that share still moves, which simulations
hold to (`benchmarks/canary.py`). Requests that fail together (one client that repeats itself) are
not independent, and no test here knows of it.

All arguments broadcast as numpy arrays; counts are not negative. Confidence sequences of means are
in `mean_sequences`, what shows that a canary is no worse in `no_worse_tests`, the test of the split
itself in `sample_ratio`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.beta_tail import log_beta_above
from ml_release.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Numbers = npt.ArrayLike

CONCENTRATION = 10.0
"""Of the Beta mixture around the share: what 10 events would teach."""

# Any discrete mixture chosen beforehand is valid; this one finds effects from 2 to 95 percent on.
_COMMON_MEANS = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95])
_COMMON_STEPS = np.geomspace(0.003, 0.95, 20)
_MANY_NATS = np.log(1e6)


def log_e_more_events(
    canary_events: Numbers,
    control_events: Numbers,
    share: Numbers,
    *,
    concentration: float = CONCENTRATION,
) -> Floats:
    """Log e-value against "the canary has no higher rate of a rare event than the control".

    Given that an event happened, it is the canary's with probability ``w = share`` if the rates are
    equal. With S events of the canary and F of the control, ``ln E = ln B(S + kw, F + k(1 - w))
    - ln B(kw, k(1 - w)) + ln[1 - I_w(S + kw, F + k(1 - w))] - ln[1 - I_w(kw, k(1 - w))]
    - S ln w - F ln(1 - w)``: the likelihood ratio averaged over a Beta(kw, k(1 - w)) that is cut
    off at w, I being the regularised incomplete beta function (Robbins 1970; Lindon and Malek 2022,
    arXiv 2011.03567, do it for several arms). Swap the arms and take 1 - w for "no lower rate".

    It needs no count of requests beside the share. It stays valid for common events, where it is
    slower than `log_e_more_common_events`.

    Parameters
    ----------
    canary_events, control_events
        Events so far.
    share
        Of the canary in all requests, from 0 to 1.
    concentration
        k above, greater than 0.

    Returns
    -------
    numpy.ndarray
        Nats; 0 without events, and where the share is 0, 1 or NaN, since one arm compares with
        nothing.

    Raises
    ------
    InputError
        If a count is negative or not finite, or the concentration not greater than 0.

    Examples
    --------
    >>> round(float(log_e_more_events(12, 60, 0.05)), 3)
    5.414
    >>> float(log_e_more_events(0, 0, 0.05))
    0.0
    """
    from scipy.special import betaln

    s, f, w = np.broadcast_arrays(
        _counts(canary_events), _counts(control_events), np.asarray(share, dtype=np.float64)
    )
    _require_concentration(concentration)
    known = (w > 0) & (w < 1)
    w = np.where(known, w, 0.5)
    a0, b0 = concentration * w, concentration * (1 - w)
    a, b = s + a0, f + b0
    log_e = (
        betaln(a, b)
        - betaln(a0, b0)
        + log_beta_above(w, a, b)
        - log_beta_above(w, a0, b0)
        - s * np.log(w)
        - f * np.log1p(-w)
    )
    result: Floats = np.where(known & (s + f > 0), log_e, 0.0)
    return result


def log_e_more_common_events(
    canary_n: Numbers, canary_events: Numbers, control_n: Numbers, control_events: Numbers
) -> Floats:
    """The same for events of more than about 5 percent of the requests.

    Turner, Ly and Gruenwald (2021, arXiv 2106.02693): for rates a > b whose mean by the share is
    m = w a + (1 - w) b, the likelihood ratio of (a, b) to (m, m) is an e-value against equal rates
    whatever they are. Here it is averaged over a fixed grid of m and of a - b, so that counts
    suffice and the order in which they came does not matter.

    Returns
    -------
    numpy.ndarray
        Nats; 0 where an arm has no requests.

    Raises
    ------
    InputError
        If a count is negative or not finite, or events outnumber requests.

    Examples
    --------
    >>> round(float(log_e_more_common_events(400, 160, 1600, 480)), 3)
    3.809
    """
    counts = paired_counts(canary_n, canary_events, control_n, control_events)
    n_a, s_a, n_b, s_b = (count[..., None, None] for count in counts)
    with np.errstate(invalid="ignore"):
        share = n_a / (n_a + n_b)
    known = (share > 0) & (share < 1)
    w = np.where(known, share, 0.5)
    mean = _COMMON_MEANS[:, None]
    widest = np.minimum((1 - mean) / (1 - w), mean / w)
    gap = widest * _COMMON_STEPS
    above, below = mean + (1 - w) * gap, mean - w * gap
    log_ratio = (
        s_a * np.log(above / mean)
        + (n_a - s_a) * np.log((1 - above) / (1 - mean))
        + s_b * np.log(below / mean)
        + (n_b - s_b) * np.log((1 - below) / (1 - mean))
    )
    return np.where(known[..., 0, 0], log_mean_exp(log_ratio, axes=(-2, -1)), 0.0)


def e_value(log_e: float) -> str:
    """An e-value in words; beyond a million nobody asks how much.

    >>> e_value(2.0)
    'e-value 7.39'
    """
    return f"e-value {np.exp(log_e):.3g}" if log_e < _MANY_NATS else "e-value above 1e6"


def require_alpha(alpha: float) -> None:
    """Refuse an error probability that is none; `InputError` says what was expected."""
    if not 0 < alpha < 1:
        message = f"sequential test: expected an alpha between 0 and 1, found {alpha}"
        raise InputError(message)


def log_e_other_events(
    canary_events: Numbers,
    control_events: Numbers,
    share: Numbers,
    *,
    concentration: float = CONCENTRATION,
) -> Floats:
    """The two-sided form: log e-value against "the rates are equal", with the whole Beta.

    Added over the bins of a histogram it tests whether canary and control fill them alike.

    >>> round(float(log_e_other_events(12, 60, 0.05)), 3)
    4.305
    """
    from scipy.special import betaln

    s, f, w = np.broadcast_arrays(
        _counts(canary_events), _counts(control_events), np.asarray(share, dtype=np.float64)
    )
    _require_concentration(concentration)
    known = (w > 0) & (w < 1)
    w = np.where(known, w, 0.5)
    a0, b0 = concentration * w, concentration * (1 - w)
    log_e = betaln(s + a0, f + b0) - betaln(a0, b0) - s * np.log(w) - f * np.log1p(-w)
    result: Floats = np.where(known, log_e, 0.0)
    return result


def log_mean_exp(values: Floats, *, axes: tuple[int, ...]) -> Floats:
    """Logarithm of the mean over some axes of what the values are logarithms of."""
    top = values.max(axis=axes, keepdims=True)
    mean = np.exp(values - top).mean(axis=axes)
    result: Floats = np.log(mean) + np.squeeze(top, axis=axes)
    return result


def _counts(value: Numbers) -> Floats:
    counts = np.asarray(value, dtype=np.float64)
    if not np.all(np.isfinite(counts) & (counts >= 0)):
        message = f"sequential test: expected counts of 0 and more, found {value!r}"
        raise InputError(message)
    return counts


def paired_counts(*values: Numbers) -> list[Floats]:
    """Requests and events of the canary, then of the control, as arrays of one shape.

    Raises
    ------
    InputError
        If a count is negative or not finite, or events outnumber requests.
    """
    counts = list(np.broadcast_arrays(*(_counts(value) for value in values)))
    if np.any(counts[1] > counts[0]) or np.any(counts[3] > counts[2]):
        message = "sequential test: expected at most as many events as requests, found more"
        raise InputError(message)
    return counts


def _require_concentration(concentration: float) -> None:
    if not concentration > 0:
        message = f"sequential test: expected a concentration above 0, found {concentration}"
        raise InputError(message)
