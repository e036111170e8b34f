"""Checks of what a person states: shapes, numbers, bounds, ends and the symbols of an expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import casadi as ca
import numpy as np

from ocnet.errors import DataError, ProblemError, ShapeError, SymbolError
from ocnet.horizon import Finite, FreeTime, Steps
from ocnet.statement.graph import constant_values, upwards
from ocnet.symbols import as_data, as_expression

if TYPE_CHECKING:
    from ocnet.problem import Kind, Problem, Variable

RESERVED = ("time", "control_time", "mesh")  # names of axes in labelled results

_is_none = np.frompyfunc(lambda value: value is None, 1, 1)
_COMPARISONS = (ca.OP_LT, ca.OP_LE, ca.OP_EQ, ca.OP_NE, ca.OP_NOT, ca.OP_AND, ca.OP_OR)


def place(problem: Problem, name: str, what: str) -> str:
    """Return how error messages open."""
    return f"Problem '{problem.name}', '{name}', {what}"


def check_name(problem: Problem, name: Any, kind: str) -> None:
    """Refuse names that are not strings, in use, or cannot name an array in a file."""
    if not isinstance(name, str) or not name or "/" in name:
        raise ProblemError(
            f"Problem '{problem.name}': the name of a {kind} is {name!r}; "
            "expected a non-empty string without '/'."
        )
    if name in RESERVED:
        raise ProblemError(
            f"Problem '{problem.name}': the name '{name}' of a {kind} is reserved for the axes of results; "
            "choose another."
        )
    if name in problem.variables:
        raise ProblemError(
            f"Problem '{problem.name}': the name '{name}' of a {kind} is already in use by a "
            f"{problem.variables[name].kind}; names are unique."
        )


def check_shape(value: ca.MX, shape: tuple[int, int], where: str) -> None:
    """Refuse an expression that does not have exactly this shape."""
    if value.shape == shape:
        return
    hint = "CasADi vectors are columns; '@' is the matrix product, '*' acts entry by entry"
    if value.shape == shape[::-1]:
        hint = "transpose it with .T"
    raise ShapeError(f"{where}: got an expression of shape {value.shape}; expected {shape} ({hint}).")


def checked_bounds(
    problem: Problem, variable: Variable, lower: Any, upper: Any, where: str | None = None
) -> tuple[Any, Any]:
    """Return both bounds as arrays of the variable's shape or expressions of parameters."""
    low = data_or_parametric(problem, variable, "lower", -np.inf if lower is None else lower, infinite=True)
    high = data_or_parametric(problem, variable, "upper", np.inf if upper is None else upper, infinite=True)
    for side, bound, empty in (("lower", low, np.inf), ("upper", high, -np.inf)):
        if isinstance(bound, np.ndarray) and np.any(bound == empty):
            component = _first(bound == empty)
            raise DataError(
                f"{place(problem, variable.name, side)}: component {list(component)} is {empty}, which no "
                f"value satisfies; expected a number, or {-empty} (or None) for no bound."
            )
    if isinstance(low, np.ndarray) and isinstance(high, np.ndarray) and np.any(low > high):
        component = _first(low > high)
        raise DataError(
            f"{where or place(problem, variable.name, 'bounds')}: component {list(component)} has lower "
            f"bound {low[component]} and upper bound {high[component]}; expected lower <= upper."
        )
    return low, high


def data_or_parametric(
    problem: Problem, variable: Variable, what: str, value: Any, *, infinite: bool = False
) -> Any:
    """Return a bound or an end as an array of the variable's shape, or as an expression of parameters.

    None in the place of a component of an end leaves that component free: it becomes NaN.
    """
    where = place(problem, variable.name, what)
    end = what in ("initial", "final")
    wanted = "finite numbers, or None where the end is free" if end else None
    if isinstance(value, (list, tuple)) and any(isinstance(v, ca.MX) for v in value):
        value = as_expression([np.nan if v is None and end else v for v in value], where)
    if isinstance(value, ca.MX):
        check_symbols(problem, value, where, ("parameter",), time=False, nan=end)
        shape = variable.symbol.shape
        value = ca.repmat(value, *shape) if value.is_scalar() else value
        check_shape(value, shape, where)
        return ca.MX(value)
    free = _nones(value) if end else None
    if free is not None:
        numbers = np.where(free, 0.0, np.array(value, dtype=object))
        return np.where(free, np.nan, as_data(numbers, variable.shape, where, wanted=wanted))
    return as_data(value, variable.shape, where, infinite=infinite, wanted=wanted)


def check_ends(problem: Problem, variable: Variable) -> None:
    """Refuse prescribed ends outside the bounds, as far as both are numbers."""
    for end in ("initial", "final"):
        check_inside(problem, variable, end, getattr(variable, end))


def check_inside(problem: Problem, variable: Variable, what: str, value: Any) -> None:
    """Refuse a value outside the bounds of its variable, as far as both are numbers."""
    for side, sign in (("lower", 1), ("upper", -1)):
        bound = getattr(variable, side)
        if isinstance(value, np.ndarray) and isinstance(bound, np.ndarray):
            outside = sign * (value - bound) < 0
            if outside.any():
                component = _first(outside)
                raise DataError(
                    f"{place(problem, variable.name, what)}: component {list(component)} is "
                    f"{value[component]}, outside the {side} bound {bound[component]}; "
                    "expected a value within the bounds."
                )


def checked_scalar(
    problem: Problem, value: Any, what: str, kinds: tuple[Kind, ...], *, derivatives: bool = False
) -> ca.MX:
    """Return a scalar expression of the given kinds of symbols."""
    where = f"Problem '{problem.name}', {what}"
    expression = as_expression(value, where)
    if not expression.is_scalar():
        raise ShapeError(
            f"{where}: got an expression of shape {expression.shape}; "
            "expected a scalar, such as ca.sumsqr(x)."
        )
    check_symbols(problem, expression, where, kinds, derivatives=derivatives)
    return expression


def check_symbols(
    problem: Problem,
    value: ca.MX,
    where: str,
    kinds: tuple[Kind, ...],
    *,
    derivatives: bool = False,
    time: bool = True,
    nan: bool = False,
) -> None:
    """Refuse symbols of other problems, symbols without meaning here, and constants that are not finite."""
    known = {v.symbol.__hash__(): v for v in problem.variables.values()}
    moving = {v.derivative.__hash__(): v for v in problem.variables.values() if v.derivative is not None}
    for item in ca.symvar(value):
        key = item.__hash__()
        if key in known:
            if known[key].kind not in kinds:
                raise SymbolError(
                    f"{where}: the {known[key].kind} '{known[key].name}' may not appear here; expected only "
                    f"{_listed(kinds)}{' and time' if time else ''}."
                )
        elif key in moving:
            if not derivatives:
                raise SymbolError(
                    f"{where}: the derivative of '{moving[key].name}' may not appear here; "
                    "expected it only in stage costs and path constraints."
                )
        elif key == problem.time.__hash__():
            if not time:
                raise SymbolError(f"{where}: time may not appear here; expected only {_listed(kinds)}.")
        else:
            twin = (
                " (the symbol of that name in another problem?)" if item.name() in problem.variables else ""
            )
            raise SymbolError(
                f"{where}: the symbol '{item.name()}'{twin} does not belong to this problem; "
                f"expected its own: {', '.join(problem.variables) or 'none yet'}, and problem.time."
            )
    for node in upwards(value):
        if node.is_constant():
            values = constant_values(node)
            if not np.all(np.isfinite(values) | (np.isnan(values) if nan else False)):
                raise DataError(
                    f"{where}: the expression contains a constant that is NaN or infinite; "
                    "expected finite numbers."
                )


def check_no_comparison(value: ca.MX, where: str) -> None:
    """Refuse a <= b as the expression of a constraint."""
    if value.op() in _COMPARISONS:
        raise SymbolError(
            f"{where}: got the comparison '{value!s:.60}', which is only 0 or 1; "
            "expected the expression that is bounded: write a <= b as constrain(b - a, lower=0)."
        )


def checked_moment(problem: Problem, time: Any) -> float:
    """Return the time of a data term, inside the horizon."""
    where = f"Problem '{problem.name}', cost_at({time!r:.60})"
    horizon = problem.horizon
    if isinstance(horizon, FreeTime):
        raise ProblemError(
            f"{where}: sample times need a fixed horizon; got FreeTime, expected Finite or Steps."
        )
    if isinstance(time, (bool, str)):
        raise ProblemError(f"{where}: got {type(time).__name__}; expected a number for the time.")
    try:
        moment = float(time)
    except (TypeError, ValueError):
        raise ProblemError(f"{where}: got {type(time).__name__}; expected a number for the time.") from None
    start, end = 0.0, np.inf
    if isinstance(horizon, Finite):
        start, end = horizon.t0, horizon.tf
    elif isinstance(horizon, Steps) and horizon.n is not None:
        end = horizon.n
    if not start <= moment <= end or not np.isfinite(moment):
        raise DataError(f"{where}: the time lies outside the horizon; expected a value in [{start}, {end}].")
    if isinstance(horizon, Steps) and moment != round(moment):
        raise DataError(f"{where}: the horizon is Steps; expected a whole number of steps.")
    return moment


def find_variable(problem: Problem, symbol: Any, what: str, kind: Kind) -> Variable:
    """Return the variable that a symbol belongs to."""
    if isinstance(symbol, ca.MX):
        for variable in problem.of_kind(kind):
            if variable.symbol.__hash__() == symbol.__hash__():
                return variable
    names = [v.name for v in problem.of_kind(kind)]
    raise SymbolError(
        f"Problem '{problem.name}', {what}: got {symbol!r:.60}; expected what problem.{kind}(...) returned "
        f"for one of {names}, whole and unchanged."
    )


def _nones(value: Any) -> np.ndarray | None:
    """Return where a list (of lists) holds None; None if nowhere."""
    if not isinstance(value, (list, tuple)):
        return None
    try:
        mask = np.array(_is_none(np.array(value, dtype=object)), dtype=bool)
    except (TypeError, ValueError):  # no numbers; as_data says so
        return None
    return mask if mask.any() else None


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])


def _listed(kinds: tuple[Kind, ...]) -> str:
    return ", ".join(f"{kind}s" for kind in kinds)
