"""The seam of the house: the Hamiltonian, its gradient, and the control that minimises it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import casadi as ca
import numpy as np

from ocnet.control_minimum import BoxMinimum
from ocnet.errors import ProblemError, ShapeError, UnsupportedError
from ocnet.horizon import Steps, rate
from ocnet.one_sided import upwind
from ocnet.pointwise import evaluate

if TYPE_CHECKING:
    from ocnet.problem import Problem


class Hamiltonian(Protocol):
    """H(t, x, p) = min over the admissible controls u of stage(t, x, ẋ, u) + p·f(t, x, u), with ẋ = f.

    Everything is current value. Arrays hold one point in each row; matrices are flattened in C order. With
    steps, p stands for p̂ = e^{−ρ} p_{k+1} and f for the next state. The optimal flow is ẋ = H_p,
    ṗ = ρp − H_x. One that depends on parameters of the problem also has a method ``at(parameters)``, which
    returns it for other values (a mapping by name). One that knows its minimum over one-sided differences has
    a method ``upwind`` (as :meth:`DerivedHamiltonian.upwind`), and one whose methods may be called from
    several threads at once says ``concurrent = True``.
    """

    @property
    def rate(self) -> float:
        """The discount rate ρ, per unit of time (per step)."""
        ...

    def control(self, t: Any, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Minimiser of H over the admissible controls (points, nu)."""
        ...

    def value(self, t: Any, x: np.ndarray, p: np.ndarray, u: np.ndarray | None = None) -> np.ndarray:
        """H (points,) at a given control, or minimised."""
        ...

    def gradient(self, t: Any, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """H_x and H_p (points, nx) of the minimised Hamiltonian."""
        ...

    def hessian(self, t: Any, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """H_xx, H_xp, H_pp (points, nx, nx) of the minimised H; H_pp may be its diagonal (points, nx)."""
        ...


class DerivedHamiltonian:
    """The Hamiltonian of any problem, derived by CasADi when it is first evaluated.

    Parameters
    ----------
    problem : Problem
        With a cost that is convex in the controls along p·f, and bounds (of any kind) as the only restriction
        of the controls.
    parameters, unknowns : mapping, optional
        Values by name; the problem's own values and guesses where left out.

    Raises
    ------
    ProblemError
        If the problem has no cost, or names or shapes are wrong.
    UnsupportedError
        If path constraints contain controls; when evaluated, if H is not convex in the controls or has no
        minimum because it falls without end along a control without a bound.

    Notes
    -----
    All methods take t as a number or (points,), x and p as (points, nx), and return arrays with one row for
    each point; for x and p of shape (nx,) the axis of the points is left out everywhere.

    The minimiser is exact where H is quadratic in the controls and couples none of them: the stationary value
    clipped to the bounds, component by component. Where H is linear in a control that nothing couples to it,
    the control is on the bound to which H falls (bang-bang); where H does not depend on it at all (on a
    singular arc, to the last bit), the admissible value nearest to 0 is taken, and is as good as any other.
    All other controls are found by a projected Newton method, to a residual of 1e-10 relative to 1 + |u|.
    """

    def __init__(
        self,
        problem: Problem,
        parameters: Mapping[str, Any] | None = None,
        unknowns: Mapping[str, Any] | None = None,
    ) -> None:
        self.problem = problem
        self._given = (dict(parameters or {}), dict(unknowns or {}))

    def at(self, parameters: Mapping[str, Any]) -> DerivedHamiltonian:
        """Return the Hamiltonian for other values of parameters, by name; what was derived is shared."""
        other = copy(self)
        other._given = ({**self._given[0], **parameters}, self._given[1])
        for name in ("_constants", "_bounds", "_search"):
            other.__dict__.pop(name, None)
        return other

    @property
    def rate(self) -> float:
        """The discount rate ρ, per unit of time (per step)."""
        return rate(self.problem.horizon)

    def control(self, t: Any, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the minimiser of H over the bounds of the controls.

        Parameters
        ----------
        t : float or ndarray (points,)
            Time, or the number of the step.
        x, p : ndarray (points, nx) or (nx,)
            States and current-value costates.

        Returns
        -------
        ndarray (points, nu) or (nu,)

        Raises
        ------
        ShapeError
            For arrays of other shapes.
        UnsupportedError
            If H is not convex in the controls there, or not bounded below.
        SolveError
            If the Newton method does not converge.
        """
        points, one = self._points(t, x, p)
        u = self._minimum(*points)
        return u[0] if one else u

    def value(self, t: Any, x: np.ndarray, p: np.ndarray, u: np.ndarray | None = None) -> np.ndarray:
        """Return H (points,) at the controls u (points, nu), or minimised where none are given."""
        (times, states, costates), one = self._points(t, x, p)
        controls = self._minimum(times, states, costates) if u is None else self._controls(u, len(times))
        H = evaluate(self._first, times, states, controls, costates, *self._constants)[0][:, 0]
        return H[0] if one else H

    def gradient(self, t: Any, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return H_x and H_p (points, nx) at the minimiser, which are those of the minimised H."""
        points, one = self._points(t, x, p)
        u = self._minimum(*points)
        H_x, H_p = evaluate(self._flow, points[0], points[1], u, points[2], *self._constants)
        return (H_x[0], H_p[0]) if one else (H_x, H_p)

    def hessian(self, t: Any, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the second derivatives of the minimised Hamiltonian.

        Controls inside their bounds follow x and p by the implicit function theorem; those at a bound stay.
        On the edge between both, where the derivatives jump, it is the side on which they stay.

        Parameters
        ----------
        t : float or ndarray (points,)
        x, p : ndarray (points, nx) or (nx,)

        Returns
        -------
        H_xx, H_xp, H_pp : ndarray (points, nx, nx) or (nx, nx)
            H_xp[i, j] = ∂²H/∂x_i ∂p_j.
        """
        (times, states, costates), one = self._points(t, x, p)
        u = self._minimum(times, states, costates)
        nx, nu = self._functions.nx, self._functions.nu
        everything = evaluate(self._second, times, np.hstack([states, costates, u]), *self._constants)[0]
        full = everything.reshape(len(times), 2 * nx + nu, 2 * nx + nu)
        inside = (u > self._bounds.u_lower) & (u < self._bounds.u_upper)
        inside &= np.abs(full[:, 2 * nx :, 2 * nx :]).sum(axis=2) > 0
        result = full[:, : 2 * nx, : 2 * nx].copy()
        for k in np.flatnonzero(inside.any(axis=1)):
            free = np.flatnonzero(inside[k]) + 2 * nx
            coupling = full[k, free, : 2 * nx]
            result[k] -= coupling.T @ np.linalg.lstsq(full[k][np.ix_(free, free)], coupling, rcond=None)[0]
        blocks = result[:, :nx, :nx], result[:, :nx, nx:], result[:, nx:, nx:]
        return (blocks[0][0], blocks[1][0], blocks[2][0]) if one else blocks

    def upwind(
        self, t: Any, x: np.ndarray, p_minus: np.ndarray, p_plus: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the best drift and its stage cost when motions up cost p⁺ and motions down p⁻.

        Parameters
        ----------
        t : float or ndarray (points,)
        x, p_minus, p_plus : ndarray (points, nx) or (nx,)
            p⁻ = −∞ and p⁺ = ∞ forbid a motion.

        Returns
        -------
        drift : ndarray (points, nx) or (nx,)
        stage : ndarray (points,)

        Raises
        ------
        ShapeError
            For arrays of other shapes.
        UnsupportedError
            In discrete time, and as for :meth:`control`.
        """
        if isinstance(self.problem.horizon, Steps):
            raise UnsupportedError(f"{self._where}: one-sided differences have no meaning in discrete time.")
        (times, states, down), one = self._points(t, x, p_minus)
        up = self._points(t, x, p_plus)[0][2]
        drift, stage = upwind(self._value_and_flow, times, states, down, up)
        return (drift[0], stage[0]) if one else (drift, stage)

    def _value_and_flow(self, t: np.ndarray, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = self._minimum(t, x, p)
        H = evaluate(self._first, t, x, u, p, *self._constants)[0][:, 0]
        return H, evaluate(self._flow, t, x, u, p, *self._constants)[1]

    # ------------------------------------------------------------------ derived once, when needed

    @cached_property
    def _where(self) -> str:
        return f"Hamiltonian of '{self.problem.name}'"

    @cached_property
    def _functions(self) -> Any:
        f = self.problem.functions
        if not f.has_cost:
            raise ProblemError(f"{self._where}: the problem has no cost; state one with problem.minimize.")
        for argument, size in ((2, f.nx), (3, f.nu)):
            if size and f.nu and f.path.nnz_out(0) and f.path.jac_sparsity(0, argument).nnz():
                raise UnsupportedError(
                    f"{self._where}: a path constraint contains controls (or the derivative of a state), "
                    "so more than bounds restricts them; use ocnet.Collocation, or set problem.hamiltonian."
                )
        return f

    @cached_property
    def _constants(self) -> tuple[np.ndarray, np.ndarray]:
        f, (parameters, unknowns) = self._functions, self._given
        names = [v.name for v in f.unknowns]
        foreign = [name for name in unknowns if name not in names]
        if foreign:
            raise ProblemError(f"{self._where}: unknowns {foreign} do not exist; the problem has {names}.")
        values = {v.name: np.broadcast_to(unknowns.get(v.name, v.guess), v.shape) for v in f.unknowns}
        return f.pack(values, "unknown"), f.pack(self.problem.parameter_values(parameters), "parameter")

    @cached_property
    def _bounds(self) -> Any:
        return self._functions.bounds(self._constants[1])

    @cached_property
    def _symbolic(self) -> tuple[list[Any], Any, Any]:
        """Symbols (t, x, u, p, unknowns, parameters), H and f."""
        f = self._functions
        scalar = f.dynamics.is_a("SXFunction") and f.stage.is_a("SXFunction")
        kind = ca.SX if scalar else ca.MX
        sizes = {"t": 1, "x": f.nx, "u": f.nu, "costate": f.nx, "q": f.nq, "p": f.np}
        t, x, u, costate, q, p = symbols = [kind.sym(name, n) for name, n in sizes.items()]
        flow = f.dynamics(t, x, ca.DM.zeros(f.nx), u, q, p)
        dx = flow - x if isinstance(self.problem.horizon, Steps) else flow
        return symbols, f.stage(t, x, dx, u, q, p) + ca.dot(costate, flow), flow

    @cached_property
    def _first(self) -> ca.Function:
        symbols, H, _ = self._symbolic
        return ca.Function("H", symbols, [H, ca.densify(ca.gradient(H, symbols[2]))])

    @cached_property
    def _flow(self) -> ca.Function:
        symbols, H, flow = self._symbolic
        return ca.Function("flow", symbols, [ca.densify(ca.gradient(H, symbols[1])), ca.densify(flow)])

    @cached_property
    def _second(self) -> ca.Function:
        """All second derivatives by (x, p, u), which a single symbol stands for."""
        symbols, H, _ = self._symbolic
        t, x, u, _, q, p = symbols
        nx = self._functions.nx
        z = type(x).sym("z", 2 * nx + u.size1())
        value = ca.Function("H", symbols, [H])(t, z[:nx], z[2 * nx :], z[nx : 2 * nx], q, p)
        curvature = ca.densify(ca.hessian(value, z)[0])
        return ca.Function("H_zz", [t, z, q, p], [curvature])

    @cached_property
    def _search(self) -> BoxMinimum:
        symbols, H, _ = self._symbolic
        curvature = ca.hessian(H, symbols[2])[0]
        function = ca.Function("H_uu", symbols, [curvature])
        quadratic = not ca.depends_on(curvature, symbols[2])
        low, high = self._bounds.u_lower, self._bounds.u_upper
        labels = self._functions.labels("control")
        return BoxMinimum(self._first, function, quadratic, low, high, labels, self._where)

    def _minimum(self, t: np.ndarray, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        if self._functions.nu == 0:
            return np.zeros((len(t), 0))
        return self._search.find(t, x, p, *self._constants)

    def _points(self, t: Any, x: Any, p: Any) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], bool]:
        states, costates = np.asarray(x, dtype=float), np.asarray(p, dtype=float)
        nx, one = self._functions.nx, states.ndim == 1
        if states.ndim not in (1, 2) or states.shape != costates.shape or states.shape[-1] != nx:
            raise ShapeError(
                f"{self._where}: got x of shape {states.shape} and p of shape {costates.shape}; expected "
                f"both (points, {nx}) or ({nx},)."
            )
        states, costates = np.atleast_2d(states), np.atleast_2d(costates)
        times = np.asarray(t, dtype=float)
        if times.shape not in ((), (1,), (len(states),)):
            raise ShapeError(f"{self._where}: got t of shape {times.shape}; expected () or ({len(states)},).")
        return (np.broadcast_to(times.reshape(-1), (len(states),)), states, costates), one

    def _controls(self, u: Any, points: int) -> np.ndarray:
        controls = np.atleast_2d(np.asarray(u, dtype=float))
        if controls.shape != (points, self._functions.nu):
            raise ShapeError(
                f"{self._where}: got u of shape {np.shape(u)}; expected ({points}, {self._functions.nu})."
            )
        return controls
