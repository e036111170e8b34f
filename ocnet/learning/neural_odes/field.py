"""Vector fields as lists of instructions, run forwards and backwards by one compiled interpreter.

An instruction is a scalar operation of CasADi or a whole dense layer. No code is generated and nothing is
compiled for a new vector field.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ocnet.learning.neural_odes.compiled import compiled, in_plain_python

(ADD, SUB, MUL, DIV, POW, EXP, LOG, SQRT, SIN, COS, TAN, ASIN, ACOS, ATAN, SINH, COSH, TANH, ASINH, ACOSH,
 ATANH, ATAN2, FABS, FMIN, FMAX, LT, LE, EQ, NE, NOT, AND, OR, SIGN, CHOOSE, LOG1P, EXPM1, ERF, FLOOR,
 CEIL) = range(38)  # fmt: skip
LINEAR, TANH_LAYER, LOGISTIC_LAYER, ARCTAN_LAYER = range(100, 104)  # dense layers W v + b under an activation


class Field(NamedTuple):
    """f(x, t; θ) as instructions, each with a place of its own for its results.

    A *place* ≥ 0 is an entry of the trace, which holds the states, the time and then all results in order;
    the place −1 − k is entry k of the fixed vector, which holds θ and then the constants.

    Attributes
    ----------
    table : ndarray of int (instructions, 7)
        Code, first and second operand, place of the (first) result. For a layer also its numbers of inputs
        and outputs and the entry of the fixed vector that holds the width of an arctan; the first operand is
        then the place of the first of its inputs, the second the entry where W (outputs, inputs) and b begin.
        The second operand of a function of one argument is the first.
    outputs : ndarray of int (n,)
        Places of the components of f.
    states : int
        n
    width : int
        Length of the trace.
    """

    table: np.ndarray
    outputs: np.ndarray
    states: int
    width: int


@compiled
def _value(code: int, a: float, b: float) -> float:
    if code == ADD:
        return a + b
    if code == MUL:
        return a * b
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
    if code == TAN:
        return math.tan(a)
    if code == ASIN:
        return math.asin(a)
    if code == ACOS:
        return math.acos(a)
    if code == ATAN:
        return math.atan(a)
    if code == SINH:
        return math.sinh(a)
    if code == COSH:
        return math.cosh(a)
    if code == ASINH:
        return math.asinh(a)
    if code == ACOSH:
        return math.acosh(a)
    if code == ATANH:
        return math.atanh(a)
    if code == ATAN2:
        return math.atan2(a, b)
    if code == FABS:
        return abs(a)
    if code == FMIN:
        return a if a < b else b
    if code == FMAX:
        return a if a > b else b
    if code == LT:
        return 1.0 if a < b else 0.0
    if code == LE:
        return 1.0 if a <= b else 0.0
    if code == EQ:
        return 1.0 if a == b else 0.0
    if code == NE:
        return 1.0 if a != b else 0.0
    if code == NOT:
        return 1.0 if a == 0.0 else 0.0
    if code == AND:
        return 1.0 if a != 0.0 and b != 0.0 else 0.0
    if code == OR:
        return 1.0 if a != 0.0 or b != 0.0 else 0.0
    if code == SIGN:
        return 1.0 if a > 0.0 else (-1.0 if a < 0.0 else a)
    if code == CHOOSE:
        return b if a != 0.0 else 0.0
    if code == LOG1P:
        return math.log1p(a)
    if code == EXPM1:
        return math.expm1(a)
    if code == ERF:
        return math.erf(a)
    if code == FLOOR:
        return float(math.floor(a))
    return float(math.ceil(a))


@compiled
def _slope(code: int, a: float, b: float, v: float) -> tuple[float, float]:
    """Return the derivatives of v = op(a, b) by a and by b; 0 by b for functions of one argument."""
    if code == ADD:
        return 1.0, 1.0
    if code == MUL:
        return b, a
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
    if code == TAN:
        return 1.0 + v * v, 0.0
    if code == ASIN:
        return 1.0 / math.sqrt(1.0 - a * a), 0.0
    if code == ACOS:
        return -1.0 / math.sqrt(1.0 - a * a), 0.0
    if code == ATAN:
        return 1.0 / (1.0 + a * a), 0.0
    if code == SINH:
        return math.cosh(a), 0.0
    if code == COSH:
        return math.sinh(a), 0.0
    if code == ASINH:
        return 1.0 / math.sqrt(a * a + 1.0), 0.0
    if code == ACOSH:
        return 1.0 / math.sqrt(a * a - 1.0), 0.0
    if code == ATANH:
        return 1.0 / (1.0 - a * a), 0.0
    if code == ATAN2:
        return b / (a * a + b * b), -a / (a * a + b * b)
    if code == FABS:
        return (1.0 if a > 0.0 else (-1.0 if a < 0.0 else 0.0)), 0.0
    if code == FMIN:
        return (1.0, 0.0) if a < b else (0.0, 1.0)
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
    return 0.0, 0.0  # comparisons, signs and roundings are constant almost everywhere


@compiled
def _layer(row: np.ndarray, fixed: np.ndarray, trace: np.ndarray) -> None:
    """Evaluate one dense layer."""
    code, start, at, result, fan_in, fan_out = row[0], row[1], row[2], row[3], row[4], row[5]
    for i in range(fan_out):
        s = fixed[at + fan_in * fan_out + i]
        for j in range(fan_in):
            s += fixed[at + i * fan_in + j] * trace[start + j]
        if code == TANH_LAYER:
            s = math.tanh(s)
        elif code == LOGISTIC_LAYER:
            s = 0.5 + 0.5 * math.tanh(0.5 * s)
        elif code == ARCTAN_LAYER:
            s = math.atan(s / fixed[row[6]]) / math.pi + 0.5
        trace[result + i] = s


@compiled
def _layer_back(
    row: np.ndarray, fixed: np.ndarray, trace: np.ndarray, bars: np.ndarray, fixed_bar: np.ndarray
) -> None:
    """Pull the derivative by the outputs of one dense layer, in `bars`, back to its inputs and to W and b."""
    code, start, at, result, fan_in, fan_out = row[0], row[1], row[2], row[3], row[4], row[5]
    for i in range(fan_out):
        bar, v = bars[result + i], trace[result + i]
        if code == TANH_LAYER:
            bar *= 1.0 - v * v
        elif code == LOGISTIC_LAYER:
            bar *= v * (1.0 - v)
        elif code == ARCTAN_LAYER:
            bar *= math.sin(math.pi * v) ** 2 / (math.pi * fixed[row[6]])
        fixed_bar[at + fan_in * fan_out + i] += bar
        for j in range(fan_in):
            fixed_bar[at + i * fan_in + j] += bar * trace[start + j]
            bars[start + j] += bar * fixed[at + i * fan_in + j]


@in_plain_python(_layer)
def _layer_of_arrays(row: np.ndarray, fixed: np.ndarray, trace: np.ndarray) -> None:  # pyright: ignore[reportUnusedFunction]
    code, start, at, result, fan_in, fan_out, width = row
    W = fixed[at : at + fan_in * fan_out].reshape(fan_out, fan_in)
    s = W @ trace[start : start + fan_in] + fixed[at + W.size : at + W.size + fan_out]
    if code == TANH_LAYER:
        s = np.tanh(s)
    elif code == LOGISTIC_LAYER:
        s = 0.5 + 0.5 * np.tanh(0.5 * s)
    elif code == ARCTAN_LAYER:
        s = np.arctan(s / fixed[width]) / np.pi + 0.5
    trace[result : result + fan_out] = s


@in_plain_python(_layer_back)
def _layer_back_of_arrays(  # pyright: ignore[reportUnusedFunction]
    row: np.ndarray, fixed: np.ndarray, trace: np.ndarray, bars: np.ndarray, fixed_bar: np.ndarray
) -> None:
    code, start, at, result, fan_in, fan_out, width = row
    W, end = fixed[at : at + fan_in * fan_out].reshape(fan_out, fan_in), at + fan_in * fan_out
    bar, v = bars[result : result + fan_out].copy(), trace[result : result + fan_out]
    if code == TANH_LAYER:
        bar *= 1 - v**2
    elif code == LOGISTIC_LAYER:
        bar *= v * (1 - v)
    elif code == ARCTAN_LAYER:
        bar *= np.sin(np.pi * v) ** 2 / (np.pi * fixed[width])
    fixed_bar[end : end + fan_out] += bar
    fixed_bar[at:end] += np.outer(bar, trace[start : start + fan_in]).reshape(-1)
    bars[start : start + fan_in] += bar @ W


@compiled
def rate(
    field: Field, fixed: np.ndarray, t: float, x: np.ndarray, out: np.ndarray, trace: np.ndarray
) -> None:
    """Write f(x, t; θ) to `out` and the results of all instructions to `trace`."""
    n = field.states
    for i in range(n):
        trace[i] = x[i]
    trace[n] = t
    for k in range(len(field.table)):
        row = field.table[k]
        p, q = row[1], row[2]
        if row[0] >= LINEAR:
            _layer(row, fixed, trace)
        else:
            a = trace[p] if p >= 0 else fixed[-1 - p]
            b = trace[q] if q >= 0 else fixed[-1 - q]
            trace[row[3]] = _value(row[0], a, b)
    for i in range(n):
        p = field.outputs[i]
        out[i] = trace[p] if p >= 0 else fixed[-1 - p]


@compiled
def pullback(
    field: Field,
    fixed: np.ndarray,
    trace: np.ndarray,
    w: np.ndarray,
    x_bar: np.ndarray,
    fixed_bar: np.ndarray,
    bars: np.ndarray,
) -> None:
    """Write wᵀ∂f/∂x to `x_bar` and add wᵀ∂f/∂(θ, constants) to `fixed_bar`.

    `trace` is what the rate left; `bars`, of the same length, is written over.
    """
    n = field.states
    for i in range(field.width):
        bars[i] = 0.0
    for i in range(n):
        p = field.outputs[i]
        if p >= 0:
            bars[p] += w[i]
        else:
            fixed_bar[-1 - p] += w[i]
    for k in range(len(field.table) - 1, -1, -1):
        row = field.table[k]
        p, q = row[1], row[2]
        if row[0] >= LINEAR:
            _layer_back(row, fixed, trace, bars, fixed_bar)
            continue
        bar = bars[row[3]]
        if bar == 0.0:
            continue
        a = trace[p] if p >= 0 else fixed[-1 - p]
        b = trace[q] if q >= 0 else fixed[-1 - q]
        by_a, by_b = _slope(row[0], a, b, trace[row[3]])
        if p >= 0:
            bars[p] += bar * by_a
        else:
            fixed_bar[-1 - p] += bar * by_a
        if by_b != 0.0:
            if q >= 0:
                bars[q] += bar * by_b
            else:
                fixed_bar[-1 - q] += bar * by_b
    for i in range(n):
        x_bar[i] = bars[i]
