"""Fixed points and gradients of the additive network, sample by sample (compiled by numba).

The odd root of a terminal attractor has an infinite slope where u = a. All linear algebra is therefore done
in y: y_n = (a_n − u_n)^β at units with an attractor, where u_n = a_n − y_n^(1/β) and I_n = |a_n|^(1−β) y_n
are smooth, and y_n = u_n elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = np.ndarray
_compiled: Any = njit(cache=True, error_model="numpy")

NEWTON = 1e12  # step of pseudo-time at which linearly implicit Euler is Newton's method
LEAST = 1e-9  # step of pseudo-time at which it gives up


@_compiled
def solve_in_place(A: Array, b: Array) -> Any:
    """Overwrite b (N,) by the solution of A x = b, and A by rubbish; not finite where A is singular.

    Gaussian elimination with pivots: for the few units of such networks it is several times faster than a
    call of LAPACK.
    """
    n = len(b)
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if abs(A[i, k]) > abs(A[p, k]):
                p = i
        if p != k:
            for j in range(n):
                A[k, j], A[p, j] = A[p, j], A[k, j]
            b[k], b[p] = b[p], b[k]
        for i in range(k + 1, n):
            factor = A[i, k] / A[k, k]
            if factor != 0:
                for j in range(k + 1, n):
                    A[i, j] -= factor * A[k, j]
                b[i] -= factor * b[k]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            b[k] -= A[k, j] * b[j]
        b[k] /= A[k, k]


@_compiled
def largest(values: Array) -> float:
    """Return the largest |value|; NaN where there is one."""
    most = 0.0
    for value in values:
        if np.isnan(value):
            return value
        most = max(most, abs(value))
    return most


@_compiled
def responses(y: Array, a: Array, attracted: Array, odd: int) -> Any:
    """Return u (N,) of one sample from y (N,)."""
    u = y.copy()
    for n in range(len(y)):
        if attracted[n]:
            u[n] = a[n] - y[n] ** odd
    return u


@_compiled
def residual(
    y: Array, W: Array, kappa: Array, gamma: Array, a: Array, attracted: Array, bias: Array, odd: int
) -> Any:
    """Return φ (N,) of equation 3.8, u (N,), the summed input Σ W u + I (N,) and g' = γ(1 − tanh²)/κ (N,)."""
    n = len(y)
    u = responses(y, a, attracted, odd)
    total, slope, phi = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        s = 0.0
        for j in range(n):
            s += W[i, j] * u[j]
        if attracted[i]:
            s += np.abs(a[i]) ** (1 - 1 / odd) * y[i]
        total[i] = s
        if bias[i]:
            phi[i], slope[i] = 1 - u[i], 0.0
        else:
            g = np.tanh(gamma[i] * s / kappa[i])
            phi[i], slope[i] = g - u[i], gamma[i] * (1 - g * g) / kappa[i]
    return phi, u, total, slope


@_compiled
def jacobian(y: Array, W: Array, a: Array, attracted: Array, odd: int, slope: Array) -> Any:
    """Return ∂φ/∂y (N, N) and du/dy (N,)."""
    n = len(y)
    A, moved = np.empty((n, n)), np.ones(n)
    for i in range(n):
        if attracted[i]:
            moved[i] = -odd * y[i] ** (odd - 1)
    for i in range(n):
        for j in range(n):
            A[i, j] = slope[i] * W[i, j] * moved[j]
        A[i, i] -= moved[i]
        if attracted[i]:
            A[i, i] += slope[i] * np.abs(a[i]) ** (1 - 1 / odd)
    return A, moved


@_compiled
def settle(
    y: Array,
    W: Array,
    kappa: Array,
    gamma: Array,
    a: Array,
    attracted: Array,
    bias: Array,
    odd: int,
    h: float,
    tolerance: float,
    iterations: int,
) -> Any:
    """Follow u̇ = φ from y to rest by linearly implicit Euler with growing steps; -> y, |φ|, iterations.

    h is the first step: NEWTON for a good guess, about 1 to follow the dynamics from afar. |φ| is what was
    reached; the caller judges it.
    """
    n = len(y)
    phi, _, _, slope = residual(y, W, kappa, gamma, a, attracted, bias, odd)
    size = largest(phi)
    for count in range(iterations):
        if size <= tolerance:
            return y, size, count
        A, moved = jacobian(y, W, a, attracted, odd, slope)
        for i in range(n):
            A[i, i] -= moved[i] / h
        solve_in_place(A, phi)
        new = np.empty(n)
        for i in range(n):
            new[i] = y[i] - phi[i]
        trial, _, _, steeper = residual(new, W, kappa, gamma, a, attracted, bias, odd)
        reached = largest(trial)
        if not reached <= 1.5 * size:  # also NaN
            h /= 8 if h < NEWTON else 1e12
            if h < LEAST:
                break
            phi, _, _, slope = residual(y, W, kappa, gamma, a, attracted, bias, odd)
            continue
        h = min(NEWTON, h * max(2.0, size / max(reached, 1e-300)))
        y, phi, slope, size = new, trial, steeper, reached
    return y, size, iterations


@_compiled
def settle_all(
    y: Array,
    W: Array,
    kappa: Array,
    gamma: Array,
    a: Array,
    attracted: Array,
    bias: Array,
    odd: int,
    h: float,
    tolerance: float,
    iterations: int,
) -> Any:
    """:func:`settle` for all samples (K, N); -> y (K, N), u (K, N), |φ| (K,), iterations in all."""
    found, u, sizes, total = np.empty_like(y), np.empty_like(y), np.empty(len(y)), 0
    for k in range(len(y)):
        found[k], sizes[k], count = settle(
            y[k].copy(), W, kappa, gamma, a[k], attracted[k], bias, odd, h, tolerance, iterations
        )
        u[k] = responses(found[k], a[k], attracted[k], odd)
        total += count
    return found, u, sizes, total


@_compiled
def gradients(
    y: Array,
    W: Array,
    mask: Array,
    kappa: Array,
    gamma: Array,
    a: Array,
    attracted: Array,
    bias: Array,
    visible: Array,
    odd: int,
) -> Any:
    """Energy 3.5 at fixed points y (K, N) and its gradient by K adjoint solves.

    -> E, dE/dT (N, N) by 3.18, dE/dκ (N,), dE/dγ (N,), adjoints v (K, N).
    """
    samples, n = y.shape
    energy = 0.0
    d_T, d_kappa, d_gamma = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    adjoints = np.empty((samples, n))
    for k in range(samples):
        _, u, total, slope = residual(y[k], W, kappa, gamma, a[k], attracted[k], bias, odd)
        A, moved = jacobian(y[k], W, a[k], attracted[k], odd, slope)
        v = np.zeros(n)
        for i in range(n):
            if visible[i]:
                gap = u[i] - a[k, i]
                energy += gap * gap / 2
                v[i] = gap * moved[i]
        solve_in_place(A.T.copy(), v)
        for i in range(n):
            pushed = v[i] * slope[i]  # v γ(1 − tanh²)/κ
            d_kappa[i] += pushed * total[i] / kappa[i]
            d_gamma[i] -= pushed * total[i] / gamma[i]
            for j in range(n):
                if mask[i, j]:
                    d_T[i, j] -= pushed * u[j]
        adjoints[k] = v
    return energy, d_T, d_kappa, d_gamma, adjoints
