"""Elimination of the linearised boundary value problem: backwards in time by blocks, or all at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
from scipy.linalg import get_lapack_funcs
from scipy.sparse.linalg import splu


class Blocks(NamedTuple):
    """One interval of the linear system −A (x₀, p₀) + B (x₁, p₁) = r; each block is (n, n).

    The first index of a name is the row (equation of x or of p), the second the unknown. `weight` is what
    controls do to the states over the interval, W = −h H_pp ≥ 0, a matrix or its diagonal.
    """

    a_xx: np.ndarray
    a_xp: np.ndarray
    a_px: np.ndarray
    a_pp: np.ndarray
    b_xx: np.ndarray
    b_xp: np.ndarray
    b_px: np.ndarray
    b_pp: np.ndarray
    weight: np.ndarray


class Defects(NamedTuple):
    """What is left of the equations: of each interval (K, n) twice, at the start (n,) and at the end (n,)."""

    x: np.ndarray
    p: np.ndarray
    start: np.ndarray
    end: np.ndarray


class Elimination(Protocol):
    """A factorised linear boundary value problem."""

    def solve(self, defects: Defects) -> tuple[np.ndarray, np.ndarray]:
        """Return the corrections of x and p (K + 1, n) that take the defects away to first order."""
        ...


class Riccati:
    """Backward elimination on (n, n) blocks: in every node p = S x + s, with a matrix S that is kept.

    Parameters
    ----------
    intervals : iterator of Blocks
        From the last interval to the first.
    terminal : ndarray (n, n)
        S at the end: the second derivative of the terminal cost.
    free : ndarray of bool (n,)
        Components of the state that are free at the start (their costate vanishes there).

    Attributes
    ----------
    S : list of ndarray (n, n)
        The Riccati matrices at the nodes, from the first to the last: dp/dx along the optimal path.

    Notes
    -----
    From −A y₀ + B y₁ = r and p₁ = S₁x₁ + s₁ follows, with E = B_xx + B_xp S₁ and X = (B_px + B_pp S₁) E⁻¹,

        x₁ = E⁻¹ (r_x − B_xp s₁ + A_xx x₀ + A_xp p₀),
        (A_pp − X A_xp) p₀ = (X A_xx − A_px) x₀ + X (r_x − B_xp s₁) − (r_p − B_pp s₁),

    which is p₀ = S₀x₀ + s₀: two factorisations and some 9 n³ operations an interval. Eight matrices an
    interval are kept, so that further right-hand sides cost 20 n² each.
    """

    KEPT = 8

    def __init__(self, intervals: Iterator[Blocks], terminal: np.ndarray, free: np.ndarray) -> None:
        self.free = free
        self.S = [terminal]
        self._steps: list[tuple[np.ndarray, ...]] = []
        self._weights: list[np.ndarray] = []
        factor, solve = get_lapack_funcs(("getrf", "getrs"), dtype=terminal.dtype)
        self._solve = solve
        for b in intervals:
            S = self.S[-1]
            E = factor(b.b_xx + b.b_xp @ S, overwrite_a=True)[:2]
            X = solve(*E, (b.b_px + b.b_pp @ S).T, trans=1, overwrite_b=True)[0].T
            M = factor(b.a_pp - X @ b.a_xp, overwrite_a=True)[:2]
            self.S.append(solve(*M, X @ b.a_xx - b.a_px, overwrite_b=True)[0])
            self._steps.append((*E, *M, X, b.a_xx, b.a_xp, b.b_xp, b.b_pp))
            self._weights.append(b.weight)
        self.S.reverse()
        self._steps.reverse()
        self._weights.reverse()

    def solve(self, defects: Defects) -> tuple[np.ndarray, np.ndarray]:
        """Return the corrections of x and p (K + 1, n) that take the defects away to first order."""
        K, dtype = len(self._steps), self.S[0].dtype
        right_x, right_p = -defects.x.astype(dtype), -defects.p.astype(dtype)
        s = [-defects.end.astype(dtype)]
        inner = []
        for k in range(K - 1, -1, -1):
            _, _, M, pivots, X, _, _, b_xp, b_pp = self._steps[k]
            r = right_x[k] - b_xp @ s[-1]
            inner.append(r)
            s.append(self._solve(M, pivots, X @ r - right_p[k] + b_pp @ s[-1], overwrite_b=True)[0])
        s.reverse()
        inner.reverse()
        x, p = np.empty((K + 1, len(self.free)), dtype), np.empty((K + 1, len(self.free)), dtype)
        x[0] = -defects.start
        if self.free.any():
            known = self.S[0] @ np.where(self.free, 0, x[0]) + s[0] + defects.start
            block = self.S[0][np.ix_(self.free, self.free)]
            x[0, self.free] = np.linalg.lstsq(block, -known[self.free], rcond=None)[0]
        for k in range(K):
            E, pivots, _, _, _, a_xx, a_xp, _, _ = self._steps[k]
            p[k] = self.S[k] @ x[k] + s[k]
            x[k + 1] = self._solve(E, pivots, inner[k] + a_xx @ x[k] + a_xp @ p[k], overwrite_b=True)[0]
        p[K] = self.S[K] @ x[K] + s[K]
        return x.astype(float), p.astype(float)

    def transition(self, k: int) -> np.ndarray:
        """Return how a change of x in node k moves x in node k + 1 along the optimal path, (n, n)."""
        E, pivots, _, _, _, a_xx, a_xp, _, _ = self._steps[k]
        return self._solve(E, pivots, a_xx + a_xp @ self.S[k])[0]

    def minimal(self) -> bool:
        """Whether the second variation is positive: no conjugate point, and a minimum over a free start.

        With steps the condition is R + BᵀS₁B > 0 in all of them, which is I + W^{1/2} S₁ W^{1/2} > 0 with
        W = B R⁻¹ Bᵀ; the intervals of a mesh are looked at in the same way.
        """
        for S, W in zip(self.S[1:], self._weights, strict=True):
            tested = _congruent(S, W)
            tested[np.diag_indices_from(tested)] += 1
            try:
                np.linalg.cholesky(tested)
            except np.linalg.LinAlgError:
                return False
        block = self.S[0][np.ix_(self.free, self.free)]
        return not len(block) or bool(np.linalg.eigvalsh((block + block.T) / 2)[0] > 0)


def _congruent(S: np.ndarray, W: np.ndarray) -> np.ndarray:
    """W^{1/2} S W^{1/2}, with the symmetric part of S."""
    if W.ndim == 1:
        root = np.sqrt(np.fmax(W, 0))
        product = root[:, None] * S * root
    else:
        values, vectors = np.linalg.eigh(W)
        root = vectors * np.sqrt(np.fmax(values, 0))
        product = root.T @ S @ root
    return (product + product.T) / 2


class Sparse:
    """Elimination of everything at once with pivoting, for prescribed final states, where no S exists.

    Parameters
    ----------
    intervals : iterator of Blocks
        From the last interval to the first.
    terminal : ndarray (n, n)
        Second derivative of the terminal cost.
    free, loose : ndarray of bool (n,)
        Components of the state that are free at the start and at the end.
    """

    S = None

    def __init__(
        self, intervals: Iterator[Blocks], terminal: np.ndarray, free: np.ndarray, loose: np.ndarray
    ) -> None:
        n = self.n = len(free)
        blocks = list(intervals)[::-1]
        self.K = len(blocks)
        rows, columns, values = [], [], []

        def add(block: np.ndarray, row: int, column: int) -> None:
            i, j = np.nonzero(block)
            rows.append(i + row)
            columns.append(j + column)
            values.append(block[i, j])

        add(np.hstack([np.diag(1.0 - free), np.diag(1.0 * free)]), 0, 0)
        for k, b in enumerate(blocks):
            row, column = n + 2 * n * k, 2 * n * k
            add(-np.block([[b.a_xx, b.a_xp], [b.a_px, b.a_pp]]), row, column)
            add(np.block([[b.b_xx, b.b_xp], [b.b_px, b.b_pp]]), row, column + 2 * n)
        last = np.hstack([np.where(loose[:, None], -terminal, np.diag(1.0 - loose)), np.diag(1.0 * loose)])
        add(last, n + 2 * n * self.K, 2 * n * self.K)
        size = 2 * n * (self.K + 1)
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        self._factors = splu(sp.csc_matrix(entries, shape=(size, size)))

    def solve(self, defects: Defects) -> tuple[np.ndarray, np.ndarray]:
        """Return the corrections of x and p (K + 1, n) that take the defects away to first order."""
        inner = np.hstack([defects.x, defects.p]).reshape(-1)
        solution = self._factors.solve(-np.concatenate([defects.start, inner, defects.end]))
        both = solution.reshape(self.K + 1, 2, self.n)
        return both[:, 0], both[:, 1]
