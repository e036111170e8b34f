"""One solve on Pontryagin's road: starts, meshes, continuation, and what is returned."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import casadi as ca
import numpy as np
import psutil
from scipy.integrate import solve_ivp

from ocnet.control_law import ControlLaw
from ocnet.errors import UnsupportedError
from ocnet.hamiltonian import Hamiltonian
from ocnet.horizon import Discounted, FreeTime, Steps, rate
from ocnet.methods import guess as guesses
from ocnet.methods.canonical import SINGLE, Canonical, Ends, HermiteSimpson, Recursion
from ocnet.methods.elimination import Riccati
from ocnet.methods.envelope import sensitivity
from ocnet.methods.extremal import Path, path
from ocnet.methods.newton import Extremal, newton
from ocnet.methods.result import Result, Status
from ocnet.methods.switching import refined
from ocnet.problem import Problem
from ocnet.trajectory import Interpolant, Trajectory

if TYPE_CHECKING:
    from ocnet.methods.pontryagin import Pontryagin

Report = Callable[[int, float, float], None]


class Run:
    """One solve: the Hamiltonian, the ends and the limits of the controls for given parameters."""

    def __init__(
        self,
        problem: Problem,
        method: Pontryagin,
        parameters: Mapping[str, Any] | None,
        tolerance: float,
        report: Report | None,
    ) -> None:
        self.problem, self.method, self.tolerance, self.report = problem, method, tolerance, report
        f = self.functions = problem.functions
        values = problem.parameter_values(parameters)
        self.parameters = f.pack(values, "parameter") if values else np.zeros(0)
        self.bounds = f.bounds(self.parameters)
        self.hamiltonian = _with_parameters(problem.hamiltonian, parameters)
        self.rate, self.n = rate(problem.horizon), f.nx
        self.discrete = isinstance(problem.horizon, Steps)
        self.terminal = _terminal(problem, self.parameters)

    @property
    def first_end(self) -> float:
        """End of the first mesh; an infinite horizon is cut where its discount is 1e-8."""
        horizon = self.problem.horizon
        if isinstance(horizon, Discounted):
            return float(np.log(1e8) / horizon.rate)
        assert isinstance(horizon, Steps) or not isinstance(horizon, FreeTime)
        return float(horizon.n or 0) if isinstance(horizon, Steps) else horizon.tf

    def first_mesh(self, end: float) -> np.ndarray:
        """Nodes to start from, graded on an infinite horizon."""
        horizon = self.problem.horizon
        if isinstance(horizon, Steps):
            return np.arange(end + 1)
        if isinstance(horizon, Discounted):
            count = self.method.intervals or 12
            part = np.arange(count) / count
            graded = -np.log1p(-part * -np.expm1(-horizon.rate * end / 3)) / (horizon.rate / 3)
            return np.append(graded, end)
        assert not isinstance(horizon, FreeTime)
        return np.linspace(horizon.t0, end, (self.method.intervals or 8) + 1)

    def system(self, times: np.ndarray, extra: float = 0.0) -> Canonical:
        """Equations on a mesh; `extra` is added to the discount rate."""
        ends = Ends(self.bounds.initial, self.bounds.final, self.terminal)
        kind = Recursion if self.discrete else HermiteSimpson
        return kind(self.hamiltonian, times, ends, self.rate + extra)

    # ------------------------------------------------------------------ meshes

    def solve(self, start: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Result:
        """Solve on meshes that are refined until the demand is met, from nodes, states and costates there."""
        began, demand = time.process_time(), self.method.refine_to
        times, x, p = start
        history: list[dict[str, Any]] = []
        while True:
            self._check_memory(len(times) - 1)
            system = self.system(times)
            loose = self.tolerance / 10
            if demand is not None and not self.discrete:
                loose = max(loose, 1e-2 * demand)
            found = self._extremal(system, x, p, loose, globalise=not history)
            x, p = found.x, found.p
            along = self._path(system, found)
            history.append(_entry(found, along, self.tolerance))
            status = self._judge(found, along, len(history), len(times) - 1)
            if status is not None:
                break
            times, x, p = self._finer(times, found, along)
        if found.status is Status.SOLVED and found.residual > self.tolerance / 10:
            found = newton(system, x, p, self.tolerance / 10, self._tell, found.elimination)
            along = self._path(system, found)
            history[-1]["newton_steps"] += found.steps
            history[-1]["iterations"] += found.corrections
            history[-1]["residual"] = found.residual
            status = status if found.status is Status.SOLVED else found.status
        return self._result(system, found, along, status, history, time.process_time() - began)

    def _path(self, system: Canonical, found: Extremal) -> Path | None:
        """Return the functions of time and their errors, in continuous time and where there is a path."""
        if isinstance(system, HermiteSimpson) and np.isfinite(found.residual):
            return path(system, found.x, found.p)
        return None

    def _extremal(
        self, system: Canonical, x: np.ndarray, p: np.ndarray, tolerance: float, globalise: bool
    ) -> Extremal:
        """Newton's method; where it fails, from larger discount rates down to the true one."""
        found = newton(system, x, p, tolerance, self._tell)
        if found.status in (Status.SOLVED, Status.INTERRUPTED) or not globalise:
            return found
        steps, corrections = found.steps, found.corrections
        extra, last, good = 1.0 / max(1.0, np.ptp(system.times) / 20), 0.0, None
        for _ in range(30):
            start = (x, p) if good is None else (good.x, good.p)
            tried = newton(self.system(system.times, extra), *start, max(tolerance, 1e-6), self._tell)
            steps, corrections = steps + tried.steps, corrections + tried.corrections
            if tried.status is Status.INTERRUPTED:
                return tried
            if tried.status is Status.SOLVED:
                good, last = tried, extra
                if extra == 0.0:
                    break
                extra = extra / 4 if extra > 0.02 else 0.0
            else:
                extra = 4 * extra if good is None else (extra + last) / 2
                if good is not None and last - extra < 1e-3 * last:
                    break
        if good is not None and last == 0.0:
            found = newton(system, good.x, good.p, tolerance, self._tell)
        found.steps, found.corrections = steps + found.steps, corrections + found.corrections
        return found

    def _tell(self, correction: int, residual: float) -> None:
        if self.report is not None:
            self.report(correction, float("nan"), residual)

    def _judge(self, found: Extremal, along: Path | None, meshes: int, size: int) -> Status | None:
        """Status to stop with, or None to go on to a finer mesh."""
        method, demand = self.method, self.method.refine_to
        if found.status is not Status.SOLVED:
            again = found.status is not Status.INTERRUPTED and demand is not None and not self.discrete
            return None if again and meshes <= 2 else found.status
        if along is None:
            return Status.SOLVED
        if demand is None:
            return Status.NOT_VERIFIED
        if along.errors.worst.max() <= demand:
            return Status.SOLVED
        return (
            Status.REFINEMENT_LIMIT
            if meshes > method.max_refinements or size >= method.max_intervals
            else None
        )

    def _finer(
        self, times: np.ndarray, found: Extremal, along: Path | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a finer mesh, and where to start on it: the last path, or a rollout if there is none."""
        if found.status is not Status.SOLVED or along is None:
            finer = np.sort(np.append(times, (times[1:] + times[:-1]) / 2))
            return finer, *self._rollout(finer)
        assert self.method.refine_to is not None
        limits = (self.bounds.u_lower, self.bounds.u_upper)
        finer = refined(times, along.errors.worst, self.method.refine_to, self._law(along.x, along.p), limits)
        return finer, along.x(finer), along.p(finer)

    # ------------------------------------------------------------------ starts

    def start(
        self, end: float, guess: Any, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes, states and costates to start from."""
        times = self.first_mesh(end)
        known = isinstance(guess, Trajectory) and getattr(guess, "p", None) is not None
        if known and not self.discrete and not guess.discrete:
            earlier = guess.x.breaks
            times = np.union1d(earlier[(earlier > times[0]) & (earlier < end)], times[[0, -1]])
            times = np.union1d(times, self.first_mesh(end)[self.first_mesh(end) > earlier[-1]])
        if guess is None and rng is None:
            return times, *self._rollout(times)
        start = guesses.start(self.functions, self.bounds, self.parameters, (times[0], times[-1]), guess, rng)
        x = start.x(times)
        return times, x, start.p(times) if start.p is not None else np.zeros_like(x)

    def longer(self, result: Result, extra: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes, states and costates of a solution whose horizon is extended: the last state is held."""
        assert result.p is not None
        times = np.append(result.x.breaks, result.x.breaks[-1] + extra * np.array([0.5, 1.0]))
        return times, guesses.held(result.x)(times), guesses.held(result.p)(times)

    def _rollout(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return states under the controls that minimise the stage cost alone, and costates 0.

        Where the states run away they are held.
        """
        b, zero = self.bounds, np.zeros(self.n)
        x0 = np.where(np.isnan(b.initial), 0.0, b.initial)
        limit = 1e3 * (1 + np.abs(x0).max(initial=0.0))

        def flow(t: float, x: np.ndarray) -> np.ndarray:
            return self.hamiltonian.gradient(t, x, zero)[1]

        def leaves(t: float, x: np.ndarray) -> float:
            return limit - np.abs(x).max()

        x = np.tile(x0, (len(times), 1))
        leaves.terminal = True  # type: ignore[attr-defined]
        with np.errstate(all="ignore"):
            if self.discrete:
                for k in range(len(times) - 1):
                    new = flow(times[k], x[k])
                    x[k + 1] = new if np.isfinite(new).all() and np.abs(new).max() < limit else x[k]
            else:
                run = solve_ivp(flow, times[[0, -1]], x0, t_eval=times, events=leaves, rtol=1e-3, atol=1e-5)
                good = run.y.T[np.isfinite(run.y).all(axis=0)] if run.y.size else x[:1]
                x[: len(good)], x[len(good) :] = good, good[-1]
        prescribed = ~np.isnan(b.final)
        part = ((times - times[0]) / (times[-1] - times[0]))[:, None]
        x = np.where(prescribed, x0 + part * (np.where(prescribed, b.final, x0) - x0), x)
        return x, np.zeros_like(x)

    def _check_memory(self, K: int) -> None:
        """Refuse what does not fit, before it is tried."""
        size = 4 if self.n >= SINGLE else 8
        needed = (8 * K + 24) * self.n**2 * size
        free = self.method.memory or psutil.virtual_memory().available
        if needed > free:
            raise UnsupportedError(
                f"Problem '{self.problem.name}': {K} intervals with {self.n} states take "
                f"{needed / 2**30:.3g} GiB, and {free / 2**30:.3g} GiB are free; give a larger memory=, a "
                "looser refine_to, or fewer intervals."
            )

    # ------------------------------------------------------------------ the answer

    def _law(self, x: Interpolant, p: Interpolant) -> ControlLaw | None:
        """Return the controls along a path; they are computed where they are asked for."""
        if not self.functions.nu:
            return None
        H, limits = self.hamiltonian, (self.bounds.u_lower, self.bounds.u_upper)
        if not self.discrete:
            return ControlLaw(
                lambda t: H.control(t, x(t), p(t)), x.time, x.breaks, x.first, x.count, False, limits
            )
        weight, k = np.exp(-self.rate), x.time[:-1]
        plain = Interpolant.sequence(k, np.zeros((len(k), 1)))
        return ControlLaw(
            lambda t: H.control(t, x(t), weight * p(t + 1)),
            k,
            plain.breaks,
            plain.first,
            plain.count,
            True,
            limits,
        )

    def _result(
        self,
        system: Canonical,
        found: Extremal,
        along: Path | None,
        status: Status,
        history: Any,
        seconds: float,
    ) -> Result:
        gradient_cost = self._terminal_cost(found.x[-1], system.times)
        if along is not None:
            x, p, cost = along.x, along.p, along.cost + gradient_cost
            size = max(1e-12, abs(cost))
            errors = {
                "mesh": float(along.errors.states.max()),
                "cost": float(along.errors.cost.sum()) / size,
            }
            if isinstance(self.problem.horizon, Discounted):
                weight = np.exp(-self.rate * (system.times[-1] - system.times[0]))
                errors["tail"] = float(weight * abs(along.last_rate) / self.rate) / size
        else:
            x, p = (Interpolant.sequence(system.times, y) for y in (found.x, found.p))
            k, next_ = system.times[:-1], np.exp(-self.rate) * found.p[1:]
            stages = self.hamiltonian.value(k, found.x[:-1], next_) - np.einsum(
                "ij,ij->i", next_, found.x[1:]
            )
            cost = float(np.exp(-self.rate * k) @ stages) + gradient_cost
            errors = {"mesh": 0.0}
        if not np.isfinite(cost) or not np.isfinite(found.x).all():
            status = Status.NOT_FINITE if status.success else status
        outside = self._outside(x)
        if outside and status.success:
            status = Status.INFEASIBLE
        second = None
        if status.success and found.elimination is None:  # the start was a solution
            found.elimination = system.eliminate(found.x, found.p)
        if status.success and isinstance(found.elimination, Riccati):
            second = found.elimination.minimal()
            status = status if second else Status.NOT_MINIMAL
        names = {Status.SOLVED: "local optimum", Status.NOT_VERIFIED: "local optimum of the discrete problem"}
        u = self._law(x, p)
        return Result(
            status=status,
            message=f"{names.get(status, 'no optimum')}: {outside or status.value} "
            f"(residual {found.residual:.1e})",
            cost=cost, x=x, u=u, p=p, q=np.zeros(0), parameters=self.parameters,
            mesh_error=errors["mesh"], method=self.method.label, errors=errors,
            stats={
                "build": 0.0, "solve": seconds, "iterations": sum(h["iterations"] for h in history),
                "newton_steps": sum(h["newton_steps"] for h in history), "residual": found.residual,
                "intervals": len(system.times) - 1, "meshes": history,
            },
            sensitivity=lambda: sensitivity(self.functions, self.parameters, x, p, u),
            second_order=second, second_order_by="along the path (no conjugate point)",
            gain=self._gain(found.elimination, system.times), hamiltonian=self.hamiltonian,
        )  # fmt: skip

    def _outside(self, x: Interpolant) -> str:
        """Say which bound of a state the path misses most; nothing if it misses none."""
        low, high = self.bounds.x_lower, self.bounds.x_upper
        with np.errstate(invalid="ignore"):
            missed = np.fmax(low - x.values, x.values - high) / (1 + np.abs(x.values))
        missed = np.nan_to_num(missed, nan=-np.inf)
        node, i = np.unravel_index(np.argmax(missed), missed.shape)
        if missed[node, i] <= self.tolerance:
            return ""
        label = self.functions.labels("state")[int(i)]
        return (
            f"the extremal misses a bound of {label} at {x.time[node]:.6g} by {missed[node, i]:.1e}, "
            "which Pontryagin does not hold; use ocnet.Collocation"
        )

    def _gain(self, elimination: Any, times: np.ndarray) -> Interpolant | None:
        """Return the Riccati matrices as a function of time, linear between the nodes."""
        if not isinstance(elimination, Riccati):
            return None
        if not self.discrete:
            S = np.array(elimination.S).reshape(len(times), -1)
            K = len(times) - 1
            return Interpolant(times, S, times, np.arange(K), np.full(K, 2))
        weight = np.exp(-self.rate)
        gains = [weight * elimination.S[k + 1] @ elimination.transition(k) for k in range(len(times) - 1)]
        return Interpolant.sequence(times[:-1], np.array(gains).reshape(len(gains), -1))

    def _terminal_cost(self, x: np.ndarray, times: np.ndarray) -> float:
        f = self.functions
        if f.terminal.nnz_out(0) == 0:
            return 0.0
        value = float(f.terminal(times[-1], x, np.zeros(f.nx), np.zeros(f.nu), np.zeros(0), self.parameters))
        return float(np.exp(-self.rate * (times[-1] - times[0]))) * value


def _entry(found: Extremal, along: Path | None, tolerance: float) -> dict[str, Any]:
    """Return what is told about one mesh."""
    entry: dict[str, Any] = {
        "intervals": len(found.x) - 1, "iterations": found.corrections, "newton_steps": found.steps,
        "residual": found.residual,
    }  # fmt: skip
    if along is not None:
        entry |= {
            "cost": along.cost, "error": float(along.errors.worst.max()),
            "cost_error": float(along.errors.cost.sum()),
        }  # fmt: skip
    return entry


def _with_parameters(hamiltonian: Hamiltonian, parameters: Mapping[str, Any] | None) -> Hamiltonian:
    """Return the Hamiltonian for other values of the parameters, if it depends on them."""
    at = getattr(hamiltonian, "at", None)
    return at(parameters) if at is not None and parameters else hamiltonian


def _terminal(problem: Problem, parameters: np.ndarray) -> Any:
    """Return x -> gradient and second derivative of the terminal cost."""
    f = problem.functions
    if f.terminal.nnz_out(0) == 0 or f.terminal.jac_sparsity(0, 1).nnz() == 0:
        zero = np.zeros(f.nx), np.zeros((f.nx, f.nx))
        return lambda x: zero
    horizon = problem.horizon
    end = float(horizon.n or 0) if isinstance(horizon, Steps) else getattr(horizon, "tf", 0.0)
    x = ca.MX.sym("x", f.nx)
    value = f.terminal(end, x, ca.DM.zeros(f.nx), ca.DM.zeros(f.nu), ca.DM.zeros(0), parameters)
    curvature, slope = ca.hessian(value, x)
    function = ca.Function("terminal", [x], [ca.densify(slope), ca.densify(curvature)])

    def evaluate(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slope, curvature = function(at)
        return slope.full().ravel(), curvature.full()

    return evaluate
