"""Learning all at once: states and parameters together by collocation, with no integration in the loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ocnet.errors import OptionError
from ocnet.learning.neural_odes.samples import Samples
from ocnet.learning.training.gauss_newton import Report, State
from ocnet.learning.training.objective import Objective
from ocnet.learning.training.options import check_number, check_whole
from ocnet.methods.collocation import Collocation
from ocnet.methods.result import Status
from ocnet.problem import Problem
from ocnet.solve import prepare

FAITHFUL = 1.1  # times the cost of the collocated states that the rollout may cost on the last horizon


@dataclass(frozen=True)
class AllAtOnce:
    """Collocation of model.problem(samples): θ is a constant control, the states start from the data.

    Parameters
    ----------
    degree : int
        Collocation points of an interval. Every sample time begins an interval.
    split : float
        The mesh is finer where the data move: an interval is cut into as many parts, up to four, as the
        change of the state over the root mean square of all data, times this number.
    horizons : tuple of float
        Shares of the sample times that are fitted one after the other, the last of them 1.
    stage_iterations, iterations : int
        Of the interior-point method on a shorter horizon and on the whole one. Where the rollout of θ on the
        whole horizon costs more than the collocated states do, the solve is repeated from there, three times
        at most: parameters that only satisfy a mesh have learned nothing.
    """

    degree: int = 3
    split: float = 2.0
    horizons: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    stage_iterations: int = 12
    iterations: int = 25

    label = "collocation"
    tolerance = 1e-5

    def __post_init__(self) -> None:
        check_whole(self, "degree", "stage_iterations", "iterations")
        check_number("AllAtOnce", "split", self.split, 0.0, 1e6)
        try:
            shares = np.asarray(self.horizons, dtype=float)
        except (TypeError, ValueError):
            shares = np.zeros(0)
        if (
            shares.ndim != 1
            or not shares.size
            or shares[-1] != 1
            or (np.diff(shares) <= 0).any()
            or shares[0] <= 0
        ):
            raise OptionError(
                f"AllAtOnce: horizons is {self.horizons!r:.60}; expected rising shares in (0, 1], the "
                "last one 1."
            )

    def run(self, objective: Objective, state: State, last: bool, report: Report) -> tuple[State, bool]:
        """Improve state["z"] on one horizon; return it and whether the rollout agrees with the states."""
        samples, free = objective.samples, objective.free
        count, n = samples.initial.shape
        theta, initial = objective.split(state["z"])
        problem = objective.model.problem(
            samples, theta=theta, weight_decay=objective.decay, learn_initial=free
        )
        times, values = _curve(samples, initial)
        self._refine(problem, samples, times, values)
        path = (times, values[:, 0] if count == 1 else values.transpose(0, 2, 1))
        options = {"max_iter": self.iterations if last else self.stage_iterations}
        solver = prepare(
            problem,
            Collocation(intervals=1, degree=self.degree, refine_to=None, polish=False, options=options),
        )
        rest = False
        for _ in range(4 if last else 1):
            guess = {"x": path, "theta": state["z"][: objective.parameters]}
            solution = solver.solve(guess=guess, tolerance=1e-4, throw=False)
            if solution.status is Status.INTERRUPTED:
                raise KeyboardInterrupt
            moments, first = np.unique(solution.time, return_index=True)
            path = (moments, solution.states["x"][first])
            begin = path[1][0] if count == 1 else path[1][0].T
            z = solution.unknowns["theta"]
            z = np.concatenate([z, begin.reshape(count * n)]) if free else z
            state = state | {"z": z}
            cost = objective.cost(z, objective.residuals(z))
            report(state, cost)
            rest = cost <= FAITHFUL * float(solution.cost)
            if rest:
                break
        return state, rest

    def _refine(self, problem: Problem, samples: Samples, times: np.ndarray, values: np.ndarray) -> None:
        """Put breaks of the mesh between samples where the data move far; a data term of 0 is a break."""
        x = problem.variables["x"].symbol
        size = np.sqrt(np.nanmean(np.sum(samples.values**2, axis=2)))
        moved = np.linalg.norm(np.diff(values, axis=0), axis=2).max(axis=1)
        parts = np.clip(np.ceil(self.split * moved / max(size, 1e-300)), 1, 4).astype(int)
        for left, right, count in zip(times[:-1], times[1:], parts, strict=True):
            for k in range(1, count):
                problem.cost_at(float(left + (right - left) * k / count), 0 * x[0])


def _curve(samples: Samples, initial: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sample times and, linear between observations, states (times, trajectories, n) there."""
    observed = samples.times[samples.observed.any(axis=2)]
    times = np.unique(np.append(observed, samples.start))
    values = np.empty((len(times), *initial.shape))
    for b, d in np.ndindex(*initial.shape):
        known = samples.observed[b, :, d] & (samples.times[b] > samples.start)
        own = np.append(samples.start, samples.times[b, known])
        values[:, b, d] = np.interp(times, own, np.append(initial[b, d], samples.values[b, known, d]))
    return times, values
