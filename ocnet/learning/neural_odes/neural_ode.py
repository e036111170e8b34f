"""NeuralODE: the state as the solution of ẋ = f(x, t; θ), with gradients at the price of about one solve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import DataError, OptionError, ShapeError, UnsupportedError
from ocnet.horizon import Finite
from ocnet.learning.neural_odes.dormand_prince import euler, order_8
from ocnet.learning.neural_odes.samples import Samples
from ocnet.learning.neural_odes.sweeps import Sweeps
from ocnet.learning.neural_odes.vector_field import VectorField
from ocnet.problem import Problem


@dataclass(frozen=True, eq=False)
class NeuralODE:
    """A network whose output is the solution of ẋ = f(x, t; θ), and the derivatives of that solution.

    Parameters
    ----------
    field : VectorField
        f, from :func:`ocnet.learning.layers` or :func:`ocnet.learning.expression`.
    tolerance : float
        Error of one step, relative and in the unit of the states, where a call does not say otherwise.
        Learning takes a looser one.
    euler_step : float, optional
        Replace the method of order 8 by Euler's with this step: with step 1 the model is a residual network,
        x_{k+1} = x_k + f(x_k, k; θ), one layer a unit of time.

    Notes
    -----
    Derivatives are those of the discrete solution, exact but for rounding: reverse mode goes back through the
    accepted steps of the explicit method of order 8 by Dormand and Prince. It keeps the steps, and the values
    of their stages up to 512 MiB; nothing is integrated backwards in time. The equations of the continuous
    adjoint (Liuzzo 2024, eqs. 6 and 7) are the limit for a small tolerance.

    While nothing is compiled, solutions and gradients are computed in plain Python, for a second at most, and
    differ from later ones in rounding. `ocnet.learning.neural_odes.compiled.meanwhile.limit = 0` compiles at
    the first call, and equal calls give equal bits.

    Raises
    ------
    OptionError
        For a field of another kind, or a tolerance or step out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from ocnet import learning
    >>> model = learning.NeuralODE(learning.expression(lambda x, t, theta: theta * x, states=1, parameters=1))
    >>> model.solve([-1.0], [1.0], [1.0, 2.0]).round(6).tolist()
    [[0.367879], [0.135335]]
    """

    field: VectorField
    tolerance: float = 1e-8
    euler_step: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.field, VectorField):
            raise OptionError(
                f"NeuralODE: field is {self.field!r:.60}; expected what learning.layers(...) or "
                "learning.expression(...) returns."
            )
        self._check_tolerance(self.tolerance)
        step = self.euler_step
        if step is not None and not (isinstance(step, (int, float)) and 0 < step < np.inf):
            raise OptionError(f"NeuralODE: euler_step is {step!r:.60}; expected a positive number or None.")

    @cached_property
    def sweeps(self) -> Sweeps:
        """The integrator and its memory."""
        if self.euler_step is None:
            return Sweeps(self.field, order_8(), 0.0)
        return Sweeps(self.field, euler(), float(self.euler_step))

    # ------------------------------------------------------------------ solving

    def solve(
        self, theta: Any, initial: Any, times: Any, *, start: Any = 0.0, tolerance: float | None = None
    ) -> np.ndarray:
        """Return the states at given times.

        Parameters
        ----------
        theta : array_like (P,)
        initial : array_like (n,) or (trajectories, n)
            States at `start`.
        times : array_like (samples,) or (trajectories, samples)
            In order, all after the start or, to integrate backwards, all before it.
        start : float or array_like (trajectories,)
        tolerance : float, optional
            In place of the model's own.

        Returns
        -------
        ndarray (samples, n) or (trajectories, samples, n)
            As `initial` is for one or for several trajectories. Between the steps the values are those of the
            method's own continuous extension, of order 7.

        Raises
        ------
        ShapeError, DataError
            For shapes that do not belong together, values that are not finite, and unordered times.
        SimulationError
            If a trajectory cannot be followed; it says which one, where, and why (stiffness, a singularity).
        """
        arguments = self._arguments(theta, initial, times, start, tolerance)
        states = self.sweeps.forward(*arguments, once=True)
        return states if np.ndim(initial) == 2 else states[0]

    def gradient(
        self, theta: Any, samples: Samples, *, tolerance: float | None = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the loss ½Σ|x(t_i) − x_i|² over all observations and its derivatives.

        Parameters
        ----------
        theta : array_like (P,)
        samples : Samples
        tolerance : float, optional

        Returns
        -------
        loss : float
        by_theta : ndarray (P,)
        by_initial : ndarray (trajectories, n)
            The derivative by the initial states: the costate at the start.

        Raises
        ------
        ShapeError, DataError, SimulationError
            As :meth:`solve`; DataError where f has no derivative on the path.
        """
        theta = self._theta(theta)
        self.check_samples(samples)
        start = np.full(len(samples.initial), samples.start)
        demand = self._check_tolerance(self.tolerance if tolerance is None else tolerance)
        states = self.sweeps.forward(theta, start, samples.initial, samples.times, demand, once=True)
        seeds = samples.residuals(states)
        by_theta, by_initial = self._slopes(seeds)
        return 0.5 * float(np.sum(seeds**2)), by_theta, by_initial

    def pullback(
        self,
        theta: Any,
        initial: Any,
        times: Any,
        seeds: Any,
        *,
        start: Any = 0.0,
        tolerance: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives by θ and by the initial states of any cost of the states at sample times.

        Parameters
        ----------
        theta, initial, times, start, tolerance
            As for :meth:`solve`.
        seeds : array_like, of the shape of what :meth:`solve` returns
            Derivatives of the cost by the states at the sample times.

        Returns
        -------
        by_theta : ndarray (P,)
        by_initial : ndarray, of the shape of `initial`

        Raises
        ------
        ShapeError, DataError, SimulationError
            As :meth:`solve`, and for seeds of another shape.
        """
        arguments = self._arguments(theta, initial, times, start, tolerance)
        states = self.sweeps.forward(*arguments, once=True)
        weights = np.asarray(seeds, dtype=float)
        shape = states.shape if np.ndim(initial) == 2 else states.shape[1:]
        if weights.shape != shape:
            raise ShapeError(f"pullback: seeds has shape {weights.shape}; expected {shape}, as the states.")
        by_theta, by_initial = self._slopes(weights.reshape(states.shape))
        return by_theta, by_initial.reshape(np.shape(initial))

    def jacobian(
        self, theta: Any, initial: Any, times: Any, *, start: Any = 0.0, tolerance: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the states at given times and their derivatives, by forward sensitivities.

        Parameters
        ----------
        theta, initial, times, start, tolerance
            As for :meth:`solve`.

        Returns
        -------
        states : ndarray (samples, n) or (trajectories, samples, n)
        derivatives : ndarray (..., n, P + n)
            By θ and, in the last n columns, by the initial state of the same trajectory.
        """
        arguments = self._arguments(theta, initial, times, start, tolerance)
        states = self.sweeps.forward(*arguments)
        derivatives = self.sweeps.jacobian()
        _check_slopes(derivatives[..., : self.field.parameters], derivatives[..., self.field.parameters :])
        return (states, derivatives) if np.ndim(initial) == 2 else (states[0], derivatives[0])

    def inversion_error(
        self, theta: Any, initial: Any, tf: float, *, start: float = 0.0, tolerance: float | None = None
    ) -> float:
        """Return how well the flow is inverted by integrating back in time.

        Parameters
        ----------
        theta, initial, start, tolerance
            As for :meth:`solve`.
        tf : float
            How far to go before turning back.

        Returns
        -------
        float
            Largest component of |x − x(start)| after going to `tf` and back, over 1 + |x(start)|, the largest
            of all trajectories. Where the flow contracts, going back amplifies errors by as much: a number
            far above the tolerance says that reverse-time adjoints cannot be trusted there.
        """
        x0 = np.atleast_2d(np.asarray(initial, dtype=float))
        end = self.solve(theta, x0, [tf], start=start, tolerance=tolerance)[:, 0]
        back = self.solve(theta, end, [start], start=tf, tolerance=tolerance)[:, 0]
        return float(np.max(np.abs(back - x0) / (1 + np.abs(x0))))

    # ------------------------------------------------------------------ the same as a control problem

    def problem(
        self,
        samples: Samples,
        *,
        theta: Any = None,
        weight_decay: float = 0.0,
        learn_initial: bool = False,
        name: str = "neural ODE",
    ) -> Problem:
        """Return the learning problem as an optimal control problem whose constant control is θ.

        The cost is ½Σ|x(t_i) − x_i|² + ½·weight_decay·|θ|²; `ocnet.solve` with `Collocation` learns it all at
        once, states and θ together, and ocnet.learning's continuous adjoint differentiates the same object.

        Parameters
        ----------
        samples : Samples
        theta : array_like (P,), optional
            Guess of the unknown "theta"; 0 if not given.
        weight_decay : float
            Value of the problem's parameter "weight_decay".
        learn_initial : bool
            Leave the initial states free.
        name : str

        Returns
        -------
        Problem
            State "x" of shape n, or (n, trajectories) for several; unknown "theta"; parameter "weight_decay".

        Raises
        ------
        ShapeError, OptionError
            For samples or parameters that do not belong to the vector field.
        UnsupportedError
            For a residual network (`euler_step`): a Problem is in continuous time.
        """
        self.check_samples(samples)
        if self.euler_step is not None:
            raise UnsupportedError(
                f"NeuralODE: euler_step is {self.euler_step:g}; expected None for a Problem, which is in "
                "continuous time. Take NeuralODE(field), or train this model by GaussNewton, LBFGS or Adam."
            )
        count, n = samples.initial.shape
        problem = Problem(name, horizon=Finite(float(samples.times.max()), t0=samples.start))
        guess = np.zeros(self.field.parameters) if theta is None else self._theta(theta)
        first = samples.initial[0] if count == 1 else samples.initial.T
        x = problem.state("x", n if count == 1 else (n, count), initial=None if learn_initial else first)
        unknown = problem.unknown("theta", self.field.parameters, guess=guess)
        decay = problem.parameter("weight_decay", value=weight_decay)
        rate = self._function().map(count)
        problem.dynamics(x, rate(x, ca.repmat(problem.time, 1, count), ca.repmat(unknown, 1, count)))
        problem.minimize(terminal=decay / 2 * ca.sumsqr(unknown))
        for moment in np.unique(samples.times[samples.observed.any(axis=2)]):
            here = (samples.times == moment)[..., None] & samples.observed
            weights = here.sum(axis=1).T  # (n, trajectories); a time may be listed twice
            value = np.where(here, samples.values, 0.0).sum(axis=1).T / np.maximum(weights, 1)
            spread = np.where(here, (samples.values - value.T[:, None]) ** 2, 0.0).sum()
            squares = ca.sum1(ca.sum2(ca.DM(weights) * (x - ca.DM(value)) ** 2))
            problem.cost_at(float(moment), (squares + spread) / 2)
        return problem

    def _function(self) -> ca.Function:
        x, t = ca.SX.sym("x", self.field.states), ca.SX.sym("t")
        theta = ca.SX.sym("theta", self.field.parameters)
        value = self.field.rule(x, t, theta)
        value = ca.vertcat(*value) if isinstance(value, (list, tuple)) else value
        return ca.Function("f", [x, t, theta], [ca.densify(value)])

    def _slopes(self, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        by_theta, by_initial = self.sweeps.reverse(seeds)
        _check_slopes(by_theta, by_initial)
        return by_theta, by_initial

    # ------------------------------------------------------------------ what was given

    def _arguments(
        self, theta: Any, initial: Any, times: Any, start: Any, tolerance: float | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
        parameters, n = self._theta(theta), self.field.states
        x0 = np.asarray(initial, dtype=float)
        if x0.ndim not in (1, 2) or x0.shape[-1] != n or not x0.size:
            raise ShapeError(
                f"neural ODE: initial has shape {x0.shape}; expected ({n},) or (trajectories, {n})."
            )
        x0 = np.ascontiguousarray(np.atleast_2d(x0))
        moments, t0 = np.asarray(times, dtype=float), np.asarray(start, dtype=float)
        count = len(x0)
        if moments.ndim not in (1, 2) or not moments.size or moments.shape[:-1] not in ((), (count,)):
            raise ShapeError(
                f"neural ODE: times has shape {moments.shape}; expected (samples,) or ({count}, samples)."
            )
        if t0.shape not in ((), (count,)):
            raise ShapeError(f"neural ODE: start has shape {t0.shape}; expected a number or ({count},).")
        moments = np.array(np.broadcast_to(moments, (count, moments.shape[-1])))
        t0 = np.array(np.broadcast_to(t0, (count,)))
        for what, values in (("initial", x0), ("times", moments), ("start", t0)):
            if not np.isfinite(values).all():
                at = ", ".join(map(str, np.argwhere(~np.isfinite(values))[0]))
                raise DataError(f"neural ODE: {what}[{at}] is not finite; expected finite numbers.")
        steps = np.diff(np.column_stack([t0, moments]), axis=1)
        if not (np.all(steps >= 0, axis=1) | np.all(steps <= 0, axis=1)).all():
            raise DataError("neural ODE: times are not in order; expected them to lead away from the start.")
        demand = self._check_tolerance(self.tolerance if tolerance is None else tolerance)
        return parameters, t0, x0, moments, demand

    def _theta(self, theta: Any) -> np.ndarray:
        values = np.asarray(theta, dtype=float)
        if values.shape != (self.field.parameters,):
            raise ShapeError(
                f"neural ODE: theta has shape {values.shape}; expected ({self.field.parameters},) "
                f"for {self.field}."
            )
        if not np.isfinite(values).all():
            i = int(np.flatnonzero(~np.isfinite(values))[0])
            raise DataError(f"neural ODE: theta[{i}] is {values[i]}; expected finite numbers.")
        return values

    def check_samples(self, samples: Any) -> None:
        """Raise OptionError or ShapeError unless these are samples of as many states."""
        if not isinstance(samples, Samples):
            raise OptionError(f"neural ODE: samples is {samples!r:.60}; expected learning.Samples(...).")
        if samples.initial.shape[1] != self.field.states:
            raise ShapeError(
                f"neural ODE: the samples have {samples.initial.shape[1]} components; the vector field "
                f"{self.field} has {self.field.states} states."
            )

    def _check_tolerance(self, tolerance: Any) -> float:
        if not isinstance(tolerance, (int, float)) or not 1e-13 <= tolerance <= 0.1:
            raise OptionError(
                f"NeuralODE: tolerance is {tolerance!r:.60}; expected a number in [1e-13, 0.1]."
            )
        return float(tolerance)


def _check_slopes(by_theta: np.ndarray, by_initial: np.ndarray) -> None:
    """Raise DataError for derivatives that are not finite."""
    for what, slopes in (("theta", by_theta), ("the initial state", by_initial)):
        if not np.isfinite(slopes).all():
            i = int(np.argwhere(~np.isfinite(slopes))[0][-1])
            raise DataError(
                f"neural ODE: the derivative by {what}, component {i}, is not finite: the vector field has "
                "none somewhere on the path (a root or a logarithm at 0?). Start elsewhere, or use a smooth "
                "function."
            )
