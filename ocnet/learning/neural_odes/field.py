"""Vector fields as lists of instructions, run forwards and backwards by one compiled interpreter.

An instruction is a matrix times a vector, or an operation on every component of vectors. No code is generated
and nothing is compiled for a new vector field.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ocnet.learning.neural_odes.compiled import loops_of, part

(ADD, SUB, MUL, DIV, POW, EXP, LOG, SQRT, SIN, COS, TANH, ASINH, ATAN2, FMAX, LT, EQ, CHOOSE, LOG1P, EXPM1,
 ERF, FLOOR, AFFINE) = range(22)  # fmt: skip


class Field(NamedTuple):
    """f(x, t; θ) as instructions, each with a place of its own for its results.

    Places below `fixed` hold θ and then the constants; from there on they hold the states, the time and the
    results of all instructions in order. There is one list of values for the first and one for every stage of
    every step for the rest, all in one array: the *row* of a stage begins at some index of it.

    Places are unsigned: of signed ones numba would ask whether they count from the end, which costs half the
    speed of long loops.

    Attributes
    ----------
    table : ndarray of uint64 (instructions, 6)
        Code, places of the first and of the second operand and of the result, number of components, and for
        an affine map W v + b the number of its inputs; its second operand is W (outputs, inputs) followed by
        b. The second operand of a function of one argument is the first.
    outputs : ndarray of uint64 (n,)
        Places of the components of f.
    states : int
        n
    fixed : int
        Number of parameters and constants.
    width : int
        Length of a row.
    """

    table: np.ndarray
    outputs: np.ndarray
    states: int
    fixed: int
    width: int


@part
def _value(code: int, a: Any, b: Any) -> float:
    if code == SUB:
        return a - b
    if code == DIV:
        return a / b
    if code == TANH:
        return math.tanh(a)
    if code == POW:
        return a**b
    if code == EXP:
        return math.exp(a)
    if code == LOG:
        return math.log(a)
    if code == SQRT:
        return math.sqrt(a)
    if code == SIN:
        return math.sin(a)
    if code == COS:
        return math.cos(a)
    if code == ASINH:
        return math.asinh(a)
    if code == ATAN2:
        return math.atan2(a, b)
    if code == FMAX:
        return a if a > b else b
    if code == LT:
        return 1.0 if a < b else 0.0
    if code == EQ:
        return 1.0 if a == b else 0.0
    if code == CHOOSE:
        return b if a != 0.0 else 0.0
    if code == LOG1P:
        return math.log1p(a)
    if code == EXPM1:
        return math.expm1(a)
    if code == ERF:
        return math.erf(a)
    return float(math.floor(a))


@part
def _slope(code: int, a: Any, b: Any, v: Any) -> tuple[float, float]:
    """Return the derivatives of v = op(a, b) by a and by b; 0 by b for functions of one argument."""
    if code == SUB:
        return 1.0, -1.0
    if code == DIV:
        return 1.0 / b, -v / b
    if code == TANH:
        return 1.0 - v * v, 0.0
    if code == POW:
        return b * a ** (b - 1.0), (v * math.log(a) if a > 0.0 else 0.0)
    if code == EXP:
        return v, 0.0
    if code == LOG:
        return 1.0 / a, 0.0
    if code == SQRT:
        return 0.5 / v, 0.0
    if code == SIN:
        return math.cos(a), 0.0
    if code == COS:
        return -math.sin(a), 0.0
    if code == ASINH:
        return 1.0 / math.sqrt(a * a + 1.0), 0.0
    if code == ATAN2:
        return b / (a * a + b * b), -a / (a * a + b * b)
    if code == FMAX:
        return (1.0, 0.0) if a > b else (0.0, 1.0)
    if code == CHOOSE:
        return 0.0, (1.0 if a != 0.0 else 0.0)
    if code == LOG1P:
        return 1.0 / (1.0 + a), 0.0
    if code == EXPM1:
        return v + 1.0, 0.0
    if code == ERF:
        return 2.0 / math.sqrt(math.pi) * math.exp(-a * a), 0.0
    return 0.0, 0.0  # comparisons and roundings are constant almost everywhere


def rate(field: Field, V: np.ndarray, row: int) -> None:
    """Run all instructions on the states and the time at the begin of a row of the values `V`."""
    shift = row - field.fixed
    for code, p, q, r, count, fan_in in field.table.tolist():
        p, q, r = (place + shift if place >= field.fixed else place for place in (p, q, r))
        if code == AFFINE:
            end = q + count * fan_in
            W = V[q:end].reshape(count, fan_in)
            V[r : r + count] = W @ V[p : p + fan_in] + V[end : end + count]
        elif code == TANH:
            V[r : r + count] = np.tanh(V[p : p + count])
        elif code == MUL:
            V[r : r + count] = V[p : p + count] * V[q : q + count]
        elif code == ADD:
            V[r : r + count] = V[p : p + count] + V[q : q + count]
        else:
            for i in range(count):
                V[r + i] = _value(code, V[p + i], V[q + i])


@loops_of(rate)
def rate_loops(field: Field, V: np.ndarray, row: int) -> None:
    """Do the same in loops."""
    table, fixed = field.table, np.uint64(field.fixed)
    shift = np.uint64(row) - fixed
    for k in range(len(table)):
        code, p, q, r = table[k, 0], table[k, 1], table[k, 2], table[k, 3] + shift
        if p >= fixed:
            p += shift
        if q >= fixed:
            q += shift
        if code == AFFINE:
            fan_in, bias = table[k, 5], q + table[k, 4] * table[k, 5]
            for i in range(table[k, 4]):
                v = V[bias + i]
                for j in range(fan_in):
                    v += V[q + j] * V[p + j]
                q += fan_in
                V[r + i] = v
        elif code == MUL:
            for i in range(table[k, 4]):
                V[r + i] = V[p + i] * V[q + i]
        elif code == ADD:
            for i in range(table[k, 4]):
                V[r + i] = V[p + i] + V[q + i]
        else:
            for i in range(table[k, 4]):
                V[r + i] = _value(code, V[p + i], V[q + i])


def pullback(field: Field, V: np.ndarray, row: int, bars: np.ndarray) -> None:
    """Take derivatives by the results of instructions back to states, parameters and constants.

    `bars` has the places of the parameters, to which is added, and of one row: derivatives by the components
    of f come in at their places and those by the states go out.
    """
    shift = row - field.fixed
    for code, p, q, r, count, fan_in in reversed(field.table.tolist()):
        a, b = (place + shift if place >= field.fixed else place for place in (p, q))
        bar = bars[r : r + count]
        if code == AFFINE:
            end = q + count * fan_in
            bars[end : end + count] += bar
            bars[q:end] += np.outer(bar, V[a : a + fan_in]).reshape(-1)
            bars[p : p + fan_in] += bar @ V[q:end].reshape(count, fan_in)
        elif code == TANH:
            bars[p : p + count] += bar * (1 - V[r + shift : r + shift + count] ** 2)
        elif code == MUL:
            bars[p : p + count] += bar * V[b : b + count]
            bars[q : q + count] += bar * V[a : a + count]
        elif code == ADD:
            bars[p : p + count] += bar
            bars[q : q + count] += bar
        else:
            for i in range(count):
                by_a, by_b = _slope(code, V[a + i], V[b + i], V[r + shift + i])
                bars[p + i] += bar[i] * by_a
                bars[q + i] += bar[i] * by_b


@loops_of(pullback)
def pullback_loops(field: Field, V: np.ndarray, row: int, bars: np.ndarray) -> None:
    """Do the same in loops."""
    table, fixed = field.table, np.uint64(field.fixed)
    shift = np.uint64(row) - fixed
    for k in range(len(table) - 1, -1, -1):
        code, p, q, r = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
        a = p + shift if p >= fixed else p
        b = q + shift if q >= fixed else q
        if code == AFFINE:
            fan_in, bias = table[k, 5], q + table[k, 4] * table[k, 5]
            for i in range(table[k, 4]):
                bar = bars[r + i]
                bars[bias + i] += bar
                for j in range(fan_in):
                    bars[q + j] += bar * V[a + j]
                for j in range(fan_in):
                    bars[p + j] += bar * V[q + j]
                q += fan_in
        elif code == MUL:
            for i in range(table[k, 4]):
                bar = bars[r + i]
                bars[p + i] += bar * V[b + i]
                bars[q + i] += bar * V[a + i]
        elif code == ADD:
            for i in range(table[k, 4]):
                bar = bars[r + i]
                bars[p + i] += bar
                bars[q + i] += bar
        else:
            for i in range(table[k, 4]):
                bar = bars[r + i]
                if bar != 0.0:
                    by_a, by_b = _slope(code, V[a + i], V[b + i], V[r + shift + i])
                    bars[p + i] += bar * by_a
                    bars[q + i] += bar * by_b
