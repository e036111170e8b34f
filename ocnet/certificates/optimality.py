"""Are the controls of a solution extremal? The Hamiltonian, and what the minimum principle demands."""

from __future__ import annotations

from functools import cached_property

import casadi as ca
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from ocnet.certificates.subject import FAINT, Subject, arguments, dynamics_and_stage, touches
from ocnet.pieces import Pieces
from ocnet.pointwise import evaluate

MARGIN = 1e-4  # relative distance to a bound below which it counts as active
MOST_CURVED = 5000  # controls whose second derivatives are looked at
PORTION = 2_000_000  # numbers in one array of a portion of points
BUDGET = 1e9  # of points × sum of cubed block sizes, for eigenvalues
GAUSS = [(w / 2, (1 + s) / 2) for s, w in zip(*np.polynomial.legendre.leggauss(5), strict=True)]


class Principle:
    """The Hamiltonian of a checked solution, H = stage + p·f with the derivatives in `stage` replaced by f.

    Parameters
    ----------
    subject : Subject
        With costates.
    """

    def __init__(self, subject: Subject) -> None:
        assert subject.p is not None
        self.subject, self.p = subject, subject.p
        t, x, u, q, p = arguments(subject.functions)
        costate = type(x).sym("costate", subject.functions.nx)
        f, stage = dynamics_and_stage(subject, t, x, u, q, p)
        H = stage + ca.dot(costate, f)
        self._symbols, self._H = [t, x, u, costate, q, p], H
        self.first = ca.Function("H", self._symbols, [H, ca.densify(ca.gradient(H, u))])
        self.adjoint = ca.Function("H_x", self._symbols, [ca.densify(ca.gradient(H, x))])
        self.by_unknown = ca.Function("H_q", self._symbols, [ca.densify(ca.gradient(H, q))])
        self.autonomous = not ca.depends_on(H, t)

    @cached_property
    def second(self) -> ca.Function:
        """(t, x, u, p, q, parameters) -> nonzeros of H_uu."""
        return ca.Function("H_uu", self._symbols, [ca.hessian(self._H, self._symbols[2])[0]])

    @cached_property
    def too_many(self) -> bool:
        """Whether there are too many controls to look at H_uu."""
        return self.subject.functions.nu > MOST_CURVED

    @cached_property
    def curved(self) -> bool:
        """Whether H_uu depends on u."""
        return not self.too_many and bool(ca.depends_on(self.second(*self._symbols), self._symbols[2]))

    @cached_property
    def blocks(self) -> list[np.ndarray]:
        """Groups of controls that H_uu couples with each other; singles without curvature are left out."""
        if self.too_many:
            return []
        row, column = self._pattern
        nu = self.subject.functions.nu
        graph = csr_matrix((np.ones(len(row)), (row, column)), shape=(nu, nu))
        count, owner = connected_components(graph, directed=False)
        curved = np.zeros(nu, dtype=bool)
        curved[row] = True
        order = np.argsort(owner, kind="stable")
        groups = np.split(order, np.cumsum(np.bincount(owner, minlength=count))[:-1])
        return [group for group in groups if curved[group].any()]

    @cached_property
    def _pattern(self) -> tuple[np.ndarray, np.ndarray]:
        sparsity = self.second.sparsity_out(0)
        return np.array(sparsity.row(), dtype=int), np.array(sparsity.get_col(), dtype=int)

    def constants(self) -> list[np.ndarray]:
        """Unknowns and parameters, which close the argument list of every function here."""
        return [self.subject.q, self.subject.parameters]

    # ------------------------------------------------------------------ points

    def points(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return times, states, controls and costates where the control is known: its nodes, or all steps.

        Controls that are constant on the intervals have no such points; they get Gauss points.
        """
        s = self.subject
        assert s.u is not None
        if s.discrete:
            k = s.x.time[:-1]
            return k, s.x.values[:-1], s.controls(k), np.exp(-s.rate) * self.p.values[1:]
        if s.u.count.min() == 1:
            parts = [self.side_by_side(place) for _, place in GAUSS]
            t, x, u, p = (np.concatenate(part) for part in zip(*parts, strict=True))
            return t, x, u, p
        interval = np.repeat(np.arange(len(s.u.count)), s.u.count)
        rows = np.concatenate([first + np.arange(m) for first, m in zip(s.u.first, s.u.count, strict=True)])
        left, right = s.u.breaks[interval], s.u.breaks[interval + 1]
        inside = 1e-9 * (right - left)  # where costates jump, that of the control's own interval is meant
        t = np.clip(s.u.time[rows], left + inside, right - inside)
        return t, s.x(t), s.u.values[rows], self.p(t)

    def side_by_side(self, place: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return times, states, controls and costates at one relative place of all intervals."""
        return self.subject.times(place), self.subject.X(place), self.subject.U(place), self.P(place)

    def values(self) -> np.ndarray:
        """Return H where the control is known, or in the middle of the intervals if there is none."""
        points = self.points() if self.subject.u is not None else self.side_by_side(0.5)
        return evaluate(self.first, *points, *self.constants())[0][:, 0]

    @cached_property
    def P(self) -> Pieces:
        """Costates on the joint mesh."""
        return Pieces(self.p, self.subject.breaks)

    # ------------------------------------------------------------------ controls

    def gap(
        self, t: np.ndarray, x: np.ndarray, u: np.ndarray, p: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the gain in H that other controls allow, and |H_u| inside the bounds, both (points, nu).

        For each control: H_u·(u − v) at the best end v of its interval; or, where that is infinite or H is
        quadratic, the reduction by a parabola with the least eigenvalue of its block of H_uu as curvature.
        NaN where the interval has no end and H no curvature.
        """
        low, high = self.subject.bounds.u_lower, self.subject.bounds.u_upper
        slope = evaluate(self.first, t, x, u, p, *self.constants())[1]
        u = np.clip(u, low, high)
        end = np.where(slope > 0, low, high)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            gain = np.where(slope == 0, 0.0, slope * (u - end))
            unbounded = ~np.isfinite(gain)
            curvature = self.curvature(t, x, u, p)
            change = np.clip(-slope / curvature, low - u, high - u)
            parabola = -(slope * change + curvature * change**2 / 2)
            use = (curvature > 0) & (unbounded | (not self.curved))
            gain = np.where(use, parabola, np.where(unbounded, np.nan, gain))
        return gain, np.where(self.inside(u), np.abs(slope), 0.0)

    def inside(self, u: np.ndarray) -> np.ndarray:
        """Whether controls (points, nu) are strictly inside their bounds."""
        low, high = self.subject.bounds.u_lower, self.subject.bounds.u_upper
        width = np.where(np.isfinite(high - low), high - low, 1 + np.fmin(np.abs(low), np.abs(high)))
        margin = MARGIN * np.where(np.isfinite(width), width, 1.0)
        return (u > low + margin) & (u < high - margin)

    def curvature(self, t: np.ndarray, x: np.ndarray, u: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the least eigenvalue of each control's block of H_uu (points, nu), or 0."""
        result = np.zeros(u.shape)
        if self.used_blocks:
            values = evaluate(self.second, t, x, u, p, *self.constants())[0]
            for block in self.used_blocks:
                matrices = self.matrices(values, block)
                least = matrices[:, 0, 0] if len(block) == 1 else np.linalg.eigvalsh(matrices)[:, 0]
                result[:, block] = least[:, None]
        return result

    @cached_property
    def used_blocks(self) -> list[np.ndarray]:
        """Blocks of H_uu whose curvature the gap takes: all that are affordable, and those without bounds."""
        s = self.subject
        infinite = ~np.isfinite(s.bounds.u_lower) | ~np.isfinite(s.bounds.u_upper)
        points = len(s.x.time) if s.discrete else len(s.x.time) + len(GAUSS) * s.K
        affordable = points * sum(len(b) ** 3 for b in self.blocks) <= BUDGET and not self.curved
        if not affordable and not self.curved and any(len(b) > 1 for b in self.blocks):
            s.notes.append(
                "The gap makes no use of the curvature of H, which couples too many controls: a coarse bound."
            )
        return [b for b in self.blocks if len(b) == 1 or affordable or infinite[b].any()]

    def matrices(self, values: np.ndarray, block: np.ndarray) -> np.ndarray:
        """Return one block of H_uu (points, b, b) from the nonzeros (points, nnz)."""
        row, column = self._pattern
        place = np.full(self.subject.functions.nu, -1)
        place[block] = np.arange(len(block))
        own = np.flatnonzero(place[row] >= 0)
        result = np.zeros((len(values), len(block), len(block)))
        result[:, place[row[own]], place[column[own]]] = values[:, own]
        return result

    def legendre_clebsch(self) -> tuple[float, float]:
        """Return the least eigenvalue of H_uu on controls inside their bounds, and on all controls."""
        if self.too_many:
            self.subject.notes.append(
                f"There are more than {MOST_CURVED} controls: the curvature of H was not looked at, neither "
                "for the gap (a coarse bound) nor for the Legendre-Clebsch condition."
            )
            return float("nan"), 0.0
        t, x, u, p = self.points()
        free = self.inside(u)
        if not free.any():
            self.subject.notes.append(
                "All controls are at bounds: there is no Legendre-Clebsch condition to check."
            )
            return float("nan"), 0.0
        if not self.blocks:
            self.subject.notes.append(
                "H is linear in the controls: the Legendre-Clebsch condition holds with 0."
            )
            return 0.0, 0.0
        work = len(t) * (sum(len(b) ** 3 for b in self.blocks) + len(self._pattern[0]))
        rows = np.unique(
            np.linspace(0, len(t) - 1, int(np.clip(len(t) * BUDGET / work, 2, len(t)))).astype(int)
        )
        if len(rows) < len(t):
            self.subject.notes.append(f"Legendre-Clebsch was looked at in {len(rows)} of {len(t)} points.")
        values = evaluate(self.second, t[rows], x[rows], u[rows], p[rows], *self.constants())[0]
        held, least, least_of_all = ~free[rows], np.inf, np.inf
        curved = np.concatenate(self.blocks)
        flat = np.setdiff1d(np.arange(u.shape[1]), curved)
        if free[rows][:, flat].any():
            least = 0.0
        for block in self.blocks:
            matrices, fixed = self.matrices(values, block), held[:, block]
            least_of_all = min(least_of_all, float(np.linalg.eigvalsh(matrices)[:, 0].min()))
            large = 1 + np.abs(matrices).sum(axis=(1, 2))
            matrices[fixed[:, :, None] | fixed[:, None, :]] = 0.0
            matrices += fixed[:, :, None] * large[:, None, None] * np.eye(len(block))
            some = ~fixed.all(axis=1)
            if some.any():
                found = np.linalg.eigvalsh(matrices[some])[:, 0]
                if found.min() < least:
                    least = float(found.min())
                    point = int(rows[np.flatnonzero(some)[int(np.argmin(found))]])
                    self.subject.attained("legendre_clebsch", self._label(int(block[0])), float(t[point]))
        return (float(least) if np.isfinite(least) else float("nan")), least_of_all

    def _label(self, i: int) -> str:
        return self.subject.functions.labels("control")[i]


def control_figures(principle: Principle) -> dict[str, float]:
    """Return gap, discounted gap, stationarity and Legendre-Clebsch eigenvalue; note what they are worth."""
    s, f = principle.subject, principle.subject.functions
    names = ("hamiltonian_gap", "cost_gap", "stationarity", "legendre_clebsch")
    if touches(f.path, 3, f.nu).any() or (touches(f.path, 2, f.nx).any() and f.nu):
        s.notes.append(
            "A path constraint contains controls: the least H is not taken over a box, and the gap, the "
            "stationarity and the Legendre-Clebsch condition do not apply."
        )
        return dict.fromkeys(names, float("nan"))
    t, x, u, p = principle.points()
    clear = s.counts(t)
    if not clear.all():
        s.notes.append(
            f"From t = {t[~clear].min():.4g} on the discount is below {FAINT:g}: gap, stationarity and "
            "costates there count in the cost gap only."
        )
    gap, slope, worst = _largest(principle, t[clear], x[clear], u[clear], p[clear])
    labels = f.labels("control")
    s.attained("hamiltonian_gap", labels[worst[1]], t[clear][worst[0]])
    s.attained("stationarity", labels[slope[2]], t[clear][slope[1]])
    if np.isnan(gap):
        s.notes.append(
            f"{labels[worst[1]]} has no bound on the side to which H falls, and H has no positive "
            "curvature in it: no gap can be given; the stationarity says how flat H is."
        )
    if not s.discrete and s.u is not None and s.u.count.min() == 1:
        s.notes.append(
            "The controls are constant on each interval: the gap includes what this shape costs, and the "
            "stationarity need not be small."
        )
    figures = [gap, _discounted_gap(principle, t, x, u, p), slope[0]]
    least, least_of_all = principle.legendre_clebsch()
    if least_of_all < -1e-8:
        s.notes.append("H is not convex in the controls: the gap is of first order only, no upper bound.")
    elif principle.curved:
        s.notes.append(
            "H is not quadratic in the controls: the gap is an upper bound only if H is convex in them."
        )
    return dict(zip(names, [*figures, least], strict=True))


def _portions(principle: Principle, points: int) -> list[slice]:
    each = max(principle.subject.functions.nu, principle.subject.functions.nx)
    if principle.used_blocks:
        each = max(each, principle.second.nnz_out(0))
    step = max(1, PORTION // each)
    return [slice(start, min(start + step, points)) for start in range(0, points, step)]


def _largest(
    principle: Principle, *points: np.ndarray
) -> tuple[float, tuple[float, int, int], tuple[int, int]]:
    """Largest gap, largest |H_u| inside the bounds with (point, control), and where the gap is."""
    gap, where, slope = -1.0, (0, 0), (-1.0, 0, 0)
    for rows in _portions(principle, len(points[0])):
        gains, slopes = principle.gap(*(a[rows] for a in points))
        i, j = (int(n) for n in np.unravel_index(np.argmax(slopes), slopes.shape))
        if slopes[i, j] > slope[0]:
            slope = (float(slopes[i, j]), rows.start + i, j)
        if np.isnan(gains).any():
            i, j = (int(n) for n in np.argwhere(np.isnan(gains))[0])
            gap, where = float("nan"), (rows.start + i, j)
        elif not np.isnan(gap):
            total = gains.sum(axis=1)
            i = int(np.argmax(total))
            if total[i] > gap:
                gap, where = float(total[i]), (rows.start + i, int(np.argmax(gains[i])))
    return (gap if np.isnan(gap) else max(gap, 0.0)), slope, where


def _discounted_gap(principle: Principle, *points: np.ndarray) -> float:
    """Integral (sum) of the discounted gap over the horizon."""
    s, total = principle.subject, 0.0
    if s.discrete:
        for rows in _portions(principle, len(points[0])):
            gains = principle.gap(*(a[rows] for a in points))[0].sum(axis=1)
            total += float(np.exp(-s.rate * points[0][rows]) @ gains)
        return max(total, 0.0) if not np.isnan(total) else total
    for weight, place in GAUSS:
        here = principle.side_by_side(place)
        scale = weight * s.h * np.exp(-s.rate * (here[0] - s.t0))
        for rows in _portions(principle, s.K):
            total += float(scale[rows] @ principle.gap(*(a[rows] for a in here))[0].sum(axis=1))
    return max(total, 0.0) if not np.isnan(total) else total
