"""The minimum of a Hamiltonian over one-sided differences, for any Hamiltonian that gives its gradient."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

Gradient = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # H and H_p

PASSES = 40  # over the components of θ
SETTLED = 1e-9  # movement of θ that counts as none, relative to 1 + |θ|
ROOTS = 45
FLAT = 1e-14  # a drift that counts as none
STRIDE = 8.0  # by which the search for the price of a wall grows
DEAREST = 1e9  # price of a wall beyond which no control holds it, relative to 1 + the finite one


def upwind(
    function: Gradient, t: np.ndarray, x: np.ndarray, p_minus: np.ndarray, p_plus: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise stage + Σ_i (p⁺_i max(f_i, 0) + p⁻_i min(f_i, 0)) over the controls.

    Where p⁻_i ≤ p⁺_i the bracket is the maximum of θ_i f_i over θ_i in [p⁻_i, p⁺_i], else its minimum over
    the two ends. With the minimised Hamiltonian H(x, θ), which is concave in θ, the result is therefore the
    smallest, over the ends that can be chosen, of the largest H over the intervals: Godunov's Hamiltonian.
    The largest is found component by component: θ_i sits at p⁺_i if H_p,i ≥ 0 there, at p⁻_i if H_p,i ≤ 0
    there, else where H_p,i = 0 (the state rests in that direction).

    Parameters
    ----------
    function : callable
        (t, x, p) -> H (points,), H_p (points, nx), minimised over the controls.
    t : ndarray (points,)
    x, p_minus, p_plus : ndarray (points, nx)
        p⁻ = −∞ or p⁺ = ∞ forbid a motion.

    Returns
    -------
    drift : ndarray (points, nx)
        Where a forbidden motion cannot be prevented, what is left of it.
    stage : ndarray (points,)
        NaN where H is no finite number.

    Notes
    -----
    A forbidden motion needs no penalty: θ_i has no end on that side, and the price of the wall is where H_p,i
    is 0 (its multiplier). It is looked for in growing strides; only a wall that no price holds is passed.

    Exact where the components of H_p do not depend on each other's θ, or H is smooth; the components are
    repeated until none moves any more.
    """
    scale = (
        1.0 + np.where(np.isfinite(p_plus), abs(p_plus), 0) + np.where(np.isfinite(p_minus), abs(p_minus), 0)
    )
    low, high = np.fmax(p_minus, -DEAREST * scale), np.fmin(p_plus, DEAREST * scale)
    concave = low > high
    best = np.full(len(x), np.inf)
    drift, stage = np.zeros_like(x), np.zeros(len(x))
    for choice in product((False, True), repeat=x.shape[1]):
        ends = np.array(choice)
        rows = np.flatnonzero((concave | ~ends).all(axis=1))
        if not len(rows):
            continue
        mine = concave[rows]
        lower = np.where(mine, np.where(ends, low[rows], high[rows]), low[rows])
        upper = np.where(mine, lower, high[rows])
        start = np.where(np.isinf(p_minus[rows]), upper, np.where(np.isinf(p_plus[rows]), lower, np.nan))
        start = np.where(np.isnan(start), 0.5 * (lower + upper), start)
        theta, H, H_p = _largest(function, t[rows], x[rows], lower, upper, start)
        resting = (theta > lower) & (theta < upper)
        f = np.where(resting, 0.0, H_p)
        jumps = resting & (np.abs(H_p) > SETTLED)  # a mixture of controls rests, at the cost H − Σ θ_j f_j
        running = H - np.einsum("ij,ij->i", theta, np.where(jumps, 0.0, H_p))
        paid = np.where(f > 0, f * high[rows], f * low[rows]).sum(axis=1) + running
        better = paid < best[rows]
        chosen = rows[better]
        best[chosen], drift[chosen], stage[chosen] = paid[better], f[better], running[better]
    stage[~np.isfinite(best)] = np.nan
    return drift, stage


def _largest(
    function: Gradient,
    t: np.ndarray,
    x: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    start: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return θ in [lower, upper] with the largest H, and H and H_p there."""
    theta = start.copy()
    rows = np.arange(len(x))
    for _ in range(PASSES):
        before = theta[rows].copy()
        for i in range(x.shape[1]):
            part = theta[rows]
            part[:, i] = _component(function, t[rows], x[rows], part, lower[rows, i], upper[rows, i], i)
            theta[rows] = part
        moved = np.abs(theta[rows] - before) > SETTLED * (1 + np.abs(before))
        rows = rows[moved.any(axis=1)] if x.shape[1] > 1 else rows[:0]
        if not len(rows):
            break
    H, H_p = function(t, x, theta)
    return theta, H, H_p


def _component(
    function: Gradient, t: np.ndarray, x: np.ndarray, theta: np.ndarray, a: np.ndarray, b: np.ndarray, i: int
) -> np.ndarray:
    """Return component i of θ in [a, b]: an end, or the root of H_p,i, which falls in θ_i."""

    def slope(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        trial = theta[rows]
        trial[:, i] = values
        return function(t[rows], x[rows], trial)[1][:, i]

    result = theta[:, i].copy()
    known = slope(result, np.arange(len(x)))
    end = np.where(known > 0, b, a)
    rows = np.flatnonzero((np.abs(known) > FLAT) & (result != end))
    near, f_near, end = result[rows], known[rows], end[rows]
    far, f_far = near.copy(), f_near.copy()
    stride = 1.0 + np.abs(near)
    searching = np.arange(len(rows))
    while len(searching):  # until H_p,i changes its sign, or to the end
        k = searching
        near[k], f_near[k] = far[k], f_far[k]
        room = end[k] - near[k]
        far[k] = np.where(np.abs(room) <= stride[k], end[k], near[k] + np.sign(room) * stride[k])
        f_far[k] = slope(far[k], rows[k])
        stride[k] *= STRIDE
        searching = k[(f_far[k] * f_near[k] > 0) & (far[k] != end[k])]
    result[rows] = far
    crossed = f_far * f_near < 0
    rows, near, far = rows[crossed], near[crossed], far[crossed]
    f_near, f_far = f_near[crossed], f_far[crossed]
    up = f_near > 0
    a, b = np.where(up, near, far), np.where(up, far, near)
    fa, fb = np.where(up, f_near, f_far), np.where(up, f_far, f_near)
    for k in range(ROOTS):  # false position with halved ends (Illinois), and a bisection every third time
        if not len(rows):
            break
        middle = 0.5 * (a + b) if k % 3 == 2 else (a * fb - b * fa) / (fb - fa)
        f = slope(middle, rows)
        up = f > 0
        fa, fb = np.where(up, f, 0.5 * fa), np.where(up, 0.5 * fb, f)
        a, b = np.where(up, middle, a), np.where(up, b, middle)
        result[rows] = middle
        going = (np.abs(f) > FLAT) & (b - a > 1e-15 * (1 + np.abs(a)))
        rows, a, b, fa, fb = rows[going], a[going], b[going], fa[going], fb[going]
    return result
