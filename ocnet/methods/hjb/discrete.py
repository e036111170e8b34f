"""Discrete time: Bellman's equation v(x) = min over u of ℓ(x, u) + e^{−ρ} v(F(x, u)), on a grid.

The Hamiltonian minimises ℓ + p̂·F for a given p̂; the best control of Bellman's equation is the one of
p̂ = e^{−ρ}∇v at the next state. Towards that p̂ the total ℓ + e^{−ρ}v(F) falls, so that it is found by descent,
with steps of Barzilai and Borwein (IMA J. Numer. Anal. 8, 1988). It starts from several p̂, because v has
kinks and the total more than one minimum: from 0, and from the best of the last policy here and at the
neighbours. The least total is taken, so that a policy never gets worse.

Cubics between the nodes can overshoot, and then the map from v to v is no contraction: a policy is applied
only while its changes fall, and where policies do not settle they give way to plain value iteration.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ocnet.errors import SolveError
from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.interpolation import Interpolation
from ocnet.methods.hjb.levels import Report, nested

SEARCHES = 8  # steps of a descent towards the best p̂
SHORTEST = 0.01  # of these steps, as a part of the way to e^{−ρ}∇v
EVALUATIONS = 500  # applications of one policy between two improvements
STALLED = 20  # improvements without a smaller change: policies do not settle
HOPELESS = 200  # value iterations without a smaller change: neither do values
MOST = 20_000
ROUNDING = 1e-14  # of the values: no change is smaller


class Move(NamedTuple):
    """One step from some points: p̂ (points, n), next states (points, n), stage costs and totals (points,).

    And e^{−ρ}∇v at the next states (points, n), which p̂ is at the optimum.
    """

    p: np.ndarray
    following: np.ndarray
    stage: np.ndarray
    total: np.ndarray
    target: np.ndarray

    def or_better(self, other: Move) -> Move:
        """Return the cheaper one at each point, the other where both cost the same."""
        better = other.total <= self.total
        pairs = zip(self, other, strict=True)
        return Move(*(np.where(better if a.ndim == 1 else better[:, None], b, a) for a, b in pairs))


def best_move(
    hamiltonian: Hamiltonian,
    table: Interpolation,
    values: np.ndarray,
    x: np.ndarray,
    known: list[np.ndarray],
) -> Move:
    """Return the best step found from points x (points, n), starting from 0 and the best `known` p̂."""
    low, high = np.array(table.grid.lower), np.array(table.grid.upper)
    shrink = np.exp(-hamiltonian.rate)

    def move(p: np.ndarray) -> Move:
        following = hamiltonian.gradient(0.0, x, p)[1]
        stage = hamiltonian.value(0.0, x, p) - np.einsum("ij,ij->i", p, following)
        v, gradient = table(values, np.clip(following, low, high))
        return Move(p, following, stage, stage + shrink * v, shrink * gradient)

    def descended(base: Move) -> Move:
        part = np.full(len(x), 0.5)
        for _ in range(SEARCHES):
            trial = move(base.p + part[:, None] * (base.target - base.p))
            step = trial.p - base.p
            turn = step - (trial.target - base.target)
            length, bend = np.einsum("ij,ij->i", step, step), np.einsum("ij,ij->i", step, turn)
            secant = np.where(bend > 0, length / np.where(bend > 0, bend, 1.0), 1.0)
            most = np.where(trial.total <= base.total, np.minimum(2 * part, 1.0), 0.5 * part)
            part = np.clip(secant, SHORTEST, np.maximum(most, SHORTEST))
            base = base.or_better(trial)
        return base

    best = move(known[0])
    for p in known[1:]:
        best = best.or_better(move(p))
    return descended(best).or_better(descended(move(np.zeros_like(x))))


def around(p: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return p̂ (size, n) of the nodes, and of their neighbours to both sides along each axis."""
    field, result = p.reshape(*shape, -1), [p]
    for d, count in enumerate(shape):
        for shift in (-1, 1):
            there = np.clip(np.arange(count) + shift, 0, count - 1)
            result.append(np.ascontiguousarray(field.take(there, axis=d)).reshape(p.shape))
    return result


def best_costate(
    hamiltonian: Hamiltonian, table: Interpolation, values: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Return the p̂ (points, n) whose control is best at points x (points, n)."""
    return best_move(hamiltonian, table, values, x, [_here(hamiltonian, table, values, x)]).p


def solve_steps(
    hamiltonian: Hamiltonian,
    grid: Grid,
    tolerance: float,
    policies: bool,
    report: Report | None = None,
    threads: int | None = None,
) -> tuple[list[Grid], list[np.ndarray], list[tuple[int, int, int, float]], float]:
    """Iterate on nested grids until the distance to the fixed point is below the tolerance.

    Parameters
    ----------
    policies : bool
        Whether each policy is applied until its own values have settled (policy iteration) or once.
    report : callable, optional
        (iteration, largest value, change).
    threads : int, optional
        All cores if left out; no result depends on it.

    Returns
    -------
    grids, values : lists
        The two finest grids, and the values on them.
    history : list of (level, phase, iteration, change)
    leak : float
        By how much the next states leave the box at most.

    Raises
    ------
    SolveError
        If values become infinite, or do not settle on one of the two finest grids.
    """
    shrink = np.exp(-hamiltonian.rate)
    history: list[tuple[int, int, int, float]] = []
    grids = nested(grid)
    found: list[np.ndarray] = []
    leak = 0.0
    for level, here in enumerate(grids):
        table, x = Interpolation(here, threads), here.points()
        values = np.zeros(here.size)
        if level:
            values = Interpolation(grids[level - 1]).onto(found[-1], here)
        known = [_here(hamiltonian, table, values, x)]
        low, high = np.array(here.lower), np.array(here.upper)
        applied, least, latest = policies, np.inf, 0
        for iteration in range(MOST):
            best = best_move(hamiltonian, table, values, x, known)
            known, inside = around(best.p, here.shape), np.clip(best.following, low, high)
            leak = float(np.abs(best.following - inside).max())
            change = float(np.abs(best.total - values).max())
            values = best.total
            history.append((level, 0, iteration, change))
            largest = 1 + float(np.abs(values).max())
            if report is not None:
                report(len(history), largest - 1, change)
            demand = max((1 - shrink) * tolerance, ROUNDING) * largest
            if change <= demand:
                break
            if change < least:
                least, latest = change, iteration
            elif applied and iteration - latest >= STALLED:
                applied, least, latest = False, np.inf, iteration
            if (
                not np.isfinite(change)
                or iteration + 1 == MOST
                or (not applied and iteration - latest >= HOPELESS)
            ):
                if level < len(grids) - 2 and np.isfinite(change):
                    break  # a start for the next grid, no more
                raise SolveError(
                    f"Bellman's equation on {' × '.join(map(str, here.shape))} nodes: values did not settle "
                    f"in {iteration + 1} iterations. The last change is {change:.2g}; expected at most "
                    f"{demand:.2g}. Take another number of nodes, or a larger tolerance."
                )
            last = change
            for _ in range(EVALUATIONS if applied else 0):
                following = best.stage + shrink * table(values, inside)[0]
                moved = float(np.abs(following - values).max())
                if not moved < last:
                    break
                values, last = following, moved
                if moved <= 0.1 * demand:
                    break
        found.append(values)
    return grids[-2:], found[-2:], history, leak


def _here(hamiltonian: Hamiltonian, table: Interpolation, values: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.exp(-hamiltonian.rate) * table(values, x)[1]
