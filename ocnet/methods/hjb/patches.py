"""One upwind scheme on a grid and in the boxes of its zooms.

Each patch (the grid, and every box) has nodes of its own. Those at the faces of a box, and those of a patch
that lie well inside a box, have no equation: they take the value that the other patch has there, by linear
interpolation, which preserves order, for the monotone scheme, and by a cubic one for that of high order.
Sweeps run over the patches inwards and back: values travel along paths that leave and along paths that come
in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import binary_dilation

from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.differences import FULL, PLAIN
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.interpolation import Interpolation, Transfer
from ocnet.methods.hjb.scheme import Feedback, Scheme

HALO = 2  # layers of nodes at the faces of a box that another patch gives: as many as stencils look ahead
OVERLAP = 1  # layers of nodes inside these that keep their own equations


class Tie(NamedTuple):
    """Nodes (m,) of one patch that take their values from another: its number, and how to interpolate."""

    nodes: np.ndarray
    donor: int
    linear: Transfer
    cubic: Transfer


class Patches:
    """The scheme of a Hamiltonian on all patches of a grid; arrays (total,) hold one patch after the other.

    Parameters
    ----------
    hamiltonian : Hamiltonian
    grid : Grid
    mirrored : bool
        Whether v(−x) = v(x).
    order : int
        Of the accurate differences; the monotone ones have order 1.
    threads : int
        No result depends on it.
    """

    def __init__(
        self, hamiltonian: Hamiltonian, grid: Grid, mirrored: bool, order: int, threads: int = 1
    ) -> None:
        self.grid, self.mirrored, self.rate = grid, mirrored, hamiltonian.rate
        self.schemes = [Scheme(hamiltonian, patch, mirrored, order, threads) for patch in grid.patches]
        self.ties = [self._ties(k) for k in range(len(self.schemes))]

    def _ties(self, k: int) -> list[Tie]:
        patch, parent = self.grid.patches[k], self.grid.parents[k]
        ties: list[Tie] = []
        if parent >= 0:
            inside = np.zeros(patch.shape, dtype=np.bool_)
            inside[(slice(HALO, -HALO),) * patch.dimension] = True
            ties.append(self._tie(k, ~inside, parent))
        for child in (c for c, around in enumerate(self.grid.parents) if around == k):
            covered = np.zeros(patch.shape, dtype=np.bool_)
            covered[np.ix_(*_covered(patch, self.grid.patches[child]))] = True
            ties.append(self._tie(k, covered, child))
        return ties

    def _tie(self, k: int, chosen: np.ndarray, donor: int) -> Tie:
        nodes = np.flatnonzero(chosen.reshape(-1)[: self.schemes[k].count])
        linear, cubic = (
            Transfer(self.grid.patches[donor], self.grid.patches[k], nodes, low) for low in (True, False)
        )
        return Tie(nodes, donor, linear, cubic)

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """Return the parts (size,) of an array (total,) that belong to the patches."""
        return [values[slot] for slot in self.grid.slots]

    def use(self, stencils: np.ndarray) -> None:
        """Set the stencils (total,) of the accurate differences."""
        for scheme, part in zip(self.schemes, self.split(stencils), strict=True):
            scheme.accurate.stencils[:] = part

    def kinks(self, values: np.ndarray, floor: float) -> np.ndarray:
        """Return which stencils values (total,) ask for: AHEAD beside concave kinks, FULL elsewhere."""
        result = np.full(self.grid.total, FULL, dtype=np.int8)
        for scheme, part, found in zip(self.schemes, self.split(values), self.split(result), strict=True):
            scheme.kinks(part, floor, found)
        return result

    def policy(self, values: np.ndarray, accurate: bool) -> list[Feedback]:
        """Return the best feedback of each patch for the differences of values (total,)."""
        result: list[Feedback] = []
        for scheme, part, ties in zip(self.schemes, self.split(values), self.ties, strict=True):
            feedback = scheme.policy(part, scheme.accurate if accurate else scheme.monotone)
            for tie in ties:
                feedback.drift[tie.nodes] = 0.0
            result.append(feedback)
        return result

    def operator(self, feedbacks: Sequence[Feedback]) -> list[Any]:
        """Return what :meth:`correction` needs of a feedback."""
        return [scheme.operator(f) for scheme, f in zip(self.schemes, feedbacks, strict=True)]

    def residual(self, values: np.ndarray, accurate: bool, feedbacks: Sequence[Feedback]) -> list[np.ndarray]:
        """Return the residuals of each patch; for nodes without an equation rate · (value there − own)."""
        parts, result = self.split(values), list[np.ndarray]()
        for scheme, part, ties, f in zip(self.schemes, parts, self.ties, feedbacks, strict=True):
            residual = scheme.residual(part, scheme.accurate if accurate else scheme.monotone, f)
            for tie in ties:
                there = (tie.cubic if accurate else tie.linear)(parts[tie.donor])
                residual[tie.nodes] = self.rate * (there - part[tie.nodes])
            result.append(residual)
        return result

    def correction(
        self, operators: Sequence[Any], residuals: Sequence[np.ndarray], tolerance: float, rounds: int
    ) -> np.ndarray:
        """Solve the monotone equation of a feedback for residuals by rounds of sweeps from 0 -> (total,)."""
        correction = np.zeros(self.grid.total, dtype=np.float32)
        parts = self.split(correction)
        sources = [(r * o[1]).astype(np.float32) for r, o in zip(residuals, operators, strict=True)]
        gaps = [[s[tie.nodes] for tie in ties] for s, ties in zip(sources, self.ties, strict=True)]
        inwards, change = list(range(len(parts))), np.inf
        for _ in range(rounds):
            moved: list[float] = []
            for k in inwards + inwards[-2::-1]:
                scheme = self.schemes[k]
                for tie, gap in zip(self.ties[k], gaps[k], strict=True):
                    value = gap + tie.linear(parts[tie.donor])
                    sources[k][tie.nodes] = parts[k][tie.nodes] = value
                    if self.mirrored:
                        parts[k][scheme.grid.size - 1 - tie.nodes] = value
                moved.append(scheme.swept(parts[k], operators[k][0], sources[k]))
            change = float(np.max(moved))
            if not change > tolerance:
                break
        return correction

    def around(self, chosen: np.ndarray, steps: int) -> np.ndarray:
        """Return which nodes (total,) are at most so many steps from chosen ones of their patch."""
        box = np.ones((3,) * self.grid.dimension)
        parts = zip(self.grid.patches, self.split(chosen), strict=True)
        wider = [binary_dilation(part.reshape(patch.shape), box, steps).reshape(-1) for patch, part in parts]
        return np.concatenate(wider)


def _covered(patch: Grid, child: Grid) -> list[np.ndarray]:
    """Return where along each axis the nodes of a patch lie so far inside a child that it gives them."""
    axes: list[np.ndarray] = []
    for nodes, inner in zip(patch.axes, child.axes, strict=True):
        slack = 1e-9 * (inner[-1] - inner[0])
        within = (nodes >= inner[HALO] - slack) & (nodes <= inner[-1 - HALO] + slack)
        here = np.flatnonzero(within)
        within[here[:OVERLAP]] = within[here[-OVERLAP:]] = len(here) <= 2 * OVERLAP
        axes.append(within)
    return axes


def tied(grid: Grid) -> int:
    """Return how many nodes of a grid and of its boxes have no equation of their own."""
    count = 0
    for patch, parent in zip(grid.patches, grid.parents, strict=True):
        if parent >= 0:
            count += patch.size - int(np.prod([nodes - 2 * HALO for nodes in patch.shape]))
            count += int(np.prod([axis.sum() for axis in _covered(grid.patches[parent], patch)]))
    return count


def onto(values: np.ndarray, coarse: Grid, fine: Grid) -> np.ndarray:
    """Return values (total,) on all patches of a grid at the nodes of the same patches of another grid."""
    patches = zip(coarse.patches, fine.patches, coarse.slots, strict=True)
    return np.concatenate([Interpolation(a).onto(values[slot], b) for a, b, slot in patches])


def given_back(stencils: np.ndarray) -> np.ndarray:
    """Return which nodes have order 1."""
    return stencils == PLAIN
