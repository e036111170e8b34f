"""Exact derivatives of the discrete solution: a reverse sweep through the accepted steps, and forward ones.

The lengths of the steps are constants in both, as they are in the limit of a small tolerance.
"""

from __future__ import annotations

import numpy as np

from ocnet.learning.neural_odes.compiled import kernel, loops_of
from ocnet.learning.neural_odes.dormand_prince import Tableau
from ocnet.learning.neural_odes.field import Field, pullback
from ocnet.learning.neural_odes.runge_kutta import Steps, dense_weights, stage


def spread(weights: np.ndarray, i: int, factor: float, k_bar: np.ndarray, d: int, count: int) -> None:
    """Add factor·weights[i, j] to k_bar[d, j] for the first `count` stages: the transpose of `total`."""
    k_bar[d, :count] += factor * weights[i, :count]


@loops_of(spread)
def spread_loops(weights: np.ndarray, i: int, factor: float, k_bar: np.ndarray, d: int, count: int) -> None:
    """Do the same in loops."""
    for j in range(count):
        k_bar[d, j] += factor * weights[i, j]


def pull_stage(field: Field, V: np.ndarray, row: int, k_bar: np.ndarray, i: int, bars: np.ndarray) -> None:
    """Write wᵀ∂f/∂x to its places in `bars` and add wᵀ∂f/∂θ to the places of θ; w is k_bar[:, i]."""
    bars[field.fixed :] = 0.0
    np.add.at(bars, field.outputs, k_bar[:, i])
    pullback(field, V, row, bars)


@loops_of(pull_stage)
def pull_stage_loops(
    field: Field, V: np.ndarray, row: int, k_bar: np.ndarray, i: int, bars: np.ndarray
) -> None:
    """Do the same in loops."""
    for p in range(np.uint64(field.fixed), np.uint64(len(bars))):
        bars[p] = 0.0
    for d in range(field.states):
        bars[field.outputs[d]] += k_bar[d, i]
    pullback(field, V, row, bars)


@kernel
def reverse(
    field: Field, tableau: Tableau, times: np.ndarray, steps: Steps, seeds: np.ndarray, costate: np.ndarray,
    bars: np.ndarray, k: np.ndarray, k_bar: np.ndarray, weights: np.ndarray,
) -> None:  # fmt: skip
    """Sweep backwards through the steps of all trajectories.

    Parameters
    ----------
    times : ndarray (trajectories, samples)
    steps : Steps
        What `integrate` left.
    seeds : ndarray (trajectories, samples, n)
        Derivative of the cost by the states at the sample times.
    costate : ndarray (trajectories, n)
        Written: the derivative by the initial states, λ(t0).
    bars : ndarray (fixed + width,)
        Written: the derivative by θ, in the first places.
    k, k_bar, weights : ndarrays (n, rows), (n, rows), (1, rows)
        Written over.
    """
    n, rows = k_bar.shape
    a, s, V = tableau.a, tableau.stages, steps.values
    for p in range(len(bars)):
        bars[p] = 0.0
    for b in range(len(costate)):
        m = times.shape[1] - 1
        for d in range(n):
            costate[b, d], k_bar[d, 0] = 0.0, 0.0
        for number in range(steps.first[b + 1] - 1, steps.first[b] - 1, -1):
            t, h, at = steps.t[number], steps.h[number], field.fixed + number * steps.stride
            for d in range(n):  # stage s is the first one of the step after; the end is x + h Σ_j a_sj k_j
                carried = k_bar[d, 0]
                for j in range(rows):
                    k_bar[d, j] = 0.0
                k_bar[d, s] = carried
                spread(a, s, h * costate[b, d], k_bar, d, s)
            count = s + 1
            while m >= 0 and steps.of_sample[b, m] == number:
                count = rows
                dense_weights(tableau.dense, (times[b, m] - t) / h, weights)
                for d in range(n):
                    costate[b, d] += seeds[b, m, d]
                    spread(weights, 0, h * seeds[b, m, d], k_bar, d, rows)
                m -= 1
            if steps.stride == 0:
                later = number + 1 < steps.first[b + 1]
                if later:  # whose first stage is still there, and is stage s of this step
                    for p in range(field.width):
                        V[at + s * field.width + p] = V[at + p]
                    for d in range(n):
                        k[d, s] = k[d, 0]
                for d in range(n):
                    V[at + d] = steps.x[number, d]
                for i in range(count):
                    if i != s or not later:
                        stage(field, a, tableau.c, V, k, t, h, at, i)
            for i in range(count - 1, -1 if number == steps.first[b] else 0, -1):
                pull_stage(field, V, at + i * field.width, k_bar, i, bars)
                for d in range(n):
                    x_bar = bars[field.fixed + d]
                    costate[b, d] += x_bar
                    spread(a, i, h * x_bar, k_bar, d, i)
        while m >= 0:
            for d in range(n):
                costate[b, d] += seeds[b, m, d]
            m -= 1


@kernel
def sensitivities(
    field: Field, tableau: Tableau, times: np.ndarray, steps: Steps, jacobian: np.ndarray, k: np.ndarray,
    weights: np.ndarray, units: np.ndarray, bars: np.ndarray, slopes: np.ndarray, now: np.ndarray,
    argument: np.ndarray,
) -> None:  # fmt: skip
    """Carry the derivatives of the states by θ and by the initial states forward through the steps.

    The Jacobian of f at a stage is taken row by row from the pullback: n rows, and n is much smaller than the
    number of parameters.

    Parameters
    ----------
    times : ndarray (trajectories, samples)
    steps : Steps
        What `integrate` left.
    jacobian : ndarray (trajectories, samples, n, columns)
        Written: columns 0..P − 1 by θ, the last n by the initial state of the same trajectory.
    units : ndarray (n, n)
        The unit matrix.
    k, weights, bars, slopes, now, argument : ndarrays (n, rows), (1, rows), (fixed + width,),
        (rows, n, columns), (n, columns), (n, columns)
        Written over.
    """
    rows = slopes.shape[0]
    n, columns = now.shape
    parameters, s, V = columns - n, tableau.stages, steps.values
    for b in range(len(times)):
        m, samples = 0, times.shape[1]
        for d in range(n):
            for c in range(columns):
                now[d, c] = 0.0
            now[d, parameters + d] = 1.0
        while m < samples and steps.of_sample[b, m] < 0:
            for d in range(n):
                for c in range(columns):
                    jacobian[b, m, d, c] = now[d, c]
            m += 1
        for number in range(steps.first[b], steps.first[b + 1]):
            t, h, at = steps.t[number], steps.h[number], field.fixed + number * steps.stride
            count = rows if m < samples and steps.of_sample[b, m] == number else s + 1
            if steps.stride == 0:
                for d in range(n):
                    V[at + d] = steps.x[number, d]
                for i in range(count):
                    stage(field, tableau.a, tableau.c, V, k, t, h, at, i)
            for i in range(count):
                if i == 0 and number > steps.first[b]:
                    for d in range(n):
                        for c in range(columns):
                            slopes[0, d, c] = slopes[s, d, c]
                    continue
                for d in range(n):
                    for c in range(columns):
                        argument[d, c] = now[d, c]
                    for j in range(i):
                        weight = h * tableau.a[i, j]
                        if weight != 0.0:
                            for c in range(columns):
                                argument[d, c] += weight * slopes[j, d, c]
                for d in range(n):
                    for p in range(parameters):
                        bars[p] = 0.0
                    pull_stage(field, V, at + i * field.width, units, d, bars)
                    for c in range(parameters):
                        slopes[i, d, c] = bars[c]
                    for c in range(parameters, columns):
                        slopes[i, d, c] = 0.0
                    for e in range(n):
                        factor = bars[field.fixed + e]
                        for c in range(columns):
                            slopes[i, d, c] += factor * argument[e, c]
            while m < samples and steps.of_sample[b, m] == number:
                dense_weights(tableau.dense, (times[b, m] - t) / h, weights)
                for d in range(n):
                    for c in range(columns):
                        jacobian[b, m, d, c] = now[d, c]
                    for j in range(rows):
                        for c in range(columns):
                            jacobian[b, m, d, c] += h * weights[0, j] * slopes[j, d, c]
                m += 1
            for d in range(n):
                for j in range(s):
                    weight = h * tableau.a[s, j]
                    if weight != 0.0:
                        for c in range(columns):
                            now[d, c] += weight * slopes[j, d, c]
