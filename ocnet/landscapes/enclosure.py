"""All zeros of a function in a box, by bisection with interval bounds: a search that proves what it says.

A part of the box is dropped when the bounds of the function, or Krawczyk's operator

    K = c − Y f(c) + (I − Y f'(Z)) (Z − c),      Y ≈ f'(c)⁻¹,

exclude a zero in it, and kept as one zero when K lies inside Z, the part inflated a little about its
centre c: then Z holds exactly one (R. Krawczyk 1969, R. E. Moore 1977). Otherwise it is cut and bisected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ocnet.landscapes.intervals import IntervalFunction

INFLATION = 1.1  # a zero on the face between two parts lies inside both when they are inflated
CUT = 0.4721359  # where a part is bisected: not in the middle, where zeros of symmetric problems lie
PORTION = 20_000  # boxes treated at once


@dataclass(frozen=True)
class Enclosure:
    """What the bisection found.

    Attributes
    ----------
    points : ndarray (k, n)
        Approximations, each of a zero that is the only one of its surroundings; some belong to the same zero.
    undecided : ndarray (m, 2, n)
        Lower and upper ends of small parts about which nothing could be proved.
    examined : int
        How many parts were looked at.
    complete : bool
        Whether everything outside the undecided parts was settled, rather than given up.
    """

    points: np.ndarray
    undecided: np.ndarray
    examined: int
    complete: bool


def enclose(
    value: IntervalFunction,
    slope: IntervalFunction,
    lower: np.ndarray,
    upper: np.ndarray,
    *,
    smallest: float = 1e-6,
    most: int = 200_000,
) -> Enclosure:
    """Find all zeros of a function in a box.

    Parameters
    ----------
    value, slope : IntervalFunction
        The function (n,) and its Jacobian (n·n,) in column order, as CasADi stores it.
    lower, upper : ndarray (n,)
        The box.
    smallest : float
        Parts below this fraction of the box in every direction are not divided any more.
    most : int
        Parts to look at before giving up; what is left is then among the undecided.

    Returns
    -------
    Enclosure
    """
    n, span = len(lower), upper - lower
    active = np.stack([lower, upper])[None]
    points: list[np.ndarray] = [np.empty((0, n))]
    undecided: list[np.ndarray] = [np.empty((0, 2, n))]
    examined = 0
    while len(active) and examined < most:
        here, active = active[:PORTION], active[PORTION:]
        examined += len(here)
        low, high = value(here[:, 0], here[:, 1])
        here = here[np.all((low <= 0) & (high >= 0), axis=1)]
        if not len(here):
            continue
        centre, radius, K = _krawczyk(value, slope, here)
        proved = np.all((K[:, 0] > centre - radius) & (K[:, 1] < centre + radius), axis=1)
        points.append(K[proved].mean(axis=1))
        cut = np.stack([np.maximum(here[:, 0], K[:, 0]), np.minimum(here[:, 1], K[:, 1])], axis=1)[~proved]
        cut = cut[np.all(cut[:, 0] <= cut[:, 1], axis=1)]
        tiny = np.all(cut[:, 1] - cut[:, 0] <= smallest * span, axis=1)
        undecided.append(cut[tiny])
        active = np.concatenate([active, _halves(cut[~tiny], span)])
    return Enclosure(
        np.concatenate(points), np.concatenate([*undecided, active]), examined, complete=not len(active)
    )


def _krawczyk(
    value: IntervalFunction, slope: IntervalFunction, here: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centres and radii (boxes, n) of the inflated parts, and K (boxes, 2, n), infinite if unknown."""
    boxes, _, n = here.shape
    centre = here.mean(axis=1)
    radius = INFLATION * (here[:, 1] - here[:, 0]) / 2 + 1e-13 * (1 + np.abs(centre))
    at = np.stack(value(centre, centre), axis=1)
    bounds = [b.reshape(boxes, n, n).transpose(0, 2, 1) for b in slope(centre - radius, centre + radius)]
    middle, spread = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
    known = np.isfinite(at).all(axis=(1, 2)) & np.isfinite(spread).all(axis=(1, 2))
    with np.errstate(all="ignore"):
        scales = np.linalg.svd(np.where(known[:, None, None], middle, 0.0), compute_uv=False)
        known &= scales[:, -1] > 1e-13 * scales[:, 0]
    K = np.empty((boxes, 2, n))
    K[:, 0], K[:, 1] = -np.inf, np.inf
    if known.any():
        Y = np.linalg.inv(middle[known])
        size, rounding = np.abs(Y) @ (np.abs(middle) + spread)[known], 4 * n * np.finfo(float).eps
        shift = -np.einsum("bij,bj->bi", Y, at[known].mean(axis=1))
        slack = np.einsum("bij,bj->bi", np.abs(Y), (at[known, 1] - at[known, 0]) / 2)
        rest = np.abs(np.eye(n) - Y @ middle[known]) + np.abs(Y) @ spread[known] + rounding * size
        reach = np.einsum("bij,bj->bi", rest, radius[known]) + slack
        reach += rounding * (reach + np.abs(shift) + np.abs(centre[known]))  # of these lines themselves
        K[known, 0] = centre[known] + shift - reach
        K[known, 1] = centre[known] + shift + reach
    return centre, radius, K


def _halves(boxes: np.ndarray, span: np.ndarray) -> np.ndarray:
    """Bisect (boxes, 2, n) across their longest side, in units of the whole box."""
    each, side = np.arange(len(boxes)), np.argmax((boxes[:, 1] - boxes[:, 0]) / span, axis=1)
    place = boxes[each, 0, side] + CUT * (boxes[each, 1, side] - boxes[each, 0, side])
    left, right = boxes.copy(), boxes.copy()
    left[each, 1, side] = place
    right[each, 0, side] = place
    return np.concatenate([left, right])
