"""L-BFGS on the gradient of the reverse sweep, as scipy has it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from ocnet.learning.training.gauss_newton import Report, State
from ocnet.learning.training.objective import Objective
from ocnet.learning.training.options import check_whole


@dataclass(frozen=True)
class LBFGS:
    """The limited-memory quasi-Newton method of scipy (L-BFGS-B without bounds).

    Parameters
    ----------
    iterations : int
        At most, on the whole horizon.
    stage_iterations : int
        At most, on each shorter one.
    memory : int
        Pairs of steps and gradient differences that are kept. They are not saved: a resumed run begins with
        none.
    """

    iterations: int = 10_000
    stage_iterations: int = 150
    memory: int = 20

    label = "L-BFGS"
    horizons = ()  # as far as the prediction follows the data
    tolerance = 1e-7  # the cost jumps by that much where the number of steps changes; line searches mind it

    def __post_init__(self) -> None:
        check_whole(self, "iterations", "stage_iterations", "memory")

    def run(self, objective: Objective, state: State, last: bool, report: Report) -> tuple[State, bool]:
        """Improve state["z"] on one horizon; return it and whether it came to rest."""
        best: tuple[float, np.ndarray] = (np.inf, state["z"])
        worst = 0.0

        def value(z: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal best, worst
            cost, slope = objective.gradient(z)
            if not np.isfinite(cost):  # the line search wants numbers; far above all others, it comes back
                return 2 * worst + 1, slope
            worst = max(worst, cost)
            if cost < best[0]:
                best = (cost, z.copy())
            return cost, slope

        def follow(_: np.ndarray) -> None:
            report(state | {"z": best[1]}, best[0])

        most = self.iterations if last else self.stage_iterations
        options = {
            "maxiter": most,
            "maxfun": 3 * most,
            "maxcor": self.memory,
            "ftol": 1e-12 if last else 1e-6,
        }
        found = minimize(value, state["z"], jac=True, method="L-BFGS-B", callback=follow, options=options)
        return state | {"z": best[1]}, found.status == 0 and bool(np.isfinite(best[0]))
