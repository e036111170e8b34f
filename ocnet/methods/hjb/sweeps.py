"""Gauss-Seidel sweeps over a grid in all 2ⁿ directions, for the linear equation of a fixed feedback.

    (ρ + Σ_d r_d) v_k = s_k + Σ_d r_d v_(neighbour of k on the side to which the state moves along d)

with r_d = |f_d| / spacing: an M-matrix with n + 1 entries a row. A sweep that runs against the drift carries
values along whole characteristics at once. What is swept are corrections: residuals are computed in double
precision elsewhere, so that single precision is enough here, and takes half of the memory traffic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ocnet.methods.hjb.differences import strides_of

_compiled: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


@_compiled
def rates(drift: np.ndarray, shape: np.ndarray, spacing: np.ndarray, rate: float, first: int) -> Any:
    """Return w_d = r_d/(ρ + Σ r_d) with the sign of f_d (count, n), single, and 1/(ρ + Σ r_d) (count,).

    Parameters
    ----------
    drift : ndarray (count, n)
        f at `count` nodes from `first` on, nowhere out of the box.
    shape : ndarray of int (n,)
    spacing : ndarray (n, most − 1)
        Distances between neighbouring nodes of each axis.
    rate : float
    first : int
    """
    n, count = shape.size, len(drift)
    weights, inverse = np.empty((count, n), dtype=np.float32), np.empty(count)
    strides, signed = strides_of(shape), np.empty(n)
    for k in range(count):
        total = rate
        for d in range(n):
            f, i = drift[k, d], ((first + k) // strides[d]) % shape[d]
            signed[d] = 0.0 if f == 0.0 else (f / spacing[d, i] if f > 0.0 else f / spacing[d, i - 1])
            total += abs(signed[d])
        inverse[k] = 1.0 / total
        for d in range(n):
            weights[k, d] = signed[d] / total
    return weights, inverse


@_compiled
def sweep(
    values: np.ndarray,
    weights: np.ndarray,
    source: np.ndarray,
    strides: tuple[int, ...],
    lower: np.ndarray,
    upper: np.ndarray,
    backwards: np.ndarray,
    mirrored: bool,
) -> float:
    """Sweep once over a box of nodes, in place, and return the largest change.

    Parameters
    ----------
    values : ndarray (size,)
    weights : ndarray (count, n)
        From :func:`rates`.
    source : ndarray (count,)
        s/(ρ + Σ r_d); nodes from `count` on are left out.
    strides : tuple of int (n,)
        A tuple, so that the loop over the axes is unrolled: one compilation for each n.
    lower, upper : ndarray of int (n,)
        The box: lower ≤ index < upper.
    backwards : ndarray of bool (n,)
        Along which axes the sweep runs from the last node to the first.
    mirrored : bool
        Whether v(−x) = v(x): node size − 1 − k then takes the value of node k, where that is a neighbour of
        the first `count` nodes.
    """
    n, count = len(strides), source.size
    start, inner = lower[n - 1], upper[n - 1] - lower[n - 1]
    lines = 1
    for d in range(n - 1):
        lines *= upper[d] - lower[d]
    worst, last = np.float32(0.0), values.size - 1
    middle = count - 2 * strides[0] if mirrored else count
    for line in range(lines):
        rest, base = line, start
        for d in range(n - 2, -1, -1):
            length = upper[d] - lower[d]
            i = rest % length
            rest //= length
            base += (upper[d] - 1 - i if backwards[d] else lower[d] + i) * strides[d]
        first, step = (base + inner - 1, -1) if backwards[n - 1] else (base, 1)
        for j in range(inner):
            k = first + j * step
            if k >= count:
                continue
            total = source[k]
            for d in range(n):
                w = weights[k, d]
                if w > 0.0:
                    total += w * values[k + strides[d]]
                elif w < 0.0:
                    total -= w * values[k - strides[d]]
            change = abs(total - values[k])
            if not change <= worst:  # so that NaN is noticed
                worst = change
            values[k] = total
            if k >= middle:
                values[last - k] = total
    return float(worst)


def directions(n: int) -> np.ndarray:
    """Return the 2ⁿ directions of the sweeps (2ⁿ, n), opposite ones beside each other."""
    codes = np.arange(2**n)
    codes = np.where(codes % 2 == 0, codes // 2, 2**n - 1 - codes // 2)
    return (codes[:, None] >> np.arange(n)[None, :]) % 2 == 1
