"""What the exact Hamiltonians are given, their data and the points of evaluation, checked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ocnet.errors import DataError, ProblemError, ShapeError


class Points(NamedTuple):
    """Times (points,), states and costates (points, nx); `one` if they came without the axis of points."""

    t: np.ndarray
    x: np.ndarray
    p: np.ndarray
    one: bool


def checked_points(where: str, nx: int, t: Any, x: Any, p: Any) -> Points:
    """Check and broadcast the arguments of a Hamiltonian.

    Parameters
    ----------
    where : str
        Opens the error messages.
    nx : int
        Number of states.
    t : float or array_like (points,)
    x, p : array_like (points, nx) or (nx,)

    Returns
    -------
    Points

    Raises
    ------
    ShapeError, DataError
        For other shapes, NaN or infinities.
    """
    x, p = np.asarray(x, dtype=float), np.asarray(p, dtype=float)
    if x.ndim not in (1, 2) or x.shape != p.shape or x.shape[-1] != nx:
        raise ShapeError(
            f"{where}: got x of shape {x.shape} and p of shape {p.shape}; expected both (points, {nx}) or "
            f"({nx},)."
        )
    one = x.ndim == 1
    x, p = np.ascontiguousarray(np.atleast_2d(x)), np.ascontiguousarray(np.atleast_2d(p))
    times = np.asarray(t, dtype=float)
    if times.shape not in ((), (1,), (len(x),)):
        raise ShapeError(f"{where}: got t of shape {times.shape}; expected () or ({len(x)},).")
    for name, values in (("x", x), ("p", p)):
        if not np.isfinite(values).all():
            k, i = (int(index) for index in np.argwhere(~np.isfinite(values))[0])
            raise DataError(f"{where}: {name}[{k}, {i}] is {values[k, i]}; expected finite numbers.")
    return Points(np.broadcast_to(times.reshape(-1), (len(x),)), x, p, one)


def checked_prices(where: str, p_minus: Any, p_plus: Any, points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Return one-sided derivatives as (points, nx) arrays; ShapeError or DataError for what they are not."""
    result: list[np.ndarray] = []
    expected = points.x.shape[1:] if points.one else points.x.shape
    for name, given in (("p_minus", p_minus), ("p_plus", p_plus)):
        values = np.asarray(given, dtype=float)
        if values.shape != expected:
            raise ShapeError(f"{where}: got {name} of shape {values.shape}; expected {expected}.")
        if np.isnan(values).any():
            raise DataError(f"{where}: {name} contains NaN; expected numbers, or an infinity as a wall.")
        result.append(np.ascontiguousarray(values.reshape(points.x.shape)))
    return result[0], result[1]


def checked_controls(where: str, u: Any, points: Points, shape: tuple[int, int]) -> np.ndarray:
    """Return flat controls (points, nu), or (nu,) at one point, as (points, *shape)."""
    controls, nu = np.asarray(u, dtype=float), shape[0] * shape[1]
    expected = (nu,) if points.one else (len(points.x), nu)
    if controls.shape != expected:
        raise ShapeError(f"{where}: got u of shape {controls.shape}; expected {expected}.")
    return controls.reshape(len(points.x), *shape)


def checked_matrix(
    value: Any, where: str, shape: tuple[int, int] | None = None, expected: str = "", infinite: bool = False
) -> np.ndarray:
    """Return a new array of floats with two axes.

    Parameters
    ----------
    value : array_like
    where : str
        Opens the error messages.
    shape : (int, int), optional
        Any shape without empty axes where left out.
    expected : str
        How the messages call the shape.
    infinite : bool
        Whether infinities are allowed.

    Raises
    ------
    ShapeError, DataError
        For another shape, or entries that are no numbers, NaN or (unless allowed) infinite.
    """
    expected = expected or f"shape {shape}"
    try:
        matrix = np.array(value, dtype=float, order="C")
    except (TypeError, ValueError):
        raise DataError(f"{where}: got {value!r:.60}; expected numbers, {expected}.") from None
    if matrix.ndim != 2 or not matrix.size or (shape is not None and matrix.shape != shape):
        raise ShapeError(f"{where}: got an array of shape {matrix.shape}; expected {expected}.")
    bad = np.argwhere(np.isnan(matrix) if infinite else ~np.isfinite(matrix))
    if bad.size:
        i, j = (int(index) for index in bad[0])
        raise DataError(f"{where}: component [{i}, {j}] is {matrix[i, j]}; expected a finite number.")
    return matrix


def checked_number(value: Any, where: str, *, positive: bool = False) -> float:
    """Return a finite float that is at least 0, or larger than 0; ProblemError for anything else."""
    kind = "a positive" if positive else "a nonnegative"
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise ProblemError(f"{where}: got {value!r:.60}; expected {kind} number.") from None
    if not np.isfinite(result) or result < 0 or (positive and result == 0):
        raise ProblemError(f"{where}: got {result}; expected {kind} finite number.")
    return result
