"""Explicit Runge-Kutta integration of many trajectories, with every accepted step kept for a reverse sweep.

Steps are chosen from the error of each trajectory alone and values at sample times come from the dense
output, so that close samples do not shorten the steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ocnet.learning.neural_odes.compiled import kernel, loops_of, part
from ocnet.learning.neural_odes.dormand_prince import Tableau
from ocnet.learning.neural_odes.field import Field, rate

DONE, STORE_FULL, TOO_MANY_STEPS, STEP_TOO_SMALL, STIFF, NOT_FINITE = range(6)


class Demand(NamedTuple):
    """What is asked of the steps.

    Attributes
    ----------
    tolerance : float
        Error of one step, relative and in the unit of the states.
    step : float
        Length of fixed steps; 0 chooses them from the error.
    most : int
        Steps of one trajectory.
    """

    tolerance: float
    step: float
    most: int


class Steps(NamedTuple):
    """The accepted steps of all trajectories, those of trajectory b from first[b] to first[b + 1] − 1.

    Attributes
    ----------
    t, h : ndarray (steps,)
        Begin and signed length.
    x : ndarray (steps, n)
        State at the begin.
    first : ndarray of int (trajectories + 1,)
    of_sample : ndarray of int (trajectories, samples)
        Number of the step that a sample lies in; −1 for the initial state itself.
    values : ndarray
        Parameters and constants, then rows of values for the stages of the steps (see Field).
    stride : int
        From the rows of one step to those of the next; 0 where all steps use the same rows, and the reverse
        sweep evaluates the stages again.
    """

    t: np.ndarray
    h: np.ndarray
    x: np.ndarray
    first: np.ndarray
    of_sample: np.ndarray
    values: np.ndarray
    stride: int


def total(weights: np.ndarray, i: int, k: np.ndarray, d: int, count: int) -> float:
    """Return Σ_j weights[i, j] k[d, j] over the first `count` stages."""
    return float(weights[i, :count] @ k[d, :count])


@loops_of(total)
def total_loops(weights: np.ndarray, i: int, k: np.ndarray, d: int, count: int) -> float:
    """Do the same in loops."""
    value = 0.0
    for j in range(count):
        value += weights[i, j] * k[d, j]
    return value


def stage(
    field: Field, a: np.ndarray, c: np.ndarray, V: np.ndarray, k: np.ndarray, t: float, h: float, at: int,
    i: int,
) -> None:  # fmt: skip
    """Evaluate stage i of a step, whose first row begins at `at` with x: k_i goes to k[:, i]."""
    n, fixed = field.states, field.fixed
    row = at + i * field.width
    V[row : row + n] = V[at : at + n] + h * (k[:, :i] @ a[i, :i])
    V[row + n] = t + h * c[i]
    rate(field, V, row)
    k[:, i] = V[np.where(field.outputs >= fixed, field.outputs + np.uint64(row - fixed), field.outputs)]


@loops_of(stage)
def stage_loops(
    field: Field, a: np.ndarray, c: np.ndarray, V: np.ndarray, k: np.ndarray, t: float, h: float, at: int,
    i: int,
) -> None:  # fmt: skip
    """Do the same in loops."""
    n, fixed = field.states, np.uint64(field.fixed)
    row = at + i * field.width
    shift = np.uint64(row) - fixed
    for d in range(n):
        V[row + d] = V[at + d] + h * total(a, i, k, d, i)
    V[row + n] = t + h * c[i]
    rate(field, V, row)
    for d in range(n):
        p = field.outputs[d]
        k[d, i] = V[p + shift if p >= fixed else p]


def dense_weights(dense: np.ndarray, share: float, weights: np.ndarray) -> None:
    """Write b_j(σ) of the dense output to weights[0, j]."""
    weights[0] = dense @ share ** np.arange(1, dense.shape[1] + 1)


@loops_of(dense_weights)
def dense_weights_loops(dense: np.ndarray, share: float, weights: np.ndarray) -> None:
    """Do the same in loops."""
    for j in range(len(dense)):
        value = 0.0
        for d in range(dense.shape[1] - 1, -1, -1):
            value = share * (value + dense[j, d])
        weights[0, j] = value


@kernel
def integrate(
    field: Field, tableau: Tableau, demand: Demand, start: np.ndarray, initial: np.ndarray, times: np.ndarray,
    values: np.ndarray, steps: Steps, k: np.ndarray, weights: np.ndarray, begin: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Integrate the trajectories from number `begin` on; return how it ended, at which trajectory and step.

    Parameters
    ----------
    start : ndarray (trajectories,)
        Initial times.
    initial : ndarray (trajectories, n)
    times : ndarray (trajectories, samples)
        Sample times in order, all on one side of the initial time or equal to it.
    values : ndarray (trajectories, samples, n)
        Written: the states at the sample times.
    steps : Steps
        Written; its arrays may turn out too short, and then STORE_FULL is returned.
    k, weights : ndarrays (n, rows), (1, rows)
        Written over.
    """
    n, s, V, width = field.states, tableau.stages, steps.values, field.width
    a, c = tableau.a, tableau.c
    rows, samples = len(c), times.shape[1]
    regular = demand.step > 0.0
    for b in range(begin, len(initial)):
        number = steps.first[b]
        t, end, at = start[b], times[b, samples - 1], field.fixed + number * steps.stride
        for d in range(n):
            V[at + d] = initial[b, d]
        m, taken, stiff, rejected, h = 0, 0, 0, False, 0.0
        while m < samples and times[b, m] == t:
            for d in range(n):
                values[b, m, d] = initial[b, d]
            m += 1
        for i in range(1):  # a loop, since numba would compile `stage` once more for a literal 0
            stage(field, a, c, V, k, t, h, at, i)
        h = math.copysign(demand.step if regular else _first_step(demand.tolerance, V, k, at), end - t)
        if not math.isfinite(h):
            steps.t[number] = t
            for d in range(n):
                steps.x[number, d] = V[at + d]
            return NOT_FINITE, b, number
        while m < samples:
            steps.t[number], steps.h[number] = t, h
            for d in range(n):
                steps.x[number, d] = V[at + d]
            if number + 1 >= len(steps.t):
                return STORE_FULL, b, number
            if taken >= demand.most:
                return TOO_MANY_STEPS, b, number
            last = abs(end - t) <= 1.000001 * abs(h)
            if last:
                h = end - t
            for i in range(1, s + 1):
                stage(field, a, c, V, k, t, h, at, i)
            taken += 1
            error = 0.0
            if not regular:
                error, stability = _error(tableau, demand.tolerance, h, V, k, at, width)
                if not error < 1.0:
                    if not error < math.inf and abs(h) < 1e-10 * abs(end - start[b]):
                        return NOT_FINITE, b, number
                    h *= max(0.2, 0.9 * error**-0.125) if error < math.inf else 0.2
                    rejected = True
                    if abs(h) <= 1e-14 * max(abs(t), abs(end)):
                        return STEP_TOO_SMALL, b, number
                    continue
                stiff = stiff + 1 if stability > 6.1 else 0
                if stiff >= 15 and taken > 100:
                    return STIFF, b, number
            steps.h[number] = h
            after = end if last else t + h
            if (after - times[b, m]) * h >= 0.0:
                for i in range(s + 1, rows):
                    stage(field, a, c, V, k, t, h, at, i)
            while m < samples and (after - times[b, m]) * h >= 0.0:
                dense_weights(tableau.dense, (times[b, m] - t) / h, weights)
                for d in range(n):
                    values[b, m, d] = V[at + d] + h * total(weights, 0, k, d, rows)
                steps.of_sample[b, m] = number
                m += 1
            for d in range(width):  # the last stage is the first one of the next step
                V[at + steps.stride + d] = V[at + s * width + d]
            for d in range(n):
                k[d, 0] = k[d, s]
            at += steps.stride
            number += 1
            t = after
            if not regular:
                factor = min(10.0, 0.9 * error**-0.125) if error > 0.0 else 10.0
                h *= min(1.0, factor) if rejected else factor
                rejected = False
        steps.first[b + 1] = number
    return DONE, len(initial), 0


@part
def _error(
    tableau: Tableau, tolerance: float, h: float, V: np.ndarray, k: np.ndarray, at: int, width: int
) -> tuple[float, float]:
    """Return the error of a step over its demand, and h times the largest rate of decay.

    See Hairer, Nørsett and Wanner, eq. II.10.17, and volume II, section IV.2: stages s − 1 and s are both at
    the end of the step.
    """
    s, n = tableau.stages, len(k)
    end = at + s * width
    five, three, top, bottom = 0.0, 0.0, 0.0, 0.0
    for d in range(n):
        scale = tolerance * (1.0 + max(abs(V[at + d]), abs(V[end + d])))
        e5, e3 = 0.0, 0.0
        for j in range(s):
            e5 += tableau.error[0, j] * k[d, j]
            e3 += tableau.error[1, j] * k[d, j]
        five += (e5 / scale) ** 2
        three += (e3 / scale) ** 2
        top += (k[d, s] - k[d, s - 1]) ** 2
        bottom += (V[end + d] - V[end - width + d]) ** 2
    error = abs(h) * five / math.sqrt(n * (five + 0.01 * three)) if five > 0.0 else five
    return error, (abs(h) * math.sqrt(top / bottom) if bottom > 0.0 else 0.0)


@part
def _first_step(tolerance: float, V: np.ndarray, k: np.ndarray, at: int) -> float:
    """Return a first step: a fraction of the time in which the state would change by its own size."""
    size, speed = 0.0, 0.0
    for d in range(len(k)):
        size += abs(V[at + d])
        speed += abs(k[d, 0])
    return 0.1 * tolerance**0.125 * (1.0 + size) / (1e-6 + speed)
