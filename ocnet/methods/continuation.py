"""Ways to an extremal that Newton's method alone does not find: shorter horizons, larger discount rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ocnet.methods.conditions import Conditions
from ocnet.methods.newton import Extremal, newton
from ocnet.methods.result import Status

Report = Callable[[int, float], None]
LOOSE = 1e-4  # tolerance on the way
ATTEMPTS = 30
MOST_CORRECTIONS = 250  # after which no other way is tried
FLAT = 0.02  # extra discount rate, in units of 1 over the length of the horizon / 20, that is as good as none


def extremal(
    conditions: Conditions, times: np.ndarray, x: np.ndarray, p: np.ndarray, tolerance: float, report: Report
) -> Extremal:
    """Solve on one mesh from a start, by Newton's method and by continuation where it fails.

    On an infinite horizon without costates to start from, its near part is solved first.

    Parameters
    ----------
    conditions : Conditions
    times : ndarray (K + 1,)
    x, p : ndarray (K + 1, n)
        Where to start.
    tolerance : float
        Of the largest defect.
    report : callable
        (correction, residual).

    Returns
    -------
    Extremal
        `steps` and `corrections` count all that was tried.
    """
    steps = corrections = 0

    def attempt(
        nodes: np.ndarray, x: np.ndarray, p: np.ndarray, tolerance: float, extra: float = 0.0
    ) -> Extremal:
        nonlocal steps, corrections
        found = newton(conditions.system(nodes, extra), x, p, tolerance, report)
        steps, corrections = steps + found.steps, corrections + found.corrections
        exhausted = corrections > MOST_CORRECTIONS and found.status is not Status.SOLVED
        if exhausted or found.status is Status.INTERRUPTED:
            raise _StoppedError(found)
        return found

    try:
        found = _found(conditions, times, (x, p), tolerance, attempt)
    except _StoppedError as stop:
        found = stop.last
        if len(found.x) < len(times):  # on a part of the mesh only
            found.x, found.p = (
                np.vstack([found.x, x[len(found.x) :]]),
                np.vstack([found.p, p[len(found.p) :]]),
            )
    found.steps, found.corrections = steps, corrections
    return found


class _StoppedError(Exception):
    """The user stopped the iteration, or it takes too many corrections; what was reached is kept."""

    def __init__(self, last: Extremal) -> None:
        super().__init__()
        self.last = last


def _found(
    conditions: Conditions,
    times: np.ndarray,
    guess: tuple[np.ndarray, np.ndarray],
    tolerance: float,
    attempt: Callable[..., Extremal],
) -> Extremal:
    """Try one way after the other."""

    def done(found: Extremal) -> bool:
        return found.status in (Status.SOLVED, Status.NOT_FINITE)

    start = guess
    if conditions.near_end is not None and not guess[1].any():
        start = _prolonged(conditions, times, start, [conditions.near_end], attempt) or start
    found = attempt(times, *start, tolerance)
    if not done(found) and not guess[1].any():
        swept = conditions.costates(times, guess[0])
        found = attempt(times, guess[0], swept, tolerance) if swept.any() else found
    if not done(found) and np.isnan(conditions.bounds.final).all():
        ends = times[0] + (times[-1] - times[0]) * np.array([1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2])
        better = _prolonged(conditions, times, guess, ends.tolist(), attempt)
        found = attempt(times, *better, tolerance) if better is not None else found
    if not done(found):
        better = _less_discounted(times, guess, attempt)
        found = attempt(times, *better, tolerance) if better is not None else found
    return found


def _prolonged(
    conditions: Conditions,
    times: np.ndarray,
    start: tuple[np.ndarray, np.ndarray],
    ends: list[float],
    attempt: Callable[..., Extremal],
) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve on longer and longer parts of the mesh; what comes later is rolled out from the last state."""
    x, p = start
    solved = False
    for end in ends:
        m = int(np.searchsorted(times, end * (1 - 1e-12))) + 1
        if not 3 <= m < len(times):
            continue
        found = attempt(times[:m], x[:m], p[:m], LOOSE)
        if found.status is not Status.SOLVED:
            return (x, p) if solved else None
        tail, zero = conditions.rollout(times[m - 1 :], found.x[-1])
        x, p = np.vstack([found.x, tail[1:]]), np.vstack([found.p, zero[1:]])
        solved = True
    return (x, p) if solved else None


def _less_discounted(
    times: np.ndarray, start: tuple[np.ndarray, np.ndarray], attempt: Callable[..., Extremal]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve with larger discount rates, which make the problem short-sighted, down to nearly the true one."""
    unit = 20 / (times[-1] - times[0])
    extra, last, good = unit, np.inf, None
    for _ in range(ATTEMPTS):
        found = attempt(times, *start, LOOSE, extra)
        if found.status is Status.SOLVED:
            good = start = (found.x, found.p)
            last = extra
            if extra <= FLAT * unit:
                return good
            extra /= 4
        else:
            extra = 4 * extra if good is None else (extra + last) / 2
            if good is not None and last - extra < 1e-3 * last:
                return None
    return None
