"""Discrete time: Bellman's equation v(x) = min over u of ℓ(x, u) + e^{−ρ} v(F(x, u)), on a grid.

The Hamiltonian minimises ℓ + p̂·F for a given p̂; the best control of Bellman's equation is the one of
p̂ = e^{−ρ}∇v at the next state. Candidates p̂ come from a few fixed-point steps of that condition and from the
last policy; the one with the least ℓ + e^{−ρ}v(F) is taken, so that a policy never gets worse.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.interpolation import Interpolation
from ocnet.methods.hjb.levels import Report, nested

SEARCHES = 8  # fixed-point steps towards the best p̂
EVALUATIONS = 500  # applications of one policy between two improvements
MOST = 20_000


class Move(NamedTuple):
    """One step from some points: p̂ (points, n), next states (points, n), stage costs and totals (points,)."""

    p: np.ndarray
    following: np.ndarray
    stage: np.ndarray
    total: np.ndarray


def best_move(
    hamiltonian: Hamiltonian,
    table: Interpolation,
    values: np.ndarray,
    x: np.ndarray,
    known: np.ndarray | None,
) -> Move:
    """Return the best step that was found from points x (points, n), `known` p̂ among the candidates."""
    low, high = np.array(table.grid.lower), np.array(table.grid.upper)
    shrink = np.exp(-hamiltonian.rate)

    def move(p: np.ndarray) -> Move:
        following = hamiltonian.gradient(0.0, x, p)[1]
        stage = hamiltonian.value(0.0, x, p) - np.einsum("ij,ij->i", p, following)
        inside = np.clip(following, low, high)
        return Move(p, following, stage, stage + shrink * table(values, inside)[0])

    best = move(shrink * table(values, x)[1] if known is None else known)
    for start in (np.zeros_like(x), best.p):
        p = start
        for _ in range(SEARCHES):
            trial = move(p)
            better = trial.total < best.total
            best = Move(
                *(
                    np.where(better if a.ndim == 1 else better[:, None], b, a)
                    for a, b in zip(best, trial, strict=True)
                )
            )
            p = 0.5 * (p + shrink * table(values, np.clip(trial.following, low, high))[1])
    return best


def best_costate(
    hamiltonian: Hamiltonian, table: Interpolation, values: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Return the p̂ (points, n) whose control is best at points x (points, n)."""
    return best_move(hamiltonian, table, values, x, None).p


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
        known: np.ndarray | None = None
        low, high = np.array(here.lower), np.array(here.upper)
        for iteration in range(MOST):
            best = best_move(hamiltonian, table, values, x, known)
            known, inside = best.p, np.clip(best.following, low, high)
            leak = float(np.abs(best.following - inside).max())
            change = float(np.abs(best.total - values).max())
            values = best.total
            history.append((level, 0, iteration, change))
            if report is not None:
                report(len(history), float(np.abs(values).max()), change)
            demand = (1 - shrink) * tolerance * (1 + float(np.abs(values).max()))
            if change <= demand:
                break
            for _ in range(EVALUATIONS if policies else 0):
                following = best.stage + shrink * table(values, inside)[0]
                moved = float(np.abs(following - values).max())
                values = following
                if moved <= 0.1 * demand:
                    break
        found.append(values)
    return grids[-2:], found[-2:], history, leak
