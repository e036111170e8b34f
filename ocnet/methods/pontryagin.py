"""Pontryagin's road: the canonical boundary value problem, solved by Newton's method on N × N blocks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from ocnet.errors import OptionError, ProblemError, UnsupportedError
from ocnet.horizon import Discounted, FreeTime, Steps
from ocnet.methods.indirect import Report, Run
from ocnet.methods.options import check_demand, check_whole
from ocnet.methods.result import Result
from ocnet.problem import Problem

TAIL = 1e-9  # of the cost: what may be left out beyond the end of an infinite horizon
_BLAS = ThreadpoolController()


@dataclass(frozen=True)
class Pontryagin:
    """Pontryagin's conditions as a boundary value problem of the states and costates alone.

    The controls are eliminated by the problem's Hamiltonian, exactly, and never stored: N² synapses cost no
    more than N multipliers. The remaining 2n equations are collocated (Lobatto IIIA, order 4), solved by a
    semismooth Newton method with elimination backwards in time on (n, n) blocks, on meshes that are refined
    until the states and costates are as accurate as demanded, with nodes where controls meet their bounds.

    Parameters
    ----------
    intervals : int, optional
        Intervals of the first mesh (8, or 13 on an infinite horizon, if not given).
    refine_to : float or None
        Demand on the estimated error of states and costates, relative to 1 + |x| and 1 + |p|, on every
        interval; None keeps the first mesh, and the status says so.
    max_refinements, max_intervals : int
        Refinement stops after so many finer meshes, or before a mesh with more intervals.
    memory : float, optional
        Bytes that may be used; what the machine has free, if not given.
    threads : int
        Of the BLAS library during the solve. One is safe; more help from about a thousand states on, on a
        machine with nothing else to do, and are many times slower on a busy one.

    Raises
    ------
    OptionError
        For values out of range.

    Notes
    -----
    Bounds of states are not part of the conditions: a solution that keeps away from them by itself is a
    solution, and one that does not is reported as infeasible.

    With K intervals and n states the elimination holds (8 K + 24) n² numbers, of 8 bytes each, or of 4 bytes
    from n = 200 on, where corrections (not the equations) are computed in single precision. That peak is
    checked before the work starts, and refinement stops before a mesh that does not fit.
    """

    intervals: int | None = None
    refine_to: float | None = 1e-6
    max_refinements: int = 15
    max_intervals: int = 5000
    memory: float | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        check_whole(self, "intervals", 2, 10**6, none=True)
        check_whole(self, "max_refinements", 1, 10**4)
        check_whole(self, "max_intervals", 2, 10**8)
        check_whole(self, "threads", 1, 1024)
        check_demand(self, 1e-12)
        if self.memory is not None and not (isinstance(self.memory, (int, float)) and self.memory > 0):
            raise OptionError(f"Pontryagin: memory is {self.memory!r}; expected a positive number of bytes.")

    @property
    def label(self) -> str:
        """The method in words, as reports call it."""
        target = "fixed mesh" if self.refine_to is None else f"refined to {self.refine_to:g}"
        return f"Pontryagin's conditions (Lobatto IIIA, order 4, {target})"

    def prepare(self, problem: Problem) -> PontryaginSolver:
        """Build what does not depend on guesses and parameter values; called by :func:`ocnet.prepare`.

        Raises
        ------
        ProblemError, UnsupportedError
            For what this road cannot treat; the message says what to use instead.
        """
        return PontryaginSolver(problem, self)


class PontryaginSolver:
    """A problem prepared for Pontryagin's road, to be solved many times."""

    def __init__(self, problem: Problem, method: Pontryagin) -> None:
        start = time.process_time()
        self.problem, self.method, self.functions = problem, method, problem.functions
        _refuse(problem)
        self.build_seconds = time.process_time() - start

    def solve(
        self,
        guess: Any = None,
        parameters: Mapping[str, Any] | None = None,
        tolerance: float = 1e-8,
        report: Report | None = None,
        rng: np.random.Generator | None = None,
    ) -> Result:
        """Solve from a guess; see :func:`ocnet.solve` for the arguments."""
        run = Run(self.problem, self.method, parameters, tolerance, report)
        guess = self.problem.guess if guess is None else guess
        with _BLAS.limit(limits=int(self.method.threads), user_api="blas"):
            result = run.solve(run.start(run.conditions.first_end, guess, rng))
            for _ in range(3):
                if result.errors.get("tail", 0.0) < TAIL or not result.status.success:
                    break
                extra = np.log(10 * result.errors["tail"] / TAIL) / run.conditions.rate
                result = run.solve(run.longer(result, float(extra)))
        result.stats["build"] = self.build_seconds
        return result


def _refuse(problem: Problem) -> None:
    """Refuse, with a reason, what this road cannot treat."""
    f, horizon = problem.functions, problem.horizon
    where = f"Problem '{problem.name}'"
    if not f.has_cost:
        raise ProblemError(f"{where}: it has no cost; call problem.minimize before solve.")
    reasons = {
        "a free final time": isinstance(horizon, FreeTime),
        "infinitely many steps": isinstance(horizon, Steps) and horizon.n is None,
        f"unknown constants ({', '.join(v.name for v in f.unknowns)})": bool(f.unknowns),
        f"constraints ({', '.join(c.name for c in problem.constraints)})": bool(problem.constraints),
        "data terms at sample times": bool(problem.samples),
        "final values on an infinite horizon": isinstance(horizon, Discounted)
        and any(v.final is not None for v in f.states),
    }
    for reason, holds in reasons.items():
        if holds:
            raise UnsupportedError(f"{where}: Pontryagin cannot treat {reason}; use ocnet.Collocation.")
