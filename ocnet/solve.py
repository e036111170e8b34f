"""solve: one verb for every road."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from threadpoolctl import ThreadpoolController

from ocnet.diagnose import failure_text
from ocnet.errors import OptionError, ProblemError, SolveError
from ocnet.methods.collocation import Collocation
from ocnet.problem import Problem
from ocnet.progress import live
from ocnet.solution import Result, Solution, Status
from ocnet.verify import verify


class Prepared(Protocol):
    """What a method makes of a problem: something that can be solved many times."""

    def solve(self, guess: Any, parameters: Any, tolerance: float, report: Any, rng: Any) -> Result:
        """Return the arrays of one local optimum."""
        ...


class Method(Protocol):
    """A road to the optimum."""

    def prepare(self, problem: Problem) -> Prepared:
        """Build what does not depend on guesses and parameter values."""
        ...


_BLAS = ThreadpoolController()  # small dense blocks run many times slower on several threads


class Solver:
    """A problem prepared for a method; made by :func:`prepare`.

    Attributes
    ----------
    problem : Problem
    method : Method
    """

    def __init__(self, problem: Problem, method: Method) -> None:
        if not isinstance(problem, Problem):
            raise ProblemError(f"solve: got a {type(problem).__name__}; expected a Problem.")
        if isinstance(method, type):
            raise OptionError(
                f"solve: method is the class {method.__name__}; expected an object: "
                f"write {method.__name__}()."
            )
        if not callable(getattr(method, "prepare", None)):
            raise OptionError(f"solve: method is {method!r:.60}; expected a method such as Collocation().")
        self.problem, self.method = problem, method
        # Kept by the problem, to which it refers: a table of weak references would never let go of either.
        cache: dict[Method, Prepared] = vars(problem).setdefault("_prepared", {})
        if method not in cache:
            cache[method] = method.prepare(problem)
        self._solver = cache[method]

    def solve(
        self,
        *,
        guess: Any = None,
        multistart: int = 1,
        rng: np.random.Generator | int | None = None,
        parameters: Mapping[str, Any] | None = None,
        tolerance: float = 1e-8,
        progress: bool = False,
        throw: bool = True,
    ) -> Solution:
        """Solve once; arguments, result and errors are those of :func:`solve`."""
        check_arguments(multistart, tolerance)
        generator = _generator(rng)
        results: list[Result] = []
        with live(self.problem.name, progress) as report, _BLAS.limit(limits=1, user_api="blas"):
            first = guess.starts(self.problem, parameters) if hasattr(guess, "starts") else [guess]
            for k in range(len(first) + multistart - 1):
                draw = generator if k >= len(first) else None
                here = first[k] if k < len(first) else None
                result = self._solver.solve(here, parameters, tolerance, report, draw)
                results.append(result)
                if result.status is Status.INTERRUPTED:
                    break
        good = [r for r in results if r.status.success]
        best = min(good, key=lambda r: r.cost) if good else results[0]
        best.optima = _distinct([r.cost for r in good])
        best.stats["starts"] = len(results)
        solution = Solution(self.problem, best, certify=verify)
        if throw and not solution.success:
            raise SolveError(failure_text(solution), solution)
        return solution


def solve(
    problem: Problem,
    method: Method | None = None,
    *,
    guess: Any = None,
    multistart: int = 1,
    rng: np.random.Generator | int | None = None,
    parameters: Mapping[str, Any] | None = None,
    tolerance: float = 1e-8,
    progress: bool = False,
    throw: bool = True,
) -> Solution:
    """Solve a control problem.

    Parameters
    ----------
    problem : Problem
        It is frozen by its first solve.
    method : Collocation or Pontryagin, optional
        The road; direct collocation with its defaults if not given.
    guess : mapping, Trajectory, Solution or ValueFunction, optional
        By name: a constant, a function of time, or a pair (times, values); "time" is a free final time. A
        Solution is a warm start with its costates. A ValueFunction starts from the path of its feedback, and
        near a Skiba set from one path into each basin. What is not given is rolled out with mid-bound
        controls.
    multistart : int
        Number of starts; all but the first draw the controls at random. The best is returned, and
        `solution.optima` lists the distinct costs that were found.
    rng : numpy.random.Generator or int, optional
        Seeds the random starts.
    parameters : mapping, optional
        Values of parameters for this solve, by name.
    tolerance : float
        Of the nonlinear system, in (0, 1e-2].
    progress : bool
        Show a live line with iteration, cost and infeasibility.
    throw : bool
        Raise when the solve fails; otherwise return a Solution whose status says so.

    Returns
    -------
    Solution

    Raises
    ------
    ProblemError, OptionError, UnsupportedError
        Before any work, for what is stated wrongly or cannot be treated.
    SolveError
        If the solve failed and `throw` is true; it carries the last iterate.
    """
    return prepare(problem, method).solve(
        guess=guess, multistart=multistart, rng=rng, parameters=parameters, tolerance=tolerance,
        progress=progress, throw=throw,
    )  # fmt: skip


def prepare(problem: Problem, method: Method | None = None) -> Solver:
    """Build a solver to be called many times with other guesses and parameters.

    Parameters
    ----------
    problem : Problem
    method : Collocation or Pontryagin, optional

    Returns
    -------
    Solver
        ``solver.solve(guess=..., parameters=...)`` takes the keyword arguments of :func:`solve`.
    """
    return Solver(problem, method if method is not None else Collocation())


def check_arguments(multistart: int, tolerance: float) -> None:
    """Refuse a number of starts or a tolerance out of range."""
    if isinstance(multistart, bool) or not isinstance(multistart, (int, np.integer)) or multistart < 1:
        raise OptionError(f"solve: multistart is {multistart!r}; expected a positive number of starts.")
    if not isinstance(tolerance, (int, float)) or not 0 < tolerance <= 1e-2:
        raise OptionError(f"solve: tolerance is {tolerance!r}; expected a number in (0, 1e-2].")


def _generator(rng: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise OptionError(
            f"solve: rng is {rng!r:.60}; expected a numpy Generator, a seed of at least 0 or None."
        ) from None


def _distinct(costs: list[float]) -> list[float]:
    """Costs that differ by more than a relative 1e-6, ascending."""
    result: list[float] = []
    for cost in sorted(costs):
        if not result or cost - result[-1] > 1e-6 * max(1.0, abs(cost)):
            result.append(cost)
    return result
