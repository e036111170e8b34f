"""One solve on Pontryagin's road: the mesh loop, and what is returned."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from ocnet.errors import UnsupportedError
from ocnet.horizon import Discounted
from ocnet.methods import guess as guesses
from ocnet.methods.canonical import SINGLE, Canonical
from ocnet.methods.conditions import Conditions, beyond
from ocnet.methods.continuation import extremal
from ocnet.methods.elimination import Riccati
from ocnet.methods.envelope import sensitivity
from ocnet.methods.extremal import Path, path
from ocnet.methods.newton import Extremal, newton
from ocnet.methods.result import Result, Status
from ocnet.methods.switching import MOST_PIECES, refined
from ocnet.problem import Problem
from ocnet.trajectory import Interpolant, Trajectory

if TYPE_CHECKING:
    from ocnet.methods.pontryagin import Pontryagin

CAUTION = (3.0, 25.0)  # the true error of the cost may be so many times the estimate (on a fixed mesh)
MOST_FAILURES = 2  # of Newton's method, after which a finer mesh is tried
COARSE = 12  # intervals of a first mesh for many
Report = Callable[[int, float, float], None]


class Run:
    """One solve: the conditions for given parameters, and the meshes on which they were solved."""

    def __init__(
        self,
        problem: Problem,
        method: Pontryagin,
        parameters: Mapping[str, Any] | None,
        tolerance: float,
        report: Report | None,
    ) -> None:
        self.problem, self.method, self.tolerance, self.report = problem, method, tolerance, report
        self.conditions = Conditions(problem, parameters)
        self.history: list[dict[str, Any]] = []  # of all meshes
        self.seconds = 0.0
        self.failures = 0
        self.solved: Path | None = None  # on the last mesh where Newton's method ended well

    # ------------------------------------------------------------------ meshes

    def solve(self, start: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Result:
        """Solve on meshes that are refined until the demand is met, from nodes, states and costates there."""
        began, demand = time.process_time(), self.method.refine_to
        times, x, p = start
        history = self.history
        if len(times) > 2 * COARSE and not self.conditions.discrete and not p.any():
            x, p = self._from_coarse(times, x, p, history)
        self._check_memory(len(times) - 1)
        while True:
            system = self.conditions.system(times)
            loose = self.tolerance / 10
            if demand is not None and not self.conditions.discrete:
                loose = max(loose, 1e-2 * demand)
            found = extremal(self.conditions, times, x, p, loose, self._tell)
            x, p = found.x, found.p
            along = path(system, found.x, found.p)
            history.append(_entry(found, along))
            status = self._judge(found, along, len(times) - 1)
            if status is not None:
                break
            finer = self._finer(times, found, along)
            if self._needed(len(finer[0]) - 1) > self._free():
                status = Status.REFINEMENT_LIMIT if found.status is Status.SOLVED else found.status
                break
            times, x, p = finer
        if found.status is Status.SOLVED and found.residual > self.tolerance / 10:
            found = newton(system, x, p, self.tolerance / 10, self._tell, found.elimination)
            along = path(system, found.x, found.p)
            tight = _entry(found, along)
            for count in ("newton_steps", "iterations"):
                tight[count] += history[-1][count]
            history[-1] = tight
            status = status if found.status is Status.SOLVED else found.status
        self.seconds += time.process_time() - began
        return self._result(system, found, along, status)

    def _from_coarse(
        self, times: np.ndarray, x: np.ndarray, p: np.ndarray, history: list[dict[str, Any]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve on every so manieth node first, where the many steps from a bad start cost less."""
        chosen = np.unique(np.append(np.arange(0, len(times), len(times) // COARSE), len(times) - 1))
        system = self.conditions.system(times[chosen])
        found = newton(system, x[chosen], p[chosen], 1e-4, self._tell)
        along = path(system, found.x, found.p)
        if found.status is not Status.SOLVED:
            return x, p
        history.append(_entry(found, along))
        return along.x(times), along.p(times)

    def _tell(self, correction: int, residual: float) -> None:
        if self.report is not None:
            cost = self.history[-1]["cost"] if self.history else float("nan")  # of the last mesh
            self.report(correction, cost, residual)

    def _judge(self, found: Extremal, along: Path, size: int) -> Status | None:
        """Status to stop with, or None to go on to a finer mesh."""
        method, demand, meshes = self.method, self.method.refine_to, len(self.history)
        if found.status is not Status.SOLVED:
            hopeless = found.status in (Status.INTERRUPTED, Status.NOT_FINITE)
            again = not hopeless and demand is not None and not self.conditions.discrete
            self.failures += 1
            return None if again and self.failures <= MOST_FAILURES else found.status
        if self.conditions.discrete:
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
        self, times: np.ndarray, found: Extremal, along: Path
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a finer mesh, and where to start on it: the last path, or a rollout if there is none."""
        if found.status is not Status.SOLVED and (self.solved is None or self.failures > 1):
            finer = np.sort(np.append(times, (times[1:] + times[:-1]) / 2))
            return finer, *self.conditions.rollout(finer)
        most = MOST_PIECES
        if found.status is Status.SOLVED:
            self.solved = along
        else:  # a smaller step from the last mesh that was solved
            assert self.solved is not None
            along, most = self.solved, 2
            times = along.x.breaks
        assert self.method.refine_to is not None
        limits = (self.conditions.bounds.u_lower, self.conditions.bounds.u_upper)
        law = self.conditions.law(along.x, along.p)
        finer = refined(times, along.errors.worst, self.method.refine_to, law, limits, most)
        return finer, along.x(finer), along.p(finer)

    # ------------------------------------------------------------------ starts

    def start(
        self, end: float, guess: Any, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes, states and costates to start from."""
        times = first = self.conditions.mesh(end, self.method.intervals)
        known = isinstance(guess, Trajectory) and getattr(guess, "p", None) is not None
        if known and not self.conditions.discrete and not guess.discrete:
            earlier = guess.x.breaks
            inside = earlier[(earlier > first[0]) & (earlier < end)]
            times = np.concatenate([first[:1], inside, first[first > max(earlier[-1], first[0])]])
            times = np.union1d(times, first[-1:])
        if guess is None and rng is None:
            return times, *self.conditions.rollout(times)
        start = guesses.start(
            self.conditions.functions,
            self.conditions.bounds,
            self.conditions.parameters,
            (times[0], times[-1]),
            guess,
            rng,
        )
        x = start.x(times)
        return times, x, start.p(times) if start.p is not None else np.zeros_like(x)

    def longer(self, result: Result, extra: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes, states and costates of a solution whose horizon is extended: the last state is held."""
        assert result.p is not None
        earlier = result.x.breaks
        times = np.append(earlier, beyond(earlier, earlier[-1] + extra))
        return times, guesses.held(result.x)(times), guesses.held(result.p)(times)

    def _needed(self, K: int) -> float:
        """Return the bytes that K intervals take."""
        return (8 * K + 24) * self.conditions.n**2 * (4 if self.conditions.n >= SINGLE else 8)

    def _free(self) -> float:
        """Return the bytes that may be used."""
        return self.method.memory or psutil.virtual_memory().available

    def _check_memory(self, K: int) -> None:
        """Refuse what does not fit, before it is tried."""
        needed, free = self._needed(K), self._free()
        if needed > free:
            raise UnsupportedError(
                f"Problem '{self.problem.name}': {K} intervals with {self.conditions.n} states take "
                f"{needed / 2**30:.3g} GiB, and {free / 2**30:.3g} GiB are free; give a larger memory=, a "
                "looser refine_to, or fewer intervals."
            )

    # ------------------------------------------------------------------ the answer

    def _result(self, system: Canonical, found: Extremal, along: Path, status: Status) -> Result:
        x, p = along.x, along.p
        cost = along.cost + self.conditions.terminal_cost(found.x[-1], system.times)
        size = max(1e-12, abs(cost))
        errors = {"mesh": float(along.errors.states.max())}
        if not self.conditions.discrete:
            errors["costates"] = float(along.errors.costates.max())
            doubt = CAUTION[self.method.refine_to is None]
            errors["cost"] = doubt * float(along.errors.cost.sum()) / size + 1e-14
        if isinstance(self.problem.horizon, Discounted):
            weight = np.exp(-self.conditions.rate * (system.times[-1] - system.times[0]))
            errors["tail"] = float(weight * abs(along.last_rate) / self.conditions.rate) / size
        if not np.isfinite(cost) or not np.isfinite(found.x).all():
            status = Status.NOT_FINITE if status.success else status
        outside = self.conditions.outside(x, self.tolerance)
        if outside and status.success:
            status = Status.INFEASIBLE
        second = None
        if status.success and found.elimination is None:  # the start was a solution
            found.elimination = system.eliminate(found.x, found.p)
        if status.success and isinstance(found.elimination, Riccati):
            second = found.elimination.minimal()
            status = status if second else Status.NOT_MINIMAL
        names = {Status.SOLVED: "local optimum", Status.NOT_VERIFIED: "local optimum of the discrete problem"}
        u = self.conditions.law(x, p)
        return Result(
            status=status,
            message=f"{names.get(status, 'no optimum')}: {outside or status.value} "
            f"(residual {found.residual:.1e})",
            cost=cost, x=x, u=u, p=p, q=np.zeros(0), parameters=self.conditions.parameters,
            mesh_error=errors["mesh"], method=self.method.label, errors=errors,
            stats={
                "build": 0.0, "solve": self.seconds, "iterations": sum(h["iterations"] for h in self.history),
                "newton_steps": sum(h["newton_steps"] for h in self.history), "residual": found.residual,
                "intervals": len(system.times) - 1, "meshes": self.history,
            },
            sensitivity=lambda: sensitivity(self.conditions.functions, self.conditions.parameters, x, p, u),
            second_order=second, second_order_by="along the path (no conjugate point)",
            gain=self._gain(found.elimination, system.times), hamiltonian=self.conditions.hamiltonian,
        )  # fmt: skip

    def _gain(self, elimination: Any, times: np.ndarray) -> Interpolant | None:
        """Return the Riccati matrices as a function of time, linear between the nodes."""
        if not isinstance(elimination, Riccati):
            return None
        if not self.conditions.discrete:
            S = np.array(elimination.S).reshape(len(times), -1)
            K = len(times) - 1
            return Interpolant(times, S, times, np.arange(K), np.full(K, 2))
        weight = np.exp(-self.conditions.rate)
        gains = [weight * elimination.S[k + 1] @ elimination.transition(k) for k in range(len(times) - 1)]
        return Interpolant.sequence(times[:-1], np.array(gains).reshape(len(gains), -1))


def _entry(found: Extremal, along: Path) -> dict[str, Any]:
    """Return what is told about one mesh."""
    return {
        "intervals": len(found.x) - 1, "iterations": found.corrections, "newton_steps": found.steps,
        "residual": found.residual, "cost": along.cost,
        "error": float(along.errors.worst.max()), "cost_error": float(along.errors.cost.sum()),
    }  # fmt: skip
