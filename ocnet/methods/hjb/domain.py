"""Which box of states to take: whether paths stay inside, and a proposal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import casadi as ca
import numpy as np

from ocnet.errors import ProblemError
from ocnet.landscapes.equilibria import landscape
from ocnet.methods.hjb.grid import FEWEST_INSIDE, Grid
from ocnet.methods.hjb.zoom import Zoom
from ocnet.pointwise import evaluate

if TYPE_CHECKING:
    from ocnet.problem import Problem

FACES = 400  # points that are tried on each face
GROWTH, MOST_GROWTHS = 1.1, 80
MARGIN = 1.1
NODES = (4001, 481, 81, 41, 17, 11)  # along each axis, by the number of states
SHARE = 1 / 3  # of the box that the largest box of a zoom takes along each axis
GRADING = 2.0  # about 0, an unstable equilibrium of many systems, at which value functions have cones


class Domain(NamedTuple):
    """What is known about the box of a grid.

    Attributes
    ----------
    leak : float
        Largest speed out of the box that no admissible control prevents; 0 if the box can be held.
    active : float
        Share of the nodes on the faces at which the best control without walls would leave the box, so that
        the walls change the value function.
    holding, holding_all : tuple of float, or None
        By how much each axis has to be stretched about its centre so that no path leaves the box under
        controls in the middle of their bounds, and under any control; None if no such box was found.
    """

    leak: float
    active: float
    holding: tuple[float, ...] | None
    holding_all: tuple[float, ...] | None


def examined(problem: Problem | None, grid: Grid, leak: float, active: float) -> Domain:
    """Say what is known about the box of a grid (of a problem in continuous time)."""
    if problem is None:
        return Domain(leak, active, None, None)
    speeds = Speeds(problem)
    lower, upper = np.array(grid.lower), np.array(grid.upper)
    found = [speeds.holding(lower, upper, every) for every in (False, True)]
    without, with_all = (None if f is None else tuple(f.tolist()) for f in found)
    return Domain(leak, active, without, with_all)


class Speeds:
    """Dynamics of a problem on the faces of boxes, for controls in the middle of their bounds and for all."""

    def __init__(self, problem: Problem) -> None:
        f = problem.functions
        p = f.pack(problem.parameter_values(), "parameter")
        q = f.pack({v.name: v.guess for v in f.unknowns}, "unknown")
        bounds = f.bounds(p)
        self.bounded = bool((np.isfinite(bounds.u_lower) & np.isfinite(bounds.u_upper)).all())
        with np.errstate(invalid="ignore"):
            middle = 0.5 * (bounds.u_lower + bounds.u_upper)
        self.middle = np.where(np.isfinite(middle), middle, np.clip(0.0, bounds.u_lower, bounds.u_upper))
        self.radius = 0.5 * (bounds.u_upper - bounds.u_lower)
        arguments = f.arguments(ca.SX if f.dynamics.is_a("SXFunction") else ca.MX)
        t, x, dx, u, unknowns, parameters = arguments
        flow = f.dynamics(*arguments)
        steer = ca.jacobian(flow, u)
        self.affine = not ca.depends_on(steer, u) if f.nu else True
        self._flow = ca.Function(
            "flow", [t, x, dx, u, unknowns, parameters], [ca.densify(flow), ca.densify(steer)]
        )
        self._fixed = (np.zeros(f.nx), self.middle, q, p)
        self.nx, self.nu = f.nx, f.nu

    def outward(self, lower: np.ndarray, upper: np.ndarray, every: bool) -> np.ndarray:
        """Return the largest speed out of a box along each axis (n,).

        Under controls in the middle of their bounds or, where f is affine in them, under any.
        """
        rng = np.random.default_rng(0)
        tried = np.vstack([rng.uniform(size=(FACES, self.nx)), list(np.ndindex(*(2,) * self.nx))])
        worst = np.full(self.nx, -np.inf)
        for i in range(self.nx):
            for side, sign in ((0.0, -1.0), (1.0, 1.0)):
                points = tried.copy()
                points[:, i] = side
                x = lower + points * (upper - lower)
                f, steer = evaluate(self._flow, np.zeros(len(x)), x, *self._fixed)
                speed = sign * f[:, i]
                if every and self.nu:  # column after column: component (i, j) of the Jacobian is j·nx + i
                    speed = speed + np.abs(steer.reshape(len(x), self.nu, self.nx)[:, :, i]) @ self.radius
                worst[i] = max(worst[i], float(speed.max()))
        return worst

    def holding(self, lower: np.ndarray, upper: np.ndarray, every: bool) -> np.ndarray | None:
        """Return the factors (n,) by which a box has to grow to hold all paths, None if none were found."""
        if every and not (self.bounded and self.affine):
            return None
        centre, radius, factor = 0.5 * (lower + upper), 0.5 * (upper - lower), np.ones(self.nx)
        for _ in range(MOST_GROWTHS):
            speed = self.outward(centre - factor * radius, centre + factor * radius, every)
            if not (speed > 0).any():
                return factor
            factor = np.where(speed > 0, factor * GROWTH, factor)
        return None


def suggest(problem: Problem, shape: Any = None, zoom: bool = False) -> Grid:
    """Propose a grid: the smallest box about 0 that the uncontrolled dynamics do not leave, and a tenth more.

    Bounds of states, where there are any, are the box; the other axes are finer near 0. See
    :meth:`ocnet.Grid.suggest`.
    """
    f = problem.functions
    bounds = f.bounds(f.pack(problem.parameter_values(), "parameter"))
    if shape is None:
        if f.nx > len(NODES):
            raise ProblemError(
                f"Grid.suggest: '{problem.name}' has {f.nx} states; expected at most {len(NODES)}."
            )
        shape = NODES[f.nx - 1]
    speeds = Speeds(problem)
    radius = np.full(f.nx, 0.5)
    factor = speeds.holding(-radius, radius, False)
    if factor is None:
        raise ProblemError(
            f"Grid.suggest: no box about 0 holds the uncontrolled paths of '{problem.name}'; give the "
            "corners of the region that matters: oc.Grid(lower, upper, shape)."
        )
    size = MARGIN * factor * radius
    lower = np.where(np.isfinite(bounds.x_lower), bounds.x_lower, -size)
    upper = np.where(np.isfinite(bounds.x_upper), bounds.x_upper, size)
    grading = np.where(lower == -upper, GRADING, 0.0)
    grid = Grid(lower, upper, shape, grading)
    zooms = zooms_about(unstable(problem, speeds.middle, lower, upper), lower, upper) if zoom else []
    return Grid(lower, upper, shape, grading, [z for z in zooms if grid.inside(z) >= FEWEST_INSIDE])


def unstable(problem: Problem, u: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> list[np.ndarray]:
    """Return the unstable equilibria (n,) in a box while the controls (nu,) are held, nearest to 0 first."""
    found = landscape(problem, lower, upper, controls=problem.functions.unpack(u, "control"))
    growing = [e.x for e in found.equilibria if float(np.real(e.eigenvalues).max()) > 0]
    growing.sort(key=lambda x: float(np.linalg.norm(x)))
    return [np.where(np.abs(x) <= 1e-9 * (upper - lower), 0.0, x) for x in growing]


def zooms_about(centres: list[np.ndarray], lower: np.ndarray, upper: np.ndarray) -> list[Zoom]:
    """Return a zoom about each state, as large as a share of the box, its walls and the others allow.

    There is none about a state on a wall.
    """
    half, result = 0.5 * (upper - lower), list[Zoom]()
    for k, x in enumerate(centres):
        others = [0.9 * float(np.abs((x - y) / half).max()) / 2 for j, y in enumerate(centres) if j != k]
        to_walls = 0.9 * float((np.fmin(x - lower, upper - x) / half).min())
        share = min(SHARE, to_walls, *others)
        if share > 0:
            result.append(Zoom(x, share * half))
    return result
