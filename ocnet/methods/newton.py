"""Damped Newton iteration for the canonical system, with factorisations used as long as they serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    defects = _defects(system, now.x, now.p)
    now.residual = _largest(defects, now)
    if not np.isfinite(now.residual):
        now.status = Status.NOT_FINITE
        return
    dx: np.ndarray | None = None
    dp, fresh, size, length = now.p, False, np.inf, 1.0
    while now.corrections < CORRECTIONS:
        if report is not None:
            report(now.corrections, now.residual)
        now.history += (now.residual,)
        if now.residual <= tolerance:
            now.status = Status.SOLVED
            return
        if now.elimination is None:
            try:
                now.elimination = system.eliminate(now.x, now.p)
            except (OcnetError, RuntimeError):  # no minimum of H there, or a singular matrix
                now.status = Status.DIVERGED
                return
            now.steps, fresh, dx = now.steps + 1, True, None
        if dx is None:
            dx, dp = now.elimination.solve(defects)
            size = _size(dx, dp, now)
        if not np.isfinite(size):
            now.status = Status.DIVERGED
            return
        while True:
            trial = now.x + length * dx, now.p + length * dp
            defects_ = _defects(system, *trial)
            ahead = now.elimination.solve(defects_) if _finite(defects_) else (now.x * np.nan, now.p)
            size_ = _size(*ahead, now)
            if size_ <= (1 - length / 4) * size or _largest(defects_, now) <= tolerance:
                break
            if not fresh:
                break
            length /= 2
            if length < LEAST:
                now.status = Status.DIVERGED
                return
        if not size_ <= (1 - length / 4) * size and not fresh and _largest(defects_, now) > tolerance:
            now.elimination, length = None, 1.0  # an old factorisation that no longer serves
            continue
        now.x, now.p = trial
        defects, now.residual = defects_, _largest(defects_, now)
        now.corrections += 1
        if length == 1.0 and size_ <= KEEP * size:
            (dx, dp), size, fresh = ahead, size_, False
        elif now.residual > tolerance:
            now.elimination = None
        length = min(1.0, 2 * length)


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
    parts = (
        defects.x / np.fmin(x[:-1], x[1:]),
        defects.p / np.fmin(p[:-1], p[1:]),
        defects.start,
        defects.end,
    )
    largest = max(float(np.abs(part).max(initial=0.0)) for part in parts)
    return largest if _finite(defects) else np.inf
