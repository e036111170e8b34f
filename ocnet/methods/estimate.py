"""How good the answer on one mesh is: errors of states, cost and controls, interval by interval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ocnet.methods import guess as guesses
from ocnet.methods.ipopt import Ending
from ocnet.methods.mesh import Along, Errors
from ocnet.methods.refine import MAX_DEGREE, smoothness
from ocnet.methods.transcription import Point, Transcription
from ocnet.trajectory import Interpolant


@dataclass
class Stage:
    """One solved mesh: the program's answer, the functions of time that it means, and their errors."""

    transcription: Transcription
    ending: Ending
    point: Point
    x: Interpolant
    u: Interpolant
    p: Interpolant
    errors: Errors
    bias: float
    slopes: tuple[np.ndarray, np.ndarray, np.ndarray]

    @cached_property
    def decay(self) -> np.ndarray:
        """Decay of the polynomials' coefficients on each interval."""
        return smoothness(self.transcription.mesh, self.u.values, self.x.values)

    @property
    def cost_error(self) -> float:
        """Estimated error of the cost from mesh and control shape, relative to the cost."""
        return float(self._shares.sum())

    @property
    def _shares(self) -> np.ndarray:
        """Shares of the intervals; what the interior-point method explains is not the mesh's fault."""
        shape = np.abs(self.errors.shape) * (not self.transcription.held)  # that shape was asked for
        excess = max(0.0, 1.0 - self.bias / max(shape.sum(), 1e-300))
        return (np.abs(self.errors.cost) + excess * shape) / max(abs(self.ending.cost), 1e-9)

    @property
    def _near_bounds(self) -> np.ndarray:
        """Intervals on which, or next to which, a control is at a bound."""
        mesh, (low, high) = self.transcription.mesh, self.u.limits or (-np.inf, np.inf)
        slack = 1e-6 * (1 + np.abs(self.u.values))
        movable = np.less(low, high)
        held = (((self.u.values <= low + slack) | (self.u.values >= high - slack)) & movable).any(axis=1)
        touched = np.zeros(mesh.size + 2, dtype=bool)
        np.logical_or.at(touched, mesh.interval_of_point + 1, held)
        return touched[1:-1] | touched[:-2] | touched[2:]

    def worst(self, demand: float, smooth: np.ndarray) -> np.ndarray:
        """Return what refinement goes by, for each interval.

        The errors of the states; those of the cost while their sum exceeds the demand; and those of the
        controls where they are smooth, with a tenfold allowance, as they converge an order later. Near a
        bound only a higher degree is tried for them: halving does not resolve a kink.
        """
        mesh = self.transcription.mesh
        able = (mesh.degrees < MAX_DEGREE) | ~self._near_bounds
        hopeful = smooth & able & (not self.transcription.held)
        worst = np.maximum(self.errors.states, np.where(hopeful, self.errors.control / 10, 0.0))
        if self.cost_error > demand:
            worst = np.maximum(worst, self._shares * len(worst))
        return worst


def assess(t: Transcription, ending: Ending, p: np.ndarray) -> Stage:
    """Estimate the errors of a solved mesh."""
    point = t.take_apart(ending.w)
    scale = point.end if t.kernels.nt else 1.0
    b = t.functions.bounds(p)
    limits = (b.u_lower, b.u_upper)
    x, u = t.mesh.states(point.x, scale), t.mesh.controls(point.u, scale, limits)
    slopes = t.slopes(ending.w, ending.lam_g, p)
    costates = t.costates(ending.lam_g, slopes[2])
    errors = Errors(*(np.zeros(t.mesh.size) for _ in range(4)))
    if t.mesh.name != "steps" and np.isfinite(ending.w).all():
        own = costates  # on the times of the mesh, also where the final time is free

        def along(moment: np.ndarray, x: np.ndarray, u: np.ndarray) -> Along:
            return _along(t, own, point, scale, p, moment, x, u)

        errors = t.mesh.error(t.mesh.states(point.x), t.mesh.controls(point.u, 1.0, limits), along)
    if t.kernels.nt:
        costates = replace(costates, time=costates.time * scale, breaks=costates.breaks * scale)
    return Stage(t, ending, point, x, u, costates, errors, _bias(t, ending, slopes[0], p), slopes)


def _along(
    transcription: Transcription,
    costates: Interpolant,
    point: Point,
    scale: float,
    p: np.ndarray,
    moment: np.ndarray,
    x: np.ndarray,
    u: np.ndarray,
) -> Along:
    """Evaluate derivatives, costs and the Hamiltonian's distance from its minimum at many points."""
    kernels, f, count = transcription.kernels, transcription.functions, len(moment)
    t = (moment * scale)[None]
    dx = guesses.on_points(f.dynamics, count)(t, x.T, 0, u.T, point.q, p)
    rate_ = guesses.on_points(f.stage, count)(t, x.T, dx, u.T, point.q, p).full().ravel()
    costate = guesses.held(costates)(moment)
    weight = np.exp(-kernels.rate * (moment - costates.breaks[0]))
    b, gap, off = f.bounds(p), np.zeros(count), np.zeros(count)
    if kernels.control_slopes is not None:
        slopes = kernels.control_slopes.map("slopes", "serial", count, [3, 4], [])
        by_u, curvature = (a.full().T for a in slopes(t, x.T, u.T, point.q, p, costate.T))
        step = _best_step(by_u, curvature, b.u_lower - u, b.u_upper - u)
        gap = -np.sum(by_u * step + curvature * step**2 / 2, axis=1)
        off = np.max(np.abs(step) / (1 + np.abs(u).max(axis=0)), axis=1, initial=0.0)
    low, high = b.constraints["path"]
    missed = _missed(x, b.x_lower, b.x_upper)
    if len(low):
        path = guesses.on_points(f.path, count)(t, x.T, dx, u.T, point.q, p).full().T
        missed = np.maximum(missed, _missed(path, low, high))
    return Along(
        scale * dx.full().T,
        scale * weight * rate_,
        weight[:, None] * costate,
        scale * weight * gap,
        off,
        missed,
    )


def _best_step(slope: np.ndarray, curvature: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Minimiser of slope·v + curvature·v²/2 on [low, high], by component; no step where it is not finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        newton = np.where(
            curvature > 0, -slope / curvature, np.where(slope > 0, -np.inf, np.inf) * (slope != 0)
        )
    step = np.clip(
        np.nan_to_num(newton, posinf=np.inf, neginf=-np.inf), np.minimum(low, 0), np.maximum(high, 0)
    )
    return np.where(np.isfinite(step), step, 0.0)


def _missed(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Largest violation (M,) of bounds by values (M, n), relative to 1 + |bound|."""
    with np.errstate(invalid="ignore"):
        below, above = (low - values) / (1 + np.abs(low)), (values - high) / (1 + np.abs(high))
    return np.nan_to_num(np.fmax(below, above)).max(axis=1, initial=0.0)


def _bias(t: Transcription, ending: Ending, by_w: np.ndarray, p: np.ndarray) -> float:
    """Return what an interior-point method may have cost by staying inside the bounds."""
    low, high, g_low, g_high = t.bounds(t.functions.bounds(p))
    g = t.program.values(ending.w, p)
    return _complementarity(ending.w, low, high, -by_w) + _complementarity(g, g_low, g_high, ending.lam_g)


def _complementarity(w: np.ndarray, low: np.ndarray, high: np.ndarray, lam: np.ndarray) -> float:
    """Sum of multiplier times distance to the bound: what the barrier may have cost (exact if convex)."""
    movable = high > low
    slack = np.where(lam > 0, high - w, w - low)[movable]
    force = np.abs(lam[movable])
    both = np.isfinite(slack)
    return float(force[both] @ np.abs(slack[both]))
