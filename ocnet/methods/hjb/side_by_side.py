"""Many small initial value problems side by side, each with steps of its own.

One call of a vectorised rate serves all paths, and none of them has to take the steps that the kinks of
another one need. The method is Dormand and Prince's of order 8, with the coefficients of scipy's DOP853.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate import DOP853

A, B, E3, E5 = DOP853.A, DOP853.B, DOP853.E3, DOP853.E5
STAGES = len(B)
SAFETY, SMALLEST, LARGEST = 0.9, 0.2, 10.0  # of the factor from one step to the next
MOST = 2000  # steps of a path
BOUND = 1e50  # of states; rates are not asked beyond
TINY = 1e-13  # of the whole time: steps that are too small to go on

Rate = Callable[[np.ndarray, np.ndarray], np.ndarray]  # y (m, k), numbers of their paths (m,) -> ẏ (m, k)


def integrate(
    rate: Rate,
    y: np.ndarray,
    time: np.ndarray,
    rtol: float,
    atol: float,
    valid: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Return where autonomous systems are after given times (points, k); NaN where a path had to be given up.

    Parameters
    ----------
    rate : callable
    y : ndarray (points, k)
        Where they start.
    time : ndarray (points,)
        At least 0.
    rtol, atol : float
        The error of a step is at most atol + rtol |y|, in the mean over the components.
    valid : callable, optional
        y (m, k) -> bool (m,): paths are given up after a step that ends where it is False.
    """
    result = np.where(time[:, None] > 0, np.nan, y)
    rows = np.flatnonzero(time > 0)
    y, left = y[rows], time[rows].astype(float)
    slope = _known(rate, y, rows)
    step = np.minimum(left, _first(y, slope, rtol, atol))
    for _ in range(MOST):
        if not len(rows):
            break
        h, slopes = step[:, None], np.empty((STAGES + 1, y.size))
        slopes[0] = slope.reshape(-1)
        with np.errstate(invalid="ignore"):  # where a rate is infinite
            for s in range(1, STAGES):
                slopes[s] = _known(rate, y + h * (A[s, :s] @ slopes[:s]).reshape(y.shape), rows).reshape(-1)
            new = y + h * (B @ slopes[:-1]).reshape(y.shape)
        after = _known(rate, new, rows)
        slopes[-1] = after.reshape(-1)
        scale = atol + rtol * np.fmax(np.abs(y), np.abs(new))
        third, fifth = (np.mean(((E @ slopes).reshape(y.shape) / scale) ** 2, axis=1) for E in (E3, E5))
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(fifth == 0, 0.0, step * fifth / np.sqrt(fifth + 0.01 * third))
            factor = np.clip(SAFETY * error ** (-1 / 8), SMALLEST, LARGEST)
        good = (error < 1) & np.isfinite(after).all(axis=1)
        factor = np.where(np.isfinite(error), factor, SMALLEST)
        y[good], slope[good], left[good] = new[good], after[good], left[good] - step[good]
        lost = step < TINY * time[rows]
        if valid is not None:
            lost[good] |= ~valid(new[good])
        done = good & ~lost & (left <= TINY * time[rows])
        result[rows[done]] = y[done]
        going = ~(done | lost)
        rows, y, slope, left = rows[going], y[going], slope[going], left[going]
        step = np.minimum(left, step[going] * np.where(good, factor, np.fmin(factor, 1.0))[going])
    return result


def _known(rate: Rate, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rates; NaN beyond all bounds, where stages of a step that is too long may lead."""
    fine = (np.abs(y) < BOUND).all(axis=1)  # not NaN
    if fine.all():
        return rate(y, rows)
    result = np.full(y.shape, np.nan)
    if fine.any():
        result[fine] = rate(y[fine], rows[fine])
    return result


def _first(y: np.ndarray, slope: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    """Return steps (points,) that change states by a hundredth of them."""
    scale = atol + rtol * np.abs(y)
    size, speed = (np.sqrt(np.mean((part / scale) ** 2, axis=1)) for part in (y, slope))
    return np.where((size > 1e-5) & (speed > 1e-5), 0.01 * size / np.fmax(speed, 1e-300), 1e-6)
