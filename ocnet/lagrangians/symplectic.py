"""Symplectic integration of Hamiltonian systems with a fixed step, against plain integration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import casadi as ca
import numpy as np

from ocnet.errors import DataError, OptionError, ShapeError, SimulationError
from ocnet.lagrangians.legendre import HamiltonianSystem

Scheme = Literal["Störmer-Verlet", "implicit midpoint", "Runge-Kutta 4", "Euler"]
SCHEMES = ("Störmer-Verlet", "implicit midpoint", "Runge-Kutta 4", "Euler")
NEWTON = {
    "abstol": 1e-13,
    "abstolStep": 1e-13,
    "max_iter": 30,
    "error_on_fail": True,
    "show_eval_warnings": False,
}
NEGLIGIBLE = 1e-10  # size of a component beside the largest of its kind, below which it is solved no better


@dataclass(frozen=True, eq=False)
class CanonicalPath:
    """A path of a Hamiltonian system at equidistant times.

    Attributes
    ----------
    time : ndarray (steps + 1,)
    q, p : ndarray (steps + 1, n)
    energy : ndarray (steps + 1,)
        H along the path.
    scheme : str
    """

    time: np.ndarray
    q: np.ndarray
    p: np.ndarray
    energy: np.ndarray
    scheme: str

    @property
    def energy_error(self) -> float:
        """Largest |H − H(0)| on the path, in the unit of H."""
        return float(np.abs(self.energy - self.energy[0]).max())

    @property
    def energy_drift(self) -> float:
        """Slope of the straight line that fits H best: what is lost or gained per unit of time."""
        t = self.time - self.time.mean()
        return float(t @ self.energy / (t @ t))


def integrate(
    system: HamiltonianSystem, q: Any, p: Any, *, step: float, steps: int, scheme: Scheme = "Störmer-Verlet"
) -> CanonicalPath:
    """Integrate the canonical equations with a fixed step.

    Parameters
    ----------
    system : HamiltonianSystem
    q, p : array_like (n,)
        Where to begin.
    step : float
        In the unit of time; negative to go back.
    steps : int
    scheme : {"Störmer-Verlet", "implicit midpoint", "Runge-Kutta 4", "Euler"}
        The first two are symplectic and symmetric, of order 2: H oscillates and does not drift. Verlet is
        explicit where H = T(p) + V(q); elsewhere each half step is an equation for Newton's method. The other
        two are there to compare.

    Returns
    -------
    CanonicalPath

    Raises
    ------
    OptionError, ShapeError, DataError
        For another kind of system, an unknown scheme, a step that is 0 or not finite, and points of the wrong
        shape.
    SimulationError
        If the path leaves the finite numbers, or the equation of an implicit step has no solution that
        Newton's method finds; a smaller step helps.

    Notes
    -----
    E. Hairer, C. Lubich and G. Wanner, Geometric Numerical Integration (2006), sections I.3 and II.1.
    """
    if not isinstance(system, HamiltonianSystem):
        raise OptionError(
            f"integrate: system is {system!r:.60}; expected a HamiltonianSystem: of a Lagrangian, "
            "legendre(lagrangian); of a learned Hamiltonian, its system(theta)."
        )
    where = f"integrate '{system.name}'"
    if scheme not in SCHEMES:
        raise OptionError(f"{where}: scheme is {scheme!r}; expected one of {list(SCHEMES)}.")
    if not isinstance(step, (int, float)) or not np.isfinite(step) or step == 0:
        raise OptionError(f"{where}: step is {step!r:.60}; expected a finite number other than 0.")
    if not isinstance(steps, (int, np.integer)) or steps < 1:
        raise OptionError(f"{where}: steps is {steps!r:.60}; expected a whole positive number.")
    n = system.q.shape[0]
    ends = {"q": np.asarray(q, dtype=float), "p": np.asarray(p, dtype=float)}
    for name, value in ends.items():
        if value.shape != (n,):
            raise ShapeError(f"{where}: {name} has shape {value.shape}; expected ({n},).")
        if not np.isfinite(value).all():
            raise DataError(f"{where}: {name} is {value}; expected finite numbers.")
    start = np.concatenate([ends["q"], ends["p"]])
    path = _step(system, float(step), scheme).mapaccum("path", int(steps))
    try:
        rest = path(start).full()
    except RuntimeError as error:
        raise SimulationError(
            f"{where}: Newton's method found no solution of a step of {scheme} with step {step:g}; take a "
            "smaller one."
        ) from error
    values = np.column_stack([start, rest]).T
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise SimulationError(
            f"{where}: the path by {scheme} is not finite after t = {(bad[0] - 1) * step:g}; take a smaller "
            "step."
        )
    energy = system.function().map(len(values))(values[:, :n].T, values[:, n:].T).full()[0]
    return CanonicalPath(step * np.arange(steps + 1), values[:, :n], values[:, n:], energy, scheme)


def reversal_error(
    system: HamiltonianSystem, q: Any, p: Any, *, step: float, steps: int, scheme: Scheme = "Störmer-Verlet"
) -> float:
    """Return how far from the start one ends after going forward and back with the same steps.

    Parameters and errors are those of :func:`integrate`.

    Returns
    -------
    float
        Largest component of the difference over 1 + |start|; rounding alone for symmetric schemes.
    """
    there = integrate(system, q, p, step=step, steps=steps, scheme=scheme)
    back = integrate(system, there.q[-1], there.p[-1], step=-step, steps=steps, scheme=scheme)
    start = np.concatenate([there.q[0], there.p[0]])
    end = np.concatenate([back.q[-1], back.p[-1]])
    return float(np.max(np.abs(end - start) / (1 + np.abs(start))))


def _step(system: HamiltonianSystem, h: float, scheme: Scheme) -> ca.Function:
    """Return one step (q, p) -> (q, p) of all 2n components."""
    n = system.q.shape[0]
    rates = system.function(system.velocity, system.force)
    z = ca.MX.sym("z", 2 * n)
    q, p = z[:n], z[n:]

    def rate(at: ca.MX) -> ca.MX:
        return ca.vertcat(*rates(at[:n], at[n:]))

    if scheme == "Euler":
        after = z + h * rate(z)
    elif scheme == "Runge-Kutta 4":
        a = rate(z)
        b = rate(z + h / 2 * a)
        c = rate(z + h / 2 * b)
        after = z + h / 6 * (a + 2 * b + 2 * c + rate(z + h * c))
    elif scheme == "implicit midpoint":
        x = ca.MX.sym("x", 2 * n)
        after = _solved(x - z - h * rate((x + z) / 2), x, z, z, z)
    elif system.separable:
        half = p + h / 2 * rates(q, p)[1]
        moved = q + h * rates(q, half)[0]
        after = ca.vertcat(moved, half + h / 2 * rates(moved, half)[1])
    else:
        x, given = ca.MX.sym("x", n), ca.MX.sym("given", 2 * n)
        kick = x - given[n:] - h / 2 * rates(given[:n], x)[1]
        half = _solved(kick, x, given, p, z)
        slide = x - given[:n] - h / 2 * (rates(given[:n], given[n:])[0] + rates(x, given[n:])[0])
        moved = _solved(slide, x, given, q, ca.vertcat(q, half))
        after = ca.vertcat(moved, half + h / 2 * rates(moved, half)[1])
    return ca.Function("step", [z], [after])


def _solved(equation: ca.MX, unknown: ca.MX, given: ca.MX, start: ca.MX, value: ca.MX) -> ca.MX:
    """Return the unknown, which was `start` a step ago, for which the equation is 0 at given = value.

    The guess is the solution of the equation linearised at the start. Errors are relative to the terms of
    each row, |∂g/∂x||x|, so that units play no part.
    """
    linear = ca.Function("g", [unknown, given], [equation, ca.jacobian(equation, unknown)])
    rest, slope = linear(start, value)

    def sizes(x: ca.MX) -> ca.MX:
        terms = ca.fabs(slope) @ x
        kinds = ca.vertsplit(terms, given.shape[0] // 2)  # coordinates and momenta
        return ca.vertcat(*(kind + NEGLIGIBLE * ca.norm_inf(kind) for kind in kinds)) + 1e-200

    size = sizes(ca.fabs(start))
    guess = start - size * ca.solve(ca.diag(1 / size) @ slope @ ca.diag(size), rest / size)
    size = sizes(ca.fabs(start) + ca.fabs(guess))
    y, at, scale = (ca.MX.sym(name, unknown.shape[0]) for name in ("y", "at", "scale"))
    row = ca.substitute(equation, unknown, at + scale * y) / scale
    root = ca.rootfinder("root", "newton", {"x": y, "p": ca.vertcat(given, at, scale), "g": row}, NEWTON)
    return guess + size * root(x0=ca.DM.zeros(unknown.shape[0]), p=ca.vertcat(value, guess, size))["x"]
