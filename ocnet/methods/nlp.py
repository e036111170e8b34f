"""Nonlinear programs made of points: exact sparse derivatives of one point, assembled by constant matrices.

A *kernel* is a cost and constraints of the quantities z at one point. A *group* is a kernel at many points,
where z = B w for the program's unknowns w and a constant sparse matrix B. All derivatives of the program are
those of the kernels, moved into place by constant sparse matrices that are computed once with the mesh.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """

    def __init__(self, name: str, sizes: tuple[int, int, int], evaluate: Evaluate, scalar: bool) -> None:
        symbols: Any = ca.SX if scalar else ca.MX
        z, d, p = (symbols.sym(n, s) for n, s in zip(("z", "d", "p"), sizes, strict=True))
        cost, con = evaluate(z, d, p)
        self.nz, self.nc = z.numel(), con.numel()
        sigma, lam = symbols.sym("sigma"), symbols.sym("lam", self.nc)
        lagrangian = sigma * cost + ca.dot(lam, con)
        jacobian = ca.jacobian(con, z)
        hessian = ca.triu(ca.hessian(lagrangian, z)[0])
        self.jacobian_pattern = _triplets(jacobian.sparsity())
        self.hessian_pattern = _triplets(hessian.sparsity())

        def function(label: str, inputs: list[Any], output: Any) -> ca.Function:
            return ca.Function(f"{name}_{label}", inputs, [output])

        self.cost = function("cost", [z, d, p], cost)
        self.con = function("con", [z, d, p], con)
        self.gradient = function("gradient", [z, d, p], ca.densify(ca.gradient(cost, z)))
        self.jacobian = function("jacobian", [z, d, p], _nonzeros(jacobian))
        self.hessian = function("hessian", [z, d, p, sigma, lam], _nonzeros(hessian))
        self._lagrangian = (name, [z, d, p, sigma, lam], lagrangian, z, p)

    @cached_property
    def slopes(self) -> ca.Function:
        """(z, d, p, sigma, lam) -> gradients of the Lagrangian with respect to z and to the parameters."""
        name, inputs, lagrangian, z, p = self._lagrangian
        outputs = [ca.densify(ca.gradient(lagrangian, z)), ca.densify(ca.gradient(lagrangian, p))]
        return ca.Function(f"{name}_slopes", inputs, outputs)


def _triplets(sparsity: ca.Sparsity) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = sparsity.get_triplet()
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)


def _nonzeros(matrix: Any) -> Any:
    return matrix.nz[:] if matrix.nnz() else type(matrix)(0, 1)


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
    linear : csr_matrix (nc * count, nw) or None
        Added to the constraints.
    """

    kernel: Kernel
    place: sp.csr_matrix
    data: np.ndarray
    weights: np.ndarray
    linear: sp.csr_matrix | None = None
    offset: int = field(default=0, init=False)

    @property
    def count(self) -> int:
        """Number of points."""
        return len(self.weights)

    @property
    def rows(self) -> slice:
        """Rows of this group among the program's constraints."""
        return slice(self.offset, self.offset + self.kernel.nc * self.count)

    def call(self, name: str, w: Any, p: Any, *more: Any) -> Any:
        """Evaluate one of the kernel's functions at all points (symbolically) -> (size, count)."""
        function = getattr(self.kernel, name)
        z = ca.reshape(ca.mtimes(self._place, w), self.kernel.nz, self.count)
        return mapped(function, self.count)(z, self._data, p, *more)

    @cached_property
    def _place(self) -> ca.DM:
        return _dm(self.place)

    @cached_property
    def _data(self) -> ca.DM:
        return ca.DM(self.data)

    def slopes(
        self, w: np.ndarray, p: np.ndarray, sigma: np.ndarray, lam: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of sigma·cost + lam·constraints, numerically: by z (count, nz) and by p, summed (np,)."""
        z = (self.place @ w).reshape(self.count, self.kernel.nz).T
        by_z, by_p = mapped(self.kernel.slopes, self.count)(
            z, self.data, p, sigma.reshape(1, -1), lam.reshape(self.count, self.kernel.nc).T
        )
        return by_z.full().T, by_p.full().sum(axis=1)


def mapped(function: ca.Function, count: int) -> ca.Function:
    """Map a kernel function over points: z, data (and multipliers) vary, the third argument does not."""
    return function if count == 1 else function.map(f"{function.name()}_{count}", "serial", count, [2], [])


class Program:
    """min f(w) subject to constraints, as CasADi functions with assembled exact derivatives.

    Parameters
    ----------
    groups : list of Group
        In the order of their constraints.
    linear : csr_matrix (m, nw)
        Further purely linear constraints, last.
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
        self.ng = offset + height(linear)
        self.row_scale = np.ones(self.ng) if row_scale is None else row_scale
        self.np = np_
        parts = [
            sp.csr_matrix((g.kernel.nc * g.count, self.nw)) if g.linear is None else g.linear for g in groups
        ] + [linear]
        self.linear = sp.vstack(parts, format="csr")

    def values(self, w: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the constraints (ng,) at w, not scaled."""
        parts = [np.zeros(0)]
        for g in self.groups:
            z = (g.place @ w).reshape(g.count, g.kernel.nz).T
            if g.kernel.nc:
                parts.append(mapped(g.kernel.con, g.count)(z, g.data, p).full().T.ravel())
        result = self.linear @ w
        nonlinear = np.concatenate(parts)
        result[: len(nonlinear)] += nonlinear
        return result

    def functions(self) -> tuple[dict[str, ca.MX], dict[str, ca.Function]]:
        """Return the program for nlpsol, and its derivative functions."""
        w, p = ca.MX.sym("w", self.nw), ca.MX.sym("p", self.np)
        real = w if np.all(self.scale == 1) else ca.DM(self.scale) * w
        cost, pieces, gradient = ca.MX(0), [], ca.MX(self.nw, 1)
        for g in self.groups:
            if np.any(g.weights):
                cost += ca.dot(ca.DM(g.weights).T, g.call("cost", real, p))
                slope = g.call("gradient", real, p) * ca.repmat(ca.DM(g.weights).T, g.kernel.nz, 1)
                gradient += ca.mtimes(_dm((g.place @ sp.diags(self.scale)).T), ca.vec(slope))
            if g.kernel.nc:
                pieces.append(ca.vec(g.call("con", real, p)))
        nonlinear = sum(g.kernel.nc * g.count for g in self.groups)
        pieces.append(ca.MX(self.ng - nonlinear, 1))
        rows = ca.DM(self.row_scale)
        constraints = rows * (ca.densify(ca.vertcat(*pieces)) + ca.mtimes(_dm(self.linear), real))
        jacobian = self._jacobian(real, p)
        sigma, lam = ca.MX.sym("sigma"), ca.MX.sym("lam", self.ng)
        hessian = self._hessian(real, p, sigma, rows * lam)
        program = {"x": w, "p": p, "f": cost, "g": constraints}
        gradient = ca.densify(gradient)
        return program, {
            "grad_f": ca.Function("grad_f", [w, p], [cost, gradient], ["x", "p"], ["f", "grad_f_x"]),
            "jac_g": ca.Function("jac_g", [w, p], [constraints, jacobian], ["x", "p"], ["g", "jac_g_x"]),
            "hess_lag": ca.Function(
                "hess_lag",
                [w, p, sigma, lam],
                [hessian],
                ["x", "p", "lam_f", "lam_g"],
                ["triu_hess_gamma_x_x"],
            ),
        }

    def _jacobian(self, w: ca.MX, p: ca.MX) -> ca.MX:
        constant = self.linear.tocoo()
        rows, columns = [constant.row.astype(np.int64)], [constant.col.astype(np.int64)]
        values, source = [constant.data], [np.full(constant.nnz, -1)]
        inputs, start = [], 0
        for g in self.groups:
            r, c = g.kernel.jacobian_pattern
            if not len(r):
                continue
            point = np.repeat(np.arange(g.count), len(r))
            row = g.offset + point * g.kernel.nc + np.tile(r, g.count)
            entry, column, value = _spread(g.place, point * g.kernel.nz + np.tile(c, g.count))
            rows.append(row[entry])
            columns.append(column)
            values.append(value)
            source.append(start + entry)
            start += len(row)
            inputs.append(ca.vec(g.call("jacobian", w, p)))
        row, column = np.concatenate(rows), np.concatenate(columns)
        value = np.concatenate(values) * self.row_scale[row] * self.scale[column]
        return _assemble(self.ng, self.nw, row, column, value, np.concatenate(source), inputs, start)

    def _hessian(self, w: ca.MX, p: ca.MX, sigma: ca.MX, lam: ca.MX) -> ca.MX:
        rows, columns, values, source = [], [], [], []
        inputs, start = [], 0
        for g in self.groups:
            r, c = g.kernel.hessian_pattern
            if not len(r):
                continue
            point = np.repeat(np.arange(g.count), len(r))
            diagonal = np.tile(r == c, g.count)
            first, a, va = _spread(g.place, point * g.kernel.nz + np.tile(r, g.count))
            second, b, vb = _spread(g.place, (point * g.kernel.nz + np.tile(c, g.count))[first])
            entry, a = first[second], a[second]
            value = va[second] * vb
            same = diagonal[entry]
            value = np.where(~same & (a == b), 2 * value, value)
            keep = ~same | (a <= b)
            rows.append(np.minimum(a, b)[keep])
            columns.append(np.maximum(a, b)[keep])
            values.append(value[keep])
            source.append(start + entry[keep])
            start += len(point)
            piece = ca.reshape(lam[g.rows], g.kernel.nc, g.count)
            weights = sigma * ca.DM(g.weights).T
            inputs.append(ca.vec(g.call("hessian", w, p, weights, piece)))
        if not rows:
            return ca.MX(self.nw, self.nw)
        row, column = np.concatenate(rows), np.concatenate(columns)
        value = np.concatenate(values) * self.scale[row] * self.scale[column]
        return _assemble(self.nw, self.nw, row, column, value, np.concatenate(source), inputs, start)


def _spread(matrix: sp.csr_matrix, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All nonzeros of the given rows, in order: (position in `rows`, column, value)."""
    counts = np.diff(matrix.indptr)[rows]
    entry = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(entry)) - np.repeat(np.cumsum(counts) - counts, counts)
    position = matrix.indptr[rows][entry] + within
    return entry, matrix.indices[position].astype(np.int64), matrix.data[position]


def _assemble(
    nrow: int,
    ncol: int,
    row: np.ndarray,
    column: np.ndarray,
    value: np.ndarray,
    source: np.ndarray,
    inputs: list[ca.MX],
    size: int,
) -> ca.MX:
    """Sparse matrix whose entry (row, column) sums value·inputs[source], or value where source < 0."""
    keys, slot = np.unique(column * nrow + row, return_inverse=True)
    pattern_columns, pattern_rows = np.divmod(keys, nrow)
    pointers = np.searchsorted(pattern_columns, np.arange(ncol + 1))
    pattern = ca.Sparsity(nrow, ncol, pointers.tolist(), pattern_rows.tolist())
    fixed = source < 0
    constant = np.bincount(slot[fixed], value[fixed], minlength=len(keys))
    nonzeros = ca.MX(ca.DM(constant))
    if size:
        moved = sp.csc_matrix((value[~fixed], (slot[~fixed], source[~fixed])), shape=(len(keys), size))
        nonzeros = nonzeros + ca.mtimes(_dm(moved), ca.vertcat(*inputs))
    return ca.MX(pattern, ca.densify(nonzeros))


def height(matrix: Any) -> int:
    """Return the number of rows of a sparse matrix (of any of scipy's classes, which lack annotations)."""
    return int(matrix.shape[0])


def _dm(matrix: Any) -> ca.DM:
    csc = matrix.tocsc()
    csc.sum_duplicates()
    rows, columns = csc.shape
    pattern = ca.Sparsity(rows, columns, csc.indptr.tolist(), csc.indices.tolist())
    return ca.DM(pattern, csc.data)
