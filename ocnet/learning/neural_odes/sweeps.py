"""Forward and reverse sweeps over many trajectories: memory and errors around the compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from ocnet.errors import SimulationError
from ocnet.learning.neural_odes import discrete_adjoint, runge_kutta
from ocnet.learning.neural_odes.compiled import meanwhile
from ocnet.learning.neural_odes.dormand_prince import Tableau
from ocnet.learning.neural_odes.runge_kutta import DONE, STORE_FULL, Demand, Steps
from ocnet.learning.neural_odes.vector_field import VectorField

MOST_STEPS = 10_000  # of one trajectory
FIRST_STORE = 64  # steps that there is memory for at first
MOST_KEPT = 2**26  # numbers (512 MiB) of stage values kept for the reverse sweep; beyond, stages are repeated

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
        rows, n = len(tableau.a), field.states
        self._k, self._k_bar, self._weights = np.zeros((n, rows)), np.zeros((n, rows)), np.zeros((1, rows))
        self._capacity = 0
        self._plain = False

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
            Not one of very many calls: while nothing is compiled, plain Python may do (see Meanwhile).

        Raises
        ------
        SimulationError
            Where a trajectory cannot be followed, and why.
        """
        count, n = initial.shape
        self._times = np.ascontiguousarray(times, dtype=float)
        values = np.empty((*times.shape, n))
        demand = Demand(tolerance, self.step, MOST_STEPS)
        first = self._first = np.zeros(count + 1, dtype=np.int64)
        of_sample = np.full(times.shape, -1, dtype=np.int64)
        kernels = runge_kutta.integrate, discrete_adjoint.reverse
        self._plain = once and meanwhile.suffices(self._seconds(FIRST_STORE), *kernels)
        begin = 0
        if not self._capacity:
            self._grow(FIRST_STORE)
        while True:
            self._values[: len(theta)] = theta
            steps = Steps(self._t, self._h, self._x, first, of_sample, self._values, self._stride)
            arguments = (
                self.field.kernel, self.tableau, demand, start, initial, self._times, values, steps, self._k,
                self._weights, begin,
            )  # fmt: skip
            status, begin, number = self._run(runge_kutta.integrate, arguments)
            if status != STORE_FULL:
                break
            self._plain = False  # too much for plain Python
            self._grow(2 * self._capacity)
        self._steps = steps
        t, x = self._t[number], self._x[number]
        if status == DONE and not np.isfinite(values).all():  # fixed steps look at nothing on their way
            begin, m, _ = np.argwhere(~np.isfinite(values))[0]
            status, t, x = runge_kutta.NOT_FINITE, times[begin, m], values[begin, m]
        if status != DONE:
            name = f"trajectory {begin}" if count > 1 else "the trajectory"
            advice = _ADVICE[status].format(most=MOST_STEPS)
            raise SimulationError(
                f"neural ODE: {name} stopped at t = {t:.6g} of {times[begin, -1]:.6g}, x = "
                f"{np.array2string(x, precision=4, threshold=6)}: it {advice}."
            )
        return values

    @property
    def steps(self) -> int:
        """Number of accepted steps of the last forward sweep, of all trajectories."""
        return int(self._steps.first[-1])

    def reverse(self, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives by θ (P,) and by the initial states (trajectories, n) of Σ seeds·states."""
        kernel = self.field.kernel
        bars, costate = np.empty(kernel.fixed + kernel.width), np.empty((len(seeds), kernel.states))
        self._run(discrete_adjoint.reverse, (
            kernel, self.tableau, self._times, self._steps, np.ascontiguousarray(seeds), costate, bars,
            self._k, self._k_bar, self._weights,
        ))  # fmt: skip
        return bars[: self.field.parameters], costate

    def jacobian(self) -> np.ndarray:
        """Return the derivatives (trajectories, samples, n, P + n) of the states by θ and initial states."""
        n, rows = self._k.shape
        kernel, columns = self.field.kernel, self.field.parameters + n
        jacobian = np.empty((*self._times.shape, n, columns))
        self._run(discrete_adjoint.sensitivities, (
            kernel, self.tableau, self._times, self._steps, jacobian, self._k, self._weights, np.eye(n),
            np.empty(kernel.fixed + kernel.width), np.empty((rows, n, columns)), np.empty((n, columns)),
            np.empty((n, columns)),
        ))  # fmt: skip
        return jacobian

    def _run(self, kernel: Any, arguments: tuple[Any, ...]) -> Any:
        if not self._plain:
            return kernel(*arguments)
        try:
            with np.errstate(all="ignore"):
                return kernel.py_func(*arguments)
        except (ArithmeticError, ValueError):  # Python raises where compiled loops go on with infinities
            self._plain = False
            return kernel(*arguments)
        finally:
            meanwhile.spent += self._seconds(int(self._first[-1]))

    def _seconds(self, steps: int) -> float:
        """Estimate how long plain Python takes for one sweep through so many steps."""
        return 1e-6 * steps * len(self.tableau.c) * (10 + 2 * len(self.field.kernel.table))

    def _grow(self, capacity: int) -> None:
        kernel, old = self.field.kernel, self._capacity
        rows = len(self.tableau.a) * kernel.width
        keeps = capacity * rows <= MOST_KEPT
        t, h, x = np.empty(capacity), np.empty(capacity), np.empty((capacity, kernel.states))
        values = np.empty(kernel.fixed + (capacity if keeps else 1) * rows)
        values[self.field.parameters : kernel.fixed] = self.field.constants
        if old:
            t[:old], h[:old], x[:old] = self._t, self._h, self._x
            if keeps:
                values[: len(self._values)] = self._values
        self._stride = rows if keeps else 0
        self._t, self._h, self._x, self._values, self._capacity = t, h, x, values, capacity
