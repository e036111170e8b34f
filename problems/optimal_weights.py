"""The optimal law W* = βD of weight programs, and the network under it (for problems.weight_program)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import casadi as ca
import numpy as np
from scipy.integrate import DOP853

from ocnet.errors import SimulationError
from ocnet.networks import Activation, additive, recall
from ocnet.problem import Problem
from ocnet.trajectory import Interpolant

Index = Literal["activation", "output", "both"]
Rule = Callable[[np.ndarray], np.ndarray]


@dataclass(eq=False, repr=False)
class WeightProgram(Problem):
    """A weight program: a Problem that remembers its data and knows its optimal law.

    Attributes
    ----------
    targets : ndarray (n, L)
        Desired outputs Θ.
    start : ndarray (n, L)
        Activations at t0.
    beta : float
        Weight of Q; its inverse is the price of the synapses.
    g : Activation
    index : {"activation", "output", "both"}
        What is correlated with the targets.
    """

    targets: np.ndarray = field(kw_only=True)
    start: np.ndarray = field(kw_only=True)
    beta: float = field(kw_only=True)
    g: Activation = field(kw_only=True)
    index: Index = field(kw_only=True)

    def index_value(self, z: np.ndarray) -> float:
        """Return φ at activations z (n, L)."""
        parts = {"activation": lambda: z, "output": lambda: self.g(z), "both": lambda: z + self.g(z)}
        return float(np.sum(self.targets * parts[self.index]()))

    def index_gradient(self, z: Any) -> Any:
        """Return ∇φ, (n, L), at activations z: an array (..., n, L) or a CasADi expression (n, L)."""
        symbolic = isinstance(z, ca.MX)
        theta = ca.MX(ca.DM(self.targets)) if symbolic else self.targets
        if self.index == "activation":
            return theta if symbolic else np.broadcast_to(theta, z.shape)
        slope = self.g.derivative(z)
        return theta * (slope if self.index == "output" else 1 + slope)

    def optimal_weights(self, z: np.ndarray) -> np.ndarray:
        """Return W* = β ∇φ Gᵀ (10) at activations z (..., n, L) -> (..., n, n)."""
        return self.beta * self.index_gradient(z) @ np.swapaxes(self.g(z), -1, -2)


def iterate(made: WeightProgram, rule: Rule, steps: int) -> np.ndarray:
    """Return the activations (steps + 1, n, L) under the weights W = rule(z)."""
    z = [made.start]
    for _ in range(steps):
        z.append(recall(z[-1], rule(z[-1]), made.g))
    return np.array(z)


def optimal_sequence(made: WeightProgram, steps: int) -> Interpolant:
    """Return Z(k) under W*, flat (steps + 1, nL)."""
    return Interpolant.sequence(np.arange(steps + 1.0), flat(iterate(made, made.optimal_weights, steps)))


def optimal_path(made: WeightProgram, tf: float) -> tuple[Interpolant, float]:
    """Return Z(t) under W*, flat, and the estimated error of interpolating it and W*, relative to 1 + |x|.

    The mesh is doubled until that is small.
    """
    degree, intervals = 8, 60
    path, error = _on_mesh(made, tf, intervals, degree), np.inf
    while error > 1e-10 and intervals < 4000:
        intervals *= 2
        finer = _on_mesh(made, tf, intervals, degree)
        coarse = path(finer.time)
        gaps = [np.abs(coarse - finer.values) / (1 + np.abs(finer.values))]
        W, coarse_W = (made.optimal_weights(matrices(values, made)) for values in (finer.values, coarse))
        gaps.append(np.abs(coarse_W - W) / (1 + np.abs(W)))
        path, error = finer, max(float(gap.max()) for gap in gaps)
    return path, max(error / 2**degree, 1e-13)


def _on_mesh(made: WeightProgram, tf: float, intervals: int, degree: int) -> Interpolant:
    """Integrate to every node of a uniform mesh of Chebyshev-Lobatto points."""
    nodes = (1 - np.cos(np.pi * np.arange(degree) / degree)) / 2
    breaks = np.linspace(0.0, tf, intervals + 1)
    moments = np.append((breaks[:-1, None] + np.diff(breaks)[:, None] * nodes).reshape(-1), tf)

    def rate(_: float, flat: np.ndarray) -> np.ndarray:
        z = flat.reshape(made.start.shape)
        return additive(z, made.optimal_weights(z), made.g).reshape(-1)

    values, step = [made.start.reshape(-1)], None
    for t, end in pairwise(moments):
        first = None if step is None else min(step, end - t)
        solver = DOP853(rate, t, values[-1], end, rtol=1e-13, atol=1e-13, first_step=first)
        while solver.status == "running":
            solver.step()
        if solver.status == "failed" or not np.isfinite(solver.y).all():
            raise SimulationError(f"'{made.name}': the network leaves all bounds near t = {solver.t:g}.")
        values.append(solver.y)
        step = solver.h_abs
    first_node = np.arange(intervals) * degree
    return Interpolant(moments, np.array(values), breaks, first_node, np.full(intervals, degree + 1))


def flat(values: np.ndarray) -> np.ndarray:
    """Flatten (M, n, m) into (M, nm)."""
    return values.reshape(len(values), -1)


def matrices(values: np.ndarray, made: WeightProgram) -> np.ndarray:
    """Return flat activations (M, nL) as (M, n, L)."""
    return values.reshape(-1, *made.start.shape)
