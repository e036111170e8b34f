"""The Legendre transform between a Lagrangian L(q, q̇) and a Hamiltonian H(q, p), and canonical equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import ProblemError
from ocnet.horizon import Horizon
from ocnet.lagrangian import Lagrangian, coordinates, stated
from ocnet.lagrangians.stationary_velocity import stationary
from ocnet.problem import Problem


@dataclass(frozen=True, eq=False)
class HamiltonianSystem:
    """A Hamiltonian H(q, p) of mechanics and its canonical equations q̇ = ∂H/∂p, ṗ = −∂H/∂q.

    Attributes
    ----------
    q, p : casadi.MX (n, 1)
        Symbols of the coordinates and of the momenta.
    expression : scalar casadi.MX
        H, in the unit of energy.
    parameters : tuple of (casadi.MX symbol, ndarray)
    name : str

    Raises
    ------
    SymbolError, ShapeError, ProblemError
        As for :class:`ocnet.Lagrangian`.

    Notes
    -----
    Not to be confused with ``Problem.hamiltonian``, the function that optimal controls minimise.
    """

    q: ca.MX
    p: ca.MX
    expression: ca.MX
    parameters: tuple[tuple[ca.MX, np.ndarray], ...] = ()
    name: str = "Hamiltonian"

    def __post_init__(self) -> None:
        checked = Lagrangian(self.q, self.p, self.expression, parameters=self.parameters, name=self.name)
        for field in ("q", "expression", "parameters"):
            object.__setattr__(self, field, getattr(checked, field))
        object.__setattr__(self, "p", checked.qdot)

    @property
    def velocity(self) -> ca.MX:
        """q̇ = ∂H/∂p (n, 1)."""
        return ca.densify(ca.gradient(self.expression, self.p))

    @property
    def force(self) -> ca.MX:
        """ṗ = −∂H/∂q (n, 1)."""
        return -ca.densify(ca.gradient(self.expression, self.q))

    @property
    def separable(self) -> bool:
        """Whether H(q, p) = T(p) + V(q), so that explicit symplectic methods apply."""
        return not ca.depends_on(self.velocity, self.q)

    def problem(self, *, horizon: Horizon | None = None) -> Problem:
        """Return the canonical equations as a problem without cost.

        Parameters
        ----------
        horizon : Finite, FreeTime or Discounted, optional
            Finite(1.0) where left out.

        Returns
        -------
        Problem
            With the coordinates as one state, named as their symbol is, and the momenta as the other, named
            "<coordinates>_momentum".
        """
        name = self.q.name()
        rates = {name: (self.q, self.velocity), f"{name}_momentum": (self.p, self.force)}
        return stated(f"{self.name}: canonical equations", rates, self.parameters, horizon)

    def lagrangian(self) -> Lagrangian:
        """Return L(q, q̇) = p·q̇ − H at the p for which ∂H/∂p = q̇: the transform back.

        Raises
        ------
        ProblemError
            If H does not contain the momenta.
        """
        _, rate = coordinates(self.q.name(), self.q.shape[0])
        value = _conjugate(self.expression, self.p, rate, [self.q, *_symbols(self.parameters)], self.name)
        return Lagrangian(self.q, rate, value, parameters=self.parameters, name=self.name)

    def function(self, *outputs: Any) -> ca.Function:
        """Return expressions of q, p and the parameters as a CasADi function (q, p) -> outputs.

        The parameters have their given values. Without outputs, it is (q, p) -> H.
        """
        held = Lagrangian(self.q, self.p, self.expression, parameters=self.parameters, name=self.name)
        return held.function(*outputs)

    def __repr__(self) -> str:
        return f"<HamiltonianSystem '{self.name}': {self.q.shape[0]} coordinates {self.q.name()}>"


def legendre(lagrangian: Lagrangian) -> HamiltonianSystem:
    """Return H(q, p) = p·q̇ − L at the q̇ for which ∂L/∂q̇ = p.

    Parameters
    ----------
    lagrangian : Lagrangian
        Convex in the velocities (hyperregular).

    Returns
    -------
    HamiltonianSystem
        In symbols where ∂L/∂q̇ is linear in q̇; elsewhere q̇ is found by an iteration that is part of the
        expression, and H is NaN for momenta that no velocity has.

    Raises
    ------
    ProblemError
        If L does not contain the velocities, or not all of them with a quadratic part.
    """
    name = lagrangian.q.name()
    p = ca.MX.sym(f"{name}_momentum", lagrangian.q.shape[0])
    given = [lagrangian.q, *_symbols(lagrangian.parameters)]
    value = _conjugate(lagrangian.expression, lagrangian.qdot, p, given, lagrangian.name)
    return HamiltonianSystem(lagrangian.q, p, value, lagrangian.parameters, lagrangian.name)


def _symbols(parameters: Sequence[tuple[ca.MX, np.ndarray]]) -> list[ca.MX]:
    return [s for s, _ in parameters]


def _conjugate(expression: ca.MX, variable: ca.MX, dual: ca.MX, given: list[ca.MX], name: str) -> ca.MX:
    """Return dual·variable − expression at the variable for which ∂expression/∂variable = dual."""
    slope = ca.densify(ca.gradient(expression, variable))
    if ca.sprank(ca.jacobian_sparsity(slope, variable)) < variable.shape[0]:
        raise ProblemError(
            f"'{name}': the second derivative by {variable.name()} is singular everywhere, so that there is "
            "no Legendre transform; expected a function that is strictly convex in all of them."
        )
    root = stationary(slope, variable, ca.MX(dual), given)
    return ca.dot(dual, root) - ca.substitute(expression, variable, root)
