"""Running IPOPT (or fatrop) through CasADi: checked options, progress, interruption, readable endings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np

from ocnet.errors import OptionError
from ocnet.interruption import interruptible
from ocnet.methods.polish import Polisher
from ocnet.methods.result import Status

LINEAR_SOLVERS = ("mumps", "spral")  # what the CasADi wheels ship; others end the process or fail late
_STATUS = {
    "Solve_Succeeded": Status.SOLVED,
    "Solved_To_Acceptable_Level": Status.SOLVED,
    "Feasible_Point_Found": Status.SOLVED,
    "Infeasible_Problem_Detected": Status.INFEASIBLE,
    "Maximum_Iterations_Exceeded": Status.ITERATION_LIMIT,
    "Maximum_CpuTime_Exceeded": Status.ITERATION_LIMIT,
    "Maximum_WallTime_Exceeded": Status.ITERATION_LIMIT,
    "Diverging_Iterates": Status.DIVERGED,
    "User_Requested_Stop": Status.INTERRUPTED,
    "Restoration_Failed": Status.INFEASIBLE,
}


def check_options(solver: str, options: Mapping[str, Any]) -> None:
    """Refuse what the solver does not know, before any work is lost.

    Raises
    ------
    OptionError
        For an unknown solver, option, value, or a linear solver that this CasADi does not ship.
    """
    if solver not in ("ipopt", "fatrop"):
        raise OptionError(f"solver is {solver!r}; expected 'ipopt' or 'fatrop'.")
    if not ca.has_nlpsol(solver):
        raise OptionError(f"solver '{solver}' is not part of this CasADi build; use 'ipopt'.")
    linear = options.get("linear_solver", "mumps")
    if solver == "ipopt" and linear not in LINEAR_SOLVERS:
        raise OptionError(f"linear_solver is {linear!r}; this build has {list(LINEAR_SOLVERS)}.")
    x = ca.MX.sym("x")
    for name, value in options.items():
        quiet = {"print_time": False, f"{solver}.print_level": 0, f"{solver}.{name}": value}
        if solver == "ipopt":
            quiet["ipopt.sb"] = "yes"
        try:
            probe = ca.nlpsol("probe", solver, {"x": x, "f": x**2, "g": x}, quiet)
            probe(x0=1.0, lbg=-2, ubg=2)
            known = probe.stats()["return_status"] != "Invalid_Option"
        except (RuntimeError, NotImplementedError, TypeError):
            known = False
        if not known:
            raise OptionError(
                f"options: {solver} does not accept {name!r} = {value!r}; see its list of options."
            )


@dataclass
class Ending:
    """Where the nonlinear solver stopped: unknowns, multipliers (of unscaled constraints) and how it went."""

    status: Status
    reason: str
    w: np.ndarray
    lam_w: np.ndarray
    lam_g: np.ndarray
    cost: float
    iterations: int
    seconds: float
    barrier: float
    regularised: bool
    newton_steps: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)


class Monitor(ca.Callback):
    """Reports progress and passes on a wish to stop."""

    def __init__(self, ng: int) -> None:
        ca.Callback.__init__(self)
        self.sizes = {"f": 1, "g": ng}
        self.report: Callable[[int, float, float], None] | None = None
        self.stop, self.iteration = False, 0
        self.low = self.high = np.zeros(ng)
        self.construct("monitor", {})

    def get_n_in(self) -> int:
        """Return the number of inputs."""
        return ca.nlpsol_n_out()

    def get_n_out(self) -> int:
        """Return the number of outputs."""
        return 1

    def get_sparsity_in(self, i: int) -> ca.Sparsity:
        """Return the pattern of an input: a dense column, or nothing for what is not looked at."""
        name = ca.nlpsol_out(i)
        return ca.Sparsity.dense(self.sizes[name], 1) if name in self.sizes else ca.Sparsity(0, 0)

    def eval(self, arg: Sequence[ca.DM]) -> list[int]:
        """Take note of an iteration; the solver calls it after each, and goes on if it returns 0."""
        if self.report is not None:
            g = np.array(arg[2]).ravel()
            violation = float(np.max(np.maximum(self.low - g, g - self.high), initial=0.0))
            self.report(self.iteration, float(arg[1]), violation)
        self.iteration += 1
        return [int(self.stop)]


class NonlinearSolver:
    """A program built once, to be solved from several starts.

    Parameters
    ----------
    program, derivatives
        What :meth:`ocnet.methods.nlp.Program.functions` returned.
    scale, row_scale : ndarray
        Sizes of the unknowns and factors of the constraints in the solver's units.
    solver : {"ipopt", "fatrop"}
    options : mapping
        Passed through, under the solver's own names.
    equality : list of bool
        Which constraints are equations (fatrop finds the structure by them).
    """

    def __init__(
        self,
        program: Mapping[str, ca.MX],
        derivatives: Mapping[str, ca.Function],
        scale: np.ndarray,
        row_scale: np.ndarray,
        solver: str,
        options: Mapping[str, Any],
        equality: list[bool],
    ) -> None:
        self.program, self.derivatives, self.solver, self.options = program, derivatives, solver, options
        self.scale, self.row_scale = scale, row_scale
        self.equality = equality
        self._built: dict[Any, tuple[ca.Function, Monitor]] = {}

    def _solver(self, tolerance: float, barrier: float | None) -> tuple[ca.Function, Monitor]:
        key = (tolerance, barrier)
        if key not in self._built:
            monitor = Monitor(len(self.row_scale))
            settings: dict[str, Any] = {
                "print_time": False,
                "calc_lam_p": False,
                "calc_lam_x": False,
                "no_nlp_grad": True,
                "iteration_callback": monitor,
                "error_on_fail": False,
            }
            own: dict[str, Any] = {"tol": tolerance, "print_level": 0}
            if self.solver == "ipopt":
                settings.update(self.derivatives)
                own |= {
                    "sb": "yes",
                    "linear_solver": "mumps",
                    "mumps_pivot_order": 2,
                    "mumps_permuting_scaling": 0,
                    "max_iter": 1000,
                }
                own |= {"bound_relax_factor": 0.0, "constr_viol_tol": min(tolerance, 1e-4)}
                if barrier is not None:
                    own |= {"warm_start_init_point": "yes", "mu_init": barrier}
                    push = {f"warm_start_{k}": 1e-9 for k in ("bound_push", "bound_frac", "mult_bound_push")}
                    own |= push | {"warm_start_slack_bound_push": 1e-9, "warm_start_slack_bound_frac": 1e-9}
            else:
                settings |= {"structure_detection": "auto", "equality": self.equality}
            own |= dict(self.options)
            settings |= {f"{self.solver}.{name}": value for name, value in own.items()}
            self._built[key] = (ca.nlpsol("program", self.solver, dict(self.program), settings), monitor)
        return self._built[key]

    def solve(
        self,
        w: np.ndarray,
        bounds: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        p: np.ndarray,
        tolerance: float,
        *,
        multipliers: tuple[np.ndarray, np.ndarray] | None = None,
        barrier: float | None = None,
        report: Callable[[int, float, float], None] | None = None,
    ) -> Ending:
        """Solve from w; multipliers (of bounds, of constraints) and a barrier make it a warm start."""
        run, monitor = self._solver(tolerance, barrier)
        low, high, g_low, g_high = bounds
        arguments = {
            "x0": np.clip(w, low, high) / self.scale,
            "p": p,
            "lbx": low / self.scale,
            "ubx": high / self.scale,
            "lbg": g_low * self.row_scale,
            "ubg": g_high * self.row_scale,
        }
        if multipliers is not None:
            arguments |= {"lam_x0": multipliers[0] * self.scale, "lam_g0": multipliers[1] / self.row_scale}
        monitor.stop, monitor.iteration, monitor.report = False, 0, report
        monitor.low, monitor.high = arguments["lbg"], arguments["ubg"]
        start = time.process_time()
        with interruptible(monitor):
            answer = run(**{name: value.tolist() for name, value in arguments.items()})  # read twice as fast
        stats = run.stats()
        iterations = stats.get("iterations") or {}
        reason = str(stats["return_status"])
        status = _STATUS.get(reason, Status.SOLVED if stats["success"] else Status.FAILED)
        ending = Ending(
            status,
            reason,
            answer["x"].full().ravel() * self.scale,
            answer["lam_x"].full().ravel() / self.scale,
            answer["lam_g"].full().ravel() * self.row_scale,
            float(answer["f"]),
            int(stats.get("iter_count", 0)),
            time.process_time() - start,
            float((iterations.get("mu") or [0.0])[-1]),
            bool((iterations.get("regularization_size") or [0.0])[-1] > 0),
            history={k: list(map(float, iterations.get(k, []))) for k in ("obj", "inf_pr", "inf_du", "mu")},
        )
        if not all(np.isfinite(a).all() for a in (ending.w, ending.lam_g, ending.cost)):
            ending.status = Status.NOT_FINITE
        return ending

    def polish(
        self,
        w: np.ndarray,
        lam_w: np.ndarray,
        lam_g: np.ndarray,
        bounds: tuple[np.ndarray, ...],
        p: np.ndarray,
        densities: np.ndarray,
        ending: Ending,
    ) -> Ending | None:
        """Newton steps on the active set from a good start; None where they do not settle.

        `ending` is what the answer takes its report from.
        """
        low, high, g_low, g_high = bounds
        s, r, start = self.scale, self.row_scale, time.process_time()
        limits = (low / s, high / s, g_low * r, g_high * r)
        answer = self._polisher.run(w / s, lam_w * s, lam_g / r, limits, p, densities)
        if answer is None:
            return None
        return replace(
            ending, status=Status.SOLVED, w=answer.w * s, lam_w=answer.lam_w / s, lam_g=answer.lam_g * r,
            cost=answer.cost, barrier=0.0, iterations=ending.iterations if w is ending.w else 0,
            newton_steps=answer.steps,
            seconds=time.process_time() - start + (ending.seconds if w is ending.w else 0.0),
        )  # fmt: skip

    @cached_property
    def _polisher(self) -> Polisher:
        return Polisher(self.derivatives)
