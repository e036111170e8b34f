"""Real neurons that stand for several virtual ones at once, as they do on the flanks of a rolling window.

    k̇_a = Σ_i r_ia √g'(u_i) (Tv + h − u)_i        ẇ_i = Σ_a r_ia k̇_a        dw/du = √g'

(equations 17 and 19 of Mjolsness and Miranker, NIPS 1990). A step that raises E is halved until it does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ocnet.attention.kernels import compiled, gain_cost, moved, output, slope
from ocnet.attention.sweeps import send

QUARTER = float(np.pi / 2 - 1e-8)
HALVINGS = 40


@compiled
def angle(kind: int, s: float) -> float:
    """Return √γ w = gd(s) for tanh, gd(s/2) for the logistic function, at s = γu."""
    return 2.0 * np.arctan(np.tanh(0.5 * s if kind == 0 else 0.25 * s))


@compiled
def from_angle(kind: int, a: float) -> float:
    """Return s = γu, the inverse of :func:`angle`."""
    s = 2.0 * np.arctanh(np.tan(0.5 * a))
    return s if kind == 0 else 2.0 * s


@compiled
def shared_sweeps(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    feedback: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    net: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray,
    kind: int,
    gain: float,
    dt: float,
    most: int,
    tolerance: float,
) -> Any:
    """Sweep over real neurons; virtual neurons groups[a]:groups[a + 1] belong to real neuron a.

    Returns
    -------
    (int, int)
        Connection updates and updates of real neurons.
    """
    updates, changed = 0, 0
    plain, tried = -np.expm1(-dt), np.empty(len(u))
    delta = np.zeros(len(u))
    for _ in range(most):
        resting = True
        for a in range(len(groups) - 1):
            first, last = groups[a], groups[a + 1]
            due = 0.0
            for i in range(first, last):
                if net[i] != u[i]:
                    due = max(due, weights[i] * abs(output(kind, gain * net[i]) - v[i]))
            if due <= tolerance:
                continue
            if last - first == 1 and weights[first] == 1.0:
                i = first
                tried[i] = moved(kind, gain, feedback[i], u[i], v[i], net[i] - u[i], dt, plain)
                delta[i] = output(kind, gain * tried[i]) - v[i]
            elif not _together(
                indptr, indices, data, u, v, net, weights, first, last, kind, gain, dt, tried, delta
            ):
                continue
            resting = False
            changed += 1
            for i in range(first, last):
                u[i] = tried[i]
                if delta[i] != 0.0:
                    v[i] += delta[i]
                    send(indices, data, indptr[i], indptr[i + 1], delta[i], net)
                    updates += indptr[i + 1] - indptr[i]
        if resting:
            break
    return updates, changed


@compiled
def _together(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    net: np.ndarray,
    weights: np.ndarray,
    first: int,
    last: int,
    kind: int,
    gain: float,
    dt: float,
    tried: np.ndarray,
    delta: np.ndarray,
) -> bool:
    """Propose one step of all virtual neurons of one real neuron; False if none lowers E."""
    rate = 0.0
    for i in range(first, last):
        rate += weights[i] * np.sqrt(slope(kind, gain, v[i])) * (net[i] - u[i])
    length = -np.expm1(-dt) * np.sqrt(gain)
    for _ in range(HALVINGS):
        for i in range(first, last):
            a = angle(kind, gain * u[i]) + length * weights[i] * rate
            tried[i] = from_angle(kind, min(max(a, -QUARTER), QUARTER)) / gain
            delta[i] = output(kind, gain * tried[i]) - v[i]
        change = 0.0
        for i in range(first, last):
            cost = gain_cost(kind, gain, tried[i], v[i] + delta[i]) - gain_cost(kind, gain, u[i], v[i])
            change += cost - net[i] * delta[i]
            for e in range(indptr[i], indptr[i + 1]):
                j = indices[e]
                if first <= j < last:
                    change -= 0.5 * data[e] * delta[i] * delta[j]
        if change < 0.0:
            return True
        length *= 0.5
    return False
