"""Data that builders are given, checked: each error says what was got and what was expected."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, ShapeError


def array(value: ArrayLike, where: str, shape: tuple[int | None, ...], meaning: str = "") -> np.ndarray:
    """Return a new array of finite floats.

    Parameters
    ----------
    value : array_like
    where : str
        Opens the error message.
    shape : tuple of int or None
        Expected shape; None stands for any size of at least 1.
    meaning : str
        What the axes are, for the message.

    Raises
    ------
    ShapeError, DataError
        For another shape, entries that are no numbers, NaN or infinities.
    """
    try:
        result = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{where}: got {value!r:.60}; expected an array of numbers{meaning}.") from None
    fits = result.ndim == len(shape) and all(
        n >= 1 if m is None else n == m for n, m in zip(result.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if m is None else str(m) for m in shape)
        raise ShapeError(f"{where}: got an array of shape {result.shape}; expected ({wanted}){meaning}.")
    bad = np.argwhere(~np.isfinite(result))
    if bad.size:
        index = tuple(int(i) for i in bad[0])
        raise DataError(f"{where}: component {list(index)} is {result[index]}; expected finite numbers.")
    return result
