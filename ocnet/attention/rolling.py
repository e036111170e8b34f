"""A rolling window on a lattice: it moves uphill in benefit, and few real neurons change hands at a time.

Section 3.4 of Mjolsness and Miranker (NIPS 1990), equations (32) to (34). The window moves uphill in benefit;
the printed sign of (34) goes downhill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from ocnet.attention.control import MEASURES, Benefit, Clock, Score, check_instance, check_score
from ocnet.attention.network import Network
from ocnet.attention.virtual import Attended, Virtual
from ocnet.attention.window import Geometry
from ocnet.errors import DataError, OptionError, ShapeError

SHORT = 0.1  # sites: longest step of the window's motion
MOST_STEPS = 1000  # of one phase of control
STILL = 0.05  # sites: a window that moves less in a phase, and gains little, is aligned with the lattice


@dataclass(frozen=True)
class RollingWindow:
    """A box of real neurons that rolls over a lattice of virtual ones.

    Parameters
    ----------
    lattice : sequence of int (d,)
        Sites along each axis; neurons are numbered in C order.
    window : int or sequence of int (d,)
        L: sites of the window along each axis, at most those of the lattice.
    flank : float
        Width in sites over which the window's weight falls from 1 to 0, from 1 (the paper's) to the window's
        own. It plays no part where the clock's control is None: positions are then aligned with the lattice.
        Positions that are aligned with the lattice are all stationary with a flank of 1, so that motion
        in τ stops at the first one: take 2 or more where the clock gives control a finite time.
    start : array_like (d,) or None
        First position of the middle, in sites from 0; None begins where the window's benefit is largest.
    score : {"benefit", "gradient"}
    benefit : Benefit
        Without a scale of its own, b has that of the largest benefit in reach: the window then moves at a
        speed set by relative differences, also when little is left to gain.

    Notes
    -----
    Equations (32) to (34). The benefit (22) counts what each virtual neuron has to gain, but two of them that
    share a real neuron and pull in opposite directions do not move (19, 21). A window that stands still with
    such neurons on its flanks is therefore aligned with the lattice for one phase.

    Raises
    ------
    OptionError, ShapeError, DataError
        For windows larger than the lattice, flanks out of range, other shapes, or a start outside.
    """

    lattice: Sequence[int]
    window: Any
    flank: float = 1.0
    start: Any = None
    score: Score = "benefit"
    benefit: Benefit = field(default_factory=Benefit)

    def __post_init__(self) -> None:
        check_score("RollingWindow", self.score)
        check_instance("RollingWindow", "benefit", self.benefit, Benefit)
        lattice, window = self.shapes()
        if (window > lattice).any():
            raise OptionError(
                f"RollingWindow: window is {tuple(window.tolist())} on the lattice "
                f"{tuple(lattice.tolist())}; expected a window no larger than the lattice."
            )
        number = isinstance(self.flank, Real) and not isinstance(self.flank, bool)
        most = min(int(window.min()), int((lattice - window).min()) + 1)
        if not number or not 1 <= self.flank <= most:
            raise OptionError(
                f"RollingWindow: flank is {self.flank!r:.60}; expected a number from 1 to {most}, no wider "
                "than the window, and with it on the lattice."
            )
        if self.start is not None:
            self._start(lattice, window)

    def shapes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the sites of the lattice and of the window along each axis."""
        lattice = _counts("lattice", self.lattice, None)
        return lattice, _counts("window", self.window, len(lattice))

    def _start(self, lattice: np.ndarray, window: np.ndarray) -> np.ndarray:
        try:
            start = np.asarray(self.start, dtype=float)
        except (TypeError, ValueError):
            raise DataError(
                f"RollingWindow: start is {self.start!r:.60}; expected {len(lattice)} numbers, the middle."
            ) from None
        geometry = Geometry(lattice, window, float(self.flank))
        if start.shape != lattice.shape:
            raise ShapeError(f"RollingWindow: start has shape {start.shape}; expected ({len(lattice)},).")
        low, high = geometry.low, geometry.high
        if not ((start >= low) & (start <= high)).all():
            raise DataError(
                f"RollingWindow: start is {start.tolist()}; expected a middle from {low.tolist()} to "
                f"{high.tolist()}, so that the window lies on the lattice."
            )
        return start

    def begin(self, network: Network, clock: Clock, rng: np.random.Generator) -> _Rolling:
        """Check the lattice against a network, and return what attends during one relaxation."""
        lattice, window = self.shapes()
        if int(np.prod(lattice)) != network.size:
            raise ShapeError(
                f"RollingWindow: the lattice {tuple(lattice.tolist())} has {int(np.prod(lattice))} sites; "
                f"expected {network.size}, one for each neuron."
            )
        start = None if self.start is None else self._start(lattice, window)
        flank = 1.0 if clock.control is None else float(self.flank)
        return _Rolling(self, Geometry(lattice, window, flank), clock, start)


class _Rolling:
    def __init__(
        self, choice: RollingWindow, geometry: Geometry, clock: Clock, start: np.ndarray | None
    ) -> None:
        self.choice, self.geometry, self.clock, self.x = choice, geometry, clock, start
        self.left = np.inf  # benefit at the end of the last phase of control

    def attend(self, state: Virtual, measure: int | None = None) -> Attended:
        geometry, kind = self.geometry, MEASURES[self.choice.score] if measure is None else measure
        rescue = measure is not None
        if self.x is None or rescue:
            self.x = best_place(state.scores(kind).reshape(geometry.lattice), geometry)
        far = geometry.window + 2 * geometry.flank + 1  # it may roll by half a window and more in one phase
        low = np.maximum(np.floor(self.x - far), 0).astype(np.int64)
        high = np.minimum(np.ceil(self.x + far), geometry.lattice - 1).astype(np.int64)
        box = np.ix_(*[np.arange(a, b + 1) for a, b in zip(low, high, strict=True)])
        which = np.ravel_multi_index(box, tuple(geometry.lattice.tolist()))
        scores = state.scores(kind, which.reshape(-1)).reshape(which.shape)
        jump = self.clock.control is None or rescue
        if not jump:
            self.x = np.clip(self.x, geometry.low, geometry.high)
        before = geometry.benefit(scores, low, self.x)[0]
        if jump or self.clock.control is None:
            geometry = Geometry(geometry.lattice, geometry.window, 1.0)
            self.x = climb(scores, low, self.x, geometry)
            after = geometry.benefit(scores, low, self.x)[0]
        else:
            at = roll(scores, low, self.x, geometry, self.clock.control, self.choice.benefit)
            after = geometry.benefit(scores, low, at)[0]
            if np.abs(at - self.x).max() < STILL and before > self.left / 2:
                geometry = Geometry(geometry.lattice, geometry.window, 1.0)
                at = geometry.aligned(at)
            self.x = at
        self.left = after
        neurons, weights, groups = geometry.attended(self.x)
        if len(neurons) == len(groups) - 1:  # each real neuron has one of its own
            return Attended(np.sort(neurons), place=self.x.copy(), benefit=(before, after))
        return Attended(neurons, weights, groups, self.x.copy(), (before, after))


def roll(
    scores: np.ndarray,
    offset: np.ndarray,
    x: np.ndarray,
    geometry: Geometry,
    duration: float,
    benefit: Benefit,
) -> np.ndarray:
    """Run dx_μ/dτ = b'(B) ∂B/∂x_μ with B = Σ w s, inside the box of the scores; return the last position.

    Parameters
    ----------
    scores : ndarray (box)
        g'(∂E/∂v)² on a box of sites that begins at `offset`; they stay as they are.
    x : ndarray (d,)
    duration : float
        In units of τ.

    Notes
    -----
    Equation (34) with its sign corrected. Steps of Euler's method, at most a tenth of a site long; one that
    would lower B is halved.
    """
    reach = (geometry.window + geometry.flank) / 2
    low = np.maximum(geometry.low, offset + reach - 1)
    high = np.minimum(geometry.high, offset + np.array(scores.shape) - reach)
    scale = benefit.scaled(float(box_sums(scores, geometry.window).max()))

    at, left = np.clip(x, low, high), duration
    value, gradient = geometry.benefit(scores, offset, at)
    for _ in range(MOST_STEPS):
        pull = np.asarray(benefit.g.derivative(value / scale)) / scale * gradient
        pull[((at <= low) & (pull < 0)) | ((at >= high) & (pull > 0))] = 0.0
        speed = float(np.abs(pull).max())
        if left <= 0 or speed * left < 1e-9:
            break
        step = min(left, SHORT / speed)
        while True:
            trial = np.clip(at + step * pull, low, high)
            reached, slope = geometry.benefit(scores, offset, trial)
            if reached >= value or step * speed < 1e-9:
                break
            step /= 2
        if reached < value:
            break
        at, value, gradient, left = trial, reached, slope, left - step
    return at


def climb(scores: np.ndarray, offset: np.ndarray, x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return the nearest summit of B among the positions aligned with the lattice, by single steps uphill."""
    middle = (geometry.window - 1) / 2
    sums = box_sums(scores, geometry.window)  # of the windows whose first site is here
    corner = np.rint(geometry.aligned(x) - middle).astype(np.int64) - offset
    at = tuple(np.clip(corner, 0, np.array(sums.shape) - 1).tolist())
    while True:
        best, value = at, sums[at]
        for d in range(len(x)):
            for step in (-1, 1):
                other = (*at[:d], at[d] + step, *at[d + 1 :])
                if 0 <= other[d] < sums.shape[d] and sums[other] > value:
                    best, value = other, sums[other]
        if best == at:
            return np.array(at) + offset + middle
        at = best


def best_place(scores: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return the middle (d,) of the window with the largest sum of scores, of all aligned ones."""
    sums = box_sums(scores, geometry.window)
    corner = np.array(np.unravel_index(int(np.argmax(sums)), sums.shape))
    return corner + (geometry.window - 1) / 2


def box_sums(scores: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Return the sums over all boxes of the window's shape, at the place of their first site."""
    sums = scores
    for d, width in enumerate(window.tolist()):
        running = np.cumsum(sums, axis=d)
        padded = np.concatenate([np.zeros_like(np.take(running, [0], axis=d)), running], axis=d)
        n = padded.shape[d]
        sums = np.take(padded, np.arange(width, n), axis=d) - np.take(padded, np.arange(n - width), axis=d)
    return np.maximum(sums, 0.0)


def _counts(name: str, value: Any, axes: int | None) -> np.ndarray:
    try:
        items = np.asarray(value)
    except ValueError:  # lists of different lengths
        items = np.empty(0)
    if axes is not None and items.ndim == 0:
        items = np.repeat(items, axes)
    fits = items.ndim == 1 and len(items) > 0 and items.dtype.kind in "iu" and (items > 0).all()
    if not fits or (axes is not None and len(items) != axes):
        wanted = "positive integers, one for each axis" + ("" if axes is None else f" of the {axes}")
        raise OptionError(f"RollingWindow: {name} is {value!r:.60}; expected {wanted}.")
    return items.astype(np.int64)
