"""The vector field (or the map) of a problem whose controls, parameters and unknowns are held."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import casadi as ca
import numpy as np

from ocnet.errors import ProblemError, ShapeError
from ocnet.horizon import Steps
from ocnet.pointwise import evaluate
from ocnet.symbols import as_data

if TYPE_CHECKING:
    from ocnet.problem import Problem, Variable

Values = Mapping[str, Any] | None


class Field:
    """Where every state moves when nothing but the state changes.

    Parameters
    ----------
    problem : Problem
        Whose dynamics do not contain time; its cost, bounds and constraints play no part.
    controls : mapping, optional
        A constant array for each control by name (a number holds for all components).
    parameters, unknowns : mapping, optional
        Values by name, in place of the problem's own values and guesses.
    where : str
        Opens the error messages.

    Attributes
    ----------
    n : int
        Number of states.
    discrete : bool
        Whether it belongs to a map (the problem's horizon is Steps).
    labels : list of str
        Names of the components.
    velocity : casadi.Function
        x -> ẋ, or F(x) − x for a map: zero at an equilibrium.
    slope : casadi.Function
        x -> the Jacobian of `velocity`.

    Raises
    ------
    ProblemError
        If the dynamics contain time, a control has no value, or a name is unknown.
    ShapeError, DataError
        For values of the wrong shape, or that are not finite.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        controls: Values = None,
        parameters: Values = None,
        unknowns: Values = None,
        where: str = "field",
    ) -> None:
        functions = problem.functions
        self.problem, self.where = problem, f"{where} of '{problem.name}'"
        self.n, self.labels = functions.nx, functions.labels("state")
        self.discrete = isinstance(problem.horizon, Steps)
        guesses = {v.name: v.guess for v in functions.unknowns}
        u = self._held({}, controls, functions.controls, "controls")
        q = self._held(guesses, unknowns, functions.unknowns, "unknowns")
        p = functions.pack(problem.parameter_values(parameters), "parameter")
        symbols = ca.SX if functions.dynamics.is_a("SXFunction") else ca.MX
        t, x, *_ = functions.arguments(symbols)
        held = (x, np.zeros(self.n), u, q, p)
        if ca.depends_on(functions.dynamics(t, *held), t):
            raise ProblemError(
                f"{self.where}: the dynamics contain time; expected a problem that is autonomous once its "
                "controls are held: an equilibrium has no meaning otherwise."
            )
        rate = ca.densify(functions.dynamics(0.0, *held))
        value = rate - x if self.discrete else rate
        self.velocity = ca.Function("velocity", [x], [value])
        self.slope = ca.Function("slope", [x], [ca.densify(ca.jacobian(value, x))])

    def __call__(self, x: Any) -> np.ndarray:
        """Return ẋ (F(x) − x for a map) at states (…, n), of the same shape."""
        points = self.checked(x)
        return evaluate(self.velocity, points.reshape(-1, self.n))[0].reshape(points.shape)

    def jacobian(self, x: Any) -> np.ndarray:
        """Return the Jacobian of :meth:`__call__` at states (…, n): (…, n, n)."""
        points = self.checked(x)
        flat = evaluate(self.slope, points.reshape(-1, self.n))[0]
        columns = flat.reshape(*points.shape[:-1], self.n, self.n)
        return np.ascontiguousarray(np.swapaxes(columns, -1, -2))

    def spectrum(self, x: Any) -> np.ndarray:
        """Return the eigenvalues (…, n) of the linearised dynamics; of the map itself in discrete time."""
        return np.linalg.eigvals(self.jacobian(x)) + (1.0 if self.discrete else 0.0)

    def checked(self, x: Any) -> np.ndarray:
        """Return states as an array (…, n) of floats; ShapeError for anything else."""
        points = np.asarray(x, dtype=float)
        if points.ndim == 0 or points.shape[-1] != self.n:
            raise ShapeError(f"{self.where}: got states of shape {points.shape}; expected (..., {self.n}).")
        return points

    def _held(self, given: dict[str, Any], changes: Values, group: list[Variable], what: str) -> np.ndarray:
        if changes is not None and not isinstance(changes, Mapping):
            raise ProblemError(f"{self.where}: {what} is {changes!r:.60}; expected arrays by name in a dict.")
        names, values = [v.name for v in group], given | dict(changes or {})
        missing, foreign = [k for k in names if k not in values], [k for k in values if k not in names]
        if missing or foreign:
            fault = f"{missing} have no values" if missing else f"{foreign} are unknown"
            raise ProblemError(
                f"{self.where}: the {what} {fault}; expected a constant for each of {names}, for example "
                f"{what}={{{(missing or names or ['u'])[0]!r}: 0.0}}."
            )
        parts = [as_data(values[v.name], v.shape, f"{self.where}, {what} '{v.name}'") for v in group]
        return np.concatenate([np.zeros(0), *(part.reshape(-1) for part in parts)])
