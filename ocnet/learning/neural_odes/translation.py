"""From a CasADi function to the instructions of the compiled interpreter."""

from __future__ import annotations

import casadi as ca
import numpy as np

from ocnet.errors import UnsupportedError
from ocnet.learning.neural_odes import field as to
from ocnet.learning.neural_odes.field import Field

_CODES = {
    getattr(ca, f"OP_{name}"): getattr(to, name)
    for name in (
        "ADD", "SUB", "MUL", "DIV", "POW", "EXP", "LOG", "SQRT", "SIN", "COS", "TAN", "ASIN", "ACOS", "ATAN",
        "SINH", "COSH", "TANH", "ASINH", "ACOSH", "ATANH", "ATAN2", "FABS", "FMIN", "FMAX", "LT", "LE", "EQ",
        "NE", "NOT", "AND", "OR", "SIGN", "LOG1P", "EXPM1", "ERF", "FLOOR", "CEIL",
    )
} | {ca.OP_CONSTPOW: to.POW, ca.OP_IF_ELSE_ZERO: to.CHOOSE}  # fmt: skip
_NAMES = {getattr(ca, name): name[3:].lower() for name in dir(ca) if name.startswith("OP_")}


def translate(function: ca.Function, where: str) -> tuple[Field, np.ndarray]:
    """Translate an SX function (x, t, θ) -> f into a list of instructions and its constants.

    Parameters
    ----------
    function : casadi.Function
        Of SX kind, with dense arguments of sizes n, 1 and P and one dense result of size n.
    where : str
        What error messages name.

    Raises
    ------
    UnsupportedError
        For an operation that the interpreter does not know.
    """
    n, parameters = function.numel_in(0), function.numel_in(2)
    constants: dict[float, int] = {}

    def constant(value: float) -> int:
        return -1 - parameters - constants.setdefault(value, len(constants))

    table: list[tuple[int, ...]] = []
    place: dict[int, int] = {}  # of CasADi's registers, which it uses again and again
    outputs = [constant(0.0)] * n

    def emit(code: int, a: int, b: int) -> int:
        result = n + 1 + len(table)
        table.append((code, a, b, result, 0, 0, 0))
        return result

    for k in range(function.n_instructions()):
        operation = function.instruction_id(k)
        inputs, results = function.instruction_input(k), function.instruction_output(k)
        if operation == ca.OP_INPUT:
            argument, i = inputs
            place[results[0]] = (i, n, -1 - i)[argument]
        elif operation == ca.OP_OUTPUT:
            outputs[results[1]] = place[inputs[0]]
        elif operation == ca.OP_CONST:
            place[results[0]] = constant(function.instruction_constant(k))
        else:
            a = place[inputs[0]]
            b = place[inputs[-1]]
            if operation in _CODES:
                value = emit(_CODES[operation], a, b)
            elif operation == ca.OP_NEG:
                value = emit(to.SUB, constant(0.0), a)
            elif operation == ca.OP_SQ:
                value = emit(to.MUL, a, a)
            elif operation == ca.OP_TWICE:
                value = emit(to.ADD, a, a)
            elif operation == ca.OP_INV:
                value = emit(to.DIV, constant(1.0), a)
            elif operation == ca.OP_ASSIGN:
                value = a
            else:
                raise UnsupportedError(
                    f"{where}: the expression contains '{_NAMES.get(operation, operation)}', which the "
                    "compiled interpreter does not know; rewrite it with arithmetic, powers, exponentials, "
                    "hyperbolic and trigonometric functions, comparisons and ca.if_else."
                )
            place[results[0]] = value
    rows = np.array(table, dtype=np.int64).reshape(-1, 7)
    field = Field(rows, np.array(outputs, dtype=np.int64), n, n + 1 + len(table))
    return field, np.array([*constants], dtype=float)
