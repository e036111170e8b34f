"""The minimum of a convex Hamiltonian over the box of the controls, at many points at once."""

from __future__ import annotations

from functools import cached_property

import casadi as ca
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from ocnet.errors import SolveError, UnsupportedError
from ocnet.pointwise import evaluate

TOLERANCE = 1e-10
ITERATIONS = 200
ESCAPED = 1e10  # a control that is so large runs away: H has no minimum
PORTION = 1_000_000  # numbers in the second derivatives of a portion of points


class BoxMinimum:
    """Minimises H over lower ≤ u ≤ upper, in closed form where that is possible.

    Parameters
    ----------
    first : casadi.Function
        (t, x, u, p, unknowns, parameters) -> H, H_u.
    second : casadi.Function
        The same arguments -> H_uu, by its nonzeros.
    quadratic : bool
        Whether H_uu does not depend on u.
    low, high : ndarray (nu,)
        Bounds, which may be infinite.
    labels : list of str
        Names of the controls for error messages.
    where : str
        Opens error messages.
    """

    def __init__(
        self,
        first: ca.Function,
        second: ca.Function,
        quadratic: bool,
        low: np.ndarray,
        high: np.ndarray,
        labels: list[str],
        where: str,
    ) -> None:
        self.first, self.second, self.quadratic = first, second, quadratic
        self.low, self.high, self.labels, self.where = low, high, labels, where
        sparsity = second.sparsity_out(0)
        self.row = np.array(sparsity.row(), dtype=int)
        self.column = np.array(sparsity.get_col(), dtype=int)
        nu = len(low)
        graph = csr_matrix((np.ones(len(self.row)), (self.row, self.column)), shape=(nu, nu))
        count, owner = connected_components(graph, directed=False)
        order = np.argsort(owner, kind="stable")
        groups = np.split(order, np.cumsum(np.bincount(owner, minlength=count))[:-1])
        curved = np.isin(np.arange(nu), self.row)
        single = np.array([len(group) == 1 for group in groups])[owner]
        self.linear = ~curved
        self.closed = single & curved if quadratic else np.zeros(nu, dtype=bool)
        self.blocks = [g for g in groups if curved[g].any() and not self.closed[g].any()]

    def find(self, t: np.ndarray, x: np.ndarray, p: np.ndarray, *constants: np.ndarray) -> np.ndarray:
        """Return the minimiser (points, nu) at times (points,), states and costates (points, nx)."""
        step = max(1, PORTION // max(len(self.row), len(self.low)))
        parts = [
            self._find(t[i : i + step], x[i : i + step], p[i : i + step], constants)
            for i in range(0, len(t), step)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.low)))

    def _find(
        self, t: np.ndarray, x: np.ndarray, p: np.ndarray, constants: tuple[np.ndarray, ...]
    ) -> np.ndarray:
        u = np.tile(self.start, (len(t), 1))
        slope = evaluate(self.first, t, x, u, p, *constants)[1]
        self._check_finite(slope, t, x)
        if self.closed.any():
            values = evaluate(self.second, t, x, u, p, *constants)[0]
            diagonal = np.zeros(u.shape)
            own = self.row == self.column
            diagonal[:, self.row[own]] = values[:, own]
            self._refuse_concave(np.where(self.closed, diagonal, 0.0), t)
            rising = self.closed & (diagonal > 0)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                u = np.where(rising, np.clip(u - slope / diagonal, self.low, self.high), u)
            flat = self.linear | (self.closed & (diagonal == 0))
        else:
            flat = np.broadcast_to(self.linear, u.shape)
        if flat.any():
            u = np.where(flat, self.bang(slope, flat, t), u)
        return self.newton(u, t, x, p, constants) if self.blocks else u

    @cached_property
    def start(self) -> np.ndarray:
        """A point inside the bounds: their middle, or one unit from the only one, or 0."""
        with np.errstate(invalid="ignore"):
            middle = (self.low + self.high) / 2
        below, above = np.isfinite(self.low), np.isfinite(self.high)
        one_sided = np.where(
            below, np.fmax(self.low + 1, 0.0), np.where(above, np.fmin(self.high - 1, 0.0), 0.0)
        )
        return np.where(below & above, middle, one_sided)

    def bang(self, slope: np.ndarray, flat: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return the bounds to which a linear H falls, and what is nearest to 0 where it is constant."""
        end = np.where(slope > 0, self.low, np.where(slope < 0, self.high, np.clip(0.0, self.low, self.high)))
        lost = flat & ~np.isfinite(end)
        if lost.any():
            i, j = np.argwhere(lost)[0]
            raise UnsupportedError(
                f"{self.where}: H is linear in {self.labels[j]} with slope {slope[i, j]:.3g} at t = "
                f"{t[i]:.6g}, and the control has no bound on that side: H has no minimum. "
                "Give it a bound, or a price in the stage cost."
            )
        return end

    # ------------------------------------------------------------------ projected Newton

    def newton(
        self, u: np.ndarray, t: np.ndarray, x: np.ndarray, p: np.ndarray, constants: tuple[np.ndarray, ...]
    ) -> np.ndarray:
        """Improve all controls that are coupled or not quadratic, all points side by side."""
        moving = np.zeros(u.shape[1], dtype=bool)
        moving[np.concatenate(self.blocks)] = True
        todo = np.arange(len(t))
        residual = np.full(len(t), np.inf)
        for _ in range(ITERATIONS):
            here = t[todo], x[todo], u[todo], p[todo]
            H, slope = evaluate(self.first, *here, *constants)
            self._check_finite(slope, here[0], here[1])
            gap = np.abs(np.clip(here[2] - slope, self.low, self.high) - here[2])
            residual[todo] = np.where(moving, gap / (1 + np.abs(here[2])), 0.0).max(axis=1)
            going = residual[todo] > TOLERANCE
            if not going.any():
                return u
            if np.abs(u[todo]).max() > ESCAPED:
                break
            todo = todo[going]
            here = t[todo], x[todo], u[todo], p[todo]
            direction = self._direction(slope[going], here, constants, moving)
            u[todo] = self._step(H[going, 0], slope[going], direction, here, constants)
        worst = todo[int(np.argmax(residual[todo]))]
        if residual[worst] < 1e-6:  # rounding is all that is left in a flat valley
            return u
        raise SolveError(
            f"{self.where}: the control that minimises H was not found in {ITERATIONS} Newton steps at t = "
            f"{t[worst]:.6g}, x = {np.array2string(x[worst], precision=4, threshold=6)} (residual "
            f"{residual[worst]:.1e}). Check that H is convex in the "
            "controls there, or set problem.hamiltonian."
        )

    def _direction(
        self,
        slope: np.ndarray,
        here: tuple[np.ndarray, ...],
        constants: tuple[np.ndarray, ...],
        moving: np.ndarray,
    ) -> np.ndarray:
        """Newton's direction on the controls that are free to move, minus the gradient on the others."""
        u = here[2]
        near = np.fmin(1e-6, np.abs(np.clip(u - slope, self.low, self.high) - u).max(axis=1))[:, None]
        held = ((u <= self.low + near) & (slope > 0)) | ((u >= self.high - near) & (slope < 0)) | ~moving
        values = evaluate(self.second, *here, *constants)[0]
        direction = np.where(moving, -slope, 0.0)
        place = np.full(u.shape[1], -1)
        for block in self.blocks:
            place[:] = -1
            place[block] = np.arange(len(block))
            own = np.flatnonzero(place[self.row] >= 0)
            matrix = np.zeros((len(u), len(block), len(block)))
            matrix[:, place[self.row[own]], place[self.column[own]]] = values[:, own]
            size = np.abs(matrix).max(axis=(1, 2)) + 1e-300
            fixed = held[:, block]
            matrix[fixed[:, :, None] | fixed[:, None, :]] = 0.0
            eye = np.eye(len(block))
            matrix += (fixed * size[:, None])[:, :, None] * eye
            least = np.linalg.eigvalsh(matrix)[:, 0]
            if (least < -1e-9 * size).any():
                self._refuse_concave(least[:, None] / size[:, None], here[0], block)
            matrix += (np.fmax(0.0, 1e-12 * size - least))[:, None, None] * eye
            free = np.where(fixed, 0.0, slope[:, block])
            move = -np.linalg.solve(matrix, free[:, :, None])[:, :, 0]
            direction[:, block] = np.where(fixed, -slope[:, block], move)
        return direction

    def _step(
        self,
        H: np.ndarray,
        slope: np.ndarray,
        direction: np.ndarray,
        here: tuple[np.ndarray, ...],
        constants: tuple[np.ndarray, ...],
    ) -> np.ndarray:
        """Backtrack along the projected direction until H falls enough (Bertsekas 1982)."""
        t, x, u, p = here
        length = np.ones(len(t))
        result = u.copy()
        left = np.arange(len(t))
        for _ in range(60):
            trial = np.clip(u[left] + length[left, None] * direction[left], self.low, self.high)
            with np.errstate(all="ignore"):
                value = evaluate(self.first, t[left], x[left], trial, p[left], *constants)[0][:, 0]
                fall = np.einsum("ij,ij->i", slope[left], trial - u[left])
                rounding = 1e-14 * (1 + np.abs(H[left]))
                good = value <= H[left] + 1e-4 * np.fmin(fall, 0.0) + rounding
            result[left[good]] = trial[good]
            left = left[~good]
            if not len(left):
                break
            length[left] *= 0.5
        return result

    # ------------------------------------------------------------------ what cannot be treated

    def _check_finite(self, slope: np.ndarray, t: np.ndarray, x: np.ndarray) -> None:
        if not np.isfinite(slope).all():
            i, j = np.argwhere(~np.isfinite(slope))[0]
            raise SolveError(
                f"{self.where}: dH/d{self.labels[j]} is {slope[i, j]} at t = {t[i]:.6g}, "
                f"x = {np.array2string(x[i], precision=4, threshold=6)}; expected a finite number there."
            )

    def _refuse_concave(self, curvature: np.ndarray, t: np.ndarray, block: np.ndarray | None = None) -> None:
        if (curvature < 0).any():
            i, j = np.unravel_index(np.argmin(curvature), curvature.shape)
            label = self.labels[int(j if block is None else block[0])]
            raise UnsupportedError(
                f"{self.where}: H is not convex in the controls at t = {t[i]:.6g} (negative curvature in "
                f"{label}"
                f"{' or what it is coupled to' if block is not None and len(block) > 1 else ''}); its "
                "minimum cannot be derived. Use ocnet.Collocation, or set problem.hamiltonian."
            )
