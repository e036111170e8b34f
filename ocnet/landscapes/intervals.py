"""Interval arithmetic over a CasADi function: what values it takes on whole boxes of arguments.

Bounds are widened after every operation by a few units in the last place, more than the elementary functions
of numpy are wrong by: what is excluded is excluded in spite of rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np
from scipy.special import erf

from ocnet.errors import UnsupportedError

Interval = tuple[np.ndarray, np.ndarray]

SLACK = 4 * np.finfo(float).eps
TINY = 1e-300


def _monotone(function: Callable[[Any], Any]) -> Callable[[Interval], Interval]:
    return lambda x: (function(x[0]), function(x[1]))


def _falling(function: Callable[[Any], Any]) -> Callable[[Interval], Interval]:
    return lambda x: (function(x[1]), function(x[0]))


def _multiply(x: Interval, y: Interval) -> Interval:
    corners = [a * b for a in x for b in y]
    corners = [np.where(np.isnan(c), 0.0, c) for c in corners]  # 0·∞: the bound that is 0 is exact
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def _inverse(x: Interval) -> Interval:
    through = (x[0] <= 0) & (x[1] >= 0)
    return np.where(through, -np.inf, 1 / x[1]), np.where(through, np.inf, 1 / x[0])


def _square(x: Interval) -> Interval:
    a, b = x[0] ** 2, x[1] ** 2
    return np.where((x[0] <= 0) & (x[1] >= 0), 0.0, np.minimum(a, b)), np.maximum(a, b)


def _absolute(x: Interval) -> Interval:
    a, b = np.abs(x[0]), np.abs(x[1])
    return np.where((x[0] <= 0) & (x[1] >= 0), 0.0, np.minimum(a, b)), np.maximum(a, b)


def _cosh(x: Interval) -> Interval:
    size = _absolute(x)
    return np.cosh(size[0]), np.cosh(size[1])


def _wave(function: Callable[[Any], Any], peak: float) -> Callable[[Interval], Interval]:
    """Return the rule of sine or cosine: a maximum lies at every peak + 2πk, a minimum at peak + π + 2πk."""

    def rule(x: Interval) -> Interval:
        a, b = function(x[0]), function(x[1])
        slack = 1e-9 * (1 + np.maximum(np.abs(x[0]), np.abs(x[1])))
        turns = (x[0] - slack - peak) / (2 * np.pi), (x[1] + slack - peak) / (2 * np.pi)
        endless = ~np.isfinite(turns[1] - turns[0])
        top = endless | (np.floor(turns[1]) >= np.ceil(turns[0]))
        bottom = endless | (np.floor(turns[1] - 0.5) >= np.ceil(turns[0] - 0.5))
        return np.where(bottom, -1.0, np.minimum(a, b)), np.where(top, 1.0, np.maximum(a, b))

    return rule


def _tangent(x: Interval) -> Interval:
    slack = 1e-9 * (1 + np.maximum(np.abs(x[0]), np.abs(x[1])))
    poles = np.floor((x[1] + slack) / np.pi - 0.5) >= np.ceil((x[0] - slack) / np.pi - 0.5)
    poles |= ~np.isfinite(x[1] - x[0])
    return np.where(poles, -np.inf, np.tan(x[0])), np.where(poles, np.inf, np.tan(x[1]))


def _power(x: Interval, y: Interval) -> Interval:
    """Return x^y: exact for a constant whole number y, else through the logarithm where x > 0."""
    whole = y[0].size > 0 and bool(np.all(y[0] == y[1]) and np.all(y[0] == y[0].flat[0]))
    exponent = float(y[0].flat[0]) if whole else np.nan
    if whole and exponent == round(exponent):
        if exponent < 0:
            return _inverse(_power(x, (-y[1], -y[0])))
        if exponent % 2:
            return x[0] ** exponent, x[1] ** exponent
        size = _absolute(x)
        return size[0] ** exponent, size[1] ** exponent
    if whole and exponent > 0:
        negative = x[0] < 0
        low, high = x[0] ** exponent, x[1] ** exponent
        return np.where(negative, -np.inf, low), np.where(negative, np.inf, high)
    log = _multiply(y, (np.log(x[0]), np.log(x[1])))
    low, high = np.exp(log[0]), np.exp(log[1])
    return np.where(x[0] > 0, low, -np.inf), np.where(x[0] > 0, high, np.inf)


def _truth(sure: np.ndarray, possible: np.ndarray) -> Interval:
    return sure.astype(float), possible.astype(float)


def _surely(x: Interval) -> np.ndarray:
    """Whether every value counts as true, that is, differs from 0."""
    return (x[0] > 0) | (x[1] < 0)


def _possibly(x: Interval) -> np.ndarray:
    """Whether some value counts as true."""
    return (x[0] != 0) | (x[1] != 0)


def _equal(x: Interval, y: Interval) -> Interval:
    meet = (x[0] <= y[1]) & (y[0] <= x[1])
    return _truth(meet & (x[0] == x[1]) & (y[0] == y[1]), meet)


def _unequal(x: Interval, y: Interval) -> Interval:
    sure, possible = _equal(x, y)
    return 1 - possible, 1 - sure


def _where(condition: Interval, x: Interval) -> Interval:
    """Return x where the condition is true and 0 where it is false, both where that is not decided."""
    sure, possible = _surely(condition), _possibly(condition)
    low = np.where(sure, x[0], np.where(possible, np.minimum(x[0], 0), 0.0))
    high = np.where(sure, x[1], np.where(possible, np.maximum(x[1], 0), 0.0))
    return low, high


def _length(x: Interval, y: Interval) -> Interval:
    low, high = zip(_absolute(x), _absolute(y), strict=True)
    return np.hypot(*low), np.hypot(*high)


def _subtract(x: Interval, y: Interval) -> Interval:
    return x[0] - y[1], x[1] - y[0]


_ONE: dict[int, Callable[[Interval], Interval]] = {
    ca.OP_ASSIGN: lambda x: x,
    ca.OP_NEG: lambda x: (-x[1], -x[0]),
    ca.OP_TWICE: lambda x: (2 * x[0], 2 * x[1]),
    ca.OP_SQ: _square,
    ca.OP_INV: _inverse,
    ca.OP_FABS: _absolute,
    ca.OP_COSH: _cosh,
    ca.OP_COS: _wave(np.cos, 0.0),
    ca.OP_SIN: _wave(np.sin, np.pi / 2),
    ca.OP_TAN: _tangent,
    ca.OP_ACOS: _falling(np.arccos),
    ca.OP_NOT: lambda x: _truth(~_possibly(x), ~_surely(x)),
} | {
    operation: _monotone(function)
    for operation, function in (
        (ca.OP_EXP, np.exp), (ca.OP_LOG, np.log), (ca.OP_SQRT, np.sqrt), (ca.OP_SINH, np.sinh),
        (ca.OP_TANH, np.tanh), (ca.OP_ASIN, np.arcsin), (ca.OP_ATAN, np.arctan), (ca.OP_ASINH, np.arcsinh),
        (ca.OP_ACOSH, np.arccosh), (ca.OP_ATANH, np.arctanh), (ca.OP_SIGN, np.sign), (ca.OP_FLOOR, np.floor),
        (ca.OP_CEIL, np.ceil), (ca.OP_LOG1P, np.log1p), (ca.OP_EXPM1, np.expm1), (ca.OP_ERF, erf),
    )
}  # fmt: skip
_TWO: dict[int, Callable[[Interval, Interval], Interval]] = {
    ca.OP_ADD: lambda x, y: (x[0] + y[0], x[1] + y[1]),
    ca.OP_SUB: _subtract,
    ca.OP_MUL: _multiply,
    ca.OP_DIV: lambda x, y: _multiply(x, _inverse(y)),
    ca.OP_POW: _power,
    ca.OP_CONSTPOW: _power,
    ca.OP_HYPOT: _length,
    ca.OP_FMIN: lambda x, y: (np.minimum(x[0], y[0]), np.minimum(x[1], y[1])),
    ca.OP_FMAX: lambda x, y: (np.maximum(x[0], y[0]), np.maximum(x[1], y[1])),
    ca.OP_LT: lambda x, y: _truth(x[1] < y[0], x[0] < y[1]),
    ca.OP_LE: lambda x, y: _truth(x[1] <= y[0], x[0] <= y[1]),
    ca.OP_EQ: _equal,
    ca.OP_NE: _unequal,
    ca.OP_AND: lambda x, y: _truth(_surely(x) & _surely(y), _possibly(x) & _possibly(y)),
    ca.OP_OR: lambda x, y: _truth(_surely(x) | _surely(y), _possibly(x) | _possibly(y)),
    ca.OP_IF_ELSE_ZERO: _where,
}
_JUMPS = {
    ca.OP_SIGN, ca.OP_FLOOR, ca.OP_CEIL, ca.OP_LT, ca.OP_LE, ca.OP_EQ, ca.OP_NE, ca.OP_NOT, ca.OP_AND,
    ca.OP_OR, ca.OP_IF_ELSE_ZERO,
}  # fmt: skip
_EXACT = {ca.OP_ASSIGN, ca.OP_NEG, ca.OP_TWICE, ca.OP_FABS, ca.OP_FMIN, ca.OP_FMAX, *_JUMPS}


class IntervalFunction:
    """A function of one vector, evaluated on many boxes at once.

    Parameters
    ----------
    function : casadi.Function
        With one dense input (n,) and one dense output, in scalar operations (built from SX).

    Attributes
    ----------
    jumps : bool
        Whether it contains comparisons, signs or rounding: its values may jump, and then its derivative does
        not bound its change.

    Raises
    ------
    UnsupportedError
        For a function that is not built from scalar operations, or an operation that has no interval rule.

    Examples
    --------
    >>> import casadi as ca
    >>> import numpy as np
    >>> from ocnet.landscapes.intervals import IntervalFunction
    >>> x = ca.SX.sym("x", 2)
    >>> product = IntervalFunction(ca.Function("f", [x], [x[0] * x[1]]))
    >>> low, high = product(np.array([[-1.0, 2.0]]), np.array([[3.0, 4.0]]))
    >>> print(low.round(12), high.round(12))
    [[-4.]] [[12.]]
    """

    def __init__(self, function: ca.Function) -> None:
        if not function.is_a("SXFunction"):
            raise UnsupportedError(
                f"intervals: {function.name()} is no function of scalar operations; expected one that CasADi "
                "can expand."
            )
        self._program: list[tuple[int, list[int], list[int], float]] = []
        self.jumps, self._size = False, function.sz_w()
        self._outputs = function.nnz_out(0)
        for k in range(function.n_instructions()):
            operation = function.instruction_id(k)
            known = operation in _ONE or operation in _TWO
            if not known and operation not in (ca.OP_CONST, ca.OP_INPUT, ca.OP_OUTPUT):
                raise UnsupportedError(f"intervals: operation {operation} of CasADi has no interval rule.")
            self.jumps |= operation in _JUMPS
            number = function.instruction_constant(k) if operation == ca.OP_CONST else 0.0
            self._program.append(
                (operation, function.instruction_input(k), function.instruction_output(k), number)
            )

    def __call__(self, lower: np.ndarray, upper: np.ndarray) -> Interval:
        """Return bounds (boxes, m) of the values on boxes (boxes, n); infinite where there are none."""
        work: list[Interval] = [(np.zeros(0), np.zeros(0))] * self._size
        low, high = np.empty((len(lower), self._outputs)), np.empty((len(lower), self._outputs))
        with np.errstate(all="ignore"):
            for operation, inputs, outputs, number in self._program:
                if operation == ca.OP_OUTPUT:
                    low[:, outputs[1]], high[:, outputs[1]] = work[inputs[0]]
                    continue
                if operation == ca.OP_INPUT:
                    value = lower[:, inputs[1]], upper[:, inputs[1]]
                elif operation == ca.OP_CONST:
                    value = np.full(len(lower), number), np.full(len(lower), number)
                elif operation in _ONE:
                    value = _ONE[operation](work[inputs[0]])
                else:
                    value = _TWO[operation](work[inputs[0]], work[inputs[1]])
                if operation not in _EXACT and operation not in (ca.OP_INPUT, ca.OP_CONST):
                    value = _widened(*value)
                work[outputs[0]] = value
        return low, high


def _widened(low: np.ndarray, high: np.ndarray) -> Interval:
    """Return bounds that hold in spite of rounding; infinite where a value is undefined."""
    undefined = np.isnan(low) | np.isnan(high)
    low = np.where(undefined, -np.inf, low - SLACK * np.abs(low) - TINY)
    return low, np.where(undefined, np.inf, high + SLACK * np.abs(high) + TINY)
