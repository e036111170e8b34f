"""Taking the barrier out of an interior-point answer: Newton steps on the active set, to rounding accuracy.

An interior-point method stops a little inside the bounds, and where the cost hardly weighs (late in a
discounted problem) it stops early. Given its answer, the bounds that hold are guessed from the multipliers,
the optimality conditions with exactly these bounds are solved by Newton's method, and the guess is corrected
until it reproduces itself (a primal-dual active set method, Hintermüller, Ito & Kunisch, SIAM J. Optim. 13,
2002).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import casadi as ca
import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

REGULAR = 1e-10  # keeps the factors of a singular system finite; iterative refinement takes it off again
FEASIBLE = 1e-8  # what may be left of the constraints, in the solver's units


@dataclass
class Polished:
    """Unknowns and multipliers on the exact active set, and what is left of the conditions of optimality."""

    w: np.ndarray
    lam_w: np.ndarray
    lam_g: np.ndarray
    cost: float
    residual: float
    steps: int


class Polisher:
    """Newton's method on the active set of one program, in the solver's units.

    Parameters
    ----------
    derivatives : mapping
        The functions "grad_f", "jac_g" and "hess_lag" of :meth:`ocnet.methods.nlp.Program.functions`.
    """

    def __init__(self, derivatives: Mapping[str, ca.Function]) -> None:
        self._gradient = derivatives["grad_f"]
        self._jacobian, self._jacobian_pattern = _by_nonzeros(derivatives["jac_g"])
        self._hessian, self._hessian_pattern = _by_nonzeros(derivatives["hess_lag"])

    def run(
        self,
        w: np.ndarray,
        lam_w: np.ndarray,
        lam_g: np.ndarray,
        bounds: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        p: np.ndarray,
        weights: np.ndarray,
        most: int = 12,
    ) -> Polished | None:
        """Polish an answer; None if the active set does not settle or the system is singular.

        Parameters
        ----------
        w, lam_w, lam_g : ndarray
            The interior-point answer.
        bounds : tuple
            Of unknowns and constraints, in the solver's units.
        p : ndarray
            Parameters.
        weights : ndarray (nw,)
            Weight of each unknown in the cost (quadrature and discount), to compare multipliers with slacks.
        most : int
            Newton steps allowed.
        """
        low, high, g_low, g_high = bounds
        fixed, equal = low == high, g_low == g_high
        w = np.clip(w, low, high)
        g = self._values(w, p)[2]
        upper, lower = lam_w / weights > high - w, -lam_w / weights > w - low
        g_upper, g_lower = ~equal & (lam_g > g_high - g), ~equal & (-lam_g > g - g_low)
        last = np.inf
        for step in range(1, most + 1):
            active, held = fixed | upper | lower, equal | g_upper | g_lower
            target = np.where(upper | fixed, high, np.where(lower, low, w))
            cost, gradient, g, jacobian = self._values(w, p)
            hessian = self._matrix(self._hessian(w, p, 1.0, lam_g), self._hessian_pattern)
            hessian = hessian + sp.triu(hessian, 1).T
            move = np.where(active, target - w, 0.0)
            wanted = np.where(equal | g_upper, g_high, g_low)
            free = np.flatnonzero(~active)
            rows = np.flatnonzero(held)
            if len(rows) > len(free):  # every control at a bound: the active set leaves nothing to solve with
                return None
            solution = _solve(
                hessian[free][:, free], jacobian[rows][:, free],
                -(gradient[free] + hessian[free] @ move), wanted[rows] - g[rows] - jacobian[rows] @ move,
                weights[free],
            )  # fmt: skip
            if solution is None:
                return None
            move[free] = solution[: len(free)]
            new_lam = np.zeros_like(lam_g)
            new_lam[rows] = solution[len(free) :]
            slope = gradient + hessian @ move + jacobian.T @ new_lam
            w, lam_g = w + move, new_lam
            lam_w = np.where(active, -slope, 0.0)
            g = g + jacobian @ move
            before = (upper, lower, g_upper, g_lower)
            small = 1e-14
            upper = (upper & (lam_w >= 0)) | (w > high + small * (1 + np.abs(high))) & ~fixed
            lower = (lower & (lam_w <= 0)) | (w < low - small * (1 + np.abs(low))) & ~fixed
            g_upper = (g_upper & (lam_g >= 0)) | (g > g_high + 1e-13) & ~equal
            g_lower = (g_lower & (lam_g <= 0)) | (g < g_low - 1e-13) & ~equal
            settled = all(
                np.array_equal(a, b) for a, b in zip(before, (upper, lower, g_upper, g_lower), strict=True)
            )
            size = float(np.max(np.abs(move) / (1 + np.abs(w)), initial=0.0))
            if not np.isfinite(size) or size > 1e3:
                return None
            if settled and (size < 1e-11 or (size < 1e-7 and size > last / 4)):
                w = np.clip(w, low, high)
                cost, gradient, g, jacobian = self._values(w, p)
                slope = gradient + jacobian.T @ lam_g
                lam_w = np.where(fixed | upper | lower, -slope, 0.0)
                dual = np.abs(slope + lam_w) / np.maximum(weights, 1e-12)
                primal = np.maximum(np.maximum(g_low - g, g - g_high), 0.0)
                if primal.max(initial=0.0) > FEASIBLE:
                    return None
                return Polished(w, lam_w, lam_g, cost, float(max(dual.max(), primal.max(initial=0.0))), step)
            last = size
        return None

    def _values(self, w: np.ndarray, p: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, sp.csr_matrix]:
        cost, gradient = self._gradient(w, p)
        g, nonzeros = self._jacobian(w, p)
        matrix = sp.csr_matrix(self._matrix(nonzeros, self._jacobian_pattern))
        return float(cost), gradient.full().ravel(), g.full().ravel(), matrix

    @staticmethod
    def _matrix(nonzeros: ca.DM, pattern: tuple[np.ndarray, np.ndarray, tuple[int, int]]) -> sp.csc_matrix:
        pointers, rows, shape = pattern
        return sp.csc_matrix((nonzeros.full().ravel(), rows, pointers), shape=shape)


def _by_nonzeros(function: ca.Function) -> tuple[ca.Function, tuple[np.ndarray, np.ndarray, tuple[int, int]]]:
    """Make a function whose last output is the vector of its matrix's nonzeros; also return their places."""
    inputs = function.mx_in()
    outputs = list(function.call(inputs))
    sparsity = function.sparsity_out(len(outputs) - 1)
    outputs[-1] = outputs[-1].nz[:] if sparsity.nnz() else ca.MX(0, 1)
    pattern = (np.array(sparsity.colind()), np.array(sparsity.row()), sparsity.shape)
    return ca.Function(function.name() + "_nz", inputs, outputs), pattern


def _solve(
    hessian: sp.csc_matrix, jacobian: sp.csr_matrix, right: np.ndarray, low: np.ndarray, weights: np.ndarray
) -> np.ndarray | None:
    """Solve the saddle-point system, scaled so that early and late times weigh alike; None if singular."""
    s = 1 / np.sqrt(weights)
    scaled = sp.csr_matrix(jacobian @ sp.diags(s))
    r = 1 / np.maximum(np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel()), 1e-300)
    upper = sp.diags(s) @ hessian @ sp.diags(s)
    lower = sp.diags(r) @ scaled
    matrix = sp.bmat([[upper, lower.T], [lower, None]], format="csc")
    signs = np.repeat([REGULAR, -REGULAR], [len(right), len(low)])
    b = np.concatenate([s * right, r * low])
    try:
        factors = splu((matrix + sp.diags(signs)).tocsc())
    except RuntimeError:
        return None
    x = factors.solve(b)
    with np.errstate(all="ignore"):  # a singular system diverges here, and is refused below
        for _ in range(4):
            x = x + factors.solve(b - matrix @ x)
    if not np.isfinite(x).all() or np.abs(matrix @ x - b).max(initial=0.0) > 1e-8 * (1 + np.abs(b).max()):
        return None
    return x * np.concatenate([s, r])
