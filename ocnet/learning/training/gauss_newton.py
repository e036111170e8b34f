"""Gauss and Newton's method with Levenberg's and Marquardt's damping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from ocnet.learning.training.objective import Objective
from ocnet.learning.training.options import check_whole

State = dict[str, np.ndarray]
Report = Callable[[State, float], None]


@dataclass(frozen=True)
class GaussNewton:
    """Damped Gauss-Newton steps: the choice for up to about a thousand parameters.

    Parameters
    ----------
    iterations : int
        At most, on the whole horizon.
    stage_iterations : int
        At most, on each shorter one.

    Notes
    -----
    The step solves (JᵀJ + λ)·step = −gradient. λ grows fourfold where a step does not lower the cost (or
    leads to a model that cannot be integrated) and shrinks where the cost falls as the quadratic model says.
    """

    iterations: int = 200
    stage_iterations: int = 50

    label = "Gauss-Newton"
    horizons = ()  # as far as the prediction follows the data
    tolerance = 1e-5

    def __post_init__(self) -> None:
        check_whole(self, "iterations", "stage_iterations")

    def run(self, objective: Objective, state: State, last: bool, report: Report) -> tuple[State, bool]:
        """Improve state["z"] on one horizon; return it and whether it came to rest."""
        z, damping, calm = state["z"], float(state.get("damping", 0.01)), int(state.get("calm", 0))
        residuals = objective.residuals(z)
        cost = objective.cost(z, residuals)
        small, rest = (1e-4 if last else 1e-2), False
        for _ in range(int(state.get("here", 0)), self.iterations if last else self.stage_iterations):
            if residuals is None:
                break
            matrix, slope = objective.normal_equations(z, residuals)
            if not np.isfinite(matrix).all():  # no derivative here
                break
            found = _step(objective, z, cost, matrix, slope, damping)
            rest = found is None
            if found is None:
                break
            before, (z, residuals, cost, damping) = cost, found
            calm = calm + 1 if before - cost < small * before else 0
            here = np.array(int(state.get("here", 0)) + 1)
            state = state | {"z": z, "damping": np.array(damping), "calm": np.array(calm), "here": here}
            report(state, cost)
            rest = calm >= 2
            if rest:
                break
        fresh = {"damping": np.array(min(damping, 0.01)), "calm": np.array(0), "here": np.array(0)}
        return state | fresh, rest


def _step(
    objective: Objective, z: np.ndarray, cost: float, matrix: np.ndarray, slope: np.ndarray, damping: float
) -> tuple[np.ndarray, np.ndarray | None, float, float] | None:
    """Return the next point, its residuals and cost and the damping, or None if no step lowers the cost."""
    for _ in range(15):
        try:
            factor = cho_factor(matrix + damping * np.eye(len(z)))
        except LinAlgError:
            damping *= 4
            continue
        step = cho_solve(factor, -slope)
        residuals = objective.residuals(z + step)
        new = objective.cost(z + step, residuals)
        if new < cost:
            share = (cost - new) / -(slope @ step + 0.5 * step @ matrix @ step)
            factor = 1 / 3 if share > 0.75 else 1.0 if share > 0.25 else 2.0
            return z + step, residuals, new, max(1e-8, factor * damping)
        damping *= 4
    return None
