"""Interpolants on all intervals of a mesh side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ocnet.control_law import ControlLaw
from ocnet.trajectory import Interpolant


class LawPieces:
    """A control law seen from the intervals of a mesh, as :class:`Pieces` shows an interpolant."""

    def __init__(self, law: ControlLaw, breaks: np.ndarray) -> None:
        self._law, self._starts, self._lengths = law, breaks[:-1], np.diff(breaks)

    def __call__(self, s: float) -> np.ndarray:
        """Return the values (K, n) at the relative place s in [0, 1] of every interval."""
        return self._law(self._starts + s * self._lengths)

    def one(self, k: int) -> Callable[[float], np.ndarray]:
        """Return interval k as a function s -> (n,)."""
        return lambda s: self._law(self._starts[k] + s * self._lengths[k])


def on_intervals(function: Interpolant | ControlLaw, breaks: np.ndarray) -> Pieces | LawPieces:
    """Return a function of time as it is seen from the intervals with these ends."""
    return LawPieces(function, breaks) if isinstance(function, ControlLaw) else Pieces(function, breaks)


class Pieces:
    """An interpolant seen from the intervals of a mesh: its values at one relative place in all of them.

    Parameters
    ----------
    interpolant : Interpolant
        Polynomials, or a sequence (constant from each of its times to the next).
    breaks : ndarray (K + 1,)
        Ends of the intervals; none of them has an end of the interpolant's own intervals inside.
    """

    def __init__(self, interpolant: Interpolant, breaks: np.ndarray) -> None:
        middle = (breaks[:-1] + breaks[1:]) / 2
        inner = interpolant.breaks[1:-1]
        owner = np.searchsorted(inner, middle, side="right")
        count = interpolant.count[owner]
        self.shape = (len(middle), interpolant.values.shape[1])
        self._limits = interpolant.limits
        self._groups: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for m in np.unique(count):
            rows = np.flatnonzero(count == m)
            nodes = interpolant.first[owner[rows], None] + np.arange(m)
            places = (interpolant.time[nodes] - breaks[rows, None]) / np.diff(breaks)[rows, None]
            apart = places[:, :, None] - places[:, None, :] + np.eye(m)
            self._groups.append((rows, places, interpolant.values[nodes] / apart.prod(axis=2)[:, :, None]))

    def __call__(self, s: float) -> np.ndarray:
        """Return the values (K, n) at the relative place s in [0, 1] of every interval."""
        result = np.empty(self.shape)
        for rows, places, scaled in self._groups:
            result[rows] = np.matmul(_others(s - places)[:, None, :], scaled)[:, 0]
        return result if self._limits is None else np.clip(result, *self._limits)

    def one(self, k: int) -> Callable[[float], np.ndarray]:
        """Return interval k as a function s -> (n,)."""
        rows, places, scaled = next(group for group in self._groups if k in group[0])
        row = int(np.flatnonzero(rows == k)[0])
        nodes, table, limits = places[row : row + 1], scaled[row], self._limits
        if limits is None:
            return lambda s: _others(s - nodes)[0] @ table
        return lambda s: np.clip(_others(s - nodes)[0] @ table, *limits)


def _others(gaps: np.ndarray) -> np.ndarray:
    """Products (r, m) of all entries but one of each row of (r, m)."""
    ones = np.ones((len(gaps), 1))
    before = np.cumprod(np.hstack([ones, gaps[:, :-1]]), axis=1)
    after = np.cumprod(np.hstack([ones, gaps[:, :0:-1]]), axis=1)[:, ::-1]
    return before * after


def joint_breaks(pieces: Sequence[np.ndarray], start: float, end: float) -> np.ndarray:
    """Return the ends of intervals inside which none of several meshes has a break.

    Breaks that differ by rounding are merged; the first and the last are `start` and `end`.
    """
    slack = 1e-12 * max(abs(start), abs(end), end - start)
    inner = np.sort(np.concatenate([np.zeros(0), *pieces]))
    inner = inner[(inner > start + slack) & (inner < end - slack)]
    keep = np.diff(inner, prepend=start) > slack
    return np.concatenate([[start], inner[keep], [end]])
