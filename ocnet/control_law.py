"""Controls that are not stored but computed when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ocnet.errors import UnsupportedError
from ocnet.trajectory import Interpolant, check_times

PORTION = 10_000_000  # numbers that are computed at once where only some of them are wanted


@dataclass(frozen=True, eq=False)
class ControlLaw:
    """Controls as a function of time, evaluated where they are wanted; it stands in for an Interpolant.

    Parameters
    ----------
    law : callable
        Times (M,) -> controls (M, nu).
    time : ndarray (M,)
        Nodes at which `values` gives the controls, and at which files store them.
    breaks : ndarray (K + 1,)
        Ends of the intervals.
    first, count : ndarray of int (K,)
        Nodes of each interval, as in :class:`ocnet.trajectory.Interpolant`.
    discrete : bool
        Whether time counts steps.
    limits : (ndarray (nu,), ndarray (nu,)), optional
        Bounds, which the law respects; polynomials through the nodes have to be cut to them.
    """

    law: Callable[[np.ndarray], np.ndarray]
    time: np.ndarray
    breaks: np.ndarray
    first: np.ndarray
    count: np.ndarray
    discrete: bool = False
    limits: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def values(self) -> np.ndarray:
        """Controls at all nodes (M, nu), computed anew each time they are asked for."""
        return self.law(self.time)

    def __call__(self, t: Any, derivative: bool = False) -> np.ndarray:
        """Evaluate at times of any shape (the controls are the last axis); there is no derivative."""
        if derivative:
            raise UnsupportedError(
                "controls that are computed, not stored, have no derivative; take differences of values."
            )
        moments = np.asarray(t, dtype=float)
        flat = moments.reshape(-1)
        ends = self.time if self.discrete else self.breaks
        slack = check_times(flat, float(ends[0]), float(ends[-1]))
        if self.discrete:
            flat = self.time[np.searchsorted(self.time, flat + slack, side="right") - 1]
        values = self.law(flat)
        return values.reshape(*moments.shape, values.shape[1])

    def components(self, which: Any) -> ControlLaw:
        """Return the law of some components, chosen by an index array or a slice."""
        limits = None if self.limits is None else (self.limits[0][which], self.limits[1][which])
        return replace(self, law=lambda t: self._reduced(t, lambda u: u[:, which]), limits=limits)

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> ControlLaw:
        """Return the law function(values), (M, nu) -> (M, any number)."""
        return replace(self, law=lambda t: self._reduced(t, function), limits=None)

    def _reduced(self, t: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return function(controls), with few of the controls in memory at once."""
        step = len(t) if self.limits is None else max(1, PORTION // max(1, len(self.limits[0])))
        parts = [function(self.law(t[i : i + step])) for i in range(0, max(1, len(t)), max(1, step))]
        return np.concatenate(parts)

    def stored(self) -> Interpolant:
        """Return polynomials through the values at the nodes, cut to the bounds."""
        return Interpolant(
            self.time, self.values, self.breaks, self.first, self.count, self.discrete, self.limits
        )
