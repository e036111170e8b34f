"""Grids: boxes with nodes along each axis, evenly spaced or finer in the middle, and zooms inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import OptionError, ProblemError, ShapeError
from ocnet.horizon import Steps
from ocnet.methods.hjb.zoom import Zoom

if TYPE_CHECKING:
    from ocnet.problem import Problem

MOST_AXES = 6
FEWEST_NODES = 7
FEWEST_INSIDE = 5  # nodes of the grid along each axis of a zoom


@dataclass(frozen=True)
class Grid:
    """A box of states with nodes along each axis.

    Parameters
    ----------
    lower, upper : array_like (n,)
        Corners of the box, in the units of the states; lower < upper.
    shape : int or array_like of int (n,)
        Nodes along each axis, at least 7. Odd numbers put a node into the middle.
    grading : float or array_like (n,)
        0 spaces the nodes of an axis evenly. With s > 0 they are at centre + radius · sinh(sτ)/sinh(s) for
        even τ in [−1, 1]: closer in the middle, by a factor s/sinh(s) against even ones.
    zooms : sequence of Zoom
        Boxes with nodes of their own, nested about states at which the value function has cones. The largest
        ones lie inside the grid and apart from each other. For policy iteration in continuous time.

    Raises
    ------
    ShapeError, OptionError
        For corners, numbers of nodes, gradings or zooms that do not fit each other or are out of range.

    Examples
    --------
    >>> import ocnet as oc
    >>> grid = oc.Grid(lower=[-3, -3], upper=[3, 3], shape=(201, 101))
    >>> grid.size
    20301
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    shape: tuple[int, ...]
    grading: tuple[float, ...]
    zooms: tuple[Zoom, ...]

    def __init__(
        self,
        lower: ArrayLike,
        upper: ArrayLike,
        shape: ArrayLike,
        grading: ArrayLike = 0.0,
        zooms: Sequence[Zoom] = (),
    ) -> None:
        try:
            low = np.atleast_1d(np.asarray(lower, dtype=float))
            high = np.atleast_1d(np.asarray(upper, dtype=float))
            counts, bend = np.asarray(shape), np.asarray(grading, dtype=float)
        except (TypeError, ValueError) as error:
            raise ShapeError(f"Grid: got lower {lower!r:.40}, upper {upper!r:.40}: {error}.") from None
        if low.ndim != 1 or low.shape != high.shape or not 1 <= len(low) <= MOST_AXES:
            raise ShapeError(
                f"Grid: lower has shape {low.shape} and upper {high.shape}; expected one number each for "
                f"every state, for 1 to {MOST_AXES} states."
            )
        n = len(low)
        if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
            raise OptionError(f"Grid: got lower {low} and upper {high}; expected finite lower < upper.")
        if counts.shape not in ((), (1,), (n,)) or counts.dtype.kind not in "iu":
            raise ShapeError(f"Grid: shape is {shape!r:.60}; expected {n} integers, one for each axis.")
        if (counts < FEWEST_NODES).any():
            raise OptionError(
                f"Grid: shape is {shape!r:.60}; expected at least {FEWEST_NODES} nodes an axis."
            )
        if bend.shape not in ((), (1,), (n,)) or not ((bend >= 0) & (bend <= 5)).all():
            raise OptionError(f"Grid: grading is {grading!r:.60}; expected a number in [0, 5] for each axis.")
        object.__setattr__(self, "lower", tuple(low.tolist()))
        object.__setattr__(self, "upper", tuple(high.tolist()))
        object.__setattr__(self, "shape", tuple(np.broadcast_to(counts, n).tolist()))
        object.__setattr__(self, "grading", tuple(np.broadcast_to(bend, n).tolist()))
        object.__setattr__(self, "zooms", self._checked(zooms))

    def _checked(self, zooms: Any) -> tuple[Zoom, ...]:
        if not isinstance(zooms, Sequence) or not all(isinstance(zoom, Zoom) for zoom in zooms):
            raise OptionError(f"Grid: zooms is {zooms!r:.60}; expected a list of ocnet.Zoom.")
        boxes: list[tuple[np.ndarray, np.ndarray]] = []
        for number, zoom in enumerate(zooms):
            where = f"Grid: zoom number {number}, about {zoom.centre},"
            if len(zoom.centre) != self.dimension:
                raise ShapeError(f"{where} has {len(zoom.centre)} axes; the grid has {self.dimension}.")
            low, high = zoom.corners()[0]
            if not ((low > self.lower).all() and (high < self.upper).all()):
                raise OptionError(
                    f"{where} reaches from {low} to {high}; expected it to lie inside the grid."
                )
            if any(((low < top) & (high > bottom)).all() for bottom, top in boxes):
                raise OptionError(f"{where} overlaps another zoom; expected boxes apart from each other.")
            if (inside := self.inside(zoom)) < FEWEST_INSIDE:
                raise OptionError(
                    f"{where} has {inside} nodes of the grid along an axis; expected at least "
                    f"{FEWEST_INSIDE}. Take a larger radius, or more nodes."
                )
            boxes.append((low, high))
        return tuple(zooms)

    def inside(self, zoom: Zoom) -> int:
        """Return how many nodes of the grid a zoom holds along an axis, at least."""
        low, high = zoom.corners()[0]
        return min(int(((a >= b) & (a <= c)).sum()) for a, b, c in zip(self.axes, low, high, strict=True))

    @cached_property
    def patches(self) -> list[Grid]:
        """The grid without its zooms, and the boxes of each zoom, the largest first."""
        return [Grid(self.lower, self.upper, self.shape, self.grading)] + [
            Grid(low, high, zoom.nodes) for zoom in self.zooms for low, high in zoom.corners()
        ]

    @cached_property
    def parents(self) -> list[int]:
        """Number of the patch around each patch; −1 for the first, which has none."""
        result = [-1]
        for zoom in self.zooms:
            first = len(result)
            result += [0, *range(first, first + zoom.boxes - 1)]
        return result

    @cached_property
    def slots(self) -> list[slice]:
        """Where the values of each patch are in an array (total,) of those of all patches."""
        ends = np.cumsum([0, *(grid.size for grid in self.patches)]).tolist()
        return [slice(a, b) for a, b in pairwise(ends)]

    @property
    def total(self) -> int:
        """Number of nodes of all patches."""
        return self.size + sum(zoom.boxes * zoom.nodes**self.dimension for zoom in self.zooms)

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of nodes."""
        return int(np.prod([int(n) for n in self.shape], dtype=object))

    @cached_property
    def axes(self) -> list[np.ndarray]:
        """Nodes of each axis, ascending."""
        result: list[np.ndarray] = []
        for low, high, n, s in zip(self.lower, self.upper, self.shape, self.grading, strict=True):
            tau = np.linspace(-1.0, 1.0, n)
            tau = 0.5 * (tau - tau[::-1])  # odd to the last bit
            even = np.sinh(s * tau) / np.sinh(s) if s else tau
            nodes = 0.5 * (low + high) + 0.5 * (high - low) * even
            nodes[0], nodes[-1] = low, high
            result.append(nodes)
        return result

    @property
    def symmetric(self) -> bool:
        """Whether −x is a node for every node x, of the same patch."""
        centred = all(low == -high for low, high in zip(self.lower, self.upper, strict=True))
        return centred and not any(any(zoom.centre) for zoom in self.zooms)

    def points(self, count: int | None = None) -> np.ndarray:
        """Return the first `count` nodes, or all of them, in C order (count, n)."""
        index = np.unravel_index(np.arange(self.size if count is None else count), self.shape)
        return np.stack([nodes[i] for nodes, i in zip(self.axes, index, strict=True)], axis=1)

    def contains(self, x: np.ndarray) -> np.ndarray:
        """Return whether points (points, n) are inside, up to rounding -> bool (points,)."""
        slack = 1e-12 * np.maximum(np.abs(self.lower), np.abs(self.upper))
        inside = (x >= np.array(self.lower) - slack) & (x <= np.array(self.upper) + slack)
        return np.asarray(inside.all(axis=1))

    def cells(self, x: np.ndarray) -> np.ndarray:
        """Return the widths of the cells of the finest patches around points (points, n) inside."""
        widths = np.empty(x.shape)
        for patch in self.patches:
            inside = np.flatnonzero(patch.contains(x))
            for d, nodes in enumerate(patch.axes):
                k = np.clip(np.searchsorted(nodes, x[inside, d], side="right") - 1, 0, len(nodes) - 2)
                widths[inside, d] = nodes[k + 1] - nodes[k]
        return widths

    def resized(self, shape: Any) -> Grid:
        """Return the same box with other numbers of nodes."""
        return Grid(self.lower, self.upper, shape, self.grading, self.zooms)

    def halved(self) -> Grid | None:
        """Return a grid with about half as many nodes an axis, also in zooms, None if they would be too few.

        An axis with a node in the middle keeps it.
        """
        counts = [(n + 1) // 2 for n in self.shape]
        counts = [m + 1 if n % 2 and not m % 2 else m for n, m in zip(self.shape, counts, strict=True)]
        zooms = [smaller for zoom in self.zooms if (smaller := zoom.halved()) is not None]
        if min(counts) < FEWEST_NODES + 2 or len(zooms) < len(self.zooms):
            return None
        coarse = Grid(self.lower, self.upper, counts, self.grading)
        if any(coarse.inside(zoom) < FEWEST_INSIDE for zoom in zooms):
            return None
        return Grid(self.lower, self.upper, counts, self.grading, zooms)

    @classmethod
    def suggest(cls, problem: Problem, shape: Any = None, zoom: bool = False) -> Grid:
        """Propose a grid for a problem.

        The smallest box about 0 that the uncontrolled dynamics do not leave (controls in the middle of their
        bounds), and a tenth more on each side, with nodes closer to each other near 0; where states have
        bounds, those. The solve checks whether the optimal feedback stays inside (`value.domain`).

        Parameters
        ----------
        problem : Problem
            In continuous time.
        shape : int or array_like of int (n,), optional
            Nodes along each axis; a number that suits the number of states if left out.
        zoom : bool
            Whether to zoom in on the unstable equilibria of the uncontrolled dynamics in the box, those that
            :func:`ocnet.landscape` finds. Those whose box would hold fewer than five nodes of the grid along
            an axis are left out.

        Raises
        ------
        ProblemError
            In discrete time, if no such box is found, or if there are too many states.
        """
        from ocnet.methods.hjb.domain import suggest

        if isinstance(problem.horizon, Steps):
            raise ProblemError(
                f"Grid.suggest: '{problem.name}' has discrete time, where no box is known to hold all paths; "
                "give the box yourself: ocnet.Grid(lower, upper, shape)."
            )
        return suggest(problem, shape, zoom)
