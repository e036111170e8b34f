"""Learned Hamiltonians and Lagrangians: a scalar is learned, and mechanics makes the vector field of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import DataError, OptionError, ShapeError
from ocnet.lagrangian import Lagrangian, coordinates
from ocnet.lagrangians.euler_lagrange import acceleration, total_energy
from ocnet.lagrangians.legendre import HamiltonianSystem
from ocnet.learning.neural_odes.samples import Samples
from ocnet.learning.neural_odes.vector_field import VectorField, expression

Scalar = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True, eq=False)
class LearnedHamiltonian:
    """H(q, p; θ) and its vector field (∂H/∂p, −∂H/∂q): what a Hamiltonian neural network is.

    Parameters
    ----------
    rule : callable
        (q (n), p (n), θ (P)) -> scalar H, written with CasADi functions, such as a
        :class:`ocnet.learning.ScalarNetwork`.
    coordinates, parameters : int
        n and P.

    Raises
    ------
    OptionError, ShapeError, SymbolError, UnsupportedError
        As :func:`ocnet.learning.expression`, and for an H that is no scalar.

    Notes
    -----
    S. Greydanus, M. Dzamba and J. Yosinski, Hamiltonian Neural Networks, NeurIPS 2019. H is determined by
    data up to a constant.

    Examples
    --------
    >>> from ocnet import learning
    >>> spring = learning.LearnedHamiltonian(lambda q, p, theta: theta[0] * q**2 + p**2, 1, 1)
    >>> learning.NeuralODE(spring.field).solve([1.0], [1.0, 0.0], [1.0]).round(4).tolist()
    [[-0.4161, -0.9093]]
    """

    rule: Scalar
    coordinates: int
    parameters: int

    @cached_property
    def field(self) -> VectorField:
        """The vector field of the states (q, p), for NeuralODE."""
        n = self.coordinates

        def rates(x: Any, t: Any, theta: Any) -> Any:
            slope = ca.densify(ca.gradient(_scalar(self.rule, x[:n], x[n:], theta), x))
            return ca.vertcat(slope[n:], -slope[:n])

        return expression(rates, states=2 * n, parameters=self.parameters)

    def energy(self, theta: Any, states: Any) -> np.ndarray:
        """Return H for θ (P,) at states (..., 2n); shape (...).

        ShapeError for other shapes, and for an H that is no scalar; DataError for NaN and infinity.
        """

        def rule(q: Any, p: Any, parameters: Any) -> Any:
            return _scalar(self.rule, q, p, parameters)

        return _values(rule, self.coordinates, self.parameters, theta, states)

    def system(self, theta: Any, name: str = "learned") -> HamiltonianSystem:
        """Return the learned H as a Hamiltonian system, for simulation and symplectic integration."""
        q = ca.MX.sym("q", self.coordinates)
        p, own = ca.MX.sym("q_momentum", self.coordinates), ca.MX.sym("theta", self.parameters)
        value = self.rule(q, p, own)
        return HamiltonianSystem(q, p, value, ((own, np.asarray(theta, dtype=float)),), name)


@dataclass(frozen=True, eq=False)
class LearnedLagrangian:
    """L(q, q̇; θ) and the vector field (q̇, q̈) of its Euler-Lagrange equation: a Lagrangian neural network.

    Parameters
    ----------
    rule : callable
        (q (n), q̇ (n), θ (P)) -> scalar L, written with CasADi functions, such as a
        :class:`ocnet.learning.NaturalLagrangian`.
    coordinates, parameters : int
        n and P.
    regularization : float
        Of the acceleration, in the unit of ∂²L/∂q̇²: see :meth:`ocnet.Lagrangian.euler_lagrange`. The Hessian
        of a network may be singular anywhere; ``lagrangian(theta).conditioning(q, qdot)`` tells how near it
        is.

    Raises
    ------
    OptionError, ShapeError, SymbolError, UnsupportedError
        As :func:`ocnet.learning.expression`, and for an L that is no scalar.

    Notes
    -----
    M. Cranmer, S. Greydanus, S. Hoyer, P. Battaglia, D. Spergel and S. Ho, Lagrangian Neural Networks, 2020.
    Data determine L up to a factor and a total derivative: fix the kinetic part of one coordinate in `rule`,
    or L may shrink to 0.
    """

    rule: Scalar
    coordinates: int
    parameters: int
    regularization: float = 0.0

    def __post_init__(self) -> None:
        value = self.regularization
        if not isinstance(value, (int, float)) or not 0 <= value < np.inf:
            raise OptionError(
                f"LearnedLagrangian: regularization is {value!r:.60}; expected a finite number ≥ 0."
            )

    @cached_property
    def field(self) -> VectorField:
        """The vector field of the states (q, q̇), for NeuralODE."""
        n = self.coordinates

        def rates(x: Any, t: Any, theta: Any) -> Any:
            q, qdot = ca.SX.sym("q", n), ca.SX.sym("qdot", n)
            value = _scalar(self.rule, q, qdot, theta)
            rate = acceleration(value, q, qdot, float(self.regularization))
            after = ca.substitute(rate, ca.vertcat(q, qdot), x)
            return ca.vertcat(x[n:], after)

        return expression(rates, states=2 * n, parameters=self.parameters)

    def energy(self, theta: Any, states: Any) -> np.ndarray:
        """Return q̇·∂L/∂q̇ − L for θ (P,) at states (..., 2n); shape (...).

        Errors as for :meth:`LearnedHamiltonian.energy`.
        """

        def rule(q: Any, qdot: Any, parameters: Any) -> Any:
            return total_energy(_scalar(self.rule, q, qdot, parameters), qdot)

        return _values(rule, self.coordinates, self.parameters, theta, states)

    def lagrangian(self, theta: Any, name: str = "learned") -> Lagrangian:
        """Return the learned L as a Lagrangian, with θ as its parameter."""
        q, qdot = coordinates("q", self.coordinates)
        own = ca.MX.sym("theta", self.parameters)
        value = self.rule(q, qdot, own)
        pairs = [(own, np.asarray(theta, dtype=float))]
        return Lagrangian(q, qdot, value, parameters=pairs, name=name)


def derivative_samples(states: Any, rates: Any) -> Samples:
    """Return samples with which ``fit`` matches derivatives in place of trajectories.

    One Euler step of length 1 from x ends at x + f(x; θ), so that with ``NeuralODE(field, euler_step=1.0)``
    the cost is ½Σ|f(x_i; θ) − ẋ_i|²: no integration, and no growing horizon is needed.

    Parameters
    ----------
    states, rates : array_like (m, n)
        States and their time derivatives; NaN in `rates` where one is not known.

    Raises
    ------
    ShapeError, DataError
        For arrays of different shapes, and states that are not finite.
    """
    x, rate = np.asarray(states, dtype=float), np.asarray(rates, dtype=float)
    if x.ndim != 2 or x.shape != rate.shape or not x.size:
        raise ShapeError(
            f"derivative_samples: states have shape {x.shape} and rates {rate.shape}; expected the same "
            "(m, n) for both."
        )
    return Samples([1.0], (x + rate)[:, None, :], x)


def _scalar(rule: Scalar, q: Any, v: Any, theta: Any) -> Any:
    value = ca.SX(rule(q, v, theta))
    if not value.is_scalar():
        raise ShapeError(f"the rule returned shape {value.shape}; expected a scalar function of (q, p, θ).")
    return value


def _values(rule: Scalar, n: int, count: int, theta: Any, states: Any) -> np.ndarray:
    """Evaluate a scalar at many states."""
    x, parameters = np.asarray(states, dtype=float), np.asarray(theta, dtype=float)
    if parameters.shape != (count,):
        raise ShapeError(f"energy: θ has shape {parameters.shape}; expected ({count},).")
    if x.ndim < 1 or x.shape[-1] != 2 * n:
        raise ShapeError(f"energy: states have shape {x.shape}; expected (..., {2 * n}).")
    if not np.isfinite(x).all() or not np.isfinite(parameters).all():
        raise DataError("energy: states or θ contain NaN or infinity; expected finite numbers.")
    q, v, own = ca.SX.sym("q", n), ca.SX.sym("v", n), ca.SX.sym("theta", count)
    value = ca.Function("energy", [q, v, own], [rule(q, v, own)])
    if not x.size:
        return np.zeros(x.shape[:-1])
    flat = x.reshape(-1, 2 * n).T
    found = value.map(flat.shape[1])(flat[:n], flat[n:], np.tile(parameters[:, None], flat.shape[1]))
    return found.full()[0].reshape(x.shape[:-1])
