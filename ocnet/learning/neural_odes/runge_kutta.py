"""Explicit Runge-Kutta integration of many trajectories, with every accepted step kept for a reverse sweep.

Steps are chosen from the error of each trajectory alone and values at sample times come from the dense
output, so that close samples do not shorten the steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ocnet.learning.neural_odes.compiled import compiled
from ocnet.learning.neural_odes.dormand_prince import Tableau
from ocnet.learning.neural_odes.field import Field, rate

DONE, STORE_FULL, TOO_MANY_STEPS, STEP_TOO_SMALL, STIFF, NOT_FINITE = range(6)


class Demand(NamedTuple):
    """What is asked of the steps.

    Attributes
    ----------
    rtol, atol : float
        Error of one step, relative and in the unit of the states.
    step : float
        Length of fixed steps; 0 chooses them from the error.
    most : int
        Steps of one trajectory.
    """

    rtol: float
    atol: float
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
    traces : ndarray (steps, rows, width) or (0, rows, width)
        What the rate left at every stage; empty where the reverse sweep evaluates the stages again.
    """

    t: np.ndarray
    h: np.ndarray
    x: np.ndarray
    first: np.ndarray
    of_sample: np.ndarray
    traces: np.ndarray


@compiled
def copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy a vector; an assignment to a slice takes numba seconds to compile."""
    for d in range(len(source)):
        target[d] = source[d]


@compiled
def fill(target: np.ndarray, value: float) -> None:
    """Write one value everywhere into a vector."""
    for d in range(len(target)):
        target[d] = value


@compiled
def combine(tableau: Tableau, i: int, h: float, x: np.ndarray, k: np.ndarray, y: np.ndarray) -> None:
    """Write the argument of stage i, x + h Σ_j a_ij k_j, to `y`."""
    copy(x, y)
    n = len(x)
    for j in range(i):
        weight = h * tableau.a[i, j]
        if weight != 0.0:
            for d in range(n):
                y[d] += weight * k[j, d]


@compiled
def weight_at(tableau: Tableau, j: int, share: float) -> float:
    """Return b_j(σ) of the dense output."""
    value = 0.0
    for d in range(tableau.dense.shape[1] - 1, -1, -1):
        value = share * (value + tableau.dense[j, d])
    return value


@compiled
def _error(tableau: Tableau, demand: Demand, h: float, x: np.ndarray, y: np.ndarray, k: np.ndarray) -> float:
    """Return the error of a step over its demand (Hairer, Nørsett and Wanner, eq. II.10.17)."""
    n = len(x)
    five, three = 0.0, 0.0
    for d in range(n):
        scale = demand.atol + demand.rtol * max(abs(x[d]), abs(y[d]))
        e5, e3 = 0.0, 0.0
        for j in range(tableau.stages):
            e5 += tableau.error[0, j] * k[j, d]
            e3 += tableau.error[1, j] * k[j, d]
        five += (e5 / scale) ** 2
        three += (e3 / scale) ** 2
    if five == 0.0:
        return 0.0
    return abs(h) * five / math.sqrt(n * (five + 0.01 * three))


@compiled
def _first_step(
    field: Field, theta: np.ndarray, demand: Demand, t: float, span: float, y: np.ndarray, k: np.ndarray,
    trace: np.ndarray,
) -> float:  # fmt: skip
    """Return a first step from f and its change (the same book, section II.4); y[2] is x and k[0] f(t, x)."""
    x = y[2]
    n = len(x)
    size, speed, change = 0.0, 0.0, 0.0
    for d in range(n):
        scale = demand.atol + demand.rtol * abs(x[d])
        size += (x[d] / scale) ** 2
        speed += (k[0, d] / scale) ** 2
    size, speed = math.sqrt(size / n), math.sqrt(speed / n)
    h = 1e-6 if size < 1e-5 or speed < 1e-5 else 0.01 * size / speed
    h = math.copysign(min(h, abs(span)), span)
    for d in range(n):
        y[0, d] = x[d] + h * k[0, d]
    rate(field, theta, t + h, y[0], k[1], trace)
    for d in range(n):
        change += ((k[1, d] - k[0, d]) / (demand.atol + demand.rtol * abs(x[d]))) ** 2
    change = math.sqrt(change / n) / abs(h)
    largest = max(speed, change)
    other = max(1e-6, 1e-3 * abs(h)) if largest <= 1e-15 else (0.01 / largest) ** 0.125
    return math.copysign(min(100.0 * abs(h), other, abs(span)), span)


@compiled
def _at_stability_limit(h: float, s: int, y: np.ndarray, k: np.ndarray) -> bool:
    """Whether stability and not accuracy limits the step (the same book, volume II, section IV.2).

    y[0] and y[1] are the arguments of stages s − 1 and s, both at the end of the step.
    """
    top, bottom = 0.0, 0.0
    for d in range(y.shape[1]):
        top += (k[s, d] - k[s - 1, d]) ** 2
        bottom += (y[1, d] - y[0, d]) ** 2
    return abs(h) * math.sqrt(top) > 6.1 * math.sqrt(bottom)


@compiled
def integrate(
    field: Field, theta: np.ndarray, tableau: Tableau, demand: Demand, start: np.ndarray, initial: np.ndarray,
    times: np.ndarray, values: np.ndarray, steps: Steps, k: np.ndarray, y: np.ndarray, scratch: np.ndarray,
    begin: int, where: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """Integrate the trajectories from number `begin` on; return how it ended and at which trajectory.

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
    k, y, scratch : ndarrays (rows, n), (3, n), (rows, width)
        Written over.
    where : ndarray (2 + n,)
        Written: time, step and state where a trajectory failed.
    """
    rows, n = k.shape
    s = tableau.stages
    samples = times.shape[1]
    keep = len(steps.traces) > 0
    fixed = demand.step > 0.0
    x = y[2]
    for b in range(begin, len(initial)):
        t, end = start[b], times[b, samples - 1]
        number = steps.first[b]
        copy(initial[b], x)
        m, taken, stiff = 0, 0, 0
        while m < samples and times[b, m] == t:
            copy(x, values[b, m])
            steps.of_sample[b, m] = -1
            m += 1
        h = math.copysign(demand.step, end - t)
        rejected = False
        while m < samples:
            where[0], where[1] = t, h
            copy(x, where[2:])
            if number + 1 >= len(steps.t):
                return STORE_FULL, b
            if taken >= demand.most:
                return TOO_MANY_STEPS, b
            traces = steps.traces[number] if keep else scratch
            if taken == 0:
                rate(field, theta, t, x, k[0], traces[0])
                if not fixed:
                    h = _first_step(field, theta, demand, t, end - t, y, k, scratch[0])
            last = abs(end - t) <= 1.000001 * abs(h)
            if last:
                h = end - t
            for i in range(1, s):
                combine(tableau, i, h, x, k, y[0])
                rate(field, theta, t + tableau.c[i] * h, y[0], k[i], traces[i])
            combine(tableau, s, h, x, k, y[1])
            error = 0.0 if fixed else _error(tableau, demand, h, x, y[1], k)
            taken += 1
            if not error < 1.0:
                if not error < math.inf and abs(h) < 1e-10 * abs(end - start[b]):
                    return NOT_FINITE, b
                h *= max(0.2, 0.9 * error**-0.125) if error < math.inf else 0.2
                rejected = True
                if abs(h) <= 1e-14 * max(abs(t), abs(end)):
                    return STEP_TOO_SMALL, b
                continue
            rate(field, theta, t + h, y[1], k[s], traces[s])
            if not fixed:
                stiff = stiff + 1 if _at_stability_limit(h, s, y, k) else 0
                if stiff >= 15 and taken > 100:
                    return STIFF, b
            steps.t[number], steps.h[number] = t, h
            copy(x, steps.x[number])
            after = end if last else t + h
            if (after - times[b, m]) * h >= 0.0:
                for i in range(s + 1, rows):
                    combine(tableau, i, h, x, k, y[0])
                    rate(field, theta, t + tableau.c[i] * h, y[0], k[i], traces[i])
            while m < samples and (after - times[b, m]) * h >= 0.0:
                share = (times[b, m] - t) / h
                copy(x, values[b, m])
                for j in range(rows):
                    weight = h * weight_at(tableau, j, share)
                    for d in range(n):
                        values[b, m, d] += weight * k[j, d]
                steps.of_sample[b, m] = number
                m += 1
            copy(y[1], x)
            copy(k[s], k[0])
            t = after
            number += 1
            if keep:
                copy(traces[s], steps.traces[number, 0])
            if not fixed:
                factor = min(10.0, 0.9 * error**-0.125) if error > 0.0 else 10.0
                h *= min(1.0, factor) if rejected else factor
                rejected = False
        steps.first[b + 1] = number
    return DONE, len(initial)
