"""Paths of a feedback into every basin near a state: where open-loop methods start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ocnet.control_law import ControlLaw
from ocnet.errors import ProblemError
from ocnet.problem import Problem
from ocnet.trajectory import Interpolant, Trajectory

if TYPE_CHECKING:
    from ocnet.value_function import ValueFunction

FADED = 1e5  # 1 over the discount at which a path on an infinite horizon is cut
NODES = 40  # of a guess
APART = 0.05  # of the box: ends of paths that lie in different basins


class FeedbackPath(Trajectory):
    """A path of the feedback with costates ∇v along it, as a guess.

    Attributes
    ----------
    p : Interpolant
        Costates, flat.
    """

    def __init__(self, problem: Problem, x: Interpolant, u: ControlLaw, p: Interpolant) -> None:
        f = problem.functions
        layouts = [[(v.name, v.shape) for v in group] for group in (f.states, f.controls)]
        super().__init__(problem.name, lambda: str(problem), x, u, *layouts)
        self.p = p


def feedback_paths(
    value: ValueFunction, problem: Problem, parameters: Mapping[str, Any] | None = None
) -> list[FeedbackPath]:
    """Follow the feedback from the initial state, and from states a few nodes away that end elsewhere.

    Near a Skiba set, where the best of two basins changes, an error of the value function may lead into the
    wrong one: a path into each of them lets an open-loop method decide.

    Parameters
    ----------
    value : ValueFunction
        In continuous time.
    problem : Problem
        With the states, controls and Hamiltonian of the value function.
    parameters : mapping, optional
        Values by name, for the initial state.

    Returns
    -------
    list of FeedbackPath
        The one from the initial state first.

    Raises
    ------
    ProblemError
        If a component of the initial state is free, or in discrete time.
    """
    f = problem.functions
    values = problem.parameter_values(parameters)
    x0 = f.bounds(f.pack(values, "parameter") if values else np.zeros(0)).initial
    if np.isnan(x0).any():
        label = f.labels("state")[int(np.flatnonzero(np.isnan(x0))[0])]
        raise ProblemError(
            f"Problem '{problem.name}', guess: {label} is free at the start; a value function seeds problems "
            "with a prescribed initial state. Minimise it over the initial states first."
        )
    low, high = np.array(value.grid.lower), np.array(value.grid.upper)
    width = 3 * (high - low) / (np.array(value.grid.shape) - 1)
    around = np.vstack([x0, x0 + np.diag(width), x0 - np.diag(width)])
    start, end = (0.0, np.log(FADED) / value.rate) if value.time is None else value.time[[0, -1]].tolist()
    times = start + (end - start) * np.linspace(0, 1, NODES + 1) ** 2
    loop = value.closed_loop(np.clip(around, low, high), end, at=times)
    chosen: list[int] = []
    for k in range(len(around)):
        far = [np.abs((loop.x[-1, k] - loop.x[-1, j]) / (high - low)).max() > APART for j in chosen]
        if all(far):
            chosen.append(k)
    return [_path(value, problem, loop.time, np.clip(loop.x[:, k], low, high)) for k in chosen]


def _path(value: ValueFunction, problem: Problem, times: np.ndarray, x: np.ndarray) -> FeedbackPath:
    """Turn states (M, n) at the times into a guess; they are linear between."""
    K = len(times) - 1
    moments = times.tolist() if value.time is not None else [None] * len(times)
    costates = np.array([value.gradient(s, t) for s, t in zip(x, moments, strict=True)])
    mesh = (times, np.arange(K), np.full(K, 2))
    X, P = (Interpolant(times, y, *mesh) for y in (x, costates))
    H = problem.hamiltonian
    return FeedbackPath(problem, X, ControlLaw(lambda t: H.control(t, X(t), P(t)), times, *mesh), P)
