"""The upwind scheme of a problem on one grid: its policy, its residual, and the solution of its equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocnet.errors import SolveError
from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.differences import Differences
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.pipeline import sweep_round
from ocnet.methods.hjb.sweeps import directions, rates
from ocnet.methods.hjb.threads import each
from ocnet.one_sided import upwind

PORTION = 8192  # nodes that are treated in one call
FEW, MANY = 3, 8  # portions that are worth a second thread: of much work for each node, and of little


@dataclass
class Feedback:
    """What the best control does at the first nodes: the drift (count, n) and the stage cost (count,)."""

    drift: np.ndarray
    stage: np.ndarray
    leak: float  # largest speed out of the box that no control prevents


class Scheme:
    """One grid, one Hamiltonian.

    Parameters
    ----------
    hamiltonian : Hamiltonian
    grid : Grid
    mirrored : bool
        Whether v(−x) = v(x), so that the first half of the nodes is enough.
    order : int
        Of the accurate differences; the monotone ones have order 1.
    threads : int
        No result depends on it.
    """

    def __init__(
        self, hamiltonian: Hamiltonian, grid: Grid, mirrored: bool, order: int, threads: int = 1
    ) -> None:
        self.hamiltonian, self.grid, self.mirrored = hamiltonian, grid, mirrored
        self.threads = threads
        self.together = threads if getattr(hamiltonian, "concurrent", False) else 1
        self.rate = hamiltonian.rate
        self.count = (grid.size + 1) // 2 if mirrored else grid.size
        self.points = grid.points(self.count)
        self.monotone, self.accurate = Differences(grid, 1), Differences(grid, order)
        self.shape = self.monotone.shape
        self.spacing = np.zeros((grid.dimension, max(grid.shape) - 1))
        for d, nodes in enumerate(grid.axes):
            self.spacing[d, : len(nodes) - 1] = np.diff(nodes)
        self.finest = np.array([np.diff(nodes).min() for nodes in grid.axes])
        self.directions = directions(grid.dimension)
        self._face = self._faces()

    def _faces(self) -> tuple[np.ndarray, np.ndarray]:
        low = self.points <= np.array(self.grid.lower)
        high = self.points >= np.array(self.grid.upper)
        return low, high

    def upwind(
        self, t: float, x: np.ndarray, minus: np.ndarray, plus: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return drift and stage cost; from value and gradient where the Hamiltonian knows no better.

        SolveError where they are not finite: such a node would be a place to rest for nothing.
        """
        own = getattr(self.hamiltonian, "upwind", None)
        if own is not None:
            drift, stage = own(t, x, minus, plus)
        else:
            drift, stage = upwind(self._value_and_flow, np.full(len(x), t), x, minus, plus)
        fine = np.isfinite(stage) & np.isfinite(drift).all(axis=1)
        if not fine.all():
            k = int(np.argmin(fine))
            raise SolveError(
                "solve_hjb: the minimised Hamiltonian is not a finite number at x = "
                f"{np.array2string(x[k], precision=4)}; expected finite dynamics and costs at all nodes. "
                "Take a grid without that state: another box, or other numbers of nodes."
            )
        return drift, stage

    def _value_and_flow(self, t: np.ndarray, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.hamiltonian.value(t, x, p), self.hamiltonian.gradient(t, x, p)[1]

    def policy(
        self, values: np.ndarray, differences: Differences, t: float = 0.0, walls: bool = True
    ) -> Feedback:
        """Return the best feedback for the differences of grid values (size,), kept inside walls."""
        drift, stage = np.empty((self.count, self.grid.dimension)), np.empty(self.count)
        leaks: list[float] = []

        def decide(here: slice) -> None:
            minus, plus = differences.sides(values, here.start, here.stop, walls)
            f, stage[here] = self.upwind(t, self.points[here], minus, plus)
            if walls:
                low, high = self._face[0][here], self._face[1][here]
                outside = np.where(low, np.fmax(-f, 0), np.where(high, np.fmax(f, 0), 0))
                leaks.append(float(outside.max(initial=0.0)))
                f = np.where(outside > 0, 0.0, f) if leaks[-1] > 0 else f
            drift[here] = f

        self.everywhere(decide, self.together, FEW)
        return Feedback(drift, stage, max(leaks, default=0.0))

    def residual(self, values: np.ndarray, differences: Differences, feedback: Feedback) -> np.ndarray:
        """Return stage + drift·p − rate·v (count,) at the first nodes, p from the side of the drift."""
        result = np.empty(self.count)

        def compute(here: slice) -> None:
            drift, stage = feedback.drift[here], feedback.stage[here]
            result[here] = differences.residual(values, drift, stage, self.rate, here.start)

        self.everywhere(compute, self.threads)
        return result

    def operator(self, feedback: Feedback) -> Any:
        """Return what the sweeps need of a feedback; see :func:`ocnet.methods.hjb.sweeps.rates`."""
        weights, inverse = np.empty(feedback.drift.shape, dtype=np.float32), np.empty(self.count)

        def compute(here: slice) -> None:
            drift = feedback.drift[here]
            weights[here], inverse[here] = rates(drift, self.shape, self.spacing, self.rate, here.start)

        self.everywhere(compute, self.threads)
        return weights, inverse

    def everywhere(self, task: Callable[[slice], None], threads: int, fewest: int = MANY) -> None:
        """Treat all nodes in portions of a fixed size, on one thread where they are fewer than `fewest`."""

        def part(number: int) -> None:
            task(slice(number * PORTION, min((number + 1) * PORTION, self.count)))

        portions = -(-self.count // PORTION)
        each(part, portions, threads if portions >= fewest else 1)

    def swept(self, values: np.ndarray, weights: np.ndarray, source: np.ndarray) -> float:
        """Sweep once in each direction over values (size,), in place, and return the largest change."""
        shape, ways = self.shape, self.directions
        change = sweep_round(values, weights, source, shape, ways, self.mirrored, self.threads)
        if self.mirrored:
            values[self.count :] = values[: self.grid.size - self.count][::-1]
        return change

    def kinks(self, values: np.ndarray, floor: float, stencils: np.ndarray) -> None:
        """Fill in which stencils (size,) grid values ask for; see :meth:`Differences.kinks`."""

        def look(here: slice) -> None:
            stencils[here] = self.accurate.kinks(values, floor, here.start, here.stop)

        self.everywhere(look, self.threads)
        if self.mirrored:
            stencils[self.count :] = stencils[: self.grid.size - self.count][::-1]

    def active(self, values: np.ndarray) -> float:
        """Return the share of the nodes on faces at which the best control without walls leaves the box."""
        on_face = np.flatnonzero((self._face[0] | self._face[1]).any(axis=1))
        leaving = 0
        for first in range(0, len(on_face), PORTION):
            rows = on_face[first : first + PORTION]
            minus, plus = self.accurate.sides(values, int(rows[0]), int(rows[-1]) + 1, False)
            here = rows - rows[0]
            drift = self.upwind(0.0, self.points[rows], minus[here], plus[here])[0]
            out = (self._face[0][rows] & (drift < 0)) | (self._face[1][rows] & (drift > 0))
            leaving += int(out.any(axis=1).sum())
        return leaving / len(on_face)
