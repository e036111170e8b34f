"""Adam: gradient steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ocnet.learning.training.gauss_newton import Report, State
from ocnet.learning.training.gradient_steps import follow
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
    tolerance = 1e-5

    def __post_init__(self) -> None:
        check_whole(self, "iterations", "stage_iterations")
        check_number("Adam", "rate", self.rate, 1e-8, 10.0)

    def run(self, objective: Objective, state: State, last: bool, report: Report) -> tuple[State, bool]:
        """Improve state["z"] on one horizon; return it and whether it came to rest, which Adam never does."""
        total = self.iterations if last else self.stage_iterations
        return follow(objective, state, total, self._step, report), False

    def _step(self, slope: np.ndarray, state: State, share: float) -> tuple[np.ndarray, State]:
        count = int(state.get("count", 0)) + 1
        mean = 0.9 * state.get("mean", 0.0) + 0.1 * slope
        square = 0.999 * state.get("square", 0.0) + 0.001 * slope**2
        rate = self.rate * (0.55 + 0.45 * np.cos(np.pi * share))
        step = -rate * mean / (1 - 0.9**count) / (np.sqrt(square / (1 - 0.999**count)) + 1e-8)
        return step, {"mean": mean, "square": square, "count": np.array(count)}
