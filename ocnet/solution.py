"""Solution: a Trajectory with costates, cost, status and certificate."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ocnet.errors import ProblemError
from ocnet.methods.result import Result, Status
from ocnet.report import solution_text
from ocnet.trajectory import Interpolant, Trajectory, read_interpolant, read_layout, split

if TYPE_CHECKING:
    import xarray

    from ocnet.problem import Problem
    from ocnet.verify import Certificate


class Solution(Trajectory):
    """What :func:`ocnet.solve` returns.

    Attributes
    ----------
    status : Status
    success : bool
    message : str
    cost : float
        Value of the cost, in the problem's own unit.
    mesh_error : float
        Estimated largest error of the states between and at collocation points, relative to 1 + |x|.
    errors : dict
        Error estimates by source, dimensionless: "mesh" of the states, relative to 1 + |x|; "costates" (of
        Pontryagin), relative to 1 + |p|; "cost" (by the
        mesh), "control shape", "barrier" and, on infinite horizons, "tail" of the cost, relative to it.
    optima : list of float
        Costs of the distinct local optima found; one entry unless several starts were asked for.
    stats : dict
        Seconds ("build", "solve") and iterations.
    """

    kind = "Solution"

    def __init__(
        self,
        problem: Problem | None,
        result: Result,
        names: dict[str, Any] | None = None,
        certify: Callable[[Solution], Certificate] | None = None,
    ) -> None:
        if problem is not None:
            functions = problem.functions
            names = {
                "name": problem.name,
                "text": lambda: str(problem),
                "states": [(v.name, v.shape) for v in functions.states],
                "controls": [(v.name, v.shape) for v in functions.controls],
                "unknowns": [(v.name, v.shape) for v in functions.unknowns],
                "parameters": [(v.name, v.shape) for v in functions.parameters],
            }
        assert names is not None
        super().__init__(names["name"], names["text"], result.x, result.u, names["states"], names["controls"])
        self.problem, self.result, self._names = problem, result, names
        self.p = result.p
        self.status, self.message, self.cost = result.status, result.message, float(result.cost)
        self.mesh_error, self.errors, self.stats = result.mesh_error, result.errors, result.stats
        self.optima = result.optima or [self.cost]
        self._certify, self._certificate = certify, None

    @property
    def success(self) -> bool:
        """Whether the conditions of optimality hold to the tolerance asked for."""
        return self.status.success

    @property
    def costates(self) -> dict[str, np.ndarray]:
        """By name of the state, (M, *shape) at `time`: p = dV/dx, current value, in cost per unit of state.

        Raises
        ------
        ProblemError
            For a solution without costates.
        """
        p = self._costate()  # where it may jump it has nodes of its own
        return split(p.values if np.array_equal(p.time, self.time) else p(self.time), self.state_layout)

    def costate(self, name: str, t: Any) -> np.ndarray:
        """Evaluate the costate of a state at any times of the solution.

        Parameters
        ----------
        name : str
            Of the state.
        t : array_like
            Of any shape; where the costate jumps, the value after the jump is given.

        Returns
        -------
        ndarray (*t.shape, *shape)
            p = dV/dx, current value: unit of the cost per unit of the state.

        Raises
        ------
        ProblemError
            For an unknown name, times outside the solution, or a solution without costates.
        """
        return self._pick(name, self.state_layout, self._costate()(t), "state")

    def _costate(self) -> Interpolant:
        if self.p is None:
            raise ProblemError(f"'{self.problem_name}': this solution has no costates.")
        return self.p

    @property
    def unknowns(self) -> dict[str, np.ndarray]:
        """Optimised constants by name, each of its own shape."""
        return split(self.result.q, self._names["unknowns"])

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Parameters of this solve by name, each of its own shape."""
        return split(self.result.parameters, self._names["parameters"])

    def gain(self, t: Any) -> np.ndarray:
        """Return how the costates answer to a change of the states near the optimal path: dp/dx.

        Parameters
        ----------
        t : array_like
            Of any shape.

        Returns
        -------
        ndarray (*t.shape, nx, nx)
            The Riccati matrix S(t), cost per unit of two states, in the order of the flat states; linear
            between the nodes of the mesh. With steps, d(e^{−ρ}p_{k+1})/dx_k.

        Raises
        ------
        ProblemError
            For a solution of a method that yields no gain, or a loaded one.
        """
        n = self.x.values.shape[1]
        return self._gain()(t).reshape(*np.shape(t), n, n)

    def policy(self, t: float, x: np.ndarray) -> np.ndarray:
        """Return the controls of the optimal feedback to first order around the path.

        It is a policy for :func:`ocnet.simulate`. The controls minimise the Hamiltonian with the costates
        p(t) + S(t)(x − x*(t)): on the path they are the optimal ones, next to it they lead back.

        Parameters
        ----------
        t : float
        x : ndarray (nx,)

        Returns
        -------
        ndarray (nu,)

        Raises
        ------
        ProblemError
            As for :meth:`gain`.
        """
        S = self._gain()(t).reshape(len(x), len(x))
        weight, ahead = 1.0, t
        if self.discrete:
            weight, ahead = np.exp(-self.result.hamiltonian.rate), t + 1
        p = weight * self._costate()(ahead) + S @ (x - self.x(t))
        return self.result.hamiltonian.control(t, x, p)

    def _gain(self) -> Interpolant:
        if self.result.gain is None:
            raise ProblemError(
                f"'{self.problem_name}': this solution has no feedback gain; only ocnet.Pontryagin yields "
                "one (with free final states), and files do not keep it."
            )
        return self.result.gain

    @property
    def certificate(self) -> Certificate:
        """How far the numbers can be trusted: :func:`ocnet.verify`, run when it is first asked for.

        Raises
        ------
        ProblemError
            For a solution that was loaded without its problem.
        """
        if self._certificate is None:
            if self._certify is None:
                raise ProblemError(
                    f"'{self.problem_name}': this solution has no certificate; call ocnet.verify."
                )
            self._certificate = self._certify(self)
        return self._certificate

    def certify_with(self, certify: Callable[[Solution], Certificate]) -> None:
        """Set the check that `certificate` runs."""
        self._certify = certify

    def sensitivity(self, parameter: str) -> np.ndarray:
        """Return dJ/dparameter, of the parameter's shape, from the multipliers.

        It is the derivative of the (discretised) problem's optimal cost, in cost per unit of the parameter.

        Raises
        ------
        ProblemError
            For an unknown parameter, or a solution that was loaded or has no multipliers.
        """
        layout = self._names["parameters"]
        if parameter not in dict(layout):
            raise ProblemError(
                f"'{self.problem_name}' has no parameter '{parameter}'; it has {list(dict(layout))}."
            )
        if self.result.sensitivity is None:
            raise ProblemError(
                f"'{self.problem_name}': the multipliers are not available (a loaded solution)."
            )
        return split(self.result.sensitivity(), layout)[parameter]

    def __str__(self) -> str:
        return solution_text(self)

    def __repr__(self) -> str:
        return f"<Solution of '{self.problem_name}': {self.status.name}, cost {self.cost:.10g}>"

    # ------------------------------------------------------------------ files

    def _dataset(self, stored: bool) -> xarray.Dataset:
        data = super()._dataset(stored)
        if self.p is not None:
            extra: dict[str, Any] = {}
            self._add(extra, self.p, self.state_layout, "costate_time", "costate", prefix="costate_")
            data = data.assign({key: value for key, value in extra.items() if key.startswith("costate_")})
        for kind in ("unknowns", "parameters"):
            for name, value in split(
                np.asarray(getattr(self.result, "q" if kind == "unknowns" else kind)), self._names[kind]
            ).items():
                data[name] = (tuple(f"{name}_{i}" for i in range(value.ndim)), value, {"role": kind[:-1]})
        return data

    def _attributes(self) -> dict[str, Any]:
        return super()._attributes() | {
            "unknowns": [n for n, _ in self._names["unknowns"]],
            "parameters": [n for n, _ in self._names["parameters"]],
            "method": self.result.method,
            "status": self.status.name,
            "message": self.message,
            "cost": self.cost,
            "mesh_error": self.mesh_error,
            "costates": int(self.p is not None),
            "report": json.dumps(
                {
                    "errors": self.errors,
                    "stats": self.stats,
                    "optima": self.optima,
                    "second_order": self.result.second_order,
                    "second_order_by": self.result.second_order_by,
                }
            ),
        }

    @classmethod
    def from_dataset(cls, data: xarray.Dataset, problem: Problem | None = None) -> Solution:
        """Rebuild what :meth:`ocnet.Trajectory.to_xarray` gave."""
        a = data.attrs
        layouts = {which: read_layout(data, which) for which in ("states", "controls")}
        for which in ("unknowns", "parameters"):
            layouts[which] = [(n, data[n].shape) for n in np.atleast_1d(a.get(which, [])).tolist()]
        flat = {
            which: np.concatenate([np.zeros(0)] + [data[n].values.reshape(-1) for n, _ in layouts[which]])
            for which in ("unknowns", "parameters")
        }
        report = json.loads(a["report"])
        x = read_interpolant(data, layouts["states"], "time")
        result = Result(
            Status[a["status"]], a["message"], float(a["cost"]), x,
            read_interpolant(data, layouts["controls"], "control_time") if layouts["controls"] else None,
            read_interpolant(data, layouts["states"], "costate_time", "costate_") if a["costates"] else None,
            flat["unknowns"], flat["parameters"], float(a["mesh_error"]), a["method"], **report,
        )  # fmt: skip
        names = {"name": a["problem"], "text": a["problem_text"], **layouts}
        solution = cls(None, result, names)
        solution.problem = problem
        return solution


__all__ = ["Result", "Solution", "Status"]
