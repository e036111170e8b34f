"""Gauss-Seidel sweeps over a grid in all 2ⁿ directions, for the linear equation of a fixed feedback.

    (ρ + Σ_d r_d) v_k = s_k + Σ_d r_d v_(neighbour of k on the side to which the state moves along d)

with r_d = |f_d| / spacing: an M-matrix with n + 1 entries a row. A sweep that runs against the drift carries
values along whole characteristics at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ocnet.methods.hjb.differences import strides_of

_compiled: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


@_compiled
def rates(drift: np.ndarray, shape: np.ndarray, spacing: np.ndarray, rate: float) -> Any:
    """Return f_d / spacing with the sign of f_d (count, n), and 1/(ρ + Σ r_d) (count,).

    Parameters
    ----------
    drift : ndarray (count, n)
        f at the first `count` nodes, nowhere out of the box.
    shape : ndarray of int (n,)
    spacing : ndarray (n, most − 1)
        Distances between neighbouring nodes of each axis.
    rate : float
    """
    n, count = shape.size, len(drift)
    signed, inverse = np.empty((count, n)), np.empty(count)
    strides = strides_of(shape)
    for k in range(count):
        total = rate
        for d in range(n):
            f, i = drift[k, d], (k // strides[d]) % shape[d]
            r = 0.0 if f == 0.0 else (f / spacing[d, i] if f > 0.0 else f / spacing[d, i - 1])
            signed[k, d] = r
            total += abs(r)
        inverse[k] = 1.0 / total
    return signed, inverse


@_compiled
def sweep(
    values: np.ndarray,
    signed: np.ndarray,
    inverse: np.ndarray,
    source: np.ndarray,
    shape: np.ndarray,
    backwards: np.ndarray,
    mirrored: bool,
) -> float:
    """Sweep once over the first nodes, in place, and return the largest change.

    Parameters
    ----------
    values : ndarray (size,)
    signed, inverse : ndarray (count, n), (count,)
        From :func:`rates`.
    source : ndarray (count,)
        s.
    shape : ndarray of int (n,)
    backwards : ndarray of bool (n,)
        Along which axes the sweep runs from the last node to the first.
    mirrored : bool
        Whether v(−x) = v(x): node size − 1 − k then takes the value of node k.
    """
    n, strides, count = shape.size, strides_of(shape), source.size
    planes = (count + strides[0] - 1) // strides[0]
    inner = shape[n - 1] if n > 1 else planes
    lines = 1
    for d in range(n - 1):
        lines *= planes if d == 0 else shape[d]
    worst, last = 0.0, values.size - 1
    for line in range(lines):
        rest, base = line, 0
        for d in range(n - 2, -1, -1):
            length = planes if d == 0 else shape[d]
            i = rest % length
            rest //= length
            base += (length - 1 - i if backwards[d] else i) * strides[d]
        for j in range(inner):
            k = base + (inner - 1 - j if backwards[n - 1] else j)
            if k >= count:
                continue
            total = source[k]
            for d in range(n):
                r = signed[k, d]
                if r > 0.0:
                    total += r * values[k + strides[d]]
                elif r < 0.0:
                    total -= r * values[k - strides[d]]
            total *= inverse[k]
            change = abs(total - values[k])
            if not change <= worst:  # so that NaN is noticed
                worst = change
            values[k] = total
            if mirrored:
                values[last - k] = total
    return worst


def directions(n: int) -> np.ndarray:
    """Return the 2ⁿ directions of the sweeps (2ⁿ, n), opposite ones beside each other."""
    codes = np.arange(2**n)
    codes = np.where(codes % 2 == 0, codes // 2, 2**n - 1 - codes // 2)
    return (codes[:, None] >> np.arange(n)[None, :]) % 2 == 1
