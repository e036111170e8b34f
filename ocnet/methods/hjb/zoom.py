"""Zooms: boxes nested about a state, each half as wide as the one around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import OptionError, ShapeError

BOXES = 14
NODES = (129, 129, 65, 17, 9, 9)  # along each axis, by the number of states
FEWEST_NODES, MOST_BOXES = 9, 40


@dataclass(frozen=True)
class Zoom:
    """Boxes nested about a state, each half as wide as the one around it, with even nodes of their own.

    For an unstable equilibrium that optimal paths may end at: the value function has a cone there, and kinks
    that run into it. Errors near the equilibrium are carried up along such paths, damped by the discount
    alone, so that distances of many powers of ten count; no grading of a grid resolves them all. Where the
    state does not rest, more than a few boxes do harm: errors count against the width of a box in its
    gradients.

    Parameters
    ----------
    centre : array_like (n,)
        In the units of the states.
    radius : float or array_like (n,)
        Half widths of the largest box, in the units of the states.
    boxes : int
        How many, at most 40; the smallest has half widths radius / 2^(boxes − 1).
    nodes : int, optional
        Along each axis of each box, at least 9; one more than a multiple of a high power of two is best. A
        number that suits the number of states if left out.

    Raises
    ------
    ShapeError, OptionError
        For values that do not fit each other or are out of range.

    Examples
    --------
    >>> import ocnet as oc
    >>> zoom = oc.Zoom(centre=[0, 0], radius=1, boxes=10, nodes=33)
    >>> oc.Grid(lower=[-3, -3], upper=[3, 3], shape=121, zooms=[zoom]).total
    25531
    """

    centre: tuple[float, ...]
    radius: tuple[float, ...]
    boxes: int
    nodes: int

    def __init__(
        self, centre: ArrayLike, radius: ArrayLike, boxes: int = BOXES, nodes: int | None = None
    ) -> None:
        try:
            middle = np.atleast_1d(np.asarray(centre, dtype=float))
            half = np.asarray(radius, dtype=float)
        except (TypeError, ValueError) as error:
            raise ShapeError(f"Zoom: got centre {centre!r:.40}, radius {radius!r:.40}: {error}.") from None
        n = len(middle)
        if middle.ndim != 1 or not 1 <= n <= len(NODES) or half.shape not in ((), (1,), (n,)):
            raise ShapeError(
                f"Zoom: centre has shape {middle.shape} and radius {half.shape}; expected one number each "
                f"for every state, for 1 to {len(NODES)} states."
            )
        if not (np.isfinite(middle).all() and np.isfinite(half).all() and (half > 0).all()):
            raise OptionError(
                f"Zoom: got centre {middle} and radius {half}; expected finite ones, radius > 0."
            )
        count = NODES[n - 1] if nodes is None else nodes
        for name, number, least, most in (
            ("boxes", boxes, 1, MOST_BOXES),
            ("nodes", count, FEWEST_NODES, np.inf),
        ):
            if not isinstance(number, (int, np.integer)) or not least <= number <= most:
                bound = f"at least {least}" if most == np.inf else f"in [{least}, {most}]"
                raise OptionError(f"Zoom: {name} is {number!r:.40}; expected an integer {bound}.")
        object.__setattr__(self, "centre", tuple(middle.tolist()))
        object.__setattr__(self, "radius", tuple(np.broadcast_to(half, n).tolist()))
        object.__setattr__(self, "boxes", int(boxes))
        object.__setattr__(self, "nodes", int(count))

    def corners(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the lower and upper corners (n,) of the boxes, the largest first."""
        centre, radius = np.array(self.centre), np.array(self.radius)
        return [(centre - radius / 2.0**k, centre + radius / 2.0**k) for k in range(self.boxes)]

    def halved(self) -> Zoom | None:
        """Return the same boxes with about half as many nodes an axis, None if they would be too few."""
        nodes = (self.nodes + 1) // 2
        nodes += self.nodes % 2 and not nodes % 2
        return Zoom(self.centre, self.radius, self.boxes, nodes) if nodes >= FEWEST_NODES else None
