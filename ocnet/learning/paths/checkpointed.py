"""The adjoint by SUNDIALS' CVODES as wrapped by CasADi: checkpoints forward, recomputed between them."""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import SimulationError
from ocnet.learning.paths.response_functions import ResponseFunctions

MOST_STEPS = 200_000


class CheckpointedSweep:
    """Cost, λ(t0) and dC/dθ at a fixed first state; call it with x0 (nx,) and θ (m,).

    Parameters
    ----------
    functions : ResponseFunctions
    tolerance : float
        Relative and absolute, of states, adjoints and integrals.
    steps_per_checkpoint : int
        Steps that are kept between two checkpoints: memory against recomputation.
    """

    def __init__(self, functions: ResponseFunctions, tolerance: float, steps_per_checkpoint: int) -> None:
        self.functions, self.tolerance = functions, tolerance
        t, x, theta = functions.symbols
        f, stage, ends = functions.expressions
        grid = sorted({*(s for s in functions.moments if s > functions.t0), functions.tf})
        dae = {"t": t, "x": x, "p": theta, "ode": f, "quad": stage}
        options: dict[str, Any] = {
            "abstol": tolerance,
            "reltol": tolerance,
            "max_num_steps": MOST_STEPS,
            "steps_per_checkpoint": steps_per_checkpoint,
            "quad_err_con": True,
            "show_eval_warnings": False,
        }
        flow = ca.integrator("flow", "cvodes", dae, functions.t0, grid, options)
        start, constants = ca.MX.sym("x0", functions.nx), ca.MX.sym("theta", functions.m)
        found = flow(x0=start, p=constants)
        cost = found["qf"][:, -1]
        for moment, end in zip([*functions.moments, functions.tf], ends, strict=True):
            value = ca.Function("end", [t, x, theta], [end])
            state = start if moment <= functions.t0 else found["xf"][:, grid.index(moment)]
            cost = cost + value(moment, state, constants)
        outputs = [cost, ca.gradient(cost, start), ca.gradient(cost, constants)]
        self._function = ca.Function("checkpointed", [start, constants], outputs)

    def __call__(self, x0: np.ndarray, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the cost, λ(t0) (nx,) and dC/dθ (m,); SimulationError if CVODES gives up."""
        try:
            cost, costate, slope = self._function(x0, theta)
        except RuntimeError as error:
            said = [line.split(": ")[-1] for line in str(error).splitlines() if "returned" in line]
            raise SimulationError(
                f"{self.functions.where}: CVODES gave up ({said[-1] if said else error}). Its tolerance was "
                f"{self.tolerance:.0e}; at tight ones the backward integration of stiff dynamics stalls at "
                "the error of its interpolated path: take tolerance=1e-9, fewer steps_per_checkpoint, or "
                "mode='stored' with integrator='LSODA'."
            ) from error
        return float(cost), costate.full().reshape(-1), slope.full().reshape(-1)
