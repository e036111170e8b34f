"""The window's weights on a lattice: smooth flanks, and windows side by side that sum to 1.

Equations (30) and (31) of Mjolsness and Miranker (NIPS 1990). The half-width is L/2: with L, as printed,
windows at the spacing L sum to 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OFF = 1e-12  # weights below are 0, above 1 − OFF they are 1


def smoothstep(y: np.ndarray) -> np.ndarray:
    """Return ∫ 6(¼ − s²) ds from −½ to y: 0 below −½, 1 above ½ (equation 31)."""
    y = np.clip(y, -0.5, 0.5)
    return 0.5 + y * (1.5 - 2 * y * y)


@dataclass(frozen=True)
class Geometry:
    """The window's weights on a lattice.

    Attributes
    ----------
    lattice, window : ndarray of int (d,)
    flank : float
    """

    lattice: np.ndarray
    window: np.ndarray
    flank: float

    @property
    def low(self) -> np.ndarray:
        """Least position of the middle (d,), at which the flank is still on the lattice."""
        return (self.window + self.flank) / 2 - 1

    @property
    def high(self) -> np.ndarray:
        """Largest position of the middle (d,)."""
        return self.lattice - (self.window + self.flank) / 2

    def aligned(self, x: np.ndarray) -> np.ndarray:
        """Return the position nearest to x (d,) at which all weights are 0 or 1 with a flank of 1."""
        middle = (self.window - 1) / 2
        return np.clip(np.rint(x - middle), 0, self.lattice - self.window) + middle

    def sites(self, x: np.ndarray) -> list[np.ndarray]:
        """Return, for each axis, the sites that the window at x can reach."""
        reach = (self.window + self.flank) / 2
        first = np.maximum(np.ceil(x - reach), 0).astype(np.int64)
        last = np.minimum(np.floor(x + reach), self.lattice - 1).astype(np.int64)
        return [np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]

    def weight(self, axis: int, sites: np.ndarray, x: float) -> np.ndarray:
        """Return w(site − x) along an axis; over the spacing L it sums to 1."""
        half, s = self.window[axis] / 2, sites - x
        return smoothstep((s + half) / self.flank) - smoothstep((s - half) / self.flank)

    def slope(self, axis: int, sites: np.ndarray, x: float) -> np.ndarray:
        """Return ∂w(site − x)/∂x along an axis."""
        half, s = self.window[axis] / 2, sites - x
        rise = [
            6 * (0.25 - np.clip(y, -0.5, 0.5) ** 2)
            for y in ((s + half) / self.flank, (s - half) / self.flank)
        ]
        return (rise[1] - rise[0]) / self.flank

    def benefit(self, scores: np.ndarray, offset: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return Σ w s and its gradient (d,) in x; `scores` lie on a box of sites that begins at `offset`."""
        axes = [np.arange(n) + o for n, o in zip(scores.shape, offset, strict=True)]
        weights = [self.weight(d, sites, x[d]) for d, sites in enumerate(axes)]
        gradient = np.array(
            [
                _contract(scores, [*weights[:d], self.slope(d, axes[d], x[d]), *weights[d + 1 :]])
                for d in range(len(axes))
            ]
        )
        return _contract(scores, weights), gradient

    def attended(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return virtual neurons (M,) sorted by real ones, their weights (M,), and the groups (A + 1,).

        A virtual neuron at site i belongs to the real neuron i mod L; its weight is a product over axes. The
        weights of each real neuron sum to 1.
        """
        sites = self.sites(x)
        along = [self.weight(d, s, x[d]) for d, s in enumerate(sites)]
        weights, neurons, real = np.ones(1), np.zeros(1, np.int64), np.zeros(1, np.int64)
        for d, (s, w) in enumerate(zip(sites, along, strict=True)):
            weights = np.multiply.outer(weights, w).reshape(-1)
            neurons = np.add.outer(neurons * self.lattice[d], s).reshape(-1)
            real = np.add.outer(real * self.window[d], s % self.window[d]).reshape(-1)
        kept = weights > OFF
        weights, neurons, real = weights[kept], neurons[kept], real[kept]
        order = np.argsort(real, kind="stable")
        weights = np.where(weights > 1 - OFF, 1.0, weights)[order]
        groups = np.searchsorted(real[order], np.arange(int(np.prod(self.window)) + 1))
        return neurons[order], weights, groups


def _contract(scores: np.ndarray, weights: list[np.ndarray]) -> float:
    value = scores
    for w in reversed(weights):
        value = value @ w
    return float(value)
