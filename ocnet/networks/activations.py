"""Activations: the output g(s) of a neuron, with its inverse, its derivative and the integral of its inverse.

Every one of them acts componentwise, on CasADi expressions (for problems) and on numpy arrays (for checks and
figures) alike. Activation s and output v = g(s) are dimensionless.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np
from scipy.special import xlogy

from ocnet.errors import DataError, OcnetError, OptionError, UnsupportedError
from ocnet.symbols import Expression

Rule = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Activation(ABC):
    """What all activations share; take one from :func:`activation`, :func:`arctan` or :func:`custom`.

    Attributes
    ----------
    name : str
        How reports call it.
    lower, upper : float
        The range: outputs lie in the open interval (lower, upper), dimensionless.
    base : float
        Where :meth:`integral` begins. It is 0, as in the energy −½VᵀTV + Σ∫_0^{V_i} g⁻¹, wherever that
        integral is finite; for :func:`arctan` it is not, and `base` is g(0) = ½.
    """

    name: str
    lower: float
    upper: float
    base: float = 0.0

    def __call__(self, s: Any) -> Any:
        """Return g(s), componentwise and of the shape of s (a CasADi expression or an array)."""
        return self._function(_value(s))

    function = __call__

    def derivative(self, s: Any) -> Any:
        """Return g'(s), componentwise and of the shape of s (a CasADi expression or an array)."""
        return self._derivative(_value(s))

    def inverse(self, v: Any) -> Any:
        """Return the s with g(s) = v, componentwise.

        Parameters
        ----------
        v : casadi expression or array_like, any shape
            Outputs, strictly inside the range.

        Returns
        -------
        casadi expression or ndarray of the same shape

        Raises
        ------
        DataError
            If a numeric v is not strictly inside the range, where g⁻¹ is not finite. Expressions are not
            checked.
        UnsupportedError
            If a custom activation was given no inverse.
        """
        return self._inverse(_inside(_value(v), self, "inverse", strictly=True))

    def integral(self, v: Any) -> Any:
        """Return the integral of the inverse, ∫_base^v g⁻¹(w) dw, componentwise.

        It is convex in v, its derivative is g⁻¹(v) and it vanishes at v = `base`. With tanh it is
        v·artanh v + ½ ln(1 − v²), with the logistic function v ln v + (1 − v) ln(1 − v) (its minimum −ln 2
        lies at v = ½), with arctan(width) −(width/π) ln cos(π(v − ½)).

        Parameters
        ----------
        v : casadi expression or array_like, any shape
            Outputs inside the range; its ends are allowed, and the integral there may be infinite.

        Returns
        -------
        casadi expression or ndarray of the same shape

        Raises
        ------
        DataError
            If a numeric v is outside the closed range. Expressions are not checked.
        UnsupportedError
            If a custom activation was given no integral.
        """
        return self._integral(_inside(_value(v), self, "integral", strictly=False))

    @abstractmethod
    def _function(self, s: Any) -> Any: ...

    @abstractmethod
    def _derivative(self, s: Any) -> Any: ...

    @abstractmethod
    def _inverse(self, v: Any) -> Any: ...

    @abstractmethod
    def _integral(self, v: Any) -> Any: ...

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Tanh(Activation):
    """The hyperbolic tangent, with outputs in (−1, 1)."""

    def _function(self, s: Any) -> Any:
        return _library(s).tanh(s)

    def _derivative(self, s: Any) -> Any:
        return 1 - _library(s).tanh(s) ** 2

    def _inverse(self, v: Any) -> Any:
        return _library(v).arctanh(v)

    def _integral(self, v: Any) -> Any:
        return (_x_log_x(1 + v) + _x_log_x(1 - v)) / 2


@dataclass(frozen=True, kw_only=True)
class Logistic(Activation):
    """The logistic function 1/(1 + e^{−s}), with outputs in (0, 1)."""

    def _function(self, s: Any) -> Any:
        return (1 + _library(s).tanh(s / 2)) / 2  # overflows nowhere

    def _derivative(self, s: Any) -> Any:
        return (1 - _library(s).tanh(s / 2) ** 2) / 4

    def _inverse(self, v: Any) -> Any:
        return _library(v).log(v / (1 - v))

    def _integral(self, v: Any) -> Any:
        return _x_log_x(v) + _x_log_x(1 - v)


@dataclass(frozen=True, kw_only=True)
class Arctan(Activation):
    """The function arctan(s/width)/π + ½, with outputs in (0, 1)."""

    width: float

    def _function(self, s: Any) -> Any:
        return _library(s).arctan(s / self.width) / np.pi + 0.5

    def _derivative(self, s: Any) -> Any:
        return 1 / (np.pi * self.width * (1 + (s / self.width) ** 2))

    def _inverse(self, v: Any) -> Any:
        return self.width * _library(v).tan(np.pi * (v - 0.5))

    def _integral(self, v: Any) -> Any:
        cosine = _library(v).sin(np.pi * _library(v).fmin(v, 1 - v))  # cos(π(v − ½)), exactly 0 at both ends
        with np.errstate(divide="ignore"):
            return -(self.width / np.pi) * _library(v).log(cosine)


@dataclass(frozen=True, kw_only=True)
class Custom(Activation):
    """An activation that a person wrote; made by :func:`custom`, which checks it."""

    rule: Rule
    inverse_rule: Rule | None
    integral_rule: Rule | None

    @cached_property
    def _numeric(self) -> dict[str, ca.Function]:
        """CasADi functions of one number: what numpy arrays are sent through."""
        s = ca.MX.sym("s")
        rules = {"function": self.rule, "inverse": self.inverse_rule, "integral": self.integral_rule}
        values = {key: _apply(rule, s) for key, rule in rules.items() if rule is not None}
        values["derivative"] = ca.gradient(values["function"], s)
        return {key: ca.Function(key, [s], [value]) for key, value in values.items()}

    def _evaluate(self, what: str, rule: Rule | None, s: Any) -> Any:
        if rule is None:
            raise UnsupportedError(
                f"activation '{self.name}': its {what} was asked for, but custom(...) was given none; "
                f"add {what}=... there."
            )
        if _symbolic(s):
            return _apply(rule, s)
        return self.numbers(what, s)

    def numbers(self, what: str, s: np.ndarray) -> np.ndarray:
        """Evaluate "function", "derivative", "inverse" or "integral" on an array, through CasADi."""
        if s.size == 0:
            return s.copy()
        return np.array(self._numeric[what](ca.DM(s.reshape(1, -1)))).reshape(s.shape)[()]

    def _function(self, s: Any) -> Any:
        return self._evaluate("function", self.rule, s)

    def _derivative(self, s: Any) -> Any:
        if not _symbolic(s):
            return self.numbers("derivative", s)
        x = ca.MX.sym("s", *s.shape)
        slope = ca.jtimes(_apply(self.rule, x), x, ca.MX.ones(*s.shape))
        return ca.Function("derivative", [x], [slope])(s)

    def _inverse(self, v: Any) -> Any:
        return self._evaluate("inverse", self.inverse_rule, v)

    def _integral(self, v: Any) -> Any:
        return self._evaluate("integral", self.integral_rule, v)


ActivationLike = str | Activation
_TANH = Tanh(name="tanh", lower=-1.0, upper=1.0)
_LOGISTIC = Logistic(name="logistic", lower=0.0, upper=1.0)
_NAMED: dict[str, Activation] = {g.name: g for g in (_TANH, _LOGISTIC)}


def activation(name_or_object: ActivationLike) -> Activation:
    """Return the activation of that name, or the object itself.

    Parameters
    ----------
    name_or_object : str or Activation
        "tanh", "logistic", or what :func:`arctan` or :func:`custom` returned.

    Returns
    -------
    Activation

    Raises
    ------
    OptionError
        For an unknown name or another kind of object.

    Examples
    --------
    >>> from ocnet.networks import activation
    >>> tanh = activation("tanh")
    >>> print(tanh, tanh.lower, tanh.upper, tanh(0.0), tanh.derivative(0.0))
    tanh -1.0 1.0 0.0 1.0
    """
    if isinstance(name_or_object, Activation):
        return name_or_object
    if isinstance(name_or_object, str) and name_or_object in _NAMED:
        return _NAMED[name_or_object]
    raise OptionError(
        f"activation: got {name_or_object!r:.60}; expected one of {sorted(_NAMED)}, networks.arctan(width) "
        "or networks.custom(function, inverse=..., integral=...)."
    )


def arctan(width: float) -> Activation:
    """Return the activation arctan(s/width)/π + ½, with outputs in (0, 1).

    Parameters
    ----------
    width : float
        Positive, dimensionless; the slope at 0 is 1/(π·width), and width → 0 gives a step.

    Raises
    ------
    OptionError
        If the width is not a positive finite number.

    Notes
    -----
    The activation of the discrete-time experiments of Cardin, Lovison, Maritan and Megighian
    (arXiv 2305.14360), with width ε = 0.1.
    """
    try:
        value = float(width)
    except (TypeError, ValueError):
        raise OptionError(f"arctan: width is {width!r:.60}; expected a positive number.") from None
    if not (np.isfinite(value) and value > 0):
        raise OptionError(f"arctan: width is {value}; expected a positive finite number.")
    short = f"{value:g}"
    digits = short if float(short) == value else repr(value)  # files hold the name, and give the width back
    return Arctan(name=f"arctan({digits})", lower=0.0, upper=1.0, base=0.5, width=value)


def custom(
    function: Rule,
    *,
    inverse: Rule | None = None,
    integral: Rule | None = None,
    lower: float = -np.inf,
    upper: float = np.inf,
    base: float = 0.0,
    name: str = "custom",
) -> Activation:
    """Return an activation from a function of one's own; its derivative is taken by CasADi.

    Parameters
    ----------
    function : callable
        s -> g(s), componentwise, written with CasADi functions (``ca.tanh``) or those numpy functions that
        CasADi knows; it need not work on arrays, numbers are sent through CasADi.
    inverse : callable, optional
        v -> g⁻¹(v), written in the same way. Without it, asking for the inverse is an error.
    integral : callable, optional
        v -> ∫_base^v g⁻¹(w) dw. Without it, asking for the integral is an error.
    lower, upper : float
        The range of g: outputs lie in (lower, upper).
    base : float
        Where the integral begins, inside the range.
    name : str
        How reports call it.

    Raises
    ------
    OptionError
        If a function cannot be called on CasADi symbols or is not componentwise, the range is empty, or the
        inverse or the integral does not belong to the function at the sample points s = ±0.4, ±1.1 (of these,
        points where a value is not finite are left out).

    Examples
    --------
    >>> import casadi as ca
    >>> from ocnet.networks import custom
    >>> softsign = custom(lambda s: s / (1 + ca.fabs(s)), inverse=lambda v: v / (1 - ca.fabs(v)),
    ...                   lower=-1.0, upper=1.0, name="softsign")
    >>> float(softsign.inverse(0.5))
    1.0
    """
    where = f"activation '{name}'"
    if not lower < upper:
        raise OptionError(f"{where}: the range is ({lower}, {upper}); expected lower < upper.")
    if not lower <= base <= upper:
        raise OptionError(f"{where}: base is {base}; expected a value in the range [{lower}, {upper}].")
    for what, rule in (("function", function), ("inverse", inverse), ("integral", integral)):
        if rule is not None or what == "function":
            _check_componentwise(name, what, rule)
    result = Custom(
        name=name,
        lower=float(lower),
        upper=float(upper),
        base=float(base),
        rule=function,
        inverse_rule=inverse,
        integral_rule=integral,
    )
    _check_consistent(result)
    return result


def _check_componentwise(name: str, what: str, rule: Any) -> None:
    where = f"activation '{name}', {what}"
    if not callable(rule):
        raise OptionError(f"{where}: got {rule!r:.60}; expected a function of one argument.")
    pair = ca.MX.sym("s", 2)
    try:
        value = _apply(rule, pair)
        shape, crossed = value.shape, value.is_constant() or ca.jacobian(value, pair).sparsity()
    except OcnetError as error:
        raise OptionError(f"{where}: it fails on CasADi symbols ({error}).") from error
    except Exception as error:  # whatever a person's function raises
        raise OptionError(
            f"{where}: it fails on CasADi symbols ({type(error).__name__}: {error}); write it with ca.tanh, "
            "ca.exp, ca.if_else, ..."
        ) from error
    if shape != (2, 1):
        raise OptionError(
            f"{where}: two components went in, shape {shape} came out; expected a componentwise function."
        )
    if crossed is not True and not crossed.is_subset(ca.Sparsity.diag(2)):
        raise OptionError(f"{where}: one component depends on the others; expected a componentwise function.")


def _check_consistent(g: Custom) -> None:
    points = np.array([-1.1, -0.4, 0.4, 1.1])
    outputs = g.numbers("function", points)
    usable = np.isfinite(outputs) & (outputs > g.lower) & (outputs < g.upper)
    outside = np.isfinite(outputs) & ~((outputs >= g.lower) & (outputs <= g.upper))
    if outside.any():
        raise OptionError(
            f"activation '{g.name}': g({points[outside][0]}) is {outputs[outside][0]:g}, outside the range "
            f"({g.lower}, {g.upper}); correct lower= and upper=."
        )
    if g.inverse_rule is None:
        return
    points, outputs = points[usable], outputs[usable]
    back = g.numbers("inverse", outputs)
    wrong = np.isfinite(back) & (np.abs(back - points) > 1e-6)
    if wrong.any():
        raise OptionError(
            f"activation '{g.name}': inverse(function(s)) is {back[wrong][0]:g} at s = {points[wrong][0]}; "
            "expected s: the two functions do not belong together."
        )
    if g.integral_rule is None:
        return
    step = 1e-5 * np.minimum(1.0, np.minimum(outputs - g.lower, g.upper - outputs))
    slope = (g.numbers("integral", outputs + step) - g.numbers("integral", outputs - step)) / (2 * step)
    wrong = np.isfinite(slope) & (np.abs(slope - points) > 1e-4)
    if wrong.any():
        raise OptionError(
            f"activation '{g.name}': the derivative of the integral is {slope[wrong][0]:g} at v = "
            f"{outputs[wrong][0]:g}; expected inverse(v) = {points[wrong][0]:g}."
        )


def _value(s: Any) -> Any:
    """Leave CasADi expressions as they are, turn everything else into an array of floats."""
    return s if _symbolic(s) else np.asarray(s, dtype=float)[()]


def _symbolic(s: Any) -> bool:
    return isinstance(s, (ca.MX, ca.SX, ca.DM))


def _library(s: Any) -> Any:
    return ca if _symbolic(s) else np


def _apply(rule: Rule, s: Any) -> Any:
    """Call a person's function on a CasADi expression; numpy functions then find their CasADi counterpart."""
    value = rule(Expression(s) if isinstance(s, ca.MX) else s)
    return ca.MX(value) if isinstance(s, ca.MX) else value


def _inside(v: Any, g: Activation, what: str, *, strictly: bool) -> Any:
    if _symbolic(v):
        return v
    fine = (v > g.lower) & (v < g.upper) if strictly else (v >= g.lower) & (v <= g.upper)
    if not np.all(fine):
        bad = np.atleast_1d(v)[~np.atleast_1d(fine)][0]
        ends = f"({g.lower}, {g.upper})" if strictly else f"[{g.lower}, {g.upper}]"
        raise DataError(f"activation '{g.name}', {what}: got the output {bad}; expected values in {ends}.")
    return v


def _x_log_x(x: Any) -> Any:
    """Return x ln x, which is 0 at x = 0."""
    return x * ca.log(ca.fmax(x, 1e-300)) if _symbolic(x) else xlogy(x, x)
