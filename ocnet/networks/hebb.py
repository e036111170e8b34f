"""Hebb's rule: synapses from the patterns that a network was shown, and their saturation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, ShapeError
from ocnet.networks.arguments import checked_matrix, checked_number


def hebbian(
    patterns: ArrayLike,
    *,
    start: ArrayLike | None = None,
    diagonal: bool = True,
    bound: float | None = None,
) -> np.ndarray:
    """Show patterns to a network, one after the other: T ← T + V̂V̂ᵀ/N.

    Parameters
    ----------
    patterns : array_like (N, P) or (N,)
        In columns, in the order in which they are shown; usually ±1. Dimensionless.
    start : array_like (N, N), optional
        Synapses before; 0 if left out.
    diagonal : bool
        Whether a neuron may have a synapse on itself; if not, the diagonal becomes 0.
    bound : float, optional
        At which every synapse saturates: T is cut to [−bound, bound] after each pattern. Then the order
        counts, and later patterns erase earlier ones. Without it the order does not matter.

    Returns
    -------
    ndarray (N, N)
        Symmetric if `start` is.

    Raises
    ------
    ShapeError, DataError
        For patterns that are no columns of finite numbers, or a `start` that does not fit them.
    ProblemError
        For a bound that is not positive.

    Notes
    -----
    The update of Cardin, Lovison, Maritan and Megighian (arXiv 2305.14360), after J. J. Hopfield, PNAS 79
    (1982); bounded synapses as in G. Parisi, J. Phys. A 19 (1986).

    Examples
    --------
    >>> from ocnet.networks import hebbian
    >>> print(hebbian([[1.0, 1.0], [-1.0, 1.0]], diagonal=False))
    [[0. 0.]
     [0. 0.]]
    """
    shown = np.asarray(patterns)
    columns = checked_matrix(
        shown[:, None] if shown.ndim == 1 else patterns, "hebbian: patterns", expected="(N, P) or (N,)"
    )
    n = len(columns)
    if start is None:
        before = np.zeros((n, n))
    else:
        before = checked_matrix(start, "hebbian: start", (n, n), f"({n}, {n}), for patterns of {n} neurons")
    if bound is None:
        after = before + columns @ columns.T / n
    else:
        limit, after = checked_number(bound, "hebbian: bound", positive=True), before
        for pattern in columns.T:
            after = np.clip(after + np.outer(pattern, pattern) / n, -limit, limit)
    if not diagonal:
        np.fill_diagonal(after, 0.0)
    return after


def saturation(T: ArrayLike, bound: float) -> float:
    """Return the share of the synapses between different neurons that are at a bound, |T_ij| ≥ bound.

    Parameters
    ----------
    T : array_like (N, N)
        At least two neurons.
    bound : float
        Positive, in the unit of T.

    Raises
    ------
    ShapeError, DataError, ProblemError
        If T is no finite square matrix of two neurons or more, or the bound is not positive.
    """
    synapses = checked_matrix(T, "saturation: T", expected="a square matrix (N, N)")
    n = len(synapses)
    if synapses.shape != (n, n):
        raise ShapeError(f"saturation: T has shape {synapses.shape}; expected a square matrix (N, N).")
    if n < 2:
        raise DataError("saturation: T has one neuron; expected two or more.")
    limit = checked_number(bound, "saturation: bound", positive=True)
    between = ~np.eye(n, dtype=bool)
    return float(np.mean(np.abs(synapses[between]) >= limit * (1 - 1e-12)))
