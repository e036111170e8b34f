"""Gradients of time-dependent responses: the continuous adjoint of a Problem, in three memory modes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ocnet.errors import DataError, OptionError, SimulationError
from ocnet.learning.paths.adjoint_sweeps import reversed_sweep, stored_sweep
from ocnet.learning.paths.checkpointed import CheckpointedSweep
from ocnet.learning.paths.response_functions import ResponseFunctions
from ocnet.problem import Problem

Mode = Literal["stored", "checkpointed", "reverse-time"]

INTEGRATORS = ("DOP853", "LSODA", "BDF", "Radau")
NUMBERS = (int, float, np.integer, np.floating)
SLACK = {"stored": 1e-11, "checkpointed": 1e-10, "reverse-time": 1e-11}


class ReverseTimeWarning(UserWarning):
    """States were recomputed backwards in time, which is unstable where the dynamics are dissipative."""


@dataclass(frozen=True)
class ResponseGradient:
    """The cost of a problem and its derivatives.

    Attributes
    ----------
    cost : float
    gradient : dict of ndarray
        By name of each unknown and each parameter, of its shape; in units of the cost per unit of it.
    initial_costate : ndarray (nx,)
        λ(t0) = ∂cost/∂x(t0), flat in the order of the states.
    initial : ndarray (nx,)
        x(t0).
    mode : str
    drift : float
        Of "reverse-time": |x(t0) recomputed − x(t0)| relative to 1 + |x|, largest component; 0 otherwise.
    evaluations : int
        Right-hand sides, forward and backward; 0 where CVODES does not tell.
    """

    cost: float
    gradient: dict[str, np.ndarray]
    initial_costate: np.ndarray
    initial: np.ndarray
    mode: str
    drift: float
    evaluations: int


class AdjointGradient:
    """The gradient of a problem's cost with respect to its constants, to be called many times.

    The statement is the Problem that :class:`ocnet.Collocation` solves all at once: dynamics, stage and
    terminal costs, costs at moments, and constants as ``unknown`` (with its guess) or ``parameter``. The
    first state is given by ``initial=`` or by equations, ``constrain(x − x0(θ), lower=0, upper=0,
    at="initial")``, whose solution may depend on the constants. Other bounds and constraints play no part.

    Parameters
    ----------
    problem : Problem
        On a Finite horizon, without controls.
    mode : {"stored", "checkpointed", "reverse-time"}
        The path is kept (default), or kept at checkpoints and recomputed between them by SUNDIALS' CVODES as
        wrapped by CasADi, or recomputed backwards in time: that needs no memory, and is warned of with a
        figure of its drift, because every decay of the dynamics becomes a growth of rounding errors.
    integrator : {"DOP853", "LSODA", "BDF", "Radau"}
        DOP853 for smooth dynamics, the others for stiff ones. "checkpointed" always takes CVODES' BDF.
    tolerance : float, optional
        Relative and absolute error demand of each step, forward and backward; 1e-11, and 1e-10 for CVODES.
    steps_per_checkpoint : int
        Of CVODES.
    largest_drift : float
        Of "reverse-time", above which the gradient is refused.

    Raises
    ------
    UnsupportedError, ProblemError, OptionError
        For other horizons, controls, no cost, a first state that is not determined, and unknown options.

    Notes
    -----
    λ̇ = −f_xᵀλ − l_x, λ(tf) = φ_x, with jumps ∂l_i/∂x at the samples, and

        dC/dθ = λ(t0)·dx(t0)/dθ + φ_θ + Σ ∂l_i/∂θ + ∫ (l_θ + f_θᵀλ) dt.

    The integral is taken by Gauss quadrature on each step.

    Examples
    --------
    >>> import ocnet as oc
    >>> from ocnet.learning import AdjointGradient
    >>> problem = oc.Problem("decay", horizon=oc.Finite(1.0))
    >>> x = problem.state("x", initial=1.0)
    >>> k = problem.unknown("k", guess=1.0)
    >>> problem.dynamics(x, -k * x)
    >>> problem.minimize(terminal=x)
    >>> print(AdjointGradient(problem)().gradient["k"])  # −1/e
    [-0.36787944]
    """

    def __init__(
        self,
        problem: Problem,
        *,
        mode: Mode = "stored",
        integrator: str = "DOP853",
        tolerance: float | None = None,
        steps_per_checkpoint: int = 100,
        largest_drift: float = 1e-3,
    ) -> None:
        where = f"adjoint gradient of '{problem.name}'"
        if mode not in SLACK:
            raise OptionError(f"{where}: mode is {mode!r}; expected one of {list(SLACK)}.")
        if integrator not in INTEGRATORS:
            raise OptionError(f"{where}: integrator is {integrator!r}; expected one of {list(INTEGRATORS)}.")
        slack = SLACK[mode] if tolerance is None else tolerance
        if not isinstance(slack, NUMBERS) or not 1e-14 <= slack < 1:
            raise OptionError(f"{where}: tolerance is {tolerance!r:.60}; expected a number from 1e-14 to 1.")
        steps = steps_per_checkpoint
        if not isinstance(steps, (int, np.integer)) or not steps > 0:
            raise OptionError(
                f"{where}: steps_per_checkpoint is {steps!r:.60}; expected a whole positive number."
            )
        if not isinstance(largest_drift, NUMBERS) or not largest_drift > 0:
            raise OptionError(f"{where}: largest_drift is {largest_drift!r:.60}; expected a positive number.")
        self.mode, self.integrator, self.tolerance, self.where = mode, integrator, float(slack), where
        self.largest_drift = largest_drift
        self._functions = ResponseFunctions(problem, where)
        self._cvodes = (
            CheckpointedSweep(self._functions, float(slack), int(steps)) if mode == "checkpointed" else None
        )

    def __call__(self, values: Mapping[str, Any] | None = None) -> ResponseGradient:
        """Return cost and gradient.

        Parameters
        ----------
        values : mapping of names to arrays, optional
            Of unknowns and parameters; those left out keep their guess or value.

        Raises
        ------
        ShapeError, DataError, ProblemError
            For wrong names, shapes or numbers.
        SimulationError
            If an integration fails, or the drift of "reverse-time" exceeds `largest_drift`.
        """
        functions = self._functions
        theta = functions.constants(values)
        x0 = functions.first_state(theta)
        drift, count = 0.0, 0
        if self._cvodes is not None:
            cost, costate, slope = self._cvodes(x0, theta)
        else:
            sweep = stored_sweep if self.mode == "stored" else reversed_sweep
            cost, costate, slope, drift, count = sweep(functions, x0, theta, self.integrator, self.tolerance)
        if not (np.isfinite(cost) and np.isfinite(slope).all() and np.isfinite(costate).all()):
            raise DataError(
                f"{self.where}: the cost is {cost}, and it or its gradient is not finite; check the "
                "costs along the path."
            )
        if self.mode == "reverse-time":
            self._judge(drift)
        slope = slope + functions.through_first_state(x0, theta, costate)
        return ResponseGradient(cost, functions.by_name(slope), costate, x0, self.mode, drift, count)

    def _judge(self, drift: float) -> None:
        text = (
            f"{self.where}: states were recomputed backwards in time, with a drift of {drift:.1e} at t0. "
            "Decay forwards is growth of errors backwards; mode='stored' or 'checkpointed' avoid it."
        )
        if drift > self.largest_drift:
            raise SimulationError(
                f"{text} The drift is larger than largest_drift = {self.largest_drift:g}: no gradient."
            )
        warnings.warn(text, ReverseTimeWarning, stacklevel=3)


def gradient(
    problem: Problem, values: Mapping[str, Any] | None = None, *, mode: Mode = "stored", **options: Any
) -> ResponseGradient:
    """Return a problem's cost and its gradient in all constants, once; see :class:`AdjointGradient`.

    Parameters
    ----------
    problem : Problem
    values : mapping of names to arrays, optional
    mode, **options
        As for :class:`AdjointGradient`, as are the errors.
    """
    return AdjointGradient(problem, mode=mode, **options)(values)
