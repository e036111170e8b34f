"""Richardson extrapolation over nested grids, and what is left of the error, from place to place.

With values V_h of order q, the next order is V_h + (V_h − V_2h)/(2^q − 1). Near kinks and cones of the value
function differences fall more slowly than 2^q from level to level; there the extrapolation is left out,
gradually, and the estimate grows: the difference of the last two levels over (their observed ratio − 1).
Nodes that are known to be of order 1 are never counted as better: the difference of the last two levels is
their error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import maximum_filter

from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.interpolation import Interpolation

SLOWEST = 1.6  # ratio of differences below which an estimate would be no more than a guess
SAFETY = 1.5
REACH = 1  # nodes around which the largest difference counts


@dataclass
class Accuracy:
    """The best values on the finest grid (total,), and estimated errors (their own grid, total of that)."""

    values: np.ndarray
    grid: Grid
    error: np.ndarray


def extrapolated(
    grids: list[Grid], values: list[np.ndarray], order: int, plain: np.ndarray | None = None
) -> Accuracy:
    """Extrapolate and estimate from values on two to four nested grids, the finest last, patch by patch.

    Parameters
    ----------
    grids : list of Grid
    values : list of ndarray (total of each,)
    order : int
        Of the scheme on smooth value functions.
    plain : ndarray of bool (total,), optional
        Nodes of the finest grid whose differences have order 1 nevertheless.
    """
    parts = [
        _on_patch(
            [grid.patches[k] for grid in grids],
            [v[grid.slots[k]] for v, grid in zip(values, grids, strict=True)],
            order,
            None if plain is None else plain[grids[-1].slots[k]],
        )
        for k in range(len(grids[-1].patches))
    ]
    best, errors = zip(*parts, strict=True)
    return Accuracy(np.concatenate(best), grids[-2], np.concatenate(errors))


def _on_patch(
    grids: list[Grid], values: list[np.ndarray], order: int, plain: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    target = grids[-2]
    tables = [Interpolation(grid) for grid in grids]
    full = 2.0**order
    best = [values[0]]
    before: np.ndarray | None = None  # what the last level changed, at its coarse nodes
    for k in range(1, len(grids)):
        coarse = values[k - 1]
        change = tables[k].onto(values[k], grids[k - 1]) - coarse
        weight = np.ones_like(change)
        if before is not None:
            ratio = _ratio(tables[k - 2].onto(before, grids[k - 1]), change, grids[k - 1])
            weight = np.clip((ratio - 0.5 * full) / (0.3 * full), 0.0, 1.0)
        step = tables[k - 1].onto(weight * change, grids[k]) / (full - 1.0)
        best.append(values[k] + step)
        before = change
    sequence = [table.onto(v, target) for table, v in zip(tables, best, strict=True)]
    last = _largest(sequence[-1] - sequence[-2], target)
    if len(sequence) > 2:
        earlier = _largest(sequence[-2] - sequence[-3], target)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.clip(np.where(last > 0, earlier / last, full), SLOWEST, full)
    else:
        ratio = np.full_like(last, 2.0)
    error = SAFETY * last / (ratio - 1.0)
    if plain is not None and plain.any():
        near = _largest(tables[-1].onto(plain.astype(float), target), target) > 0
        of_order_one = _largest(tables[-1].onto(values[-1], target) - values[-2], target)
        error = np.where(near, np.maximum(error, SAFETY * of_order_one), error)
    return best[-1], error


def between(better: np.ndarray, other: np.ndarray, grid: Grid) -> Accuracy:
    """Estimate the error of values by their distance from less accurate ones on the same grid."""
    gaps = [_largest(better[s] - other[s], patch) for s, patch in zip(grid.slots, grid.patches, strict=True)]
    return Accuracy(better, grid, np.concatenate(gaps))


def plain(values: list[np.ndarray], grids: list[Grid]) -> Accuracy:
    """Leave the finest values as they are; the estimate is the difference of the two finest levels."""
    coarse = grids[-2]
    change = Interpolation(grids[-1]).onto(values[-1], coarse) - values[-2]
    return Accuracy(values[-1], coarse, _largest(change, coarse))


def linear(errors: np.ndarray, grid: Grid, x: np.ndarray) -> np.ndarray:
    """Return errors (points,) at states (points, n) from those at all nodes (total,)."""
    result = np.zeros(len(x))
    for patch, slot in zip(grid.patches, grid.slots, strict=True):
        inside = np.flatnonzero(patch.contains(x))
        if len(inside):
            table = RegularGridInterpolator(patch.axes, errors[slot].reshape(patch.shape))
            with np.errstate(invalid="ignore"):  # of infinite errors
                found = table(np.clip(x[inside], patch.lower, patch.upper))
            result[inside] = np.nan_to_num(found, nan=np.inf, posinf=np.inf)
    return result


def _largest(values: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the largest absolute value around each node."""
    return maximum_filter(np.abs(values).reshape(grid.shape), size=2 * REACH + 1, mode="nearest").reshape(-1)


def _ratio(earlier: np.ndarray, later: np.ndarray, grid: Grid) -> np.ndarray:
    """Return by which factor differences fall from one level to the next, around each node."""
    top, bottom = _largest(earlier, grid), _largest(later, grid)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 1e-13 * (1 + np.abs(top).max()), top / bottom, np.inf)
