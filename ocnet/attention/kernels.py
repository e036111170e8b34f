"""Compiled kernels: neurons one after the other, each output change sent at once to whoever listens.

A neuron i with the force F = (Tv + h)_i − u_i takes the exponential step u += F (1 − e^{−λ dt})/λ with
λ = 1 − T_ii g'(u_i) where T_ii < 0, else 1. As a function of v_i alone E falls without overshoot, so that it
falls at every update, whatever dt is. As dt → 0 the steps follow u̇ = F.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

compiled: Any = njit(cache=True, nogil=True, error_model="numpy")

LN2 = float(np.log(2.0))
NEARLY = 0.99


@compiled
def output(kind: int, s: float) -> float:
    """Return g(s): tanh (0) or the logistic function (1), to 2e-16 of the range, with one exponential."""
    return 1.0 - 2.0 / (1.0 + np.exp(2.0 * s)) if kind == 0 else 1.0 / (1.0 + np.exp(-s))


@compiled
def outputs(kind: int, gain: float, u: np.ndarray) -> np.ndarray:
    """Return g(γu) of all neurons."""
    v = np.empty(len(u))
    for i in range(len(u)):
        v[i] = output(kind, gain * u[i])
    return v


@compiled
def slope(kind: int, gain: float, v: float) -> float:
    """Return dv/du at the output v."""
    return gain * (1.0 - v * v) if kind == 0 else gain * v * (1.0 - v)


@compiled
def gain_cost(kind: int, gain: float, u: float, v: float) -> float:
    """Return φ(v) at the activation u with v = g(γu), exact in saturation."""
    s = gain * u
    if kind == 0:
        if abs(v) < NEARLY:
            return u * v + 0.5 * np.log1p(-v * v) / gain
        return u * v - (abs(s) + np.log1p(np.exp(-2.0 * abs(s))) - LN2) / gain
    if v < NEARLY:
        return u * v + np.log1p(-v) / gain
    return u * v - (s + np.log1p(np.exp(-s))) / gain


@compiled
def steepest(kind: int, gain: float) -> float:
    """Return the largest slope dv/du."""
    return gain if kind == 0 else 0.25 * gain


@compiled
def moved(
    kind: int, gain: float, feedback: float, u: float, v: float, force: float, dt: float, plain: float
) -> float:
    """Return the activation of one neuron after a step of length dt; plain is 1 − e^{−dt}."""
    if feedback >= 0.0:
        return u + force * plain
    rate = 1.0 - feedback * slope(kind, gain, v)
    after = u - force * np.expm1(-rate * dt) / rate
    left = force - (after - u) + feedback * (output(kind, gain * after) - v)
    if left * force < 0.0:  # the slope grew on the way: take the largest one there is
        rate = 1.0 - feedback * steepest(kind, gain)
        after = u - force * np.expm1(-rate * dt) / rate
    return after


@compiled
def restrict(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, active: np.ndarray, local: np.ndarray
) -> Any:
    """Return the CSR arrays of T between the active neurons; `local` holds their places, −1 elsewhere."""
    count, most = len(active), 0
    pointers = np.zeros(count + 1, np.int64)
    for k in range(count):
        most += indptr[active[k] + 1] - indptr[active[k]]
    columns, values = np.empty(most, np.int32), np.empty(most)
    at = 0
    for k in range(count):
        i = active[k]
        for e in range(indptr[i], indptr[i + 1]):
            j = local[np.uintp(indices[e])]
            if j >= 0:
                columns[at] = j
                values[at] = data[e]
                at += 1
        pointers[k + 1] = at
    return pointers, columns[:at], values[:at]


@compiled
def sweeps(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    feedback: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    net: np.ndarray,
    kind: int,
    gain: float,
    dt: float,
    most: int,
    tolerance: float,
) -> Any:
    """Sweep over all neurons of a (small or whole) network, in place, at most `most` times.

    `net` is Tv + h. A neuron whose output would change by no more than the tolerance rests; a sweep in which
    all of them rest is the last.

    Returns
    -------
    (int, int)
        Connection updates (products added to `net`) and neuron updates.
    """
    updates, changed = 0, 0
    plain, least = -np.expm1(-dt), tolerance / steepest(kind, gain)
    for _ in range(most):
        resting = True
        for i in range(len(u)):
            force = net[i] - u[i]
            if abs(force) <= least:
                continue
            flat = slope(kind, gain, v[i]) * abs(force) <= 4.0 * tolerance  # else it is hardly at rest
            if flat and abs(output(kind, gain * net[i]) - v[i]) <= tolerance:
                continue
            resting = False
            u[i] = moved(kind, gain, feedback[i], u[i], v[i], force, dt, plain)
            after = output(kind, gain * u[i])
            change = after - v[i]
            changed += 1
            if change != 0.0:
                v[i] = after
                for e in range(np.uintp(indptr[i]), np.uintp(indptr[i + 1])):  # unsigned indices do not wrap
                    net[np.uintp(indices[e])] += data[e] * change
                updates += indptr[i + 1] - indptr[i]
        if resting:
            break
    return updates, changed


@compiled
def spread(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    active: np.ndarray,
    change: np.ndarray,
    local: np.ndarray,
    net: np.ndarray,
) -> int:
    """Tell the inactive neighbours what the active neurons changed (M,); return the connection updates."""
    updates = 0
    for k in range(len(active)):
        if change[k] != 0.0:
            i = active[k]
            for e in range(indptr[i], indptr[i + 1]):
                j = np.uintp(indices[e])
                if local[j] < 0:
                    net[j] += data[e] * change[k]
                    updates += 1
    return updates


@compiled
def scores(
    kind: int,
    gain: float,
    u: np.ndarray,
    v: np.ndarray,
    net: np.ndarray,
    measure: int,
    tolerance: float,
    result: np.ndarray,
) -> None:
    """Fill in g'(∂E/∂v)² (measure 0), |∂E/∂v| (1) or the square of the change that an output is due (2).

    They are 0 where the force is too small for the output to change by more than the tolerance; the last one
    is 0 wherever the change due is within the tolerance.
    """
    least = tolerance / steepest(kind, gain)
    for i in range(len(u)):
        force = net[i] - u[i]
        if abs(force) <= least:
            result[i] = 0.0
        elif measure == 0:
            result[i] = slope(kind, gain, v[i]) * force * force
        elif measure == 1:
            result[i] = abs(force)
        else:
            due = output(kind, gain * net[i]) - v[i]
            result[i] = due * due if abs(due) > tolerance else 0.0


@compiled
def total_gain_cost(kind: int, gain: float, u: np.ndarray, v: np.ndarray) -> float:
    """Return Σφ."""
    total = 0.0
    for i in range(len(u)):
        total += gain_cost(kind, gain, u[i], v[i])
    return total
