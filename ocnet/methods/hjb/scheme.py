"""The upwind scheme of a problem on one grid: its policy, its residual, and the solution of its equation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.differences import Differences
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.sweeps import directions, rates, sweep
from ocnet.one_sided import upwind

PORTION = 50_000  # nodes that are treated in one call of the Hamiltonian


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
    """

    def __init__(self, hamiltonian: Hamiltonian, grid: Grid, mirrored: bool, order: int) -> None:
        self.hamiltonian, self.grid, self.mirrored = hamiltonian, grid, mirrored
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
        """Return drift and stage cost; from value and gradient where the Hamiltonian knows no better."""
        own = getattr(self.hamiltonian, "upwind", None)
        if own is not None:
            return own(t, x, minus, plus)
        return upwind(self._value_and_flow, np.full(len(x), t), x, minus, plus)

    def _value_and_flow(self, t: np.ndarray, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.hamiltonian.value(t, x, p), self.hamiltonian.gradient(t, x, p)[1]

    def policy(
        self, values: np.ndarray, differences: Differences, t: float = 0.0, walls: bool = True
    ) -> Feedback:
        """Return the best feedback for the differences of grid values (size,), kept inside walls."""
        drift, stage = np.empty((self.count, self.grid.dimension)), np.empty(self.count)

        for first in range(0, self.count, PORTION):
            last = min(first + PORTION, self.count)
            minus, plus = differences.sides(values, first, last, walls)
            here = slice(first, last)
            drift[here], stage[here] = self.upwind(t, self.points[here], minus, plus)

        if not walls:
            return Feedback(drift, stage, 0.0)
        outside = np.where(self._face[0], np.fmax(-drift, 0), np.where(self._face[1], np.fmax(drift, 0), 0))
        leak = float(outside.max(initial=0.0))
        if leak > 0:
            drift[outside > 0] = 0.0
        return Feedback(drift, stage, leak)

    def operator(self, feedback: Feedback) -> Any:
        """Return what :meth:`relax` needs of a feedback."""
        return rates(feedback.drift, self.shape, self.spacing, self.rate)

    def relax(
        self, values: np.ndarray, operator: Any, source: np.ndarray, tolerance: float, rounds: int
    ) -> float:
        """Solve the monotone equation of a feedback by rounds of sweeps, in place; return the last change."""
        change = np.inf
        for _ in range(rounds):
            change = 0.0
            for way in self.directions:
                step = sweep(values, *operator, source, self.shape, way, self.mirrored)
                change = step if not step <= change else change
            if not change > tolerance:
                break
        return change

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
