"""The optimal law W* = βD of weight programs, and the network under it (for problems.weight_program)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import casadi as ca
import numpy as np
from scipy.integrate import DOP853, solve_ivp

from ocnet.errors import SimulationError
from ocnet.horizon import Finite, Steps
from ocnet.networks import Activation, additive, recall
from ocnet.networks.weights import Index
from ocnet.problem import Problem
from ocnet.trajectory import Interpolant

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
    """Return the activations (steps + 1, n, L) under the weights W = rule(z).

    Raises
    ------
    SimulationError
        If they grow beyond all numbers, as they may where the activation has no bounds.
    """
    z = [made.start]
    for k in range(steps):
        with np.errstate(over="ignore", invalid="ignore"):
            z.append(recall(z[-1], rule(z[-1]), made.g))
        if not np.isfinite(z[-1]).all():
            raise SimulationError(f"'{made.name}': the network leaves all bounds at step {k + 1}.")
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


def rollout(made: WeightProgram) -> dict[str, Any] | None:
    """Return constant weights and what the network does under them; None if that grows without bounds.

    They take from (10) what is known at t0 and from (11) the diagonal. For n = 8, L = 14 IPOPT needs 25 to 40
    iterations from there (80 for one instance in five), and 45 to 125 from the outer-product rule itself.
    """
    W = (made.optimal_weights(made.start) + np.diag(made.beta * np.sum(made.targets**2, axis=1))) / 2
    if isinstance(made.horizon, Steps):
        try:
            z = iterate(made, lambda _: W, cast(int, made.horizon.n))
        except SimulationError:
            return None
        moments = np.arange(len(z), dtype=float)
    else:
        moments = np.linspace(0.0, cast(Finite, made.horizon).tf, 201)
        shape = made.start.shape

        def rate(_: float, flat: np.ndarray) -> np.ndarray:
            return additive(flat.reshape(shape), W, made.g).reshape(-1)

        path = solve_ivp(
            rate, (0.0, moments[-1]), made.start.reshape(-1), t_eval=moments, rtol=1e-6, atol=1e-6
        )
        if not path.success:
            return None
        z = path.y.T.reshape(-1, *shape)
    return {"W": W, "z": (moments, z)} if np.abs(z).max() < 1e6 else None


@dataclass(frozen=True)
class LearningCurve:
    """What the paper's Figures 1 and 2 show, iteration by iteration; the arrays have shape (steps + 1,).

    Attributes
    ----------
    cosine_activation : ndarray
        cos∠(θ, x), over all n·L components.
    cosine_output : ndarray
        cos∠(θ, g(x)).
    bit_errors : ndarray of int
        Number of components of x whose sign is not that of θ.
    """

    cosine_activation: np.ndarray
    cosine_output: np.ndarray
    bit_errors: np.ndarray


def learning_curve(made: WeightProgram, z: np.ndarray) -> LearningCurve:
    """Return the learning curve of activations (steps + 1, n, L)."""

    def cosine(values: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(values, axis=(1, 2)) * np.linalg.norm(made.targets)
        products = np.sum(values * made.targets, axis=(1, 2))
        return np.divide(products, norms, out=np.full(len(values), np.nan), where=norms > 0)

    wrong = np.sum(np.sign(z) != np.sign(made.targets), axis=(1, 2))
    return LearningCurve(cosine(z), cosine(made.g(z)), wrong)


def flat(values: np.ndarray) -> np.ndarray:
    """Flatten (M, n, m) into (M, nm)."""
    return values.reshape(len(values), -1)


def matrices(values: np.ndarray, made: WeightProgram) -> np.ndarray:
    """Return flat activations (M, nL) as (M, n, L)."""
    return values.reshape(-1, *made.start.shape)
