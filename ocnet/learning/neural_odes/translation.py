"""From CasADi functions and dense layers to the instructions of the compiled interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import casadi as ca
import numpy as np

from ocnet.errors import UnsupportedError
from ocnet.learning.neural_odes import field as to
from ocnet.learning.neural_odes.field import Field

_CODES = {
    getattr(ca, f"OP_{name}"): getattr(to, name)
    for name in (
        "ADD", "SUB", "MUL", "DIV", "POW", "EXP", "LOG", "SQRT", "SIN", "COS", "TANH", "ASINH", "ATAN2",
        "FMAX", "LT", "EQ", "LOG1P", "EXPM1", "ERF", "FLOOR",
    )
} | {ca.OP_CONSTPOW: to.POW, ca.OP_IF_ELSE_ZERO: to.CHOOSE}  # fmt: skip
# The fewer instructions, the sooner they are compiled: these operations are made of the others, in forms that
# lose no digits.
_MADE: dict[int, Callable[[ca.SX, ca.SX], ca.SX]] = {
    ca.OP_TAN: lambda a, b: ca.sin(a) / ca.cos(a),
    ca.OP_ASIN: lambda a, b: ca.atan2(a, ca.sqrt((1 - a) * (1 + a))),
    ca.OP_ACOS: lambda a, b: ca.atan2(ca.sqrt((1 - a) * (1 + a)), a),
    ca.OP_ATAN: lambda a, b: ca.atan2(a, 1),
    ca.OP_SINH: lambda a, b: (ca.expm1(a) - ca.expm1(-a)) / 2,
    ca.OP_COSH: lambda a, b: (ca.exp(a) + ca.exp(-a)) / 2,
    ca.OP_ACOSH: lambda a, b: ca.log1p(a - 1 + ca.sqrt((a - 1) * (a + 1))),
    ca.OP_ATANH: lambda a, b: (ca.log1p(a) - ca.log1p(-a)) / 2,
    ca.OP_FABS: lambda a, b: ca.fmax(a, -a),
    ca.OP_FMIN: lambda a, b: -ca.fmax(-a, -b),
    ca.OP_LE: lambda a, b: 1 - (b < a),
    ca.OP_NE: lambda a, b: 1 - (a == b),
    ca.OP_AND: lambda a, b: (1 - ca.logic_not(a)) * (1 - ca.logic_not(b)),
    ca.OP_OR: lambda a, b: 1 - ca.logic_not(a) * ca.logic_not(b),
    ca.OP_SIGN: lambda a, b: (a > 0) - (a < 0),
    ca.OP_CEIL: lambda a, b: -ca.floor(-a),
}
_NAMES = {getattr(ca, name): name[3:].lower() for name in dir(ca) if name.startswith("OP_")}


class Program:
    """Instructions being put together.

    Places ≥ 0 are those of a row: the states, the time, the results so far. The place −1 − k is entry k of
    the parameters and constants.

    Parameters
    ----------
    states, parameters : int
    """

    def __init__(self, states: int, parameters: int) -> None:
        self.states, self.parameters = states, parameters
        self.constants: list[float] = []
        self._width = states + 1
        self._rows: list[tuple[int, ...]] = []
        self._known: dict[tuple[float, int], int] = {}

    def add(self, code: int, a: int, b: int, count: int, inputs: int = 0) -> int:
        """Add an instruction with operands at `a` and `b` and return the place of its `count` results."""
        place = self._width
        self._rows.append((code, a, b, place, count, inputs))
        self._width += count
        return place

    def constant(self, value: float, count: int) -> int:
        """Return the place of a constant that stands there `count` times."""
        if (value, count) not in self._known:
            self._known[value, count] = -1 - self.parameters - len(self.constants)
            self.constants += [value] * count
        return self._known[value, count]

    def translate(
        self, function: ca.Function, arguments: Sequence[Sequence[int]], count: int, where: str
    ) -> list[int]:
        """Add a CasADi function and return the places of the components of its result.

        Parameters
        ----------
        function : casadi.Function
            Of SX kind, with dense arguments and one dense result.
        arguments : sequence of sequences of int
            Places of the components of its arguments.
        count : int
            How many neighbouring places each component has, to all of which the function is applied.
        where : str
            What error messages name.

        Raises
        ------
        UnsupportedError
            For an operation that the interpreter does not know.
        """
        place: dict[int, int] = {}  # of CasADi's registers, which it uses again and again
        outputs = [0] * function.numel_out(0)
        for k in range(function.n_instructions()):
            operation = function.instruction_id(k)
            inputs, results = function.instruction_input(k), function.instruction_output(k)
            if operation == ca.OP_OUTPUT:
                outputs[results[1]] = place[inputs[0]]
                continue
            if operation == ca.OP_INPUT:
                value = arguments[inputs[0]][inputs[1]]
            elif operation == ca.OP_CONST:
                value = self.constant(function.instruction_constant(k), count)
            else:
                a, b = place[inputs[0]], place[inputs[-1]]
                if operation in _CODES:
                    value = self.add(_CODES[operation], a, b, count)
                elif operation in _MADE:
                    value = self.translate(_made(operation), [[a], [b]], count, where)[0]
                elif operation == ca.OP_NEG:
                    value = self.add(to.SUB, self.constant(0.0, count), a, count)
                elif operation == ca.OP_NOT:
                    value = self.add(to.EQ, a, self.constant(0.0, count), count)
                elif operation == ca.OP_SQ:
                    value = self.add(to.MUL, a, a, count)
                elif operation == ca.OP_TWICE:
                    value = self.add(to.ADD, a, a, count)
                elif operation == ca.OP_INV:
                    value = self.add(to.DIV, self.constant(1.0, count), a, count)
                elif operation == ca.OP_ASSIGN:
                    value = a
                else:
                    raise UnsupportedError(
                        f"{where}: the expression contains '{_NAMES.get(operation, operation)}', which the "
                        "compiled interpreter does not know; rewrite it with arithmetic, powers, "
                        "exponentials, hyperbolic and trigonometric functions, comparisons and ca.if_else."
                    )
            place[results[0]] = value
        return outputs

    def field(self, outputs: Sequence[int]) -> Field:
        """Return the instructions for a vector field whose components are at these places."""
        fixed = self.parameters + len(self.constants)
        table = np.array(self._rows, dtype=np.int64).reshape(-1, 6)
        places = table[:, 1:4]
        places[:] = np.where(places >= 0, places + fixed, -1 - places)
        where = np.array(outputs, dtype=np.int64)
        where = np.where(where >= 0, where + fixed, -1 - where)
        return Field(table.astype(np.uint64), where.astype(np.uint64), self.states, fixed, self._width)


@cache
def _made(operation: int) -> ca.Function:
    a, b = ca.SX.sym("a"), ca.SX.sym("b")
    return ca.Function("made", [a, b], [_MADE[operation](a, b)])
