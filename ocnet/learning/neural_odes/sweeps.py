"""Forward and reverse sweeps over many trajectories: memory and errors around the compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from ocnet.errors import SimulationError
from ocnet.learning.neural_odes import discrete_adjoint, runge_kutta
from ocnet.learning.neural_odes.compiled import interpreted
from ocnet.learning.neural_odes.dormand_prince import Tableau
from ocnet.learning.neural_odes.runge_kutta import DONE, STORE_FULL, Demand, Steps
from ocnet.learning.neural_odes.vector_field import VectorField

MOST_STEPS = 10_000  # of one trajectory
MOST_KEPT = 2**26  # numbers (512 MiB) of stage values kept for the reverse sweep; beyond, stages are repeated
LITTLE = (
    30_000  # trajectories × samples × instructions or parameters that plain Python does in about a second
)

_ADVICE = {
    runge_kutta.TOO_MANY_STEPS: "needs more than {most} steps. Shorten the horizon or loosen the tolerance",
    runge_kutta.STEP_TOO_SMALL: "needs steps below rounding: the solution has a singularity there",
    runge_kutta.NOT_FINITE: "finds no step with a finite right-hand side",
    runge_kutta.STIFF: (
        "is held back by stability, not by accuracy: the equations are stiff, and an explicit method "
        "wastes its steps. Differentiate model.problem(samples) by ocnet.learning's implicit adjoint"
    ),
}


class Sweeps:
    """One vector field under one Runge-Kutta method; keeps its arrays from call to call.

    Parameters
    ----------
    field : VectorField
    tableau : Tableau
    step : float
        Length of fixed steps; 0 chooses them from the tolerance.
    """

    def __init__(self, field: VectorField, tableau: Tableau, step: float) -> None:
        self.field, self.tableau, self.step = field, tableau, step
        rows, n, width = len(tableau.a), field.states, field.kernel.width
        self._k, self._bars, self._y = np.empty((rows, n)), np.empty((rows, n)), np.empty((3, n))
        self._scratch, self._work = np.empty((rows, width)), np.empty(width)
        self._capacity = 0
        self._keeps = True
        self._tried = False

    def forward(
        self, theta: np.ndarray, start: np.ndarray, initial: np.ndarray, times: np.ndarray, tolerance: float,
        *, once: bool = False,
    ) -> np.ndarray:  # fmt: skip
        """Return the states (trajectories, samples, n) at the sample times, and keep the steps.

        Parameters
        ----------
        theta : ndarray (P,)
        start : ndarray (trajectories,)
        initial : ndarray (trajectories, n)
        times : ndarray (trajectories, samples)
        tolerance : float
            Of one step, relative and absolute.
        once : bool
            A single result is wanted: where nothing is compiled yet, plain Python is quicker.

        Raises
        ------
        SimulationError
            Where a trajectory cannot be followed, and why.
        """
        count, n = initial.shape
        self._theta = np.concatenate([theta, self.field.constants])
        self._times = np.ascontiguousarray(times, dtype=float)
        values = np.empty((*times.shape, n))
        demand = Demand(tolerance, tolerance, self.step, MOST_STEPS)
        first = np.zeros(count + 1, dtype=np.int64)
        of_sample = np.full(times.shape, -1, dtype=np.int64)
        size = max(self.field.parameters, len(self.field.kernel.table))
        little = times.size * size <= LITTLE
        self._plain = once and little and not runge_kutta.integrate.signatures and not self._tried
        self._tried = True
        begin, where = 0, np.empty(2 + n)
        if not self._capacity:
            self._grow(256)
        while True:
            steps = Steps(self._t, self._h, self._x, first, of_sample, self._traces)
            arguments = (
                self.field.kernel, self._theta, self.tableau, demand, start, initial, self._times, values,
                steps, self._k, self._y, self._scratch, begin, where,
            )  # fmt: skip
            status, begin = self._run(runge_kutta.integrate, arguments)
            if status != STORE_FULL:
                break
            self._grow(2 * self._capacity)
        self._steps = steps
        if status == DONE and not np.isfinite(values).all():  # fixed steps look at nothing on their way
            begin, m, _ = np.argwhere(~np.isfinite(values))[0]
            status, where[0], where[2:] = runge_kutta.NOT_FINITE, times[begin, m], values[begin, m]
        if status != DONE:
            name = f"trajectory {begin}" if count > 1 else "the trajectory"
            advice = _ADVICE[status].format(most=MOST_STEPS)
            raise SimulationError(
                f"neural ODE: {name} stopped at t = {where[0]:.6g} of {times[begin, -1]:.6g}, x = "
                f"{np.array2string(where[2:], precision=4, threshold=6)}: it {advice}."
            )
        return values

    @property
    def steps(self) -> int:
        """Number of accepted steps of the last forward sweep, of all trajectories."""
        return int(self._steps.first[-1])

    def reverse(self, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives by θ (P,) and by the initial states (trajectories, n) of Σ seeds·states."""
        theta_bar, initial_bar = np.zeros(len(self._theta)), np.empty((len(seeds), self.field.states))
        self._run(discrete_adjoint.reverse, (
            self.field.kernel, self._theta, self.tableau, self._times, self._steps,
            np.ascontiguousarray(seeds), theta_bar, initial_bar, self._k, self._bars, self._y,
            self._scratch, self._work,
        ))  # fmt: skip
        return theta_bar[: self.field.parameters], initial_bar

    def jacobian(self) -> np.ndarray:
        """Return the derivatives (trajectories, samples, n, P + n) of the states by θ and initial states."""
        rows, n = self._k.shape
        columns = self.field.parameters + n
        jacobian = np.empty((*self._times.shape, n, columns))
        self._run(discrete_adjoint.sensitivities, (
            self.field.kernel, self._theta, self.tableau, self._times, self._steps, jacobian, self._k,
            self._y, self._scratch, self._work, np.empty((n, n)), np.empty((n, len(self._theta))),
            np.empty((rows, n, columns)), np.empty((n, columns)), np.empty((n, columns)),
        ))  # fmt: skip
        return jacobian

    def _run(self, loops: Any, arguments: tuple[Any, ...]) -> Any:
        if self._plain:
            try:
                with np.errstate(all="ignore"):
                    return interpreted(loops)(*arguments)
            except (ArithmeticError, ValueError):  # Python raises where compiled loops go on with infinities
                self._plain = False
        return loops(*arguments)

    def _grow(self, capacity: int) -> None:
        rows, n, width = len(self.tableau.a), self.field.states, self.field.kernel.width
        kept = capacity if self._keeps and capacity * rows * width <= MOST_KEPT else 0
        t, h, x, traces = (
            np.empty(capacity),
            np.empty(capacity),
            np.empty((capacity, n)),
            np.empty((kept, rows, width)),
        )
        if self._capacity:
            old = self._capacity
            t[:old], h[:old], x[:old] = self._t, self._h, self._x
            if kept:
                traces[:old] = self._traces
        self._keeps = kept > 0
        self._t, self._h, self._x, self._traces, self._capacity = t, h, x, traces, capacity
