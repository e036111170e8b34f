"""Meshes: intervals and degrees, the sparse matrices that a transcription needs, and their refinement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from ocnet.methods.scheme import Scheme, differentiation, interpolation, probe, scheme
from ocnet.trajectory import Interpolant


@dataclass(frozen=True, eq=False)
class Mesh:
    """Intervals with a polynomial degree each.

    Parameters
    ----------
    breaks : ndarray (K + 1,)
        Ends of the intervals, ascending (fractions of the final time when that is free).
    degrees : ndarray of int (K,)
        Collocation points of each interval.
    name : str
        Scheme: "radau", "gauss" or "steps".

    Notes
    -----
    Nodes (where states are unknowns) and points (where the dynamics hold) are numbered along time; the last
    node of an interval is the first of the next.
    """

    breaks: np.ndarray
    degrees: np.ndarray
    name: str

    @classmethod
    def steps(cls, n: int) -> Mesh:
        """Make the mesh of a discrete-time problem with n steps."""
        return cls(np.arange(n + 1.0), np.ones(n, int), "steps")

    def scheme(self, k: int) -> Scheme:
        """Scheme of interval k."""
        return scheme(self.name, int(self.degrees[k]))

    @property
    def size(self) -> int:
        """Number of intervals."""
        return len(self.degrees)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Lengths of the intervals (K,)."""
        return np.diff(self.breaks)

    @cached_property
    def node_count(self) -> np.ndarray:
        """Nodes of each interval, shared ones included (K,)."""
        return np.array([len(self.scheme(k).nodes) for k in range(self.size)])

    @cached_property
    def first_node(self) -> np.ndarray:
        """Number of the first node of each interval (K,)."""
        return np.append(0, np.cumsum(self.node_count - 1)[:-1])

    @cached_property
    def nodes(self) -> int:
        """Number of all nodes."""
        return int((self.node_count - 1).sum()) + 1

    @cached_property
    def first_point(self) -> np.ndarray:
        """Number of the first point of each interval (K,)."""
        return np.append(0, np.cumsum(self.degrees)[:-1])

    @cached_property
    def points(self) -> int:
        """Number of all points."""
        return int(self.degrees.sum())

    @cached_property
    def node_times(self) -> np.ndarray:
        """Times of the nodes."""
        times = np.empty(self.nodes)
        for k in range(self.size):
            start = self.first_node[k]
            times[start : start + self.node_count[k]] = (
                self.breaks[k] + self.lengths[k] * self.scheme(k).nodes
            )
        times[np.append(self.first_node, self.nodes - 1)] = self.breaks
        return times

    @cached_property
    def point_times(self) -> np.ndarray:
        """Times of the points."""
        times = [self.breaks[k] + self.lengths[k] * self.scheme(k).points for k in range(self.size)]
        result = np.concatenate(times)
        if self.name == "radau":
            result[self.first_point + self.degrees - 1] = self.breaks[1:]
        return result

    @cached_property
    def interval_of_point(self) -> np.ndarray:
        """Interval of each point."""
        return np.repeat(np.arange(self.size), self.degrees)

    @cached_property
    def point_lengths(self) -> np.ndarray:
        """Length of the interval of each point (1 for steps)."""
        return self.lengths[self.interval_of_point]

    @cached_property
    def point_weights(self) -> np.ndarray:
        """Quadrature weight of each point on its unit interval."""
        return np.concatenate([self.scheme(k).weights for k in range(self.size)])

    def _matrix(
        self, rows: Callable[[Scheme], np.ndarray], first_row: np.ndarray, count: int
    ) -> sp.coo_matrix:
        i, j, v = [], [], []
        for s, k in self.groups():
            block = rows(s)
            r, c = np.nonzero(block)
            i.append((first_row[k, None] + r).ravel())
            j.append((self.first_node[k, None] + c).ravel())
            v.append(np.tile(block[r, c], len(k)))
        entries = (np.concatenate(v), (np.concatenate(i), np.concatenate(j)))
        return sp.coo_matrix(entries, shape=(count, self.nodes))

    @cached_property
    def evaluation(self) -> sp.coo_matrix:
        """(points, nodes): states at the points."""
        return self._matrix(
            lambda s: np.where(np.abs(s.evaluate) > 1e-14, s.evaluate, 0), self.first_point, self.points
        )

    @cached_property
    def differentiation(self) -> sp.coo_matrix:
        """(points, nodes): derivatives at the points with respect to the unit interval."""
        return self._matrix(lambda s: s.differentiate, self.first_point, self.points)

    @cached_property
    def ends(self) -> sp.coo_matrix:
        """(K or 0, nodes): the relations that define end nodes without a collocation point."""
        if self.name != "gauss":
            return sp.coo_matrix((0, self.nodes))

        def row(s: Scheme) -> np.ndarray:
            return np.zeros((0, len(s.nodes))) if s.end is None else s.end[None, :]

        return self._matrix(row, np.arange(self.size), self.size)

    def groups(self) -> Iterator[tuple[Scheme, np.ndarray]]:
        """Iterate over (scheme, numbers of the intervals that have it)."""
        for degree in np.unique(self.degrees):
            yield scheme(self.name, int(degree)), np.flatnonzero(self.degrees == degree)

    def states(self, values: np.ndarray, scale: float = 1.0) -> Interpolant:
        """Interpolant of states (nodes, n); `scale` turns mesh times into times."""
        if self.name == "steps":
            return Interpolant.sequence(self.node_times, values)
        return Interpolant(
            self.node_times * scale, values, self.breaks * scale, self.first_node, self.node_count
        )

    def controls(
        self, values: np.ndarray, scale: float = 1.0, limits: tuple[np.ndarray, np.ndarray] | None = None
    ) -> Interpolant:
        """Interpolant of controls (points, n), cut to their bounds between the points."""
        discrete = self.name == "steps"
        breaks = self.breaks * scale
        return Interpolant(
            self.point_times * scale, values, breaks, self.first_point, self.degrees, discrete, limits
        )

    def error(self, x: Interpolant, u: Interpolant, along: Evaluation) -> Errors:
        """Estimate the errors on each interval, between and at the collocation points.

        States: the right-hand side along the interpolated states and controls is integrated, with more points
        than the scheme has, from each interval's start, and compared with the states, relative to 1 + |x|.
        Cost: the error of its quadrature plus the residual of the dynamics weighted by the costates, which is
        to first order what the cost would change by if these controls were applied to the true dynamics.
        Control: how far the polynomials are from minimising the Hamiltonian between the points.

        Parameters
        ----------
        x, u : Interpolant
            On the times of this mesh.
        along : callable
            (t (M,), x (M, nx), u (M, nu)) -> :class:`Along` evaluated there.

        Returns
        -------
        Errors
        """
        result = Errors(*(np.zeros(self.size) for _ in range(4)))
        scale = 1.0 + np.abs(x.values).max(axis=0)
        for s, intervals in self.groups():
            fine, weights, running = probe(len(s.points))
            count, places = len(fine), np.append(fine, 1.0)
            starts, lengths = self.breaks[intervals, None], self.lengths[intervals, None]
            nodes = x.values[self.first_node[intervals, None] + np.arange(len(s.nodes))]
            inputs = u.values[self.first_point[intervals, None] + np.arange(len(s.points))]
            states = np.einsum("ij,kjn->kin", interpolation(s.nodes, places), nodes)
            times = np.concatenate([starts + lengths * fine, starts + lengths * s.points], axis=1)
            at = np.concatenate([states[:, :-1], np.einsum("ij,kjn->kin", s.evaluate, nodes)], axis=1)
            between = np.einsum("ij,kjn->kin", interpolation(s.points, fine), inputs)
            if u.limits is not None:
                between = np.clip(between, *u.limits)
            inputs = np.concatenate([between, inputs], axis=1)
            here = along(times.reshape(-1), at.reshape(times.size, -1), inputs.reshape(times.size, -1))
            slope, costate = (a.reshape(*times.shape, -1) for a in (here.slope, here.costate))
            rate, gap, off = (a.reshape(times.shape) for a in (here.rate, here.gap, here.control))
            moved = np.einsum("ij,kjn->kin", running, slope[:, :count]) * lengths[:, :, None]
            result.states[intervals] = (np.abs(nodes[:, :1] + moved - states) / scale).max(axis=(1, 2))
            missed = here.violation.reshape(times.shape)[:, :count].max(axis=1)
            result.states[intervals] = np.maximum(result.states[intervals], missed)
            speed = np.einsum("ij,kjn->kin", differentiation(s.nodes, fine), nodes) / lengths[:, :, None]
            extra = rate[:, :count] + np.einsum("kin,kin->ki", costate[:, :count], slope[:, :count] - speed)
            result.cost[intervals] = (extra @ weights - rate[:, count:] @ s.weights) * lengths[:, 0]
            result.shape[intervals] = gap[:, :count] @ weights * lengths[:, 0]
            result.control[intervals] = off[:, :count].max(axis=1)
        return result


@dataclass
class Along:
    """What holds along a path, at M points: the times are those of the mesh.

    `slope` (M, nx) derivatives, `rate` (M,) stage cost with its discount, `costate` (M, nx) with the same
    discount, `gap` (M,) the discounted distance of the Hamiltonian from its minimum over the controls,
    `control` (M,) the distance of the controls from the minimiser, relative to 1 + |u|, `violation` (M,) by
    how much state bounds and path constraints are missed, relative to 1 + |bound|.
    """

    slope: np.ndarray
    rate: np.ndarray
    costate: np.ndarray
    gap: np.ndarray
    control: np.ndarray
    violation: np.ndarray


Evaluation = Callable[[np.ndarray, np.ndarray, np.ndarray], Along]  # t (M,), x (M, nx), u (M, nu)


@dataclass
class Errors:
    """Estimated errors by interval, each (K,).

    `states` and `control` are relative to 1 + |x| and 1 + |u|; `cost`, and what the `shape` of the control
    costs, have the unit of the cost.
    """

    states: np.ndarray
    cost: np.ndarray
    shape: np.ndarray
    control: np.ndarray
