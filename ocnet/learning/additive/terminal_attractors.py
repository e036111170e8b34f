"""Terminal attractors (3.2): what drives input units to the coordinates of a sample, in finite time.

I_n = |a_n|^{1−β} (a_n − u_n)^β with β = 1/(2i+1), an odd root: its slope at u_n = a_n is infinite, so the
dynamics are not Lipschitz there and stiff around it.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, OptionError, ShapeError

IMPLICIT = ("BDF", "Radau")
EXPLICIT = ("Euler", "RK23", "RK45", "DOP853", "LSODA")


class TerminalAttractorWarning(UserWarning):
    """An attractor has no effect."""


def attraction(a: ArrayLike, u: ArrayLike, order: int = 1) -> np.ndarray:
    """Return I = |a|^{1−β} (a − u)^β, β = 1/(2·order + 1), with the real odd root (3.2).

    Parameters
    ----------
    a, u : array_like
        Attractor coordinates and responses, of shapes that broadcast; dimensionless.
    order : int
        i ≥ 1 of β = 1/(2i + 1).

    Examples
    --------
    >>> print(attraction(0.8, [0.0, 0.8, 1.6]))
    [ 0.8  0.  -0.8]
    """
    beta = 1 / odd_power(order)
    gap = np.asarray(a, dtype=float) - np.asarray(u, dtype=float)
    return np.abs(a) ** (1 - beta) * np.sign(gap) * np.abs(gap) ** beta


def steepness(a: ArrayLike, u: ArrayLike, order: int = 1) -> np.ndarray:
    """Return −∂I/∂u = β |a|^{1−β} |a − u|^{β−1}, the part of η (3.10) that grows without bound as u → a.

    It is 0 where a = 0 (no attractor) and infinite at u = a; parameters as for :func:`attraction`.
    """
    beta = 1 / odd_power(order)
    a, gap = np.asarray(a, dtype=float), np.abs(np.asarray(a, dtype=float) - np.asarray(u, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = beta * np.abs(a) ** (1 - beta) * gap ** (beta - 1)
    return np.where(a == 0, 0.0, slope)


def odd_power(order: int) -> int:
    """Return 1/β = 2·order + 1; OptionError unless order is a positive integer."""
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or order < 1:
        raise OptionError(
            f"terminal attractor: order is {order!r}; expected a positive integer i, for β = 1/(2i + 1): "
            "only odd roots are real on both sides."
        )
    return 2 * int(order) + 1


def checked_attractors(values: Any, width: int, what: str, where: str) -> np.ndarray:
    """Return attractor coordinates (K, width) with |a| < 1.

    Parameters
    ----------
    values : array_like (K, width)
        (K,) is taken as (K, 1) where the width is 1.
    width : int
        Number of units.
    what : {"inputs", "targets"}
        An input of 0 is warned of: |a|^{1−β} = 0, so it exerts no force.
    where : str
        Opens the messages.

    Raises
    ------
    ShapeError, DataError
        For other shapes, no samples, or coordinates that tanh cannot reach.
    """
    try:
        a = np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{where}: {what} are {values!r:.60}; expected an array of numbers.") from None
    if a.ndim == 1 and width == 1:
        a = a[:, None]
    if a.ndim != 2 or a.shape[1] != width or not len(a):
        raise ShapeError(f"{where}: {what} have shape {a.shape}; expected (samples, {width}).")
    bad = np.argwhere(~(np.abs(a) < 1))
    if len(bad):
        k, n = (int(i) for i in bad[0])
        raise DataError(
            f"{where}: {what}[{k}, {n}] is {a[k, n]}; expected values strictly between −1 and 1, the "
            "range of tanh. Scale the data, for example by 0.8 over their largest size."
        )
    silent = np.argwhere(a == 0)
    if what == "inputs" and len(silent):
        k, n = (int(i) for i in silent[0])
        warnings.warn(
            f"{where}: inputs[{k}, {n}] is 0: a terminal attractor at 0 exerts no force, since |a|^(1−β) = "
            "0, and the unit follows its synapses alone. Shift the data away from 0 if that is not meant.",
            TerminalAttractorWarning,
            stacklevel=3,
        )
    return a


def implicit_method(name: str, where: str) -> str:
    """Return the name of an implicit integrator; refuse explicit ones with the reason."""
    if name in IMPLICIT:
        return name
    if name in EXPLICIT:
        raise OptionError(
            f"{where}: method is '{name}', which is explicit (LSODA: until it notices stiffness). Near a "
            "terminal attractor the slope of the dynamics grows without bound, so explicit steps have to be "
            "infinitesimal, or chatter about the attractor and look like rest. Take 'BDF' or 'Radau'."
        )
    raise OptionError(f"{where}: method is {name!r}; expected one of {list(IMPLICIT)}, or 'newton'.")
