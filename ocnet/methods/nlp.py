"""Nonlinear programs made of points: exact sparse derivatives of one point, assembled by constant matrices.

A *kernel* is a cost and constraints of the quantities z at one point. A *group* is a kernel at many points,
where z = B w for the program's unknowns w and a constant sparse matrix B. All derivatives of the program are
those of the kernels, moved into place by constant sparse matrices that are computed once with the mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np
import scipy.sparse as sp

Evaluate = Callable[[Any, Any, Any], tuple[Any, Any]]


class Kernel:
    """A cost and constraints at one point, with exact first and second derivatives.

    Parameters
    ----------
    name : str
    sizes : (int, int, int)
        Lengths of z (differentiated), of the point's data and of the parameters.
    evaluate : callable
        (z, data, parameters) -> (cost (1, 1), constraints (nc, 1)) on CasADi symbols.
    scalar : bool
        Whether the expressions expand to scalar operations (SX); otherwise they stay matrix-valued (MX).

    Attributes
    ----------
    cost, gradient : casadi.Function
        (z, d, p, sigma) -> sigma·cost; the same and its gradient (nz, 1).
    con, jacobian : casadi.Function
        (z, d, p) -> constraints; the same and their Jacobian (nc, nz), sparse.
    hessian : casadi.Function
        (z, d, p, sigma, lam) -> Hessian (nz, nz) of sigma·cost + lam·constraints, sparse, both triangles.
    """

    def __init__(self, name: str, sizes: tuple[int, int, int], evaluate: Evaluate, scalar: bool) -> None:
        symbols: Any = ca.SX if scalar else ca.MX
        z, d, p = (symbols.sym(n, s) for n, s in zip(("z", "d", "p"), sizes, strict=True))
        cost, con = evaluate(z, d, p)
        self.nz, self.nc = z.numel(), con.numel()
        sigma, lam = symbols.sym("sigma"), symbols.sym("lam", self.nc)
        cost = sigma * cost
        lagrangian = cost + ca.dot(lam, con)

        def function(label: str, inputs: list[Any], *outputs: Any) -> ca.Function:
            return ca.Function(f"{name}_{label}", inputs, outputs)

        self.cost = function("cost", [z, d, p, sigma], cost)
        self.con = function("con", [z, d, p], con)
        self.gradient = function("gradient", [z, d, p, sigma], cost, ca.gradient(cost, z))
        self.jacobian = function("jacobian", [z, d, p], con, ca.jacobian(con, z))
        self.hessian = function("hessian", [z, d, p, sigma, lam], ca.hessian(lagrangian, z)[0])
        self._lagrangian = (name, [z, d, p, sigma, lam], lagrangian, z, p)

    @cached_property
    def slopes(self) -> ca.Function:
        """(z, d, p, sigma, lam) -> gradients of the Lagrangian with respect to z and to the parameters."""
        name, inputs, lagrangian, z, p = self._lagrangian
        outputs = [ca.densify(ca.gradient(lagrangian, z)), ca.densify(ca.gradient(lagrangian, p))]
        return ca.Function(f"{name}_slopes", inputs, outputs)


@dataclass
class Group:
    """A kernel at `count` points.

    Parameters
    ----------
    kernel : Kernel
    place : csr_matrix (nz * count, nw)
        z of all points, one point after the other, from the unknowns.
    data : ndarray (nd, count)
    weights : ndarray (count,)
        Weight of each point's cost in the program's cost.
    """

    kernel: Kernel
    place: sp.csr_matrix
    data: np.ndarray
    weights: np.ndarray
    offset: int = field(default=0, init=False)

    @property
    def count(self) -> int:
        """Number of points."""
        return len(self.weights)

    @property
    def rows(self) -> slice:
        """Rows of this group among the program's constraints."""
        return slice(self.offset, self.offset + self.kernel.nc * self.count)

    def slopes(
        self, w: np.ndarray, p: np.ndarray, sigma: np.ndarray, lam: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of sigma·cost + lam·constraints, numerically: by z (count, nz) and by p, summed (np,)."""
        z = (self.place @ w).reshape(self.count, self.kernel.nz).T
        by_z, by_p = self.kernel.slopes(
            z, self.data, p, sigma.reshape(1, -1), lam.reshape(self.count, self.kernel.nc).T
        )
        return by_z.full().T, by_p.full().sum(axis=1)


class Program:
    """min f(w) subject to constraints, as CasADi functions with assembled exact derivatives.

    Parameters
    ----------
    groups : list of Group
        In the order of their constraints.
    linear : csr_matrix (ng, nw)
        Added to the constraints of the groups; what rows it has beyond them are purely linear constraints.
    scale : ndarray (nw,)
        w = scale · (the solver's unknowns).
    row_scale : ndarray (ng,)
        The solver's constraints = row_scale · (these constraints).
    np : int
        Number of parameters.
    """

    def __init__(
        self,
        groups: list[Group],
        linear: sp.csr_matrix,
        scale: np.ndarray,
        row_scale: np.ndarray | None,
        np_: int,
    ) -> None:
        self.groups, self.scale, self.nw = groups, scale, len(scale)
        offset = 0
        for group in groups:
            group.offset = offset
            offset += group.kernel.nc * group.count
        self.ng, self.linear = height(linear), linear
        self.row_scale = np.ones(self.ng) if row_scale is None else row_scale
        self.np = np_

    def values(self, w: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the constraints (ng,) at w, not scaled."""
        parts = [np.zeros(0)]
        for g in self.groups:
            z = (g.place @ w).reshape(g.count, g.kernel.nz).T
            if g.kernel.nc:
                parts.append(g.kernel.con(z, g.data, p).full().T.ravel())
        result = self.linear @ w
        nonlinear = np.concatenate(parts)
        result[: len(nonlinear)] += nonlinear
        return result

    def functions(self) -> tuple[dict[str, ca.MX], dict[str, ca.Function]]:
        """Return the program for nlpsol, and its derivative functions."""
        w, p = ca.MX.sym("w", self.nw), ca.MX.sym("p", self.np)
        sigma, lam = ca.MX.sym("sigma"), ca.MX.sym("lam", self.ng)
        groups, rows = self.groups, ca.DM(self.row_scale.tolist())
        back = ca.horzcat(*(_transposed(g.place, self.scale) for g in groups))
        place, back, linear = ca.MX(back.T), ca.MX(back), _transposed(self.linear, self.scale).T
        edges = np.cumsum([0] + [g.kernel.nz * g.count for g in groups]).tolist()
        z = ca.vertsplit(ca.mac(place, w, ca.MX.zeros(edges[-1])), edges)
        points = [
            (ca.reshape(piece, g.kernel.nz, g.count), ca.DM(g.data), ca.repmat(p, 1, g.count))
            for piece, g in zip(z, groups, strict=True)
        ]
        weights = [ca.DM(g.weights).T for g in groups]
        multipliers = [ca.reshape((rows * lam)[g.rows], g.kernel.nc, g.count) for g in groups]
        rest = self.ng - sum(g.kernel.nc * g.count for g in groups)  # rows that are only linear

        def mapped(name: str, *more: list[Any]) -> list[Any]:
            """Evaluate a function of the kernels at all points; `more` are its further arguments by group."""
            return [
                getattr(g.kernel, name).map(g.count)(*here, *further)
                for g, here, *further in zip(groups, points, *more, strict=True)
            ]

        def total(costs: Sequence[ca.MX]) -> ca.MX:
            return ca.sum1(ca.vertcat(*(ca.sum2(cost) for cost in costs)))

        def stacked(constraints: Sequence[ca.MX]) -> ca.MX:
            nonlinear = ca.vertcat(*(ca.vec(value) for value in constraints), ca.MX.zeros(rest))
            return rows * ca.mac(linear, w, nonlinear)

        program = {"x": w, "p": p, "f": total(mapped("cost", weights)), "g": stacked(mapped("con"))}
        costs, slopes = zip(*mapped("gradient", weights), strict=True)
        gradient = ca.mac(back, ca.vertcat(*map(ca.vec, slopes)), ca.MX.zeros(self.nw))
        constraints, blocks = zip(*mapped("jacobian"), strict=True)
        blocks = _diagonal(blocks, [(g.kernel.jacobian.sparsity_out(1), g.count) for g in groups], rest)
        pattern = ca.mtimes(blocks.sparsity(), place.sparsity()).unite(linear.sparsity())
        jacobian = ca.mac(blocks, place, ca.MX(ca.project(linear, pattern)))
        jacobian *= ca.mtimes(ca.diag(rows), ca.DM.ones(jacobian.sparsity()))
        blocks = mapped("hessian", [sigma * s for s in weights], multipliers)
        blocks = _diagonal(blocks, [(g.kernel.hessian.sparsity_out(0), g.count) for g in groups])
        half = ca.mtimes(blocks, place)
        pattern = ca.triu(ca.mtimes(back.sparsity(), half.sparsity()))  # the lower half is not computed
        hessian = ca.triu(ca.mac(back, half, ca.MX.zeros(pattern)))  # unless `back` is the identity
        inputs, names = [w, p], ["x", "p"]
        derivatives = {
            "grad_f": ca.Function("grad_f", inputs, [total(costs), gradient], names, ["f", "grad_f_x"]),
            "jac_g": ca.Function("jac_g", inputs, [stacked(constraints), jacobian], names, ["g", "jac_g_x"]),
        }
        inputs, names = [*inputs, sigma, lam], [*names, "lam_f", "lam_g"]
        derivatives["hess_lag"] = ca.Function("hess_lag", inputs, [hessian], names, ["triu_hess_gamma_x_x"])
        return program, derivatives


def _diagonal(values: Sequence[ca.MX], patterns: list[tuple[ca.Sparsity, int]], rest: int = 0) -> ca.MX:
    """Put the blocks of all points, given beside each other, along a diagonal, with empty rows below.

    `patterns` are those of each group's blocks, with their number.
    """
    parts = [
        ca.sparsity_cast(value, ca.diagcat(*[pattern] * count))
        for value, (pattern, count) in zip(values, patterns, strict=True)
    ]
    return ca.diagcat(*parts, ca.MX(rest, 0))


def height(matrix: Any) -> int:
    """Return the number of rows of a sparse matrix (of any of scipy's classes, which lack annotations)."""
    return int(matrix.shape[0])


def _transposed(matrix: Any, scale: np.ndarray) -> ca.DM:
    """Transpose of matrix·diag(scale): its columns are the csr_matrix's rows. CasADi reads lists fastest."""
    matrix.sum_duplicates()
    pattern = ca.Sparsity(len(scale), height(matrix), matrix.indptr.tolist(), matrix.indices.tolist())
    return ca.DM(pattern, (matrix.data * scale[matrix.indices]).tolist())
