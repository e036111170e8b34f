"""The subject of a check: a solution, its problem's functions, and the mesh on which both are looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np
from scipy.integrate import solve_ivp
from scipy.sparse import csc_matrix

from ocnet.control_law import ControlLaw
from ocnet.functions import Functions
from ocnet.horizon import Steps, rate
from ocnet.pieces import Pieces, joint_breaks, on_intervals
from ocnet.pointwise import Pointwise, evaluate
from ocnet.problem import Problem
from ocnet.trajectory import Interpolant

PLACES = np.linspace(0.0, 1.0, 17)  # of an interval, where bounds are looked at
FAINT = 1e-4  # discount below which the figures that are largest values are not taken
STIFF = 1000.0  # interval length × norm of the Jacobian beyond which an implicit integrator is taken


@dataclass
class Subject:
    """A solution as the checks see it: functions of the problem, interpolants, and the mesh of both."""

    problem: Problem
    x: Interpolant
    u: Interpolant | ControlLaw | None
    p: Interpolant | None
    q: np.ndarray
    parameters: np.ndarray
    cost: float
    rtol: float
    where: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.functions: Functions = self.problem.functions
        self.bounds = self.functions.bounds(self.parameters)
        self.rate = rate(self.problem.horizon)
        self.discrete = isinstance(self.problem.horizon, Steps)
        self.t0, self.t1 = (
            float(t) for t in (self.x.breaks[[0, -1]] if not self.discrete else self.x.time[[0, -1]])
        )
        meshes = [self.x.breaks] if self.u is None else [self.x.breaks, self.u.breaks]
        self.breaks = joint_breaks(meshes, self.t0, self.t1)
        self.h = np.diff(self.breaks)
        self.K = len(self.h)

    @cached_property
    def X(self) -> Pieces:
        """States on the joint mesh."""
        return Pieces(self.x, self.breaks)

    @cached_property
    def U(self) -> Callable[[float], np.ndarray]:
        """Controls on the joint mesh; none at all give columns of width 0."""
        return on_intervals(self.u, self.breaks) if self.u is not None else lambda _: np.zeros((self.K, 0))

    @cached_property
    def running(self) -> ca.Function:
        """(t, x, u, q, p) -> right-hand side, stage cost with dx taken from the dynamics."""
        t, x, u, q, p = arguments(self.functions)
        f, stage = dynamics_and_stage(self, t, x, u, q, p)
        return ca.Function("running", [t, x, u, q, p], [f, stage])

    @cached_property
    def rhs(self) -> Pointwise:
        """(t, x, u) -> right-hand side and stage cost in all intervals at once."""
        return Pointwise(self.running, self.K, {3: self.q, 4: self.parameters})

    @cached_property
    def jacobian(self) -> ca.Function:
        """(t, x, u, q, p) -> nonzeros of ∂f/∂x."""
        t, x, u, q, p = arguments(self.functions)
        return ca.Function("f_x", [t, x, u, q, p], [ca.jacobian(self.running(t, x, u, q, p)[0], x)])

    @cached_property
    def stiff(self) -> bool:
        """Whether explicit integration over the intervals would be slow."""
        if self.jacobian.nnz_out(0) * self.K > 20_000_000:
            return False
        rows = np.array(self.jacobian.sparsity_out(0).row(), dtype=int)
        largest = np.zeros((self.K, self.functions.nx))
        for s in (0.0, 0.5, 1.0):
            values = evaluate(self.jacobian, self.times(s), self.X(s), self.U(s), self.q, self.parameters)[0]
            sums = np.zeros_like(largest)
            np.add.at(sums.T, rows, np.abs(values).T)
            largest = np.fmax(largest, sums)
        return bool((self.h[:, None] * largest).max(initial=0.0) > STIFF)

    def block_jacobian(self, s: float, x: np.ndarray, transposed: bool = False) -> csc_matrix:
        """Return ∂f/∂x of all intervals, each times its length, as one block-diagonal matrix."""
        sparsity, nx = self.jacobian.sparsity_out(0), self.functions.nx
        row, column = np.array(sparsity.row(), dtype=int), np.array(sparsity.get_col(), dtype=int)
        if transposed:
            row, column = column, row
        values = evaluate(self.jacobian, self.times(s), x, self.U(s), self.q, self.parameters)[0]
        offset = nx * np.arange(self.K)[:, None]
        entries = (
            (self.h[:, None] * values).reshape(-1),
            ((row + offset).reshape(-1), (column + offset).reshape(-1)),
        )
        return csc_matrix(entries, shape=(nx * self.K, nx * self.K))

    def times(self, s: float) -> np.ndarray:
        """Return the times (K,) at the relative place s of all intervals."""
        return self.breaks[:-1] + s * self.h

    def everything(self, t: float, x: np.ndarray) -> list[Any]:
        """Arguments (t, x, dx, u, q, p) at one end, where controls and derivatives do not occur."""
        f = self.functions
        return [t, x, np.zeros(f.nx), np.zeros(f.nu), self.q, self.parameters]

    def controls(self, t: np.ndarray) -> np.ndarray:
        """Return the controls (len(t), nu) at any times."""
        return self.u(t) if self.u is not None else np.zeros((len(t), 0))

    def counts(self, t: np.ndarray) -> np.ndarray:
        """Return which times have a discount above `FAINT` (there is always one)."""
        return np.exp(-self.rate * (t - t.min(initial=self.t1))) >= FAINT

    def end_states(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the states at the first and at the last time."""
        return (self.x.values[0], self.x.values[-1]) if self.discrete else (self.X(0.0)[0], self.X(1.0)[-1])

    def attained(self, figure: str, label: str, t: float) -> None:
        """Record where a figure is attained."""
        self.where[figure] = f"{label} at {'step' if self.discrete else 't ='} {t:.6g}"


def arguments(functions: Functions) -> list[Any]:
    """Return fresh symbols (t, x, u, q, p): scalar ones where the problem could be expanded."""
    scalar = functions.dynamics.is_a("SXFunction") and functions.stage.is_a("SXFunction")
    kind = ca.SX if scalar else ca.MX
    sizes = (1, functions.nx, functions.nu, functions.nq, functions.np)
    return [kind.sym(name, size) for name, size in zip("txuqp", sizes, strict=True)]


def dynamics_and_stage(subject: Subject, t: Any, x: Any, u: Any, q: Any, p: Any) -> tuple[Any, Any]:
    """Return f and the stage cost in which the derivative (difference) of x is what the dynamics say."""
    functions = subject.functions
    f = functions.dynamics(t, x, ca.DM.zeros(functions.nx), u, q, p)
    dx = f - x if subject.discrete else f
    return f, functions.stage(t, x, dx, u, q, p)


def touches(function: ca.Function, argument: int, size: int) -> np.ndarray:
    """Return which components of an argument a function depends on."""
    result = np.zeros(size, dtype=bool)
    if function.nnz_out(0) and size:
        result[np.array(function.jac_sparsity(0, argument).get_col(), dtype=int)] = True
    return result


def integrate_all(
    subject: Subject,
    rhs: Callable[[float, np.ndarray], np.ndarray],
    start: np.ndarray,
    places: np.ndarray,
    jacobian: Callable[[float, np.ndarray], csc_matrix],
) -> np.ndarray | None:
    """Integrate all intervals side by side from (K, n) -> (len(places), K, n); None if it fails."""
    shape = start.shape
    options: dict[str, Any] = {"method": "DOP853"}
    if subject.stiff:
        options = {"method": "Radau", "jac": lambda s, y: jacobian(s, y.reshape(shape))}
    with np.errstate(all="ignore"):
        found = solve_ivp(
            lambda s, y: rhs(s, y.reshape(shape)).reshape(-1), (0.0, 1.0), start.reshape(-1), t_eval=places,
            rtol=subject.rtol, atol=subject.rtol, **options,
        )  # fmt: skip
    return found.y.T.reshape(len(places), *shape) if found.success and np.isfinite(found.y).all() else None
