"""Zeros of a vector field from many starts: safeguarded Newton, damped flow, and deflation."""

from __future__ import annotations

import numpy as np

from ocnet.landscapes.field import Field

STEPS = 80  # of Newton's method or of the flow, from one start
STILL = 1e-11  # a velocity below this, relative to 1 + |x|, counts as zero


def newton(field: Field, starts: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run Newton's method from many starts at once, with steps that are cut until |f| falls.

    Parameters
    ----------
    field : Field
    starts : ndarray (k, n)
    reach : ndarray (n,)
        The longest step in each direction.

    Returns
    -------
    points : ndarray (k, n)
    found : ndarray of bool (k,)
        Where f is zero within rounding.
    """
    x = starts.copy()
    f = field(x)
    alive = np.asarray(np.isfinite(f).all(axis=1))
    for _ in range(STEPS):
        rows = np.flatnonzero(alive & ~_still(x, f))
        if not len(rows):
            break
        step = _limited(_solve(field.jacobian(x[rows]), -f[rows]), reach)
        size, scale = np.linalg.norm(f[rows], axis=1), 1.0
        while len(rows) and scale > 1e-4:
            trial = x[rows] + scale * step
            at = field(trial)
            with np.errstate(invalid="ignore"):
                good = np.linalg.norm(at, axis=1) <= (1 - scale / 4) * size
            x[rows[good]], f[rows[good]] = trial[good], at[good]
            rows, step, size, scale = rows[~good], step[~good], size[~good], scale / 2
        alive[rows] = False  # stuck at a minimum of |f| that is no zero
    return polished(field, x, alive & _still(x, f))


def flow(field: Field, starts: np.ndarray, reach: np.ndarray, direction: float) -> np.ndarray:
    """Follow ẋ = ±f(x) to rest by implicit steps that grow as f falls: forwards to sinks, else to sources.

    The arguments are those of :func:`newton`; returns the last points (k, n).
    """
    x, n = starts.copy(), field.n
    f = field(x)
    first = np.linalg.norm(f, axis=1)
    for _ in range(STEPS):
        size = np.linalg.norm(f, axis=1)
        rows = np.flatnonzero(np.isfinite(size) & ~_still(x, f))
        if not len(rows):
            break
        time = 0.3 * np.maximum(first[rows] / size[rows], 0.3)
        matrix = np.eye(n) / time[:, None, None] - direction * field.jacobian(x[rows])
        x[rows] += _limited(_solve(matrix, direction * f[rows]), reach)
        f[rows] = field(x[rows])
    return x


def deflated(field: Field, start: np.ndarray, known: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Run Newton's method on f(x) Π(1 + 1/|x − x_i|²), which known zeros x_i (k, n) repel.

    The direction is that of Newton's method for f; only the length of the step changes (P. E. Farrell,
    Á. Birkisson and S. W. Funke, SIAM J. Sci. Comput. 37, 2015). Returns the last point (n,).
    """
    x = start.copy()
    for _ in range(STEPS):
        f = field(x)
        if not np.isfinite(f).all() or _still(x[None], f[None])[0]:
            break
        step = _solve(field.jacobian(x)[None], -f[None])[0]
        gap = x - known
        square = np.maximum(np.sum(gap**2, axis=1), 1e-30)
        repelled = np.sum(-2 * gap / (square * (1 + square))[:, None], axis=0) @ step
        x = x + _limited((step / (1 - repelled if abs(1 - repelled) > 1e-12 else 1e-12))[None], reach)[0]
    return x


def polished(field: Field, x: np.ndarray, good: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take plain Newton steps from points (k, n) as long as they lower |f|; return points and `good`."""
    rows = np.flatnonzero(good)
    for _ in range(40):  # a degenerate zero takes many: the error only halves
        if not len(rows):
            break
        f = field(x[rows])
        trial = x[rows] + _solve(field.jacobian(x[rows]), -f)
        with np.errstate(invalid="ignore"):
            better = np.linalg.norm(field(trial), axis=1) < np.linalg.norm(f, axis=1)
        rows = rows[better]
        x[rows] = trial[better]
    return x, good


def _still(x: np.ndarray, f: np.ndarray) -> np.ndarray:
    return np.abs(f).max(axis=1) <= STILL * (1 + np.abs(x).max(axis=1))


def _limited(step: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Shorten steps (k, n) that are longer than `reach` in some direction."""
    excess = np.max(np.abs(step) / reach, axis=1, keepdims=True)
    return step / np.maximum(excess, 1.0)


def _solve(matrices: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve linear systems (k, n, n), (k, n) -> (k, n); singular ones in the sense of least squares."""
    try:
        return np.linalg.solve(matrices, right[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        finite = np.where(np.isfinite(matrices), matrices, 0.0)
        return np.array([np.linalg.lstsq(m, r, rcond=1e-12)[0] for m, r in zip(finite, right, strict=True)])
