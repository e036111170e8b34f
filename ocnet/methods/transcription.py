"""A Problem on a mesh as a nonlinear program, and the way back from its solution and multipliers.

The dynamics are written as defects δ − h·f, where δ = h·ẋ comes from the polynomial of the states on each
interval. A cost that contains ẋ takes it from the same polynomial, so that the multipliers of the defects are
p + ∂ℓ/∂ẋ; :meth:`Transcription.costates` takes the second term off. Discrete time is the same with one point
an interval and δ the difference of neighbouring states.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np
import scipy.sparse as sp

from ocnet.functions import Bounds, Functions
from ocnet.horizon import FreeTime, Steps, rate
from ocnet.methods.mesh import Mesh
from ocnet.methods.nlp import Group, Kernel, Program, height
from ocnet.problem import Problem
from ocnet.trajectory import Interpolant


class Kernels:
    """The kernels of a problem; they do not depend on the mesh and are built once."""

    def __init__(self, problem: Problem) -> None:
        f = self.functions = problem.functions
        self.problem = problem
        self.free_time = isinstance(problem.horizon, FreeTime)
        self.discrete = isinstance(problem.horizon, Steps)
        self.rate = rate(problem.horizon)
        self.moving = _moving(f)
        self.nt = int(self.free_time)
        self.scalar = all(
            g.is_a("SXFunction") for g in (f.dynamics, f.stage, f.path, f.terminal, f.initial, f.final)
        )

    @cached_property
    def path(self) -> Kernel:
        """Z = (x, δ of the moving states, u, q, final time); data (time, length of the interval)."""
        f, nm = self.functions, len(self.moving)
        nx, nu, nq = f.nx, f.nu, f.nq

        def evaluate(z: Any, d: Any, p: Any) -> tuple[Any, Any]:
            x, delta, u, q, end = ca.vertsplit(z, np.cumsum([0, nx, nm, nu, nq, self.nt]).tolist())
            t, h = (d[0] * end, d[1] * end) if self.free_time else (d[0], d[1])
            dx = type(z)(nx, 1)
            if nm:
                dx[self.moving] = delta / h
            flow = f.dynamics(t, x, dx, u, q, p)
            defect = x - flow if self.discrete else -h * flow
            return h * f.stage(t, x, dx, u, q, p), ca.vertcat(defect, f.path(t, x, dx, u, q, p))

        return Kernel("path", (nx + nm + nu + nq + self.nt, 2, f.np), evaluate, self.scalar)

    @cached_property
    def control_slopes(self) -> ca.Function | None:
        """(t, x, u, q, p, costate) -> H_u and the diagonal of H_uu, for the error by the control's shape."""
        f = self.functions
        if not f.nu or f.path.numel_out(0):
            return None
        symbols: Any = ca.SX if self.scalar else ca.MX
        sizes = (1, f.nx, f.nu, f.nq, f.np, f.nx)
        t, x, u, q, p, costate = (symbols.sym(f"s{i}", n) for i, n in enumerate(sizes))
        flow = f.dynamics(t, x, 0, u, q, p)
        hamiltonian = f.stage(t, x, flow, u, q, p) + ca.dot(costate, flow)
        slope = ca.gradient(hamiltonian, u)
        curvature = ca.diag(ca.hessian(hamiltonian, u)[0])
        return ca.Function(
            "control_slopes", [t, x, u, q, p, costate], [ca.densify(slope), ca.densify(curvature)]
        )

    def end(self, name: str, cost: ca.Function | None, con: ca.Function | None) -> Kernel:
        """Z = (x, q, final time) at one moment; data (time)."""
        f = self.functions

        def evaluate(z: Any, d: Any, p: Any) -> tuple[Any, Any]:
            x, q, end = ca.vertsplit(z, np.cumsum([0, f.nx, f.nq, self.nt]).tolist())
            t = d[0] * end if self.free_time else d[0]
            arguments = (t, x, type(z)(f.nx, 1), type(z)(f.nu, 1), q, p)
            empty = type(z)(0, 1)
            return (cost(*arguments) if cost else type(z)(0)), (con(*arguments) if con else empty)

        return Kernel(
            name,
            (f.nx + f.nq + self.nt, 1, f.np),
            evaluate,
            self.scalar and (not cost or cost.is_a("SXFunction")),
        )

    @cached_property
    def ends(self) -> dict[str, Kernel]:
        """The kernels of the final and initial conditions and of the samples, those that are not empty."""
        f, kernels = self.functions, {}
        if not f.terminal(*(0,) * 6).is_zero() or _depends(f.terminal) or f.final.numel_out(0):
            kernels["final"] = self.end("final", f.terminal, f.final)
        if f.initial.numel_out(0):
            kernels["initial"] = self.end("initial", None, f.initial)
        for i, sample in enumerate(f.samples):
            kernels[f"sample_{i}"] = self.end(f"sample_{i}", sample, None)
        return kernels


def _depends(function: ca.Function) -> bool:
    return any(function.sparsity_jac(i, 0).nnz() for i in range(function.n_in()) if function.numel_in(i))


def _moving(f: Functions) -> list[int]:
    """Components of ẋ that the stage cost or a path constraint contains."""
    return sorted({c for g in (f.stage, f.path) for c in g.sparsity_jac(2, 0).get_triplet()[1]})


@dataclass
class Point:
    """Unknowns of a transcription: states at nodes, controls at points, constants, final time."""

    x: np.ndarray
    u: np.ndarray
    q: np.ndarray
    end: float


class Transcription:
    """The nonlinear program of a problem on a mesh.

    Parameters
    ----------
    kernels : Kernels
    mesh : Mesh
        On [0, 1] if the final time is free.
    scales : (ndarray (nx,), ndarray (nu,), ndarray (nq,), float)
        Typical sizes of states, controls, unknown constants and final time.
    held : bool
        Whether the controls are constant on each interval instead of free at each point.
    """

    def __init__(
        self,
        kernels: Kernels,
        mesh: Mesh,
        scales: tuple[np.ndarray, np.ndarray, np.ndarray, float],
        held: bool = False,
    ) -> None:
        self.kernels, self.mesh, self.scales, self.held = kernels, mesh, scales, held
        f = self.functions = kernels.functions
        self._number_unknowns()
        self.discount = np.exp(-kernels.rate * (mesh.point_times - mesh.breaks[0]))
        self.weights = mesh.point_weights * self.discount
        self.path_group = self._path_group()
        self.groups = [self.path_group] + [self._end_group(n, k) for n, k in kernels.ends.items()]
        row_scale = [np.tile(np.append(1 / scales[0], np.ones(kernels.path.nc - f.nx)), mesh.points)]
        row_scale += [np.ones(g.kernel.nc * g.count) for g in self.groups[1:]]
        row_scale.append(np.tile(1 / scales[0], height(mesh.ends)))
        scale = self._variable_scale()
        self.program = Program(self.groups, self._linear(), scale, np.concatenate(row_scale), f.np)

    # ------------------------------------------------------------------ numbering

    def _number_unknowns(self) -> None:
        mesh, f = self.mesh, self.functions
        offset = 0 if mesh.name == "steps" else 1
        within = np.arange(mesh.points) - np.repeat(mesh.first_point, mesh.degrees)
        self.point_node = mesh.first_node[mesh.interval_of_point] + offset + within
        interval_of_node = np.searchsorted(mesh.first_node, np.arange(mesh.nodes), side="left") - 1
        carrier = mesh.interval_of_point if self.held else np.arange(mesh.points)
        interval_of_carrier = np.arange(mesh.size) if self.held else mesh.interval_of_point
        interval = np.append(interval_of_node, interval_of_carrier)
        kind = np.repeat([1, 0], [mesh.nodes, len(interval_of_carrier)])
        order = np.lexsort((kind, interval))  # controls before states: the factors stay sparser so
        sizes = np.where(kind == 1, f.nx, f.nu)[order]
        starts = np.empty(len(order), dtype=np.int64)
        starts[order] = np.cumsum(sizes) - sizes
        self.node_at, self.point_at = starts[: mesh.nodes], starts[mesh.nodes :][carrier]
        self.q_at = int(sizes.sum())
        self.end_at = self.q_at + f.nq
        self.nw = self.end_at + self.kernels.nt
        self.x_index = self.node_at[:, None] + np.arange(f.nx)
        self.u_index = self.point_at[:, None] + np.arange(f.nu)

    def _variable_scale(self) -> np.ndarray:
        sx, su, sq, st = self.scales
        return self.join(Point(np.tile(sx, (self.mesh.nodes, 1)), np.tile(su, (self.mesh.points, 1)), sq, st))

    def join(self, point: Point) -> np.ndarray:
        """Unknowns (nw,) from their parts."""
        w = np.empty(self.nw)
        w[self.x_index], w[self.u_index] = point.x, point.u
        w[self.q_at : self.end_at] = point.q
        w[self.end_at :] = point.end
        return w

    def take_apart(self, w: np.ndarray) -> Point:
        """Parts of the unknowns (nw,)."""
        end = float(w[self.end_at]) if self.kernels.nt else 1.0
        return Point(w[self.x_index], w[self.u_index], w[self.q_at : self.end_at], end)

    def densities(self) -> np.ndarray:
        """Weight of each unknown (nw,) in the cost: quadrature, discount and length of the interval."""
        d = self.weights * self.mesh.point_lengths
        result = np.ones(self.nw)
        result[self.x_index] = np.interp(self.mesh.node_times, self.mesh.point_times, d)[:, None]
        result[self.u_index] = 0.0
        np.add.at(result, self.u_index, d[:, None])
        return result

    # ------------------------------------------------------------------ groups

    def _path_group(self) -> Group:
        mesh, f, kernel = self.mesh, self.functions, self.kernels.path
        nx, nm, nz = f.nx, len(self.kernels.moving), kernel.nz
        count = np.arange(mesh.points)
        parts = [
            _entries(mesh.evaluation, nz, 0, np.arange(nx), self.node_at),
            _entries(mesh.differentiation, nz, nx, np.array(self.kernels.moving, dtype=int), self.node_at),
            (
                (count[:, None] * nz + nx + nm + np.arange(f.nu)).ravel(),
                self.u_index.ravel(),
                np.ones(self.u_index.size),
            ),
        ]
        tail = f.nq + self.kernels.nt
        shared = np.tile(self.q_at + np.arange(tail), mesh.points)
        parts.append(
            ((count[:, None] * nz + nz - tail + np.arange(tail)).ravel(), shared, np.ones(len(shared)))
        )
        place = _csr(parts, (nz * mesh.points, self.nw))
        return Group(kernel, place, np.vstack([mesh.point_times, mesh.point_lengths]), self.weights)

    def _linear(self) -> sp.csr_matrix:
        """Linear parts of the constraints: δ in the defects, and the ends of intervals, which come last."""
        mesh, components = self.mesh, np.arange(self.functions.nx)
        first = sum(g.kernel.nc * g.count for g in self.groups)
        defects = _entries(mesh.differentiation, self.kernels.path.nc, 0, components, self.node_at)
        ends = _entries(mesh.ends, len(components), first, components, self.node_at)
        return _csr([defects, ends], (first + len(components) * height(mesh.ends), self.nw))

    def _end_group(self, name: str, kernel: Kernel) -> Group:
        mesh = self.mesh
        if name == "final":
            node, weight = mesh.nodes - 1, np.exp(-self.kernels.rate * (mesh.breaks[-1] - mesh.breaks[0]))
        elif name == "initial":
            node, weight = 0, 0.0
        else:
            moment = self.kernels.problem.samples[int(name.split("_")[1])].time
            node, weight = int(np.argmin(np.abs(mesh.node_times - moment))), 1.0
        columns = np.append(self.x_index[node], np.arange(self.q_at, self.nw))
        place = sp.csr_matrix(
            (np.ones(kernel.nz), (np.arange(kernel.nz), columns)), shape=(kernel.nz, self.nw)
        )
        return Group(kernel, place, mesh.node_times[[[node]]], np.array([weight]))

    # ------------------------------------------------------------------ bounds

    def bounds(self, b: Bounds) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Lower and upper bounds of the unknowns and of the constraints, not scaled."""
        mesh, f = self.mesh, self.functions
        x_low, x_high = np.tile(b.x_lower, (mesh.nodes, 1)), np.tile(b.x_upper, (mesh.nodes, 1))
        for row, value in ((0, b.initial), (-1, b.final)):
            fixed = ~np.isnan(value)
            x_low[row, fixed] = x_high[row, fixed] = value[fixed]
        horizon = self.kernels.problem.horizon
        times = (horizon.lower, horizon.upper) if isinstance(horizon, FreeTime) else (0.0, 0.0)
        low = self.join(Point(x_low, np.tile(b.u_lower, (mesh.points, 1)), b.q_lower, times[0]))
        high = self.join(Point(x_high, np.tile(b.u_upper, (mesh.points, 1)), b.q_upper, times[1]))
        g_low, g_high = np.zeros(self.program.ng), np.zeros(self.program.ng)
        for group, name in zip(self.groups, ["path", *self.kernels.ends], strict=True):
            if name in b.constraints:
                lead = f.nx if name == "path" else 0
                for target, side in ((g_low, 0), (g_high, 1)):
                    target[group.rows].reshape(group.count, -1)[:, lead:] = b.constraints[name][side]
        return low, high, g_low, g_high

    def equations(self) -> list[bool]:
        """Return which constraints are equations for any parameters: dynamics and ends of intervals."""
        equal = np.ones(self.program.ng, dtype=bool)
        for group, name in zip(self.groups, ["path", *self.kernels.ends], strict=True):
            lead = self.functions.nx if name == "path" else 0
            equal[group.rows].reshape(group.count, -1)[:, lead:] = False
        return equal.tolist()

    # ------------------------------------------------------------------ multipliers

    def slopes(
        self, w: np.ndarray, lam: np.ndarray, p: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gradients of the Lagrangian without bounds by w (nw,), p (np,) and the path's z (points, nz)."""
        by_w, by_p, by_z = self.program.linear.T @ lam, np.zeros(self.functions.np), np.zeros(0)
        for group in reversed(self.groups):
            by_z, part = group.slopes(w, p, group.weights, lam[group.rows])
            by_w = by_w + group.place.T @ by_z.reshape(-1)
            by_p = by_p + part
        return by_w, by_p, by_z

    def costates(self, lam: np.ndarray, by_z: np.ndarray) -> Interpolant:
        """Costates p = dV/dx (current value) by mesh time, from the multipliers and the slopes of the path.

        At both ends of each interval they are the exact derivatives of the discrete problem's cost. Inside,
        the multipliers of the collocation points are an order less accurate: what is given there is the
        integral of ṗ from the interval's start. An interval has nodes of its own, so that jumps are kept.
        """
        mesh, nx, nm = self.mesh, self.functions.nx, len(self.kernels.moving)
        multiplier = lam[self.path_group.rows].reshape(mesh.points, -1)[:, :nx]
        by_x, by_delta = by_z[:, :nx], multiplier.copy()
        by_delta[:, self.kernels.moving] += by_z[:, nx : nx + nm]
        ends = lam[len(lam) - height(mesh.ends) * nx :].reshape(-1, nx)
        inner = 0 if mesh.name == "steps" else mesh.degrees - (mesh.name == "radau")
        count = inner + np.full(mesh.size, 2)
        first = np.append(0, np.cumsum(count)[:-1])
        times, values = np.empty(count.sum()), np.empty((count.sum(), nx))
        for s, k in mesh.groups():
            at = mesh.first_point[k, None] + np.arange(len(s.points))
            x, delta = by_x[at], by_delta[at]
            start = np.einsum("i,kin->kn", s.evaluate[:, 0], x) + np.einsum(
                "i,kin->kn", s.differentiate[:, 0], delta
            )
            stop = -np.einsum("i,kin->kn", s.evaluate[:, -1], x) - np.einsum(
                "i,kin->kn", s.differentiate[:, -1], delta
            )
            if s.end is not None:
                start, stop = start + s.end[0] * ends[k], stop - s.end[-1] * ends[k]
            inside = (s.points > 0) & (s.points < 1)
            middle = start[:, None] - np.einsum("ij,kjn->kin", s.integrate, x / s.weights[:, None])
            rows = first[k, None] + np.arange(inside.sum() + 2)
            times[rows] = np.hstack(
                [mesh.breaks[k, None], mesh.point_times[at][:, inside], mesh.breaks[k + 1, None]]
            )
            values[rows] = np.concatenate([start[:, None], middle[:, inside], stop[:, None]], axis=1)
        values *= np.exp(self.kernels.rate * (times - mesh.breaks[0]))[:, None]
        if mesh.name == "steps":
            return Interpolant.sequence(mesh.node_times, np.vstack([values[first], values[-1:]]))
        return Interpolant(times, values, mesh.breaks, first, count)

    def defect_multipliers(self, p_points: np.ndarray, by_delta: np.ndarray) -> np.ndarray:
        """Multipliers of the defects (points, nx) from costates at the points and the cost's slopes by δ."""
        result = -self.weights[:, None] * p_points
        result[:, self.kernels.moving] -= by_delta
        return result


def _entries(
    matrix: sp.coo_matrix, stride: int, lead: int, components: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeat a (points, nodes) matrix for some components of the states, as (rows, columns, values)."""
    rows = matrix.row[:, None].astype(np.int64) * stride + lead + np.arange(len(components))
    columns = at[matrix.col][:, None] + components
    return rows.ravel(), columns.ravel(), np.repeat(matrix.data, len(components))


def _csr(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], shape: tuple[int, int]) -> sp.csr_matrix:
    rows, columns, values = (np.concatenate(items) for items in zip(*parts, strict=True))
    return sp.csr_matrix((values, (rows, columns)), shape=shape)
