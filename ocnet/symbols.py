"""Symbols of a stated problem: CasADi expressions that explain themselves when they are misused."""

from __future__ import annotations

import operator
from collections.abc import Callable
from numbers import Real
from typing import Any, NoReturn

import casadi as ca
import numpy as np

from ocnet.errors import DataError, ShapeError, SymbolError

Shape = tuple[int, ...]

_OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "matmul": "@",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip
_UFUNCS: dict[Any, tuple[str, Callable[..., Any]]] = {
    ufunc: (name, getattr(operator, name))
    for ufunc, name in (
        (np.add, "add"), (np.subtract, "sub"), (np.multiply, "mul"), (np.true_divide, "truediv"),
        (np.power, "pow"), (np.matmul, "matmul"), (np.negative, "neg"), (np.less, "lt"),
        (np.less_equal, "le"), (np.greater, "gt"), (np.greater_equal, "ge"), (np.equal, "eq"),
        (np.not_equal, "ne"),
    )
} | {np.square: ("pow", lambda a: a**2), np.absolute: ("abs", ca.fabs)}  # fmt: skip
_ELEMENTWISE = {
    name: getattr(ca, name)
    for name in (
        "exp", "log", "log10", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
        "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "floor", "ceil", "sign", "fabs", "arctan2",
        "fmin", "fmax", "hypot",
    )
} | {"maximum": ca.fmax, "minimum": ca.fmin}  # fmt: skip
_ARRAY_METHODS = frozenset(
    (
        "sum",
        "mean",
        "dot",
        "prod",
        "max",
        "min",
        "std",
        "var",
        "flatten",
        "ravel",
        "clip",
        "copy",
        "transpose",
    )
)


class Expression(ca.MX):
    """A CasADi ``MX`` that refuses, in words, what cannot work on symbols.

    It behaves as ``MX`` everywhere; arithmetic with it gives an ``Expression`` again. Truth values, methods
    of numpy arrays and numpy functions without a CasADi counterpart raise
    :class:`~ocnet.errors.SymbolError`, operands of different shapes :class:`~ocnet.errors.ShapeError`.
    """

    def __bool__(self) -> bool:
        raise SymbolError(
            f"the truth value of the symbolic expression '{self!s:.60}' was asked for (by if, and, or, max, "
            "min, ...); its value is known only during a solve: write ca.if_else(condition, a, b), ca.fmax "
            "or ca.fmin."
        )

    def __float__(self) -> float:
        raise SymbolError(
            f"the symbolic expression '{self!s:.60}' was turned into a number (by float, int, math.sin, "
            "...); its value is known only during a solve: use the CasADi function of the same purpose, "
            "such as ca.sin."
        )

    def __int__(self) -> int:
        return int(float(self))

    def __len__(self) -> int:
        raise SymbolError(
            f"len() of the symbolic expression '{self!s:.60}' was asked for; use .shape, which is "
            f"{self.shape}."
        )

    def __iter__(self) -> NoReturn:
        raise SymbolError(
            f"the symbolic expression '{self!s:.60}' was iterated over (by for, sum, list, unpacking, ...); "
            f"write x[i] with i in range({self.shape[0]}), or ca.sum1, ca.vertsplit."
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name in _ARRAY_METHODS:
            raise SymbolError(
                f"symbolic expressions have no method .{name}(): '{self!s:.60}' is a CasADi expression, not "
                "a numpy array; use ca.sum1, ca.sum2, ca.dot, ca.mmax, ca.mmin, ca.vec, ca.reshape, "
                "ca.fmin, ca.fmax."
            )
        raise AttributeError(f"'Expression' object has no attribute '{name}'")

    def __getitem__(self, index: Any) -> Any:
        try:
            return Expression(ca.MX.__getitem__(self, _plain(index)))
        except (RuntimeError, NotImplementedError, TypeError):
            raise SymbolError(
                f"the index {index!r:.60} does not fit the symbolic expression '{self!s:.60}'; expected "
                f"integers or slices inside its shape {self.shape}."
            ) from None

    def __setitem__(self, index: Any, value: Any) -> None:
        if self.is_symbolic():
            raise SymbolError(
                f"a component of the symbol '{self}' was assigned to; symbols stay what they are: build "
                "another expression, such as ca.vertcat(a, b)."
            )
        ca.MX.__setitem__(self, index, _plain(value))

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise SymbolError(
            f"the symbolic expression '{self!s:.60}' was given to a function that needs numbers; use the "
            "CasADi function of the same purpose (ca.vertcat instead of np.array, ca.sin, ca.dot, ...)."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        arguments = [ca.DM(a) if isinstance(a, np.ndarray) else a for a in inputs]
        if method == "__call__" and not kwargs:
            if ufunc in _UFUNCS:
                return _applied(*_UFUNCS[ufunc], *arguments)
            if ufunc.__name__ in _ELEMENTWISE:
                return _applied(ufunc.__name__, _ELEMENTWISE[ufunc.__name__], *arguments)
        called = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise SymbolError(
            f"numpy's {called} does not work on symbolic expressions; use the CasADi function of the same "
            "purpose (casadi is imported as ca in the examples)."
        )

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
        raise SymbolError(
            f"numpy's {func.__name__} does not work on symbolic expressions; use the CasADi function of the "
            "same purpose: ca.sum1, ca.dot, ca.norm_2, ca.if_else, ca.vertcat, ca.horzcat, ca.diag, "
            "ca.mtimes."
        )

    __hash__ = ca.MX.__hash__


def _plain(value: Any) -> Any:
    """Strip the wrapper so that CasADi's own operators apply, and no method is dispatched twice."""
    return ca.MX(value) if isinstance(value, Expression) else value


def _applied(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Apply a function of CasADi; say in words why two shapes do not fit."""
    try:
        value = function(*(_plain(a) for a in arguments))
    except RuntimeError as error:
        if len(arguments) < 2:
            raise
        shapes = [tuple(a.shape) if isinstance(a, (ca.MX, ca.DM)) else np.shape(a) for a in arguments]
        advice = "expected equal shapes, or a scalar"
        if name == "matmul":
            advice = "expected as many columns on the left as rows on the right"
            if all(len(shape) == 1 or shape[1:] == (1,) for shape in shapes):
                advice = "write ca.dot(a, b) for the inner product of two vectors, ca.sumsqr(a) for a @ a"
        raise ShapeError(
            f"'{_OPERATORS.get(name, name)}' between shapes {' and '.join(map(str, shapes))}: {advice} "
            "(CasADi vectors are columns)."
        ) from error
    return Expression(value) if isinstance(value, ca.MX) else value


def _closed(name: str, plain: Callable[..., Any], *, swapped: bool = False) -> Callable[..., Any]:
    """Return an operator of MX that gives an Expression; the operands are shown as they were written."""

    def forward(self: Expression, *others: Any) -> Any:
        return _applied(name, plain, self, *others)

    def backward(self: Expression, other: Any) -> Any:
        return _applied(name, lambda a, b: plain(b, a), other, self)

    return backward if swapped else forward


for _name in _OPERATORS:
    setattr(Expression, f"__{_name}__", _closed(_name, getattr(ca.MX, f"__{_name}__")))
for _name in ("add", "sub", "mul", "truediv", "pow", "matmul"):
    setattr(Expression, f"__r{_name}__", _closed(_name, getattr(ca.MX, f"__r{_name}__"), swapped=True))
Expression.__neg__ = _closed("neg", ca.MX.__neg__)
Expression.__abs__ = _closed("abs", ca.fabs)
Expression.T = property(lambda self: Expression(ca.MX.T.fget(self)))  # type: ignore[attr-defined]


def symbol(name: str, shape: Shape) -> Expression:
    """Return a new symbol; a vector of n is an (n, 1) column, a matrix keeps its (rows, columns)."""
    return Expression(ca.MX.sym(name, *(shape if len(shape) == 2 else (shape[0], 1))))


def as_shape(shape: Any, where: str) -> Shape:
    """Check a user's shape: a positive int, or a pair of them."""
    items = shape if isinstance(shape, (tuple, list)) else (shape,)
    if len(items) not in (1, 2) or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in items
    ):
        raise ShapeError(
            f"{where}: shape is {shape!r}; expected a positive integer n or a pair (rows, columns)."
        )
    return tuple(int(n) for n in items)


def flat(value: Any, shape: Shape) -> Any:
    """Flatten a symbol or expression of a variable's shape in C order into a column."""
    return ca.vec(value.T) if len(shape) == 2 else ca.vec(value)


def unflat(vector: Any, shape: Shape) -> Any:
    """Inverse of :func:`flat`."""
    return ca.reshape(vector, shape[1], shape[0]).T if len(shape) == 2 else vector


def as_expression(value: Any, where: str) -> ca.MX:
    """Turn what a user wrote as an expression into an ``MX``, or say why it is none."""
    if isinstance(value, ca.SX):
        raise SymbolError(
            f"{where}: got a CasADi SX expression; expected MX: build it from what problem.state, "
            "problem.control, ... return."
        )
    if isinstance(value, np.ndarray) and value.dtype == object:
        raise SymbolError(
            f"{where}: got a numpy array of objects, which appears when numpy stacks symbols; "
            "expected a CasADi expression: stack with ca.vertcat or ca.horzcat."
        )
    if isinstance(value, (list, tuple)) and any(isinstance(v, ca.MX) for v in value):
        try:
            value = ca.vertcat(*value)
        except (RuntimeError, NotImplementedError):
            raise SymbolError(
                f"{where}: the entries of the list {value!r:.60} cannot be stacked; "
                "expected scalars or columns."
            ) from None
    if not isinstance(value, ca.MX):
        try:
            value = ca.DM(_numbers(value))
        except (TypeError, ValueError, RuntimeError, NotImplementedError):
            raise SymbolError(
                f"{where}: got {type(value).__name__} ({value!r:.60}); "
                "expected a CasADi expression or numbers."
            ) from None
        if not value.is_regular():
            raise DataError(f"{where}: the constant {value!s:.60} is not finite; expected finite numbers.")
    if value.is_empty():
        raise DataError(
            f"{where}: got an empty expression of shape {value.shape}; expected at least one entry."
        )
    return ca.MX(value)


def _numbers(value: Any) -> np.ndarray:
    """Return a new float array; TypeError or ValueError for what is no number, as strings and None."""
    array = np.array(value.full() if isinstance(value, ca.DM) else value)
    objects = array.dtype.kind == "O" and all(isinstance(v, Real) for v in array.flat)
    if array.dtype.kind not in "biuf" and not objects:
        raise TypeError
    return array.astype(float)


def as_data(
    value: Any, shape: Shape, where: str, *, infinite: bool = False, wanted: str | None = None
) -> np.ndarray:
    """Check numeric data for a variable of the given shape; scalars are broadcast.

    Parameters
    ----------
    value : array_like
        A scalar, or an array of exactly the shape.
    shape : tuple of int
        Shape of the variable.
    where : str
        Opens the error message.
    infinite : bool
        Whether infinities are allowed (they are in bounds).
    wanted : str, optional
        How the message about NaN and infinities calls what is expected.

    Returns
    -------
    numpy.ndarray
        A new float array of the shape.

    Raises
    ------
    ShapeError, DataError, SymbolError
        For a wrong shape, NaN or infinities, or things that are not numbers.
    """
    try:
        array = _numbers(value)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        raise SymbolError(
            f"{where}: got {type(value).__name__} ({value!r:.60}); expected numbers of shape {shape}."
        ) from None
    if array.size == 0:
        raise DataError(f"{where}: the data are empty; expected shape {shape}.")
    if array.ndim == 2 and array.shape == (*shape, 1):
        array = array[:, 0]
    if array.ndim == 0 or array.shape == (1,):
        array = np.full(shape, array.reshape(-1)[0])
    if array.shape != shape:
        raise ShapeError(f"{where}: got an array of shape {array.shape}; expected a scalar or shape {shape}.")
    bad = np.isnan(array) if infinite else ~np.isfinite(array)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        wanted = wanted or ("numbers or infinities" if infinite else "finite numbers")
        raise DataError(f"{where}: component {list(index)} is {array[index]}; expected {wanted}.")
    return array
