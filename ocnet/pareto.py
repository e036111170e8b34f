"""The Pareto front of two costs: what can be had of one for how much of the other."""

from __future__ import annotations

import os
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from ocnet.errors import OptionError, ProblemError, SolveError
from ocnet.kept_solutions import KeptSolutions
from ocnet.methods.result import Status
from ocnet.path_cost import path_cost
from ocnet.problem import Problem
from ocnet.solution import Solution
from ocnet.solve import Method, prepare
from ocnet.sweeps.cases import name_of

FIRST = 7  # points from which the search for even spacing starts
ROUNDS = 60
NARROW = 1e-6  # distance of two weights (in log μ/(1 − μ)) between which the front is taken to jump
GAIN = 1e-9  # by which another point's path must be cheaper, relative to 1 + |J|, to be taken as a guess


@dataclass(frozen=True)
class ParetoFront:
    """Points of a front, from the least weight of the second cost to the largest.

    Attributes
    ----------
    weights : ndarray (n,)
        μ in (0, 1); each point minimises (1 − μ) J₁ + μ J₂.
    costs : ndarray (n, 2)
        J₁ and J₂ of each point, in the problem's own unit of cost.
    positions : ndarray (n,)
        Length along the front from the first point, both costs divided by their ranges.
    solutions : list of Solution
    names : (str, str)
        Of the two costs.
    gaps : list of (float, float)
        Weights between which the front jumps: there the optimum changes to another branch, and no weight
        gives the points between (a front that is not convex, or a corner).
    solves : int
        How many optima were computed, those between the points included.
    complete : bool
        False if the search for even spacing was interrupted.
    """

    weights: np.ndarray
    costs: np.ndarray
    positions: np.ndarray
    solutions: list[Solution]
    names: tuple[str, str]
    gaps: list[tuple[float, float]]
    solves: int
    complete: bool = True

    @property
    def unevenness(self) -> float:
        """Largest distance of two neighbours over the mean one, less 1: 0 for even spacing; gaps count."""
        steps = np.diff(self.positions)
        return float(steps.max() / steps.mean() - 1) if len(steps) and steps.mean() > 0 else 0.0

    def __str__(self) -> str:
        first, second = self.names
        lines = [
            f"Pareto front of {first} and {second}: {len(self.weights)} points from {self.solves} solves, "
            f"spacing even to {self.unevenness:.1%}",
            f"  {'weight':>12}  {first:>14}  {second:>14}  {'position':>9}",
        ]
        for mu, (a, b), s in zip(self.weights, self.costs, self.positions, strict=True):
            lines.append(f"  {mu:12.6g}  {a:14.8g}  {b:14.8g}  {s:9.4f}")
        lines += [f"  It jumps between the weights {low:.6g} and {high:.6g}." for low, high in self.gaps]
        if not self.complete:
            lines.append("  Interrupted: the points are not evenly spaced.")
        return "\n".join(lines)


def pareto_front(
    problem: Problem | Callable[[float], Problem],
    points: int = 15,
    *,
    weight: str = "mu",
    ends: tuple[float, float] = (1e-3, 1.0 - 1e-3),
    names: tuple[str, str] = ("first cost", "second cost"),
    method: Method | None = None,
    evenness: float = 0.05,
    tolerance: float = 1e-8,
    store: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> ParetoFront:
    """Trace the front of two costs, its points evenly spaced along it.

    For weights μ the sum J = (1 − μ) J₁ + μ J₂ is minimised, each solve starting from the nearest optimum
    known. The weights are chosen so that the points lie at equal distances along the front in the plane of
    the costs, each divided by its range: equal steps of μ crowd them at the ends. Every path found is a
    rival for every other weight: where one is cheaper than the point's own, the point is solved again from
    it.

    Parameters
    ----------
    problem : Problem or callable
        With a parameter, a number, of the name `weight`; or a function μ -> Problem. Its cost has to be
        (1 − μ) J₁ + μ J₂ (at μ = 0 and 1 it is evaluated, not solved).
    points : int
        At least 3.
    weight : str
        Name of the parameter.
    ends : (float, float)
        First and last weight, 0 < first < last < 1.
    names : (str, str)
        What the costs are called.
    method : Collocation or Pontryagin, optional
        The road of all solves.
    evenness : float
        By how much of the mean step a point may be off its place, in (0, 0.5].
    store : path, optional
        Folder into which each optimum is written as soon as it is found. The same call with the same store
        goes on where one stopped, whatever stopped it.
    tolerance, progress
        Of each solve, see :func:`ocnet.solve`.

    Returns
    -------
    ParetoFront
        Ctrl-C returns the points found so far.

    Raises
    ------
    ProblemError
        For a problem without that parameter, or a cost that is not (1 − μ) J₁ + μ J₂.
    OptionError
        For too few points, or ends, names or evenness out of range.
    SolveError
        If a solve fails from every neighbour.
    StorageError
        If the store belongs to another front, or cannot be written.

    Notes
    -----
    A store is recognised by what is asked for and by the printed problem, or the name of the function: it
    does not notice when data that are not printed, or the body of the function, change.

    With J₁ = ∫|u̇|² and J₂ = ∫|ξ|² these are the conservative (μ near 1) and innovative (small μ) attitudes
    of F. Cardin et al., arXiv 2305.14360.
    """
    _check(problem, points, weight, ends, names, evenness)
    header = {
        "problem": str(problem) if isinstance(problem, Problem) else name_of(problem), "points": points,
        "weight": weight, "ends": ends, "method": repr(method), "evenness": evenness, "tolerance": tolerance,
    }  # fmt: skip
    kept = KeptSolutions(store, header, "pareto_front")
    search = _Search(problem, weight, method, tolerance, progress, kept)
    low, high = (float(np.log(mu / (1 - mu))) for mu in ends)
    try:
        for z in np.linspace(low, high, max(FIRST, points // 2)):
            search.add(float(z))
        complete = _spread(search, points, evenness)
    except _Interrupted:
        complete = False
        if not search.found:
            raise KeyboardInterrupt from None
    chosen, s, gaps = _chosen(search, points)
    return ParetoFront(
        np.array([_weight(point.z) for point in chosen]), np.array([point.costs for point in chosen]),
        s, [point.solution for point in chosen], names, gaps, search.solves, complete,
    )  # fmt: skip


class _Interrupted(Exception):
    pass


@dataclass(order=True)
class _Point:
    """An optimum at z = log μ/(1 − μ)."""

    z: float
    costs: tuple[float, float] = field(compare=False)
    solution: Solution = field(compare=False)

    def weighted(self, z: float) -> float:
        mu = _weight(z)
        return (1 - mu) * self.costs[0] + mu * self.costs[1]


def _weight(z: float) -> float:
    return float(1 / (1 + np.exp(-z)))


class _Search:
    """The optima found so far, by weight."""

    def __init__(
        self,
        problem: Any,
        weight: str,
        method: Method | None,
        tolerance: float,
        progress: bool,
        kept: KeptSolutions,
    ) -> None:
        self._problem, self._name, self._method, self._kept = problem, weight, method, kept
        self._options: dict[str, Any] = {"tolerance": tolerance, "progress": progress, "throw": False}
        self._solver = prepare(problem, method) if isinstance(problem, Problem) else None
        self._ends = (problem, problem) if isinstance(problem, Problem) else (problem(0.0), problem(1.0))
        self.found: list[_Point] = []
        self.solves = 0

    def add(self, z: float) -> None:
        """Solve at a weight, from the neighbours' paths, until no path known is cheaper there."""
        best: _Point | None = None
        near = sorted(self.found, key=lambda point: abs(point.z - z))[:2]
        for guess in [point.solution for point in near] or [None]:
            best = self._solved(z, guess)
            if best is not None:
                break
        if best is None:
            best = self._solved(z, None)
        if best is None:
            raise SolveError(
                f"pareto_front: no optimum was found at the weight {_weight(z):.6g}, from its neighbours or "
                "without a guess; solve there by hand, or choose other ends."
            )
        insort(self.found, best)
        self._challenge(best)

    def _challenge(self, new: _Point) -> None:
        """Let a new path compete with all others, and they with it."""
        for point in [new, *(p for p in self.found if p is not new)]:
            rivals = [p for p in self.found if p is not point]
            rival = min(rivals, key=lambda p: p.weighted(point.z), default=None)
            own = point.weighted(point.z)
            if rival is None or rival.weighted(point.z) >= own - GAIN * (1 + abs(own)):
                continue
            better = self._solved(point.z, rival.solution)
            if better is not None and better.weighted(point.z) < own:
                point.costs, point.solution = better.costs, better.solution

    def _solved(self, z: float, guess: Solution | None) -> _Point | None:
        mu = _weight(z)
        self.solves += 1
        own = self._solver is not None
        problem = self._problem if own else self._problem(mu)

        def solve() -> Solution:
            solver = self._solver or prepare(problem, self._method)
            return solver.solve(guess=guess, parameters={self._name: mu} if own else None, **self._options)

        solution = self._kept.solved(problem, solve)
        if solution.status is Status.INTERRUPTED:
            raise _Interrupted
        if not solution.success:
            return None
        costs = self._costs(solution)
        mixed = (1 - mu) * costs[0] + mu * costs[1]
        if abs(mixed - solution.cost) > 1e-4 * (abs(solution.cost) + abs(costs[0]) * (1 - mu) + 1e-8):
            raise ProblemError(
                f"pareto_front: at the weight {mu:.6g} the cost is {solution.cost:.8g}, but that of its path "
                f"by (1 − μ) J₁ + μ J₂ is {mixed:.8g}; expected a cost of that form."
            )
        return _Point(z, costs, solution)

    def _costs(self, solution: Solution) -> tuple[float, float]:
        values: list[float] = []
        for problem, mu in zip(self._ends, (0.0, 1.0), strict=True):
            given = {self._name: mu} if self._solver is not None else None
            flat = problem.functions.pack(problem.parameter_values(given), "parameter")
            values.append(path_cost(solution, problem, flat))
        return values[0], values[1]


def _positions(found: list[_Point]) -> np.ndarray:
    """Length along the polygon of all points, costs divided by their ranges (n,)."""
    costs = np.array([point.costs for point in found])
    span = np.ptp(costs, axis=0)
    scaled = costs / np.where(span > 0, span, 1.0)
    return np.append(0.0, np.cumsum(np.linalg.norm(np.diff(scaled, axis=0), axis=1)))


def _spread(search: _Search, points: int, evenness: float) -> bool:
    """Add points until each place has one; see :func:`pareto_front`."""
    for _ in range(ROUNDS):
        s = _positions(search.found)
        if s[-1] == 0:
            return True
        step = s[-1] / (points - 1)
        z = np.array([point.z for point in search.found])
        wanted = [  # a step much longer than wanted leaves the length of the front uncertain
            float(a + b) / 2
            for (a, b), length in zip(pairwise(z), np.diff(s), strict=True)
            if length > step and b - a > NARROW
        ]
        if not wanted:
            kept = np.append(True, np.diff(s) > 1e-12 * s[-1])
            place = PchipInterpolator(s[kept], z[kept])
            wanted = [
                float(place(target))
                for target in np.arange(1, points - 1) * step
                if np.abs(s - target).min() > 0.5 * evenness * step and not _in_gap(s, z, target)
            ]
        if not wanted:
            return True
        for new in wanted:
            if np.abs(z - new).min() > NARROW / 4:
                search.add(float(new))
                z = np.array([point.z for point in search.found])
    return False


def _in_gap(s: np.ndarray, z: np.ndarray, target: float) -> bool:
    k = int(np.clip(np.searchsorted(s, target), 1, len(s) - 1))
    return bool(z[k] - z[k - 1] <= NARROW)


def _chosen(search: _Search, points: int) -> tuple[list[_Point], np.ndarray, list[tuple[float, float]]]:
    """Return the points nearest to the places, their positions, and the gaps of the front."""
    found, s = search.found, _positions(search.found)
    index = sorted({int(np.abs(s - target).argmin()) for target in np.linspace(0.0, s[-1], points)})
    step = s[-1] / (points - 1)
    gaps = [
        (_weight(a.z), _weight(b.z))
        for (a, b), length in zip(pairwise(found), np.diff(s), strict=True)
        if b.z - a.z <= NARROW and length > 0.5 * step
    ]
    return [found[i] for i in index], s[index], gaps


def _check(problem: Any, points: Any, weight: Any, ends: Any, names: Any, evenness: Any) -> None:
    if isinstance(problem, Problem):
        own = [v.name for v in problem.functions.parameters if v.size == 1]
        if weight not in own:
            raise ProblemError(
                f"pareto_front: '{problem.name}' has no parameter {weight!r} that is a number; it has {own}."
            )
    elif not callable(problem):
        raise ProblemError(
            f"pareto_front: got a {type(problem).__name__}; expected a Problem, or a function that gives one "
            "for a weight."
        )
    if isinstance(points, bool) or not isinstance(points, (int, np.integer)) or points < 3:
        raise OptionError(f"pareto_front: points is {points!r}; expected a whole number of at least 3.")
    if len(ends) != 2 or not 0 < ends[0] < ends[1] < 1:
        raise OptionError(f"pareto_front: ends are {ends!r}; expected two weights, 0 < first < last < 1.")
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise OptionError(f"pareto_front: names are {names!r}; expected two names.")
    if not isinstance(evenness, (int, float)) or not 0 < evenness <= 0.5:
        raise OptionError(f"pareto_front: evenness is {evenness!r}; expected a number in (0, 0.5].")
