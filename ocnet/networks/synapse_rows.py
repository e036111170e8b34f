"""The synapses of one neuron, which one number carries: compiled loops over points, neurons and synapses.

Cardin, Lovison, Maritan and Megighian, arXiv 2305.14360, with the prices α of motion and β of control. The
synapses of neuron i minimise α(a_i + Σ_j ξ_ij g_j)² + β Σ_j ξ_ij² + p_i Σ_j ξ_ij g_j within |ξ_ij| ≤ b_ij.
With h = |g| and c_i = αa_i + p_i/2 they are

    ξ_ij = −sign(c_i g_j) min(ν_i h_j, b_ij),   βν_i + α s_i(ν_i) = |c_i|,
    s_i(ν) = Σ_j min(ν h_j², b_ij h_j).

s_i is increasing, concave and piecewise linear, so that Newton's method from the left never overshoots and
ends on the linear piece of the root. All numbers are dimensionless. The loops hold no lock of the interpreter
and write only what they return.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

LARGEST = float(
    np.finfo(float).max
)  # stands for ν = ∞: all synapses of the neuron that act are at their bounds
SILENT = 1e-150  # an output whose square is no normal number acts like 0
_compiled: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


@_compiled
def _pieces(nu: float, h: np.ndarray, b: np.ndarray, lanes: Any) -> Any:
    """Return the two sums of s(ν) = saturated + ν·free; `lanes` is anything of length N."""
    saturated, free = 0.0, 0.0
    for j in range(len(lanes)):
        inside = nu * h[j] < b[j]
        saturated += 0.0 if inside else b[j] * h[j]
        free += h[j] * h[j] if inside else 0.0
    return saturated, free


@_compiled
def multipliers(
    size: np.ndarray, h: np.ndarray, alpha: np.ndarray, beta: float, bounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Solve the equation of every neuron at every point.

    Parameters
    ----------
    size, h : ndarray (points, N)
        |c| = |αa + p/2|, and |g(u)| with nothing between 0 and `SILENT`.
    alpha : ndarray (points,)
    beta : float
    bounds : ndarray (N, N)

    Returns
    -------
    nu, moved, q, free : ndarray (points, N)
        ν ≥ 0; s(ν), by which the synapses change a towards 0; |q| = |c| − αs(ν), which is βν unless all
        synapses are at their bounds; Σ h_j² over the synapses inside their bounds.
    """
    nu, moved, q, free = np.empty_like(h), np.empty_like(h), np.empty_like(h), np.empty_like(h)
    totals = np.empty(len(h))
    for k in range(len(h)):
        totals[k] = np.sum(h[k] * h[k])
    for i in range(h.shape[1]):
        for k in range(len(h)):
            c = size[k, i]
            root = 0.0 if c == 0.0 else min(c / (beta + alpha[k] * totals[k]), LARGEST)
            while True:
                saturated, inside = _pieces(root, h[k], bounds[i], h[k])
                rest = c - alpha[k] * saturated
                following = 0.0 if rest <= 0.0 else min(rest / (beta + alpha[k] * inside), LARGEST)
                if not following > root * (1.0 + 1e-15):  # so that NaN ends it too
                    break
                root = following
            nu[k, i] = root
            moved[k, i] = saturated + root * inside
            q[k, i] = max(rest, 0.0) if inside == 0.0 else beta * root
            free[k, i] = inside
    return nu, moved, q, free


@_compiled
def _answer(
    c: float,
    a: float,
    h: np.ndarray,
    alpha: float,
    beta: float,
    bounds: np.ndarray,
    lanes: tuple[int, ...],
) -> Any:
    """Return X = a ∓ s(ν) and its cost αX² + βΣξ² at the root of βν + α s(ν) = |c|; α = 1, β = 0 hold."""
    size, total = abs(c), 0.0
    for j in range(len(lanes)):
        total += h[j] * h[j]
    root = 0.0 if size == 0.0 else min(size / (beta + alpha * total), LARGEST)
    while True:
        saturated, inside = _pieces(root, h, bounds, lanes)
        rest = size - alpha * saturated
        following = 0.0 if rest <= 0.0 else min(rest / (beta + alpha * inside), LARGEST)
        if not following > root * (1.0 + 1e-15):
            break
        root = following
    effort = 0.0
    for j in range(len(lanes)):
        effort += min(root * h[j], bounds[j]) ** 2 if h[j] > 0.0 else 0.0
    moved = saturated + root * inside
    return a - moved if c > 0.0 else a + moved, effort


@_compiled
def one_sided(
    a: np.ndarray,
    h: np.ndarray,
    alpha: np.ndarray,
    beta: float,
    bounds: np.ndarray,
    p_minus: np.ndarray,
    p_plus: np.ndarray,
    lanes: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise α|X|² + β|ξ|² + Σ_i (p⁺_i max(X_i, 0) + p⁻_i min(X_i, 0)), each neuron by itself.

    A neuron moves up with the price p⁺, down with p⁻, whichever costs less, or rests (X_i = 0) where neither
    pays; infinite prices (p⁺ = ∞, p⁻ = −∞) forbid to move.

    Parameters
    ----------
    a, h, p_minus, p_plus : ndarray (points, N)
        a = A g(u) − u, h as for :func:`multipliers`, and the prices.
    alpha : ndarray (points,)
    beta : float
    bounds : ndarray (N, N)
    lanes : tuple of int (N,)
        Its length counts: the compiler knows that of a tuple, and unrolls the loops over a few neurons.

    Returns
    -------
    X : ndarray (points, N)
        Where a forbidden motion cannot be prevented, as little of it as possible.
    stage : ndarray (points,)
        α|X|² + β|ξ|².
    """
    X, stage = np.empty_like(a), np.zeros(len(a))
    for k in range(len(a)):
        price = alpha[k]
        for i in range(a.shape[1]):
            here, up, down = a[k, i], p_plus[k, i], p_minus[k, i]
            best, motion, effort = np.inf, 0.0, 0.0
            if up < np.inf:
                x, xi = _answer(price * here + 0.5 * up, here, h[k], price, beta, bounds[i], lanes)
                if x > 0.0:
                    best, motion, effort = price * x * x + beta * xi + up * x, x, xi
            if down > -np.inf and not (best < np.inf and down <= up):
                x, xi = _answer(price * here + 0.5 * down, here, h[k], price, beta, bounds[i], lanes)
                if x < 0.0 and price * x * x + beta * xi + down * x < best:
                    best, motion, effort = price * x * x + beta * xi + down * x, x, xi
            if best == np.inf:
                motion, effort = _answer(here, here, h[k], 1.0, 0.0, bounds[i], lanes)
                motion = 0.0 if abs(motion) <= 1e-12 * abs(here) else motion
            X[k, i] = motion
            stage[k] += price * motion * motion + beta * effort
    return X, stage


@_compiled
def pull(nu: np.ndarray, q: np.ndarray, h: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return Σ_i |q_i ξ_ij| (points, N), one number for each j."""
    result = np.zeros_like(h)
    for i in range(h.shape[1]):
        for k in range(len(h)):
            root, weight = nu[k, i], q[k, i]
            if weight > 0.0:
                for j in range(h.shape[1]):
                    result[k, j] += weight * min(root * h[k, j], bounds[i, j])
    return result


@_compiled
def squares(nu: np.ndarray, h: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return Σ_ij ξ_ij² (points,)."""
    result = np.zeros(len(h))
    for i in range(h.shape[1]):
        for k in range(len(h)):
            total = 0.0
            for j in range(h.shape[1]):
                total += min(nu[k, i] * h[k, j], bounds[i, j]) ** 2
            result[k] += total
    return result


@_compiled
def synapses(nu: np.ndarray, g: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return ξ (points, N, N); here ν has the sign of c."""
    points, n = g.shape
    result = np.empty((points, n, n))
    for k in range(points):
        for i in range(n):
            for j in range(n):
                result[k, i, j] = -max(-bounds[i, j], min(nu[k, i] * g[k, j], bounds[i, j]))
    return result


@_compiled
def linearised(
    A: np.ndarray, bounds: np.ndarray, nu: np.ndarray, q: np.ndarray, g: np.ndarray, slope: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of the second derivatives that have N² terms.

    Parameters
    ----------
    A, bounds : ndarray (N, N)
    nu, q : ndarray (points, N)
        With the sign of c.
    g, slope : ndarray (points, N)
        g(u) and g'(u).

    Returns
    -------
    L : ndarray (points, N, N)
        ∂X/∂u at fixed q: (A + ξ∘(1 + I)) diag(g') − 1, with I_ij = 1 where a synapse is inside its bounds.
    curvature : ndarray (points, N)
        Σ_i I_ij q_i ν_i.
    """
    points, n = g.shape
    L, curvature = np.empty((points, n, n)), np.zeros((points, n))
    for k in range(points):
        for i in range(n):
            root, weight = nu[k, i], q[k, i] * nu[k, i] if abs(nu[k, i]) < LARGEST else 0.0
            for j in range(n):
                wanted = root * g[k, j]
                inside = abs(wanted) < bounds[i, j]
                xi = -max(-bounds[i, j], min(wanted, bounds[i, j]))
                L[k, i, j] = (A[i, j] + (2.0 * xi if inside else xi)) * slope[k, j]
                curvature[k, j] += weight if inside else 0.0
            L[k, i, i] -= 1.0
    return L, curvature
