"""Direct collocation: coarse to fine on nested, warm-started meshes until the states are accurate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ocnet.errors import OptionError, ProblemError, UnsupportedError
from ocnet.functions import Bounds
from ocnet.horizon import Discounted, FreeTime, Steps
from ocnet.methods import guess as guesses
from ocnet.methods.answer import answer
from ocnet.methods.estimate import Stage, assess
from ocnet.methods.ipopt import Ending, NonlinearSolver, check_options
from ocnet.methods.mesh import Mesh
from ocnet.methods.options import check_demand, check_whole
from ocnet.methods.refine import SMOOTH, refine
from ocnet.methods.result import Result, Status
from ocnet.methods.scheme import SCHEMES
from ocnet.methods.transcription import Kernels, Point, Transcription
from ocnet.problem import Problem

TAIL = 1e-9  # of the cost: what may be left out beyond the end of an infinite horizon
Report = Callable[[int, float, float], None]


@dataclass(frozen=True)
class Collocation:
    """Direct collocation on a mesh that is refined until the states are as accurate as demanded.

    Parameters
    ----------
    intervals : int, optional
        Intervals of the first mesh (8, or 12 on an infinite horizon, if not given).
    degree : int
        Collocation points of each interval of the first mesh.
    scheme : {"radau", "gauss"}
        Legendre-Gauss-Radau (stiffly accurate) or Legendre-Gauss points.
    refine_to : float or None
        Demand on the estimated error of the states, relative to 1 + |x|, on every interval; None keeps the
        first mesh, and the status says that the error was not brought below a demand.
    solver : {"ipopt", "fatrop"}
        The nonlinear solver; fatrop takes discrete time (Steps) only.
    options : mapping, optional
        Passed to the solver under its own names, checked at once.
    polish : bool
        Finish with Newton steps on the active set, which remove the bias of the interior-point method.
    controls : {"points", "constant"}
        Free at every collocation point, or constant on each interval.
    max_refinements, max_points : int
        Refinement stops after so many finer meshes, or on a mesh with so many collocation points.

    Raises
    ------
    OptionError
        For values out of range and options that the solver does not accept.
    """

    intervals: int | None = None
    degree: int = 3
    scheme: str = "radau"
    refine_to: float | None = 1e-6
    solver: str = "ipopt"
    options: Mapping[str, Any] | None = None
    polish: bool = True
    controls: str = "points"
    max_refinements: int = 25
    max_points: int = 20000
    settings: tuple[tuple[str, Any], ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        check_whole(self, "intervals", 1, 10**6, none=True)
        check_whole(self, "degree", 1, 30)
        check_whole(self, "max_refinements", 1, 10**4)
        check_whole(self, "max_points", 1, 10**8)
        if self.scheme not in SCHEMES:
            raise OptionError(f"Collocation: scheme is {self.scheme!r}; expected one of {list(SCHEMES)}.")
        if self.controls not in ("points", "constant"):
            raise OptionError(f"Collocation: controls is {self.controls!r}; expected 'points' or 'constant'.")
        check_demand(self, 1e-13)
        if self.options is not None and not isinstance(self.options, Mapping):
            raise OptionError(
                f"Collocation: options is {self.options!r}; expected a mapping of names to values."
            )
        check_options(self.solver, self.options or {})
        object.__setattr__(self, "settings", tuple(sorted((self.options or {}).items())))

    def __hash__(self) -> int:
        names = ("intervals", "degree", "scheme", "refine_to", "solver", "polish", "controls")
        return hash((*(getattr(self, name) for name in names), str(self.settings)))

    @property
    def label(self) -> str:
        """The method in words, as reports call it."""
        target = "fixed mesh" if self.refine_to is None else f"refined to {self.refine_to:g}"
        return f"direct collocation ({self.scheme}, degree {self.degree}, {target}, {self.solver})"

    def prepare(self, problem: Problem) -> CollocationSolver:
        """Build what does not depend on guesses and parameter values; called by :func:`ocnet.prepare`.

        Raises
        ------
        ProblemError, UnsupportedError
            Without a cost, with infinitely many steps, or with final conditions on an infinite horizon.
        """
        return CollocationSolver(problem, self)


class CollocationSolver:
    """A problem prepared for direct collocation, to be solved many times."""

    def __init__(self, problem: Problem, method: Collocation) -> None:
        start = time.process_time()
        self.problem, self.method = problem, method
        horizon = problem.horizon
        if not problem.functions.has_cost:
            raise ProblemError(
                f"Problem '{problem.name}': it has no cost; call problem.minimize before solve."
            )
        if isinstance(horizon, Steps) and horizon.n is None:
            raise UnsupportedError(
                f"Problem '{problem.name}': collocation cannot treat infinitely many steps; "
                "state a finite number."
            )
        if method.solver == "fatrop" and not isinstance(horizon, Steps):
            raise UnsupportedError(
                f"Problem '{problem.name}': fatrop needs the structure of discrete time (Steps); collocation "
                "points inside an interval break it: use solver='ipopt'."
            )
        infinite = isinstance(horizon, Discounted)
        if infinite and (
            problem.functions.final.numel_out(0) or any(v.final is not None for v in problem.functions.states)
        ):
            raise UnsupportedError(
                f"Problem '{problem.name}': final values and constraints on an infinite horizon are not "
                "supported; the cost decides where the states go."
            )
        self.functions = problem.functions
        self.kernels = Kernels(problem)
        self._transcriptions: dict[Any, tuple[Transcription, NonlinearSolver]] = {}
        self.build_seconds, self.estimate_seconds = time.process_time() - start, 0.0

    # ------------------------------------------------------------------ meshes

    def first_mesh(self, end: float | None = None) -> Mesh:
        """Make the mesh to start from; `end` cuts an infinite horizon."""
        horizon, m = self.problem.horizon, self.method
        if isinstance(horizon, Steps):
            assert horizon.n is not None
            return Mesh.steps(int(horizon.n))
        if isinstance(horizon, Discounted):
            assert end is not None
            count = m.intervals or 12
            part = np.arange(count + 1) / count
            graded = -np.log1p(-part * -np.expm1(-horizon.rate * end / 3)) / (horizon.rate / 3)
            breaks = np.append(graded[:-1], end)
        elif isinstance(horizon, FreeTime):
            breaks = np.linspace(0, 1, (m.intervals or 8) + 1)
        else:
            breaks = np.linspace(horizon.t0, horizon.tf, (m.intervals or 8) + 1)
        moments = [s.time for s in self.problem.samples]
        near = [t for t in moments if np.abs(breaks - t).min() > 1e-12 * (1 + abs(t))]
        breaks = np.union1d(breaks, near)
        return Mesh(breaks, np.full(len(breaks) - 1, m.degree), m.scheme)

    def built(
        self, mesh: Mesh, scales: tuple[np.ndarray, np.ndarray, np.ndarray, float]
    ) -> tuple[Transcription, NonlinearSolver]:
        """Transcription and solver of a mesh, kept for later solves."""
        key = (mesh.breaks.tobytes(), mesh.degrees.tobytes(), *(np.asarray(s).tobytes() for s in scales))
        if key not in self._transcriptions:
            start = time.process_time()
            t = Transcription(self.kernels, mesh, scales, self.method.controls == "constant")
            program, derivatives = t.program.functions()
            solver = NonlinearSolver(
                program,
                derivatives,
                t.program.scale,
                t.program.row_scale,
                self.method.solver,
                dict(self.method.settings),
                t.equations(),
            )
            while len(self._transcriptions) >= 8:
                self._transcriptions.pop(next(iter(self._transcriptions)))
            self._transcriptions[key] = (t, solver)
            self.build_seconds += time.process_time() - start
        return self._transcriptions[key]

    # ------------------------------------------------------------------ solving

    def solve(
        self,
        guess: Any = None,
        parameters: Mapping[str, Any] | None = None,
        tolerance: float = 1e-8,
        report: Report | None = None,
        rng: np.random.Generator | None = None,
    ) -> Result:
        """Solve from a guess; see :func:`ocnet.solve` for the arguments."""
        values = self.problem.parameter_values(parameters)
        p = self.functions.pack(values, "parameter") if values else np.zeros(0)
        bounds = self.functions.bounds(p)
        horizon = self.problem.horizon
        if not isinstance(horizon, Discounted):
            return self._solve(None, guess, p, bounds, tolerance, report, rng)
        end = float(np.log(1e8) / horizon.rate)
        result = self._solve(end, guess, p, bounds, tolerance, report, rng)
        for _ in range(3):
            if not result.status.success or result.errors["tail"] < TAIL:
                break
            end += float(np.log(10 * result.errors["tail"] / TAIL) / horizon.rate)
            result = self._solve(end, guess, p, bounds, tolerance, report, rng)
        return result

    def _solve(
        self,
        end: float | None,
        guess: Any,
        p: np.ndarray,
        bounds: Bounds,
        tolerance: float,
        report: Report | None,
        rng: Any,
    ) -> Result:
        built_before, estimated_before = self.build_seconds, self.estimate_seconds
        iterations, seconds, history = 0, 0.0, []
        mesh = self.first_mesh(end)
        horizon = self.problem.horizon
        guess = self.problem.guess if guess is None else guess
        span = (mesh.breaks[0], mesh.breaks[-1])
        if isinstance(horizon, FreeTime):
            span = (0.0, horizon.guess)
        start = guesses.start(self.functions, bounds, p, span, guess, rng)
        scales = self._scales(start, bounds, mesh)
        stage: Stage | None = None
        self.settles = True  # until an active set turns out not to (singular arcs, jumps between bounds)
        round_, demand = 0, self.method.refine_to
        while True:
            transcription, solver = self.built(mesh, scales)
            new = self._solve_mesh(transcription, solver, start, stage, p, bounds, tolerance, report)
            iterations, seconds = iterations + new.ending.iterations, seconds + new.ending.seconds
            history.append({
                "intervals": mesh.size, "points": mesh.points, "iterations": new.ending.iterations,
                "newton_steps": new.ending.newton_steps, "cost": new.ending.cost,
                "error": float(new.errors.states.max(initial=0.0)), "cost_error": new.cost_error,
            })  # fmt: skip
            status = self._judge(new, round_)
            if status is not None:
                break
            if new.ending.status is Status.SOLVED and demand is not None:
                stage = new
                mesh = refine(mesh, new.worst(demand, new.decay < SMOOTH), demand, new.decay)
            else:  # a coarse mesh may have no solution at all
                mesh = refine(mesh, np.full(mesh.size, np.inf), 1.0, np.zeros(mesh.size))
            round_ += 1
        return answer(new, status, p, history, self.method.label, {
            "build": self.build_seconds - built_before, "solve": seconds,
            "estimate": self.estimate_seconds - estimated_before, "iterations": iterations,
        })  # fmt: skip

    def _judge(self, stage: Stage, round_: int) -> Status | None:
        """Status to stop with, or None to go on to a finer mesh."""
        status, demand = stage.ending.status, self.method.refine_to
        fixed = demand is None or stage.transcription.mesh.name == "steps"
        if status is not Status.SOLVED:
            again = (
                status in (Status.INFEASIBLE, Status.FAILED, Status.ITERATION_LIMIT)
                and not fixed
                and round_ < min(2, self.method.max_refinements)
            )
            return None if again else status
        if stage.transcription.mesh.name == "steps":
            return Status.SOLVED
        if demand is None:
            return Status.NOT_VERIFIED
        if stage.worst(demand, stage.decay < SMOOTH).max() <= demand:
            return Status.SOLVED
        too_large = stage.transcription.mesh.points >= self.method.max_points
        return Status.REFINEMENT_LIMIT if too_large or round_ >= self.method.max_refinements else None

    def _solve_mesh(
        self,
        t: Transcription,
        solver: NonlinearSolver,
        start: guesses.Start,
        before: Stage | None,
        p: np.ndarray,
        bounds: Bounds,
        tolerance: float,
        report: Report | None,
    ) -> Stage:
        limits = t.bounds(bounds)
        if before is not None:
            end = before.point.end if t.kernels.nt else 1.0
            start = guesses.Start(
                guesses.held(before.x), guesses.held(before.u), before.point.q, end, guesses.held(before.p)
            )
        w = self._place(t, start)
        polish = self.method.polish and self.settles and self._has_bias(limits)
        if not self.settles:
            tolerance = tolerance / 100  # nothing else will take the barrier's bias away
        if start.p is None:
            ending = solver.solve(w, limits, p, tolerance, report=report)
        else:
            multipliers = self._multipliers(t, start, w, p, before)
            if polish and before is not None:
                exact = solver.polish(w, *multipliers, limits, p, t.densities(), before.ending)
                if exact is not None:
                    return self._assess(t, exact, p)
            barrier = 1e-7 if before is not None else 1e-5
            ending = solver.solve(
                w, limits, p, tolerance, multipliers=multipliers, barrier=barrier, report=report
            )
            if ending.status not in (Status.SOLVED, Status.INTERRUPTED):
                ending = solver.solve(w, limits, p, tolerance, report=report)
        if polish and ending.status is Status.SOLVED:
            ending = self._polish(t, solver, ending, limits, p)
            self.settles = ending.newton_steps > 0
        return self._assess(t, ending, p)

    def _has_bias(self, limits: tuple[np.ndarray, ...]) -> bool:
        """Whether an interior-point answer is off: by the barrier, or where the discount is strong."""
        low, high, g_low, g_high = limits
        movable = (low < high) & (np.isfinite(low) | np.isfinite(high))
        return bool(movable.any() or np.any(g_low < g_high) or self.kernels.rate > 0)

    def _polish(
        self, t: Transcription, solver: NonlinearSolver, ending: Ending, limits: Any, p: np.ndarray
    ) -> Ending:
        """Replace an interior-point answer by the exact one of the discrete problem, where that settles."""
        exact = solver.polish(ending.w, ending.lam_w, ending.lam_g, limits, p, t.densities(), ending)
        if exact is not None:
            return exact
        multipliers = (ending.lam_w, ending.lam_g)
        closer = solver.solve(ending.w, limits, p, 1e-12, multipliers=multipliers, barrier=1e-6)
        closer.iterations += ending.iterations
        closer.seconds += ending.seconds
        if closer.status is not Status.SOLVED:
            return ending
        return solver.polish(closer.w, closer.lam_w, closer.lam_g, limits, p, t.densities(), closer) or closer

    def _assess(self, t: Transcription, ending: Ending, p: np.ndarray) -> Stage:
        start = time.process_time()
        stage = assess(t, ending, p)
        self.estimate_seconds += time.process_time() - start
        return stage

    def _place(self, t: Transcription, start: guesses.Start) -> np.ndarray:
        scale = start.end if t.kernels.nt else 1.0
        x, u = start.x(t.mesh.node_times * scale), start.u(t.mesh.point_times * scale)
        return t.join(Point(x, u, start.q, start.end))

    def _multipliers(
        self, t: Transcription, start: guesses.Start, w: np.ndarray, p: np.ndarray, before: Stage | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Multipliers of bounds and constraints from costates (and from the solution on the mesh before)."""
        scale = start.end if t.kernels.nt else 1.0
        f, nm = self.functions, len(t.kernels.moving)
        lam = np.zeros(t.program.ng)
        own = lam[t.path_group.rows].reshape(t.mesh.points, -1)
        assert start.p is not None
        by_delta = np.zeros((t.mesh.points, nm))
        if nm:
            by_delta = t.slopes(w, lam, p)[2][:, f.nx : f.nx + nm]
        own[:, : f.nx] = t.defect_multipliers(start.p(t.mesh.point_times * scale), by_delta)
        lam_w = np.zeros(t.nw)
        if before is not None:
            self._carry(t, before, lam, lam_w)
        return lam_w, lam

    def _carry(self, t: Transcription, before: Stage, lam: np.ndarray, lam_w: np.ndarray) -> None:
        """Carry the multipliers of bounds, path constraints and ends over from another mesh, as densities."""
        old, f = before.transcription, self.functions

        def density(mesh: Mesh, weights: np.ndarray) -> np.ndarray:
            return weights * mesh.point_lengths

        d_old, d_new = density(old.mesh, old.weights), density(t.mesh, t.weights)

        def move(values: np.ndarray, old_times: np.ndarray, new_times: np.ndarray) -> np.ndarray:
            columns = [np.interp(new_times, old_times, column) for column in values.T]
            return np.column_stack(columns) if columns else np.zeros((len(new_times), 0))

        times = (old.mesh.point_times, t.mesh.point_times)
        by_control = before.ending.lam_w[old.u_index] / old.densities()[old.u_index]
        lam_w[t.u_index] = move(by_control, *times) * t.densities()[t.u_index]
        at_points = before.ending.lam_w[old.x_index[old.point_node]] / d_old[:, None]
        lam_w[t.x_index[t.point_node]] = move(at_points, *times) * d_new[:, None]
        lam_w[t.q_at :] = before.ending.lam_w[old.q_at :]
        rows_old = before.ending.lam_g[old.path_group.rows].reshape(old.mesh.points, -1)[:, f.nx :]
        rows_new = lam[t.path_group.rows].reshape(t.mesh.points, -1)
        rows_new[:, f.nx :] = move(rows_old / d_old[:, None], *times) * d_new[:, None]
        for group_old, group_new in zip(old.groups[1:], t.groups[1:], strict=True):
            lam[group_new.rows] = before.ending.lam_g[group_old.rows]

    def _scales(
        self, start: guesses.Start, bounds: Bounds, mesh: Mesh
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Powers of two near the sizes of guess and bounds, by variable; 1 for sizes within [0.1, 10]."""
        scale = start.end if self.kernels.nt else 1.0
        x = np.abs(start.x(mesh.node_times * scale)).max(axis=0)
        x = np.fmax(x, np.fmax(np.nan_to_num(np.abs(bounds.initial)), np.nan_to_num(np.abs(bounds.final))))
        u = np.abs(start.u(mesh.point_times * scale)).max(axis=0, initial=0.0)
        result = []
        for group, size, low, high in (
            (self.functions.states, x, bounds.x_lower, bounds.x_upper),
            (self.functions.controls, u, bounds.u_lower, bounds.u_upper),
            (self.functions.unknowns, np.abs(start.q), bounds.q_lower, bounds.q_upper),
        ):
            limits = np.fmax(np.abs(low), np.abs(high))
            size = np.where(
                np.isfinite(limits) & (limits > 0),
                np.fmin(np.fmax(size, limits), 1e3 * np.fmax(size, 1e-3)),
                size,
            )
            parts, first = [np.zeros(0)], 0
            for v in group:
                parts.append(np.full(v.size, _power(size[first : first + v.size].max())))
                first += v.size
            result.append(np.concatenate(parts))
        return result[0], result[1], result[2], _power(start.end)


def _power(size: float) -> float:
    return 1.0 if not 0 < size < np.inf or 0.1 <= size <= 10 else float(2.0 ** np.round(np.log2(size)))
