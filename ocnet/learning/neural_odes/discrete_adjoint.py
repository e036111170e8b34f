"""Exact derivatives of the discrete solution: a reverse sweep through the accepted steps, and forward ones.

The lengths of the steps are constants in both, as they are in the limit of a small tolerance.
"""

from __future__ import annotations

import numpy as np

from ocnet.learning.neural_odes.compiled import compiled
from ocnet.learning.neural_odes.dormand_prince import Tableau
from ocnet.learning.neural_odes.field import Field, pullback, rate
from ocnet.learning.neural_odes.runge_kutta import Steps, combine, copy, fill, weight_at


@compiled
def _repeat(
    field: Field, theta: np.ndarray, tableau: Tableau, t: float, h: float, x: np.ndarray, count: int,
    k: np.ndarray, y: np.ndarray, traces: np.ndarray,
) -> None:  # fmt: skip
    """Evaluate the first `count` stages of a step once more."""
    for i in range(count):
        combine(tableau, i, h, x, k, y)
        rate(field, theta, t + tableau.c[i] * h, y, k[i], traces[i])


@compiled
def reverse(
    field: Field, theta: np.ndarray, tableau: Tableau, times: np.ndarray, steps: Steps, seeds: np.ndarray,
    theta_bar: np.ndarray, initial_bar: np.ndarray, k: np.ndarray, bars: np.ndarray, y: np.ndarray,
    scratch: np.ndarray, work: np.ndarray,
) -> None:  # fmt: skip
    """Sweep backwards through the steps of all trajectories.

    Parameters
    ----------
    times : ndarray (trajectories, samples)
    steps : Steps
        What `integrate` left.
    seeds : ndarray (trajectories, samples, n)
        Derivative of the cost by the states at the sample times.
    theta_bar : ndarray (parameters,)
        Added to: the derivative by θ.
    initial_bar : ndarray (trajectories, n)
        Written: the derivative by the initial states, which is the costate λ(t0).
    k, bars, y, scratch, work : ndarrays (rows, n), (rows, n), (3, n), (rows, width), (width + n,)
        Written over.
    """
    rows, n = bars.shape
    s = tableau.stages
    keep = len(steps.traces) > 0
    x_bar, end_bar, begin_bar = y[0], y[1], y[2]
    for b in range(len(initial_bar)):
        m = times.shape[1] - 1
        fill(end_bar, 0.0)
        fill(bars[0], 0.0)  # bars[0] is carried from one step to the one before, whose stage s it is
        for number in range(steps.first[b + 1] - 1, steps.first[b] - 1, -1):
            t, h = steps.t[number], steps.h[number]
            copy(bars[0], bars[s])
            for i in range(rows):
                if i != s:
                    fill(bars[i], 0.0)
            fill(begin_bar, 0.0)
            dense = m >= 0 and steps.of_sample[b, m] == number
            count = rows if dense else s + 1
            while m >= 0 and steps.of_sample[b, m] == number:
                share = (times[b, m] - t) / h
                for d in range(n):
                    begin_bar[d] += seeds[b, m, d]
                for j in range(rows):
                    weight = h * weight_at(tableau, j, share)
                    for d in range(n):
                        bars[j, d] += weight * seeds[b, m, d]
                m -= 1
            if keep:
                traces = steps.traces[number]
            else:
                traces = scratch
                _repeat(field, theta, tableau, t, h, steps.x[number], count, k, x_bar, traces)
            for i in range(count - 1, 0, -1):
                pullback(field, theta, traces[i], bars[i], x_bar, theta_bar, work)
                if i == s:
                    for d in range(n):
                        x_bar[d] += end_bar[d]
                for d in range(n):
                    begin_bar[d] += x_bar[d]
                for j in range(i):
                    weight = h * tableau.a[i, j]
                    if weight != 0.0:
                        for d in range(n):
                            bars[j, d] += weight * x_bar[d]
            copy(begin_bar, end_bar)
            if number == steps.first[b]:
                pullback(field, theta, traces[0], bars[0], x_bar, theta_bar, work)
                for d in range(n):
                    end_bar[d] += x_bar[d]
        while m >= 0:
            for d in range(n):
                end_bar[d] += seeds[b, m, d]
            m -= 1
        copy(end_bar, initial_bar[b])


@compiled
def sensitivities(
    field: Field, theta: np.ndarray, tableau: Tableau, times: np.ndarray, steps: Steps, jacobian: np.ndarray,
    k: np.ndarray, y: np.ndarray, scratch: np.ndarray, work: np.ndarray, f_x: np.ndarray, f_theta: np.ndarray,
    slopes: np.ndarray, now: np.ndarray, argument: np.ndarray,
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
    k, y, scratch, work : ndarrays (rows, n), (3, n), (rows, width), (width + n,)
        Written over, as are f_x (n, n), f_theta (n, len(theta)), slopes (rows, n, columns), and now and
        argument (n, columns).
    """
    rows = slopes.shape[0]
    n, columns = now.shape
    parameters = columns - n
    s = tableau.stages
    keep = len(steps.traces) > 0
    cotangent, x_bar = y[0], y[1]
    for b in range(len(times)):
        m, samples = 0, times.shape[1]
        for d in range(n):
            fill(now[d], 0.0)
            now[d, parameters + d] = 1.0
        while m < samples and steps.of_sample[b, m] < 0:
            for d in range(n):
                copy(now[d], jacobian[b, m, d])
            m += 1
        for number in range(steps.first[b], steps.first[b + 1]):
            t, h = steps.t[number], steps.h[number]
            dense = m < samples and steps.of_sample[b, m] == number
            count = rows if dense else s + 1
            if keep:
                traces = steps.traces[number]
            else:
                traces = scratch
                _repeat(field, theta, tableau, t, h, steps.x[number], count, k, x_bar, traces)
            for i in range(count):
                if i == 0 and number > steps.first[b]:
                    for d in range(n):
                        copy(slopes[s, d], slopes[0, d])
                    continue
                for d in range(n):
                    copy(now[d], argument[d])
                for j in range(i):
                    weight = h * tableau.a[i, j]
                    if weight != 0.0:
                        for d in range(n):
                            for c in range(columns):
                                argument[d, c] += weight * slopes[j, d, c]
                for d in range(n):
                    fill(f_theta[d], 0.0)
                    fill(cotangent, 0.0)
                    cotangent[d] = 1.0
                    pullback(field, theta, traces[i], cotangent, f_x[d], f_theta[d], work)
                for d in range(n):
                    for c in range(parameters):
                        slopes[i, d, c] = f_theta[d, c]
                    for c in range(parameters, columns):
                        slopes[i, d, c] = 0.0
                    for e in range(n):
                        factor = f_x[d, e]
                        for c in range(columns):
                            slopes[i, d, c] += factor * argument[e, c]
            while m < samples and steps.of_sample[b, m] == number:
                share = (times[b, m] - t) / h
                for d in range(n):
                    copy(now[d], jacobian[b, m, d])
                for j in range(rows):
                    weight = h * weight_at(tableau, j, share)
                    for d in range(n):
                        for c in range(columns):
                            jacobian[b, m, d, c] += weight * slopes[j, d, c]
                m += 1
            for j in range(s):
                weight = h * tableau.a[s, j]
                if weight != 0.0:
                    for d in range(n):
                        for c in range(columns):
                            now[d, c] += weight * slopes[j, d, c]
