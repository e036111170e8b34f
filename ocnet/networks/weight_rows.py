"""The weights of one neuron, which one number carries where there is one pair or one neuron: compiled loops.

With one pair (L = 1) or one neuron (n = 1) the drift of a row of activations is f_r = k_r s − z_r for a
single number s, and its weights cost c s²/2: s is found exactly. All numbers are dimensionless. The loops
hold no lock of the interpreter and write only what they return.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

HELD = 1e-12  # difference of forbidden speeds that counts as none, relative
_compiled: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


@_compiled
def _priced(
    s: float, kink: int, c: float, k: np.ndarray, z: np.ndarray, minus: np.ndarray, plus: np.ndarray
) -> Any:
    """Return the forbidden speed and the cost at s, where component `kink` rests."""
    forbidden, total = 0.0, 0.5 * c * s * s
    for r in range(k.size):
        f = 0.0 if r == kink else k[r] * s - z[r]
        price = plus[r] if f > 0.0 else minus[r]
        if f != 0.0:
            if abs(price) == np.inf:
                forbidden += abs(f)
            else:
                total += price * f
    return forbidden, total


@_compiled
def _downhill(s: float, c: float, k: np.ndarray, z: np.ndarray, minus: np.ndarray, plus: np.ndarray) -> float:
    """Return where the piece of the cost on which s lies has its minimum."""
    slope = 0.0
    for r in range(k.size):
        price = plus[r] if k[r] * s - z[r] > 0.0 else minus[r]
        if abs(price) < np.inf:
            slope += price * k[r]
    return -slope / c


@_compiled
def one_sided_rows(
    c: np.ndarray, k: np.ndarray, z: np.ndarray, minus: np.ndarray, plus: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise c s²/2 + Σ_r (p⁺_r max(f_r, 0) + p⁻_r min(f_r, 0)), f_r = k_r s − z_r, over s: row by row.

    The cost is quadratic between the kinks s = z_r/k_r, so that its minimum is at a kink or where a piece has
    its own; p⁻ may be larger than p⁺. Infinite prices forbid to move; the least forbidden motion comes first.

    Parameters
    ----------
    c : ndarray (points,)
        Positive, or 0 where k is 0.
    k : ndarray (points, L)
    z, minus, plus : ndarray (points, rows, L)

    Returns
    -------
    s : ndarray (points, rows)
    f : ndarray (points, rows, L)
    """
    points, rows, pairs = z.shape
    found, drift = np.zeros((points, rows)), np.empty_like(z)
    kinks = np.empty(pairs)
    for m in range(points):
        for i in range(rows):
            here, down, up = z[m, i], minus[m, i], plus[m, i]
            count = 0
            for r in range(pairs):
                if k[m, r] != 0.0:
                    kinks[count] = here[r] / k[m, r]
                    count += 1
            edges = np.sort(kinks[:count])
            best, resting = 0.0, -1
            least, cost = _priced(0.0, -1, c[m], k[m], here, down, up)
            for piece in range(count + 1 if count > 0 else 0):
                a = edges[piece - 1] if piece > 0 else -np.inf
                b = edges[piece] if piece < count else np.inf
                inside = a + 1.0 if b == np.inf else (b - 1.0 if a == -np.inf else 0.5 * (a + b))
                s = _downhill(inside, c[m], k[m], here, down, up)
                if a < s < b:
                    forbidden, total = _priced(s, -1, c[m], k[m], here, down, up)
                    same = abs(forbidden - least) <= HELD * (1.0 + least)
                    if (total < cost) if same else (forbidden < least):
                        least, cost, best, resting = forbidden, total, s, -1
            for r in range(pairs):
                if k[m, r] != 0.0:
                    s = here[r] / k[m, r]
                    forbidden, total = _priced(s, r, c[m], k[m], here, down, up)
                    same = abs(forbidden - least) <= HELD * (1.0 + least)
                    if (total < cost) if same else (forbidden < least):
                        least, cost, best, resting = forbidden, total, s, r
            found[m, i] = best
            for r in range(pairs):
                drift[m, i, r] = 0.0 if r == resting else k[m, r] * best - here[r]
    return found, drift
