"""Where a mesh for the canonical system is refined: where controls meet their bounds, and by halving."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ocnet.control_law import ControlLaw

ORDER = 4
MOST_PIECES = 8
MOST_SWITCHES = 12  # on one interval that are located one by one
FEW_SWITCHES = 3  # that spare the interval one piece of an even division
NEAR = 0.02  # of an interval: a node of an even division that is so near to a switch is left out
LARGEST = 2_000_000  # numbers of controls at all nodes, up to which bounds are looked at
BISECTIONS = 45


def refined(
    times: np.ndarray,
    errors: np.ndarray,
    demand: float,
    u: ControlLaw | None,
    limits: tuple[np.ndarray, ...],
    most: int = MOST_PIECES,
) -> np.ndarray:
    """Return a finer mesh on which errors (K,) should meet the demand; all old nodes stay.

    An interval whose error is too large gets nodes at the moments where controls enter or leave their bounds,
    if there are not too many, since the canonical flow has a kink there, and is divided evenly into at most
    `most` pieces.
    """
    large = errors > demand
    moments = _switches(times, np.flatnonzero(large), u, limits) if u is not None else {}
    parts = []
    for k, (a, b) in enumerate(pairwise(times.tolist())):
        parts.append([a])
        if not large[k]:
            continue
        inside = moments.get(k, np.zeros(0))
        pieces = int(np.clip(np.ceil((2 * errors[k] / demand) ** (1 / ORDER)), 2, most))
        if 0 < len(inside) <= FEW_SWITCHES:
            pieces -= 1
        even = np.linspace(a, b, pieces + 1)[1:-1]
        apart = np.abs(even[:, None] - inside).min(axis=1, initial=np.inf) > NEAR * (b - a)
        parts.append(np.union1d(even[apart], inside))
    return np.concatenate([*parts, times[-1:]])


def _switches(
    times: np.ndarray, intervals: np.ndarray, u: ControlLaw | None, limits: tuple[np.ndarray, ...]
) -> dict[int, np.ndarray]:
    """Moments inside the intervals where one control enters or leaves a bound, by bisection."""
    if u is None or len(limits[0]) * len(times) > LARGEST or not len(intervals):
        return {}

    def state(t: np.ndarray) -> np.ndarray:
        values = u(t)
        slack = 1e-12 * (1 + np.abs(values))
        return np.where(values >= limits[1] - slack, 1, 0) - np.where(values <= limits[0] + slack, 1, 0)

    movable = limits[1] > limits[0]
    at = state(times)
    interval, component = np.nonzero((at[intervals] != at[intervals + 1]) & movable)
    keep = np.bincount(interval, minlength=len(intervals))[interval] <= MOST_SWITCHES
    interval, component = intervals[interval[keep]], component[keep]
    if not len(interval):
        return {}
    low, high = times[interval].copy(), times[interval + 1].copy()
    before = at[interval, component]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        same = state(middle)[np.arange(len(middle)), component] == before
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    result: dict[int, np.ndarray] = {}
    for k in np.unique(interval):
        length = times[k + 1] - times[k]
        found = np.sort(high[interval == k])
        found = found[(found > times[k] + 1e-6 * length) & (found < times[k + 1] - 1e-6 * length)]
        result[int(k)] = found[np.diff(found, prepend=-np.inf) > 1e-6 * length]
    return result
