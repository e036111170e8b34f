"""Adam: gradient steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ocnet.learning.training.gauss_newton import Report, State
from ocnet.learning.training.objective import Objective
from ocnet.learning.training.options import check_number, check_whole


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1) on the gradient of the reverse sweep.

    Parameters
    ----------
    rate : float
        Length of a step, about, in every component; on a horizon it falls to a tenth along a cosine.
    iterations : int
        On the whole horizon.
    stage_iterations : int
        On each shorter one.
    """

    rate: float = 0.01
    iterations: int = 4000
    stage_iterations: int = 200

    label = "Adam"
    horizons = ()  # as far as the prediction follows the data

    def __post_init__(self) -> None:
        check_whole(self, "iterations", "stage_iterations")
        check_number("Adam", "rate", self.rate, 1e-8, 10.0)

    def run(self, objective: Objective, state: State, last: bool, report: Report) -> tuple[State, bool]:
        """Improve state["z"] on one horizon; return it and whether it came to rest, which Adam never does."""
        z = good = state["z"]
        zero = np.zeros_like(z)
        mean, square = state.get("mean", zero), state.get("square", zero)
        count, total = int(state.get("count", 0)), self.iterations if last else self.stage_iterations
        for here in range(int(state.get("here", 0)), total):
            cost, slope = objective.gradient(z)
            if not np.isfinite(cost):  # this model cannot be integrated: back towards the last one that can
                z = (z + good) / 2
                continue
            good = z
            kept = {"z": z, "mean": mean, "square": square, "count": np.array(count), "here": np.array(here)}
            state = state | kept
            report(state, cost)
            count += 1
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            rate = self.rate * (0.55 + 0.45 * np.cos(np.pi * here / total))
            z = z - rate * mean / (1 - 0.9**count) / (np.sqrt(square / (1 - 0.999**count)) + 1e-8)
        return state | {"here": np.array(0)}, False
