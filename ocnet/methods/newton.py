"""Damped Newton iteration for the canonical system, with factorisations used as long as they serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ocnet.errors import DataError, OcnetError, SolveError
from ocnet.methods.canonical import Canonical
from ocnet.methods.elimination import Defects, Elimination
from ocnet.methods.result import Status

KEEP = 0.03  # contraction below which a factorisation is used again
LEAST = 1e-3  # shortest step
CORRECTIONS = 60


@dataclass
class Extremal:
    """States and costates (K + 1, n) at the nodes, and how the iteration ended.

    `residual` is the largest defect, relative to 1 + |x| and 1 + |p|; `steps` counts factorisations,
    `corrections` all updates.
    """

    x: np.ndarray
    p: np.ndarray
    status: Status
    residual: float
    steps: int = 0
    corrections: int = 0
    elimination: Elimination | None = None
    history: tuple[float, ...] = ()


def newton(
    system: Canonical,
    x: np.ndarray,
    p: np.ndarray,
    tolerance: float,
    report: Callable[[int, float], None] | None = None,
    elimination: Elimination | None = None,
) -> Extremal:
    """Solve the equations from a guess.

    The step is shortened until the next simplified correction is smaller than the present one (Deuflhard's
    natural monotonicity), which does not depend on how equations are scaled; where the contraction is good,
    that correction is already the next step and the factorisation is kept.

    Parameters
    ----------
    system : Canonical
    x, p : ndarray (K + 1, n)
    tolerance : float
        Of the largest defect, relative to 1 + |x| and 1 + |p|.
    report : callable, optional
        (correction, residual).
    elimination : Elimination, optional
        A factorisation near the solution, to start with.

    Returns
    -------
    Extremal
        Its status is SOLVED, DIVERGED, ITERATION_LIMIT, NOT_FINITE or INTERRUPTED (Ctrl-C; the last iterate
        is kept).
    """
    now = Extremal(x, p, Status.ITERATION_LIMIT, np.inf, elimination=elimination)
    try:
        with np.errstate(all="ignore"):
            _iterate(system, now, tolerance, report)
    except KeyboardInterrupt:
        now.status = Status.INTERRUPTED
    return now


def _iterate(
    system: Canonical, now: Extremal, tolerance: float, report: Callable[[int, float], None] | None
) -> None:
    """Take steps until the iteration ends; `now` is kept up to date."""
    defects = _defects(system, now.x, now.p)
    now.residual = _largest(defects, now)
    if not np.isfinite(now.residual):
        now.status = Status.NOT_FINITE
        return
    step, length, outdated = None, 1.0, now.elimination is None
    while True:
        if report is not None:
            report(now.corrections, now.residual)
        now.history += (now.residual,)
        if now.residual <= tolerance:
            now.status = Status.SOLVED
        if now.residual <= tolerance or now.corrections == CORRECTIONS:
            return
        fresh = outdated
        if outdated:
            try:
                now.elimination = system.eliminate(now.x, now.p)
            except (OcnetError, RuntimeError):  # no minimum of H there, or a singular matrix
                now.status = Status.DIVERGED
                return
            now.steps, step, outdated = now.steps + 1, None, False
        assert now.elimination is not None
        step = now.elimination.solve(defects) if step is None else step
        found = _shortened(system, now, step, length if fresh else 1.0, LEAST if fresh else 1.0, tolerance)
        if found is None and fresh:
            now.status = Status.DIVERGED
            return
        if found is None:
            outdated, length = True, 1.0
            continue
        now.x, now.p, defects, now.residual = found.x, found.p, found.defects, found.residual
        now.corrections += 1
        outdated = found.length < 1 or found.contraction > KEEP
        step, length = found.ahead, min(1.0, 2 * found.length)


class _Trial(NamedTuple):
    """An accepted step: where it leads, and the simplified correction from there."""

    length: float
    x: np.ndarray
    p: np.ndarray
    defects: Defects
    residual: float
    ahead: tuple[np.ndarray, np.ndarray]
    contraction: float


def _shortened(
    system: Canonical,
    now: Extremal,
    step: tuple[np.ndarray, np.ndarray],
    length: float,
    least: float,
    tolerance: float,
) -> _Trial | None:
    """Return the first of shorter and shorter steps that is monotone; None if none is."""
    assert now.elimination is not None
    size = _size(*step, now)
    while np.isfinite(size) and length >= least:
        x, p = now.x + length * step[0], now.p + length * step[1]
        defects = _defects(system, x, p)
        if _finite(defects):
            ahead = now.elimination.solve(defects)
            contraction, residual = _size(*ahead, now) / size, _largest(defects, now)
            if contraction <= 1 - length / 4 or residual <= tolerance:
                return _Trial(length, x, p, defects, residual, ahead, contraction)
        length /= 2
    return None


def _defects(system: Canonical, x: np.ndarray, p: np.ndarray) -> Defects:
    """Return the defects, NaN where the Hamiltonian has no minimum or is not finite."""
    try:
        if np.isfinite(x).all() and np.isfinite(p).all():
            return system.defects(x, p)
    except (DataError, SolveError):
        pass
    nothing = np.full(x.shape[1], np.nan)
    return Defects(x[1:] * np.nan, p[1:] * np.nan, nothing, nothing)


def _finite(defects: Defects) -> bool:
    return all(np.isfinite(part).all() for part in defects)


def _size(dx: np.ndarray, dp: np.ndarray, now: Extremal) -> float:
    """Root mean square of a correction, relative to 1 + |x| and 1 + |p|."""
    parts = (dx / (1 + np.abs(now.x)), dp / (1 + np.abs(now.p)))
    return float(np.sqrt(sum(np.mean(part**2) for part in parts)))


def _largest(defects: Defects, now: Extremal) -> float:
    """Largest defect, relative to 1 + |x| and 1 + |p|."""
    x, p = 1 + np.abs(now.x), 1 + np.abs(now.p)
    if not _finite(defects):
        return np.inf
    parts = (
        defects.x / np.fmin(x[:-1], x[1:]),
        defects.p / np.fmin(p[:-1], p[1:]),
        defects.start,
        defects.end,
    )
    return max(float(np.abs(part).max(initial=0.0)) for part in parts)
