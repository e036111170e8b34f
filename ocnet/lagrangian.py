"""Lagrangian: a function L(q, q̇) from which dynamics are derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SymbolError
from ocnet.horizon import Finite, Horizon
from ocnet.lagrangians.euler_lagrange import acceleration, total_energy, velocity_hessian
from ocnet.lagrangians.stationary_velocity import road, stationary
from ocnet.problem import Problem
from ocnet.symbols import Expression, as_data, as_expression, as_shape, symbol


def coordinates(name: str, n: int = 1) -> tuple[Expression, Expression]:
    """Return symbols (n, 1) of coordinates and of their velocities, to state a Lagrangian with.

    Examples
    --------
    >>> from ocnet.lagrangian import coordinates
    >>> coordinates("v", 2)
    (MX(v), MX(dv/dt))
    """
    (n,) = as_shape(n, f"coordinates '{name}'")[:1]
    return symbol(name, (n,)), symbol(f"d{name}/dt", (n,))


class Lagrangian:
    """A Lagrangian L(q, q̇), stated symbolically.

    Parameters
    ----------
    q, qdot : casadi.MX (n, 1)
        Symbols of the coordinates and of their velocities, as :func:`coordinates` returns them.
    expression : scalar casadi.MX
        L, of these symbols and the parameters.
    parameters : sequence of (casadi.MX symbol, array_like value)
        Data that may change between simulations; the symbol's name becomes the parameter's.
    name : str
        How reports and files call it.

    Attributes
    ----------
    q, qdot, expression, parameters, name
        As given.
    energy : casadi.MX or None
        The objective E(q), where L was made from one by :meth:`from_cost`.
    movement : casadi.MX or None
        The cost of movement K(q̇, q), where L was made from one.
    velocity : casadi.MX or None
        The solution of ∂L/∂q̇ = 0 in closed form, where whoever made L knew it.

    Raises
    ------
    SymbolError, ShapeError, ProblemError
        If q and q̇ are no symbols of one shape, L is no scalar, or it contains foreign symbols.

    Examples
    --------
    >>> import casadi as ca
    >>> import ocnet as oc
    >>> from ocnet.lagrangian import Lagrangian, coordinates
    >>> v, rate = coordinates("v")
    >>> descent = Lagrangian.from_cost(ca.sumsqr(v) / 2, ca.sumsqr(rate) / 2, v, rate)
    >>> float(oc.simulate(descent.greedy(), initial=1.0, tf=1.0).state("v", 1.0)[0])
    0.36787944...
    """

    def __init__(
        self,
        q: Any,
        qdot: Any,
        expression: Any,
        *,
        parameters: Sequence[tuple[Any, Any]] = (),
        name: str = "Lagrangian",
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ProblemError(f"Lagrangian: name is {name!r}; expected a non-empty string.")
        self.name = name
        where = f"Lagrangian '{name}'"
        self.q, self.qdot = _symbol(q, where, "the coordinates"), _symbol(qdot, where, "the velocities")
        if not self.q.is_column() or self.q.shape != self.qdot.shape:
            raise ShapeError(
                f"{where}: the coordinates have shape {self.q.shape} and the velocities {self.qdot.shape}; "
                "expected columns (n, 1) of the same length."
            )
        pairs = [_parameter(pair, where) for pair in parameters]
        self.parameters: tuple[tuple[ca.MX, np.ndarray], ...] = tuple(pairs)
        self.expression = self._scalar(expression, "L")
        self.energy: ca.MX | None = None
        self.movement: ca.MX | None = None
        self.velocity: ca.MX | None = None

    @classmethod
    def from_cost(
        cls,
        energy: Any,
        movement: Any,
        q: Any,
        qdot: Any,
        *,
        velocity: Any = None,
        parameters: Sequence[tuple[Any, Any]] = (),
        name: str = "descent",
    ) -> Lagrangian:
        """Return L = K(q̇, q) + dE/dt, the cost of movement plus the rate of change of an objective.

        Parameters
        ----------
        energy : scalar casadi.MX
            E(q), the objective that is to fall.
        movement : scalar casadi.MX
            K(q̇, q), convex in q̇.
        q, qdot, parameters, name
            As for the class.
        velocity : casadi.MX (n, 1), optional
            The q̇ that solves ∂K/∂q̇ + ∂E/∂q = 0, where it is known in closed form; it is compared with the
            equation at random points.

        Raises
        ------
        SymbolError, ShapeError, ProblemError
            As for the class; if K is not convex in q̇ at random points, E contains velocities, or `velocity`
            does not solve the equation.

        Notes
        -----
        Equation (1) of Mjolsness and Miranker (NIPS 1990).
        """
        made = cls(q, qdot, 0, parameters=parameters, name=name)
        where = f"Lagrangian '{name}'"
        made.energy, made.movement = made._scalar(energy, "E"), made._scalar(movement, "K")
        if ca.depends_on(made.energy, made.qdot):
            raise SymbolError(f"{where}: E contains velocities; expected a function of the coordinates.")
        slope = ca.gradient(made.energy, made.q)
        made.expression = made.movement + ca.dot(slope, made.qdot)
        made._check_convex()
        if velocity is not None:
            made.velocity = made._known(velocity)
        return made

    @property
    def parts(self) -> tuple[ca.MX, ca.MX]:
        """E and K; ProblemError where L was not made from them by :meth:`from_cost`."""
        if self.energy is None or self.movement is None:
            raise ProblemError(
                f"Lagrangian '{self.name}' has no objective E and no cost of movement K; expected one "
                "made by Lagrangian.from_cost."
            )
        return self.energy, self.movement

    @property
    def momentum(self) -> ca.MX:
        """∂L/∂q̇ (n, 1)."""
        return ca.densify(ca.gradient(self.expression, self.qdot))

    @property
    def greedy_velocity(self) -> ca.MX:
        """The q̇ (n, 1) at which ∂L/∂q̇ = 0, as an expression of q and the parameters.

        It is `velocity` where that is known, solved in symbols where ∂L/∂q̇ is linear in q̇, and an iteration
        to 1e-10 elsewhere, NaN where that finds nothing.
        """
        if self.velocity is not None:
            return self.velocity
        given = [self.q, *(s for s, _ in self.parameters)]
        if self.movement is None or self.energy is None:
            return stationary(self.momentum, self.qdot, ca.MX.zeros(*self.q.shape), given)
        force = -ca.densify(ca.gradient(self.energy, self.q))
        return stationary(ca.gradient(self.movement, self.qdot), self.qdot, force, given)

    @property
    def road(self) -> str:
        """How the velocity is found: "known", "linear", "separable" or "coupled"."""
        return "known" if self.velocity is not None else road(self.momentum, self.qdot)

    def greedy(self, *, horizon: Horizon | None = None) -> Problem:
        """Return the dynamics ∂L/∂q̇ = 0, in which each moment is extremised without regard to later ones.

        Parameters
        ----------
        horizon : Finite, FreeTime or Discounted, optional
            Finite(1.0) where left out; the dynamics do not depend on it, and `simulate` takes its own `tf`.

        Returns
        -------
        Problem
            With one state, named as the coordinates are, the parameters of the Lagrangian and no cost.

        Raises
        ------
        ProblemError
            If ∂L/∂q̇ does not contain q̇, so that it says nothing of the velocity.

        Notes
        -----
        Equations (2), (5) and (6) of Mjolsness and Miranker (NIPS 1990).
        """
        if not ca.depends_on(self.momentum, self.qdot):
            raise ProblemError(
                f"Lagrangian '{self.name}': ∂L/∂q̇ does not contain the velocities, so that ∂L/∂q̇ = 0 does "
                "not determine them; expected a cost of movement that is strictly convex in them."
            )
        shown = self.road in ("known", "linear")  # an iteration would not be read
        rates = {self.q.name(): (self.q, self.greedy_velocity)}
        return stated(f"{self.name}: greedy", rates, self.parameters, horizon, shown=shown)

    def euler_lagrange(self, *, regularization: float = 0.0, horizon: Horizon | None = None) -> Problem:
        """Return the motion that makes the action ∫L dt stationary, d/dt ∂L/∂q̇ = ∂L/∂q.

        Parameters
        ----------
        regularization : float
            ε ≥ 0, in the unit of M = ∂²L/∂q̇²: the acceleration minimises |M q̈ − right|² + ε²|q̈|². Without it
            the acceleration is not finite where M is singular, and a simulation ends there with an error.
        horizon : Finite, FreeTime or Discounted, optional
            Finite(1.0) where left out.

        Returns
        -------
        Problem
            With the coordinates as one state, named as their symbol is, and the velocities as the other,
            named "<coordinates>_dot".

        Raises
        ------
        OptionError
            If the regularization is no number ≥ 0.
        ProblemError
            If L is linear in the velocities, so that its equation determines no acceleration at all.

        Notes
        -----
        Liuzzo (2024), section 3.2; see :func:`ocnet.lagrangians.euler_lagrange.acceleration`.

        Examples
        --------
        >>> import ocnet as oc
        >>> r, v = coordinates("r", 2)
        >>> motion = Lagrangian(r, v, ca.sumsqr(v) / 2 + 2 * r[0] * v[1]).euler_lagrange()
        >>> path = oc.simulate(motion, initial={"r": [0, 0], "r_dot": [1, 0]}, tf=1.0)
        >>> path.state("r_dot", 1.0).round(4).tolist()  # a circle: (cos 2t, −sin 2t)
        [-0.4161, -0.9093]
        """
        if not isinstance(regularization, (int, float)) or not 0 <= regularization < np.inf:
            raise OptionError(
                f"Lagrangian '{self.name}': regularization is {regularization!r:.60}; expected a number ≥ 0."
            )
        if not ca.depends_on(self.momentum, self.qdot):
            raise ProblemError(
                f"Lagrangian '{self.name}': ∂²L/∂q̇² is zero, so that the Euler-Lagrange equation determines "
                "no acceleration; expected a Lagrangian that is not linear in the velocities."
            )
        rate = acceleration(self.expression, self.q, self.qdot, float(regularization))
        name = self.q.name()
        rates = {name: (self.q, self.qdot), f"{name}_dot": (self.qdot, rate)}
        return stated(f"{self.name}: Euler-Lagrange", rates, self.parameters, horizon, shown=False)

    @property
    def total_energy(self) -> ca.MX:
        """q̇·∂L/∂q̇ − L: what the motion of :meth:`euler_lagrange` keeps."""
        return total_energy(self.expression, self.qdot)

    def conditioning(self, q: Any, qdot: Any) -> np.ndarray:
        """Return the condition number of ∂²L/∂q̇² at points of a motion.

        Parameters
        ----------
        q, qdot : array_like (m, n)

        Returns
        -------
        ndarray (m,)
            Largest by smallest singular value; infinite where the Hessian is singular.

        Raises
        ------
        ShapeError, DataError
            For points of another shape or that are not finite.
        """
        n, where = self.q.shape[0], f"Lagrangian '{self.name}', conditioning"
        points = [np.atleast_2d(np.asarray(a, dtype=float)) for a in (q, qdot)]
        if any(a.ndim != 2 or a.shape[1] != n for a in points) or points[0].shape != points[1].shape:
            raise ShapeError(f"{where}: got points of shapes {[a.shape for a in points]}; expected (m, {n}).")
        if not all(np.isfinite(a).all() for a in points):
            raise DataError(f"{where}: the points contain NaN or infinity; expected finite numbers.")
        hessian = self.function(velocity_hessian(self.expression, self.qdot))
        values = np.array([hessian(a, b).full() for a, b in zip(*points, strict=True)])
        found = np.full(len(values), np.inf)
        finite = np.isfinite(values).all(axis=(1, 2))
        sizes = np.linalg.svd(values[finite], compute_uv=False)
        regular = sizes[:, -1] > 0
        found[finite] = np.where(regular, sizes[:, 0] / np.where(regular, sizes[:, -1], 1.0), np.inf)
        return found

    def function(self, *outputs: Any) -> ca.Function:
        """Return expressions of q, q̇ and the parameters as a CasADi function (q, q̇) -> outputs.

        The parameters have their given values. Without outputs, it is (q, q̇) -> L.
        """
        values = [ca.densify(e) for e in outputs] or [self.expression]
        symbols = [self.q, self.qdot, *(s for s, _ in self.parameters)]
        fixed = [ca.DM(value) for _, value in self.parameters]
        q, qdot = ca.MX.sym("q", self.q.shape[0]), ca.MX.sym("qdot", self.q.shape[0])
        return ca.Function("f", [q, qdot], ca.Function("all", symbols, values).call([q, qdot, *fixed]))

    def __repr__(self) -> str:
        return f"<Lagrangian '{self.name}': {self.q.shape[0]} coordinates {self.q.name()}>"

    # ------------------------------------------------------------------ checks

    def _scalar(self, value: Any, what: str) -> ca.MX:
        where = f"Lagrangian '{self.name}', {what}"
        scalar = as_expression(value, where)
        if not scalar.is_scalar():
            raise ShapeError(f"{where}: got an expression of shape {scalar.shape}; expected a scalar.")
        self._check_symbols(scalar, where)
        return scalar

    def _check_symbols(self, value: ca.MX, where: str) -> None:
        known = [self.q, self.qdot, *(s for s, _ in self.parameters)]
        foreign = [s for s in ca.symvar(value) if not any(ca.is_equal(s, k) for k in known)]
        if foreign:
            names = [s.name() for s in known]
            raise SymbolError(
                f"{where}: it contains the symbol '{foreign[0]}', which is neither among {names} nor a "
                "parameter; pass data that may change as parameters=[(symbol, value), ...]."
            )

    def _points(self) -> list[tuple[np.ndarray, np.ndarray]]:
        rng, n = np.random.default_rng(0), self.q.shape[0]
        return [(scale * rng.uniform(0.1, 0.9, n), scale * rng.normal(size=n)) for scale in (0.1, 0.5, 1.0)]

    def _check_convex(self) -> None:
        both = self.function(self.parts[1], ca.hessian(self.parts[1], self.qdot)[0])
        for q, qdot in self._points():
            value, matrix = (a.full() for a in both(q, qdot))
            if np.isfinite(value).all() and np.isfinite(matrix).all():
                least = float(np.linalg.eigvalsh(matrix)[0])
                if least < -1e-9 * max(1.0, float(np.abs(matrix).max())):
                    raise ProblemError(
                        f"Lagrangian '{self.name}': the cost of movement K has curvature {least:.3g} in a "
                        "direction of the velocities; expected a convex one, else E may rise."
                    )

    def _known(self, value: Any) -> ca.MX:
        where = f"Lagrangian '{self.name}', velocity"
        velocity = as_expression(value, where)
        if velocity.shape != self.q.shape:
            raise ShapeError(
                f"{where}: got an expression of shape {velocity.shape}; expected {self.q.shape}."
            )
        self._check_symbols(velocity, where)
        if ca.depends_on(velocity, self.qdot):
            raise SymbolError(f"{where}: it contains velocities; expected a function of the coordinates.")
        momentum = self.function(ca.substitute(self.momentum, self.qdot, velocity), velocity)
        force = self.function(ca.gradient(self.parts[0], self.q))
        for q, qdot in self._points():
            rest, moved = (a.full().reshape(-1) for a in momentum(q, qdot))
            size = 1 + np.abs(force(q, qdot).full()).max() + np.abs(moved).max()
            worst = float(np.abs(rest).max())
            if np.isfinite(size) and worst > 1e-6 * size:
                raise ProblemError(
                    f"{where}: at a random point it leaves ∂L/∂q̇ = {worst:.3g}; expected 0: it does not "
                    "belong to this cost of movement."
                )
        return velocity


def stated(
    name: str,
    rates: Mapping[str, tuple[ca.MX, ca.MX]],
    parameters: Sequence[tuple[ca.MX, np.ndarray]],
    horizon: Horizon | None,
    *,
    shown: bool = True,
) -> Problem:
    """Return dynamics as a problem without cost.

    Parameters
    ----------
    name : str
    rates : mapping from str to a pair of casadi.MX
        By the name of each state, its symbol and its rate of change.
    parameters : sequence of (symbol, value)
    horizon : Finite, FreeTime or Discounted, optional
        Finite(1.0) where left out.
    shown : bool
        Whether the problem may print the expressions; otherwise they stay the call of a function.
    """
    problem = Problem(name, horizon or Finite(1.0))
    states = [problem.state(key, symbol.shape[0]) for key, (symbol, _) in rates.items()]
    own = [
        problem.parameter(s.name(), s.shape if s.shape[1] > 1 else s.shape[0], value=value)
        for s, value in parameters
    ]
    given = [*(symbol for symbol, _ in rates.values()), *(s for s, _ in parameters)]
    function = ca.Function("rates", given, [ca.densify(rate) for _, rate in rates.values()])
    arguments = [ca.MX(s) for s in (*states, *own)]
    for state, expression in zip(states, function.call(arguments, shown, not shown), strict=True):
        problem.dynamics(state, expression)
    return problem


def _symbol(value: Any, where: str, what: str) -> ca.MX:
    if not isinstance(value, ca.MX) or not value.is_symbolic():
        raise SymbolError(
            f"{where}: {what} are {value!r:.60}; expected a symbol: take both from coordinates(name, n)."
        )
    return ca.MX(value)


def _parameter(pair: Any, where: str) -> tuple[ca.MX, np.ndarray]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise DataError(f"{where}: a parameter is {pair!r:.60}; expected a pair (symbol, value).")
    held = _symbol(pair[0], where, "the first entries of parameters")
    shape = (held.shape[0],) if held.shape[1] == 1 else held.shape
    return held, as_data(pair[1], shape, f"{where}, parameter '{held.name()}'")


__all__ = ["Lagrangian", "coordinates", "stated"]
