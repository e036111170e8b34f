"""Values beside kinks by the method of characteristics, from where the grid knows them well.

Paths part from concave kinks of a value function: some cells further on the grid is accurate again. An
extremal that starts at a state and ends there with p = ∇v carries that accuracy back. Its cost is stationary:
an error of ∇v at the end counts in second order only. Starts around the state find one extremal for each
branch of the value function; the least cost counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.shooting import Shooting, Slice

BESIDE = (1.5, 3.0)  # cells by which starts lie beside a state along each axis
FIRST = 4.0  # cells that the shortest extremals cross
SHORTEST, LONGEST = 0.1, 3.2  # in units of 1/ρ: what the first extremals take at most, and the last ones
FAILURES = 2  # of a start to find an extremal, one after the other, that end the search
APART = 1e-2  # cells between the ends of different extremals, or relative difference of their costates
DOUBT = 0.1  # of the grid's error by which its value may be less without a look at the closed loop
LEGS = 6  # of a chain of extremals, at most

Figure = Callable[[np.ndarray], np.ndarray]  # x (points, n) -> (points,)


class Refined(NamedTuple):
    """Values (points,), their estimated errors (points,), and ∇v (points, n), at states (points, n)."""

    value: Any
    error: Any
    gradient: np.ndarray


class Extremals(NamedTuple):
    """Extremals from states: time (points,), end (points, n), costate at the start (points, n), cost, error.

    The cost (points,) is that of the path, with v at its end for the rest; the error (points,) is the
    estimate at the end, discounted. Both are ∞ where there is no extremal.
    """

    time: np.ndarray
    end: np.ndarray
    costate: np.ndarray
    cost: np.ndarray
    error: np.ndarray


class Leg(NamedTuple):
    """What an extremal of a chain takes, and where it ends (n,)."""

    time: float
    end: np.ndarray


class Characteristics:
    """Values of a stationary value function beside its kinks.

    Parameters
    ----------
    hamiltonian : Hamiltonian
    grid : Grid
    at : callable
        v (points,) and ∇v (points, n) at states (points, n) in the grid.
    estimate : callable
        Errors (points,) of v there.
    loop : callable
        Costs (points,) of the closed loop from there; ∞ where it leaves the grid.
    """

    def __init__(
        self, hamiltonian: Hamiltonian, grid: Grid, at: Slice, estimate: Figure, loop: Figure
    ) -> None:
        self.hamiltonian, self.grid, self.at = hamiltonian, grid, at
        self.estimate, self.loop = estimate, loop
        self.rate, self.shooting = hamiltonian.rate, Shooting(hamiltonian, grid, at)

    def refined(self, x: np.ndarray, tolerance: np.ndarray, legs: int = LEGS) -> Refined:
        """Return values at states, where the grid's are doubtful by chains of extremals.

        Where these do not lead to a state whose estimate is small enough, the closed loop goes on, or starts.

        Parameters
        ----------
        x : ndarray (points, n)
        tolerance : ndarray (points,)
            Estimates that are small enough.
        legs : int
            Extremals of a chain, at most.
        """
        return self._best(x, tolerance, legs)[0]

    def cost(self, x: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
        """Return what the paths of refined values cost (points,), or the closed loop where it costs less.

        Costs are integrated along the extremals, and along the closed loop from their ends. ∞ for no path.
        """
        result, chains = self.loop(x), self._best(x, tolerance, LEGS)[1]
        numbers = [k for k, chain in enumerate(chains) if chain]
        if not numbers:
            return result
        rest = self.loop(np.array([chains[k][-1].end for k in numbers]))
        legs = [leg for chain in chains for leg in chain]
        starts, spent = self.shooting.spent(
            np.array([leg.end for leg in legs]), np.array([leg.time for leg in legs])
        )
        parts = iter(zip(starts, spent, strict=True))
        n = x.shape[1]
        for k, last in zip(numbers, rest, strict=True):
            total, fade, state = 0.0, 1.0, x[k]
            for leg in chains[k]:
                start, cost = next(parts)
                total += fade * (cost + start[n:] @ (state - start[:n]))  # a miss of 1e-6 cells
                fade, state = fade * np.exp(-self.rate * leg.time), leg.end
            result[k] = np.fmin(result[k], total + fade * last)
        return result

    def _best(self, x: np.ndarray, tolerance: np.ndarray, legs: int) -> tuple[Refined, list[tuple[Leg, ...]]]:
        """Return refined values, and for each state the extremals that lead to where the grid is accurate."""
        value, gradient = self.at(x)
        error = self.estimate(x)
        doubtful = np.flatnonzero(error > tolerance)
        best = Refined(value.copy(), error.copy(), gradient.copy())
        best.value[doubtful] = best.error[doubtful] = np.inf
        chains: list[tuple[Leg, ...]] = [()] * len(x)
        if legs and len(doubtful):
            number, found = self._branches(x[doubtful], tolerance[doubtful])
            number = doubtful[number]
            fade = np.exp(-self.rate * found.time)
            rest, following = self._best(found.end, tolerance[number] / fade, legs - 1)
            total = found.cost + fade * (rest.value - self.at(found.end)[0])
            gap = np.fmax(fade * rest.error, np.abs(total - found.cost))
            ends = np.isinf(rest.value)  # nothing follows: v stands for the rest
            total[ends], gap[ends] = found.cost[ends], found.error[ends]
            for k in np.argsort(-(total + gap)):  # the least one last
                for column, new in zip(best, (total, gap, found.costate), strict=True):
                    column[number[k]] = new[k]
                chains[number[k]] = (Leg(float(found.time[k]), found.end[k]), *following[k])
        missed = best.value > value + best.error + DOUBT * error  # perhaps a branch that the grid knows
        left = np.flatnonzero(missed | np.isinf(best.value))
        if len(left):
            cost = self.loop(x[left])
            lower = cost < best.value[left]
            left, cost = left[lower], cost[lower]
            best.value[left], best.gradient[left] = cost, gradient[left]
            best.error[left] = np.fmax(error[left], np.abs(cost - value[left]))
            for k in left:
                chains[k] = ()
        return best, chains

    def _branches(self, x: np.ndarray, tolerance: np.ndarray) -> tuple[np.ndarray, Extremals]:
        """Return the numbers (m,) of states, and extremals from them that differ.

        From each start the feedback leads to a guess of an end; extremals found grow along the feedback, each
        stage twice as long, until their error is small enough. The stage with the least error counts.
        """
        points, n = x.shape
        cells = self.grid.cells(x)
        aside = np.vstack([np.zeros((1, n)), *(s * b * np.eye(n) for b in BESIDE for s in (1, -1))])
        number, starts = np.repeat(np.arange(points), len(aside)), len(aside)
        end = self.shooting.inside((x[:, None] + aside * cells[:, None]).reshape(-1, n))
        speed = np.abs(self.hamiltonian.gradient(0.0, end, self.at(end)[1])[1]) / cells[number]
        with np.errstate(divide="ignore"):
            time = FIRST / speed.reshape(points, -1).max(axis=1)
        time = np.fmin(time, SHORTEST / self.rate)[number]
        step, going, failures = time, np.arange(len(number)), np.zeros(len(number), dtype=np.int64)
        best = self._none(x[number])
        while len(going):
            guess = self.shooting.followed(end[going], step[going])
            found = self._met(x[number[going]], guess, time[going])
            met = np.isfinite(found.error)
            end[going] = np.where(met[:, None], found.end, guess)
            better = found.error < best.error[going]
            for old, new in zip(best, found, strict=True):
                old[going[better]] = new[better]
            failures[going] = np.where(met, 0, failures[going] + 1)
            marks = np.full((points * starts, 2 * n), np.nan)
            relative = found.costate[met] / (1 + np.abs(found.costate[met]).max(axis=1, keepdims=True))
            marks[going[met]] = np.hstack([found.end[met] / cells[number[going[met]]], relative])
            marks = marks.reshape(points, starts, 1, 2 * n)
            alike = np.abs(marks - np.swapaxes(marks, 1, 2)).max(axis=3) < APART  # not NaN
            known = np.tril(alike, -1).any(axis=2).reshape(-1)
            best.cost[known & (best.time == time)] = np.inf
            more = ~known[going] & (failures[going] < FAILURES) & (2 * time[going] * self.rate <= LONGEST)
            going = going[more & ~(found.error <= tolerance[number[going]])]
            step, time = time, 2 * time
        kept = np.flatnonzero(np.isfinite(best.cost))
        return number[kept], Extremals(*(column[kept] for column in best))

    def _met(self, x: np.ndarray, guess: np.ndarray, time: np.ndarray) -> Extremals:
        """Return the extremals from states that end near guesses after given times."""
        end, start = self.shooting.ends(x, guess, time)
        found, met = self._none(x), np.flatnonzero(np.isfinite(start).all(axis=1))
        if len(met):
            error = np.exp(-self.rate * time[met]) * self.estimate(end[met])
            cost = self.shooting.cost(x[met], end[met], start[met], time[met])
            fine = np.isfinite(cost)
            cost, error = np.where(fine, cost, np.inf), np.where(fine, error, np.inf)
            columns = (time[met], end[met], start[met, x.shape[1] :], cost, error)
            for column, part in zip(found, columns, strict=True):
                column[met] = part
        return found

    def _none(self, x: np.ndarray) -> Extremals:
        """Return no extremal for each state (points, n)."""
        never = np.full(len(x), np.inf)
        return Extremals(np.zeros(len(x)), x.copy(), np.zeros_like(x), never, never.copy())
