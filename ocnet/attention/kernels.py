"""Compiled kernels of one neuron: its output, its cost, one step, whether it rests; and sums over neurons.

A neuron i with the force F = (Tv + h)_i − u_i takes the exponential step u += F (1 − e^{−λ dt})/λ with
λ = 1 − T_ii g'(u_i) where T_ii < 0, else 1. As a function of v_i alone E falls without overshoot, so that it
falls at every update, whatever dt is. As dt → 0 the steps follow u̇ = F.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

compiled: Any = njit(cache=True, nogil=True, error_model="numpy")

LN2 = float(np.log(2.0))
NEARLY = 0.99
THIRD = 1.0 / 3.0
ROUNDING = 1e-15  # of 1 − v²
MANY = 0.9  # as much of a product is taken before its logarithm
AWAKE, UNSCORED = 1, 2  # flags of neurons: it may move; its score is out of date


@compiled
def output(kind: int, s: float) -> float:
    """Return g(s): tanh (0) or the logistic function (1), to 2e-16 of the range, with one exponential."""
    return 1.0 - 2.0 / (1.0 + np.exp(2.0 * s)) if kind == 0 else 1.0 / (1.0 + np.exp(-s))


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
def rests(kind: int, gain: float, u: float, v: float, net: float, tolerance: float) -> bool:
    """Tell whether |g(γ net) − v| is within the tolerance, at v = g(γu).

    For tanh it is (1 − v²)t/(1 ± vt) with t = tanh(γ|net − u|), and x/(1 + x²/3) ≤ tanh x ≤ x decides nearly
    always without an exponential. The logistic function is ½(1 + tanh(s/2)).
    """
    if kind == 1:
        v, gain, tolerance = 2.0 * v - 1.0, 0.5 * gain, 2.0 * tolerance
    force = net - u
    x = gain * abs(force)
    room = 1.0 - v * v - math.copysign(tolerance, force) * v
    if x * (room + ROUNDING) <= tolerance:
        return True
    if x * (room - ROUNDING) > tolerance * (1.0 + x * x * THIRD):
        return False
    return abs(output(0, gain * net) - v) <= tolerance


@compiled
def score(kind: int, gain: float, u: float, v: float, net: float, measure: int) -> float:
    """Return g'(∂E/∂v)² (measure 0), |∂E/∂v| (1) or the square of the change that the output is due (2)."""
    force = net - u
    if measure == 0:
        return slope(kind, gain, v) * force * force
    if measure == 1:
        return abs(force)
    due = output(kind, gain * net) - v
    return due * due


@compiled
def outputs(kind: int, gain: float, u: np.ndarray) -> np.ndarray:
    """Return g(γu) of all neurons."""
    v = np.empty(len(u))
    for i in range(len(u)):
        v[i] = output(kind, gain * u[i])
    return v


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
    """Fill in the scores of all neurons, 0 for those at rest."""
    for i in range(len(u)):
        resting = rests(kind, gain, u[i], v[i], net[i], tolerance)
        result[i] = 0.0 if resting else score(kind, gain, u[i], v[i], net[i], measure)


@compiled
def largest_due(kind: int, gain: float, u: np.ndarray, v: np.ndarray, net: np.ndarray) -> float:
    """Return the largest change that an output is due, max |g(γ net) − v|."""
    most = 0.0
    for i in range(len(u)):
        if not rests(kind, gain, u[i], v[i], net[i], most):
            most = max(most, abs(output(kind, gain * net[i]) - v[i]))
    return most


@compiled
def total_gain_cost(kind: int, gain: float, u: np.ndarray, v: np.ndarray) -> float:
    """Return Σφ, with one logarithm for several neurons: Σ log(1 − x) = log(1 − q)."""
    total, logs, q = 0.0, 0.0, 0.0
    for i in range(len(u)):
        x = v[i] * v[i] if kind == 0 else v[i]
        if x >= NEARLY:
            total += gain_cost(kind, gain, u[i], v[i])
            continue
        total += u[i] * v[i]
        q += x * (1.0 - q)
        if q > MANY:
            logs += np.log1p(-q)
            q = 0.0
    return total + (logs + np.log1p(-q)) * (0.5 if kind == 0 else 1.0) / gain


@compiled
def energy_change(
    kind: int,
    gain: float,
    u: np.ndarray,
    v: np.ndarray,
    net: np.ndarray,
    old_u: np.ndarray,
    old_v: np.ndarray,
    old_net: np.ndarray,
) -> float:
    """Return the change of E while these neurons alone changed, and told each other."""
    total, logs, p, q = 0.0, 0.0, 0.0, 0.0
    for i in range(len(u)):
        if u[i] == old_u[i]:
            continue
        total -= 0.5 * (v[i] - old_v[i]) * (net[i] + old_net[i])
        x, y = (v[i] * v[i], old_v[i] * old_v[i]) if kind == 0 else (v[i], old_v[i])
        if max(x, y) >= NEARLY:
            total += gain_cost(kind, gain, u[i], v[i]) - gain_cost(kind, gain, old_u[i], old_v[i])
            continue
        total += u[i] * v[i] - old_u[i] * old_v[i]
        p += x * (1.0 - p)
        q += y * (1.0 - q)
        if max(p, q) > MANY:
            logs += np.log1p(-p) - np.log1p(-q)
            p, q = 0.0, 0.0
    return total + (logs + np.log1p(-p) - np.log1p(-q)) * (0.5 if kind == 0 else 1.0) / gain


@compiled
def energy(
    kind: int, gain: float, u: np.ndarray, v: np.ndarray, net: np.ndarray, inputs: np.ndarray
) -> float:
    """Return E = Σφ(v) − ½ Σ v (net + h)."""
    pull = 0.0
    for i in range(len(u)):
        pull += v[i] * (net[i] + inputs[i])
    return total_gain_cost(kind, gain, u, v) - 0.5 * pull


@compiled
def block_scores(
    kind: int,
    gain: float,
    u: np.ndarray,
    v: np.ndarray,
    net: np.ndarray,
    flags: np.ndarray,
    measure: int,
    tolerance: float,
    order: Any,
    bounds: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Bring the sums of scores up to date, those of blocks in which something changed since the last time.

    Block a has the neurons order[bounds[a]:bounds[a + 1]]; without an order, bounds[a]:bounds[a + 1].
    """
    for a in range(len(sums)):
        seen = 0
        for k in range(bounds[a], bounds[a + 1]):
            seen |= flags[k if order is None else order[k]]
        if seen & UNSCORED == 0:
            continue
        total = 0.0
        for k in range(bounds[a], bounds[a + 1]):
            i = np.uintp(k if order is None else order[k])
            if flags[i]:
                resting = rests(kind, gain, u[i], v[i], net[i], tolerance)
                flags[i] = 0 if resting else AWAKE
                total += 0.0 if resting else score(kind, gain, u[i], v[i], net[i], measure)
        sums[a] = total
