"""Descents of an objective E(v) that neurons v = g(u) carry out, each from its Lagrangian K + dE/dt.

Sources: Mjolsness and Miranker, A Lagrangian approach to fixed points (NIPS 1990), sections 2.1 to 2.5.
"""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SymbolError
from ocnet.lagrangian import Lagrangian, coordinates
from ocnet.lagrangians.arc_length import from_arc, output, root_slope
from ocnet.networks.activations import Activation, ActivationLike, activation, custom
from ocnet.networks.arguments import checked_matrix
from ocnet.symbols import as_data, as_expression

IDENTITY = custom(lambda s: s, inverse=lambda v: v, integral=lambda v: v * v / 2, name="linear")


def quadratic(v: Any, weights: Any, inputs: Any = 0.0) -> ca.MX:
    """Return −½ vᵀTv − hᵀv, the part of a network's objective that its synapses and inputs make.

    Parameters
    ----------
    v : casadi.MX (n, 1)
        Outputs, dimensionless.
    weights : array_like (n, n)
        T, symmetric: only its symmetric part has an objective.
    inputs : array_like (n,) or scalar
        h.

    Raises
    ------
    ShapeError, DataError
        For other shapes, NaN or infinities, or an asymmetric T.

    Notes
    -----
    Equation (3); the third term Σφ(v) is added by :func:`hopfield` and :func:`arc_length`.
    """
    v = _outputs(v, "quadratic")
    n = int(v.shape[0])
    T = checked_matrix(weights, "quadratic: weights", (n, n))
    h = as_data(inputs, (n,), "quadratic: inputs")
    gap = np.abs(T - T.T)
    if gap.max() > 1e-12 * max(1.0, float(np.abs(T).max())):
        i, j = (int(k) for k in np.unravel_index(np.argmax(gap), gap.shape))
        raise DataError(
            f"quadratic: weights[{i}, {j}] is {T[i, j]:.6g} and weights[{j}, {i}] is {T[j, i]:.6g}; expected "
            "a symmetric matrix: other networks have no such objective."
        )
    return -ca.bilin(ca.MX(ca.DM(T)), v, v) / 2 - ca.dot(ca.DM(h), v)


def steepest_descent(
    energy: Any,
    v: Any,
    *,
    transfer: ActivationLike = "tanh",
    bound: float = 1.0,
    parameters: Any = (),
    name: str = "steepest descent",
) -> Lagrangian:
    """Return L = Σφ(v̇/r) + dE/dt, whose greedy dynamics are v̇ = r g(−r ∂E/∂v).

    Parameters
    ----------
    energy : scalar casadi.MX
        E(v).
    v : casadi.MX (n, 1)
        The symbol of the outputs.
    transfer : str or Activation
        g = (φ')⁻¹ with g(0) = 0; "linear" gives v̇ = −r² ∂E/∂v. If |g| < 1, r bounds the velocity.
    bound : float
        r > 0, in outputs per unit of time.
    parameters, name
        As for :class:`~ocnet.lagrangian.Lagrangian`.

    Raises
    ------
    OptionError
        For a bound that is not positive.
    SymbolError, ShapeError, ProblemError
        If v is no column of symbols, or E no scalar; for a transfer function with g(0) ≠ 0, which would move
        the fixed points.

    Notes
    -----
    Equations (7) to (9).
    """
    g = IDENTITY if transfer == "linear" else activation(transfer)
    r = _positive(bound, "steepest_descent: bound")
    at_rest = float(g(0.0))
    if abs(at_rest) > 1e-12:
        raise ProblemError(
            f"steepest_descent: the transfer function '{g}' gives {at_rest:.3g} at 0, so that ∂E/∂v = 0 "
            "would not be a fixed point; expected g(0) = 0, as of 'tanh' or 'linear'."
        )
    energy, v = _objective(energy, v, "steepest_descent")
    _, rate = coordinates(v.name(), int(v.shape[0]))
    movement = ca.sum1(g.integral(rate / r))
    velocity = r * g(-r * ca.gradient(energy, v))
    return Lagrangian.from_cost(
        energy, movement, v, rate, velocity=velocity, parameters=parameters, name=name
    )


def hopfield(
    energy: Any,
    v: Any,
    g: ActivationLike = "tanh",
    *,
    gain_term: bool = True,
    parameters: Any = (),
    name: str = "Hopfield dynamics",
) -> Lagrangian:
    """Return L = Σ½ u̇² g'(u) + dE/dt in the activations u, whose greedy dynamics are u̇ = −∂E/∂v, v = g(u).

    Parameters
    ----------
    energy : scalar casadi.MX
        E(v), without the gain term unless that is False.
    v : casadi.MX (n, 1)
        The symbol of the outputs.
    g : str or Activation
    gain_term : bool
        Whether Σφ(v) with φ' = g⁻¹ is added to E; u̇ then contains −u, taken without a detour over g⁻¹(g(u)).
    parameters, name
        As for :class:`~ocnet.lagrangian.Lagrangian`.

    Raises
    ------
    SymbolError, ShapeError
        If v is no column of symbols, or E no scalar.

    Notes
    -----
    Equations (10) to (12).
    """
    energy, v = _objective(energy, v, "hopfield")
    act = activation(g)
    u, rate = coordinates("u", int(v.shape[0]))
    movement = ca.sum1(rate**2 * act.derivative(u)) / 2
    force = -ca.substitute(ca.gradient(energy, v), v, act(u))
    whole = ca.substitute(energy, v, act(u))
    if gain_term:
        force, whole = force - u, whole + ca.sum1(act.integral(act(u)))
    return Lagrangian.from_cost(whole, movement, u, rate, velocity=force, parameters=parameters, name=name)


def arc_length(
    energy: Any,
    v: Any,
    g: ActivationLike = "tanh",
    *,
    gain_term: bool = True,
    parameters: Any = (),
    name: str = "descent in w",
) -> Lagrangian:
    """Return L = ½Σẇ² + dE/dt in w with dw/du = dv/dw = √g'(u), whose greedy dynamics are ẇ = −∂E/∂w.

    They are those of :func:`hopfield` in other coordinates. Parameters as there; g is "tanh", "logistic" or
    an arctan (UnsupportedError otherwise).

    Notes
    -----
    Equations (13) to (15).
    """
    energy, v = _objective(energy, v, "arc_length")
    act = activation(g)
    w, rate = coordinates("w", int(v.shape[0]))
    outputs = output(w, act)
    downhill = -ca.substitute(ca.gradient(energy, v), v, outputs)
    whole = ca.substitute(energy, v, outputs)
    if gain_term:
        downhill, whole = downhill - from_arc(w, act), whole + ca.sum1(act.integral(outputs))
    velocity = root_slope(w, act) * downhill
    movement = ca.sumsqr(rate) / 2
    return Lagrangian.from_cost(whole, movement, w, rate, velocity=velocity, parameters=parameters, name=name)


def weighted(
    energy: Any,
    v: Any,
    g: ActivationLike,
    metric: Any,
    *,
    gain_term: bool = True,
    parameters: Any = (),
    name: str = "weighted descent",
) -> Lagrangian:
    """Return L = Σ½ m(u) u̇² + dE/dt in u for a metric m: u̇ = −(g'(u)/m(u)) ∂E/∂v.

    Parameters
    ----------
    metric : callable
        (slope g'(u) (n, 1)) -> m (n, 1), positive; slope itself is :func:`hopfield`, slope² is steepest
        descent in v.
    energy, v, g, gain_term, parameters, name
        As for :func:`hopfield`.
    """
    if not callable(metric):
        raise OptionError(
            f"weighted: metric is {metric!r:.60}; expected a function of the slope g'(u), such as "
            "lambda s: s."
        )
    plain = hopfield(energy, v, g, gain_term=gain_term, parameters=parameters, name=name)
    act: Activation = activation(g)
    slope = act.derivative(plain.q)
    m: Any = metric(slope)
    velocity = None if plain.velocity is None else slope / m * plain.velocity
    movement = ca.sum1(plain.qdot**2 * m) / 2
    return Lagrangian.from_cost(
        plain.energy, movement, plain.q, plain.qdot, velocity=velocity, parameters=parameters, name=name
    )


def _outputs(v: Any, where: str) -> ca.MX:
    if not isinstance(v, ca.MX) or not v.is_symbolic():
        raise SymbolError(
            f"{where}: v is {v!r:.60}; expected the symbol of the outputs: take it from coordinates('v', n)."
        )
    if not v.is_column():
        raise ShapeError(f"{where}: v has shape {v.shape}; expected a column (n, 1).")
    return v


def _objective(energy: Any, v: Any, where: str) -> tuple[ca.MX, ca.MX]:
    """Check an objective and the symbol of its outputs."""
    v, value = _outputs(v, where), as_expression(energy, f"{where}: E")
    if not value.is_scalar():
        raise ShapeError(f"{where}: E has shape {value.shape}; expected a scalar.")
    return value, v


def _positive(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise OptionError(f"{where} is {value!r:.60}; expected a positive number.") from None
    if not (np.isfinite(number) and number > 0):
        raise OptionError(f"{where} is {number}; expected a positive finite number.")
    return number


__all__ = ["arc_length", "hopfield", "quadratic", "steepest_descent", "weighted"]
