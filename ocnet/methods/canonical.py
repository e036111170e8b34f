"""The canonical system of a Hamiltonian as equations between the nodes of a mesh, and their linearisation.

In continuous time ẋ = H_p, ṗ = ρp − H_x; with steps x_{k+1} = H_p and p_k = H_x at (x_k, e^{−ρ} p_{k+1}).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.elimination import Blocks, Defects, Elimination, Riccati, Sparse

PORTION = 500_000  # numbers in the matrices that are formed at once
SINGLE = 200  # states from which on corrections are computed in single precision: twice as fast
Terminal = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Ends:
    """Conditions at both ends.

    Attributes
    ----------
    initial, final : ndarray (n,)
        Prescribed states, NaN where they are free.
    terminal : callable
        x (n,) -> gradient (n,) and second derivative (n, n) of the terminal cost.
    """

    initial: np.ndarray
    final: np.ndarray
    terminal: Terminal


class Slopes(NamedTuple):
    """Linearised flow at some points: ẋ' = F x' + G p', ṗ' = −Q x' + (ρ − Fᵀ) p'.

    Each is (points, n, n); G may be its diagonal (points, n).
    """

    F: np.ndarray
    G: np.ndarray
    Q: np.ndarray


class Canonical(ABC):
    """Equations for states and costates (K + 1, n) at the nodes.

    Parameters
    ----------
    hamiltonian : Hamiltonian
    times : ndarray (K + 1,)
        Nodes, or numbers of the steps.
    ends : Ends
    rate : float
        Discount rate ρ (that of the Hamiltonian, unless the problem is deformed).
    """

    def __init__(self, hamiltonian: Hamiltonian, times: np.ndarray, ends: Ends, rate: float) -> None:
        self.hamiltonian, self.times, self.ends, self.rate = hamiltonian, times, ends, rate
        self.free, self.loose = np.isnan(ends.initial), np.isnan(ends.final)
        n = len(ends.initial)
        self.dtype = np.dtype(np.float32 if n >= SINGLE and self.loose.all() else np.float64)

    def defects(self, x: np.ndarray, p: np.ndarray) -> Defects:
        """Return what is left of all equations."""
        gradient, _ = self.ends.terminal(x[-1])
        start = np.where(self.free, p[0], x[0] - np.where(self.free, 0.0, self.ends.initial))
        end = np.where(self.loose, p[-1] - gradient, x[-1] - np.where(self.loose, 0.0, self.ends.final))
        return Defects(*self._inner(x, p), start, end)

    def eliminate(self, x: np.ndarray, p: np.ndarray) -> Elimination:
        """Linearise around states and costates (K + 1, n), and factorise."""
        _, curvature = self.ends.terminal(x[-1])
        if self.loose.all():
            return Riccati(self._blocks(x, p), curvature.astype(self.dtype), self.free)
        return Sparse(self._blocks(x, p), curvature, self.free, self.loose)

    def slopes(self, t: np.ndarray, x: np.ndarray, p: np.ndarray) -> Slopes:
        """Linearise the flow at some points."""
        H_xx, H_xp, H_pp = self.hamiltonian.hessian(t, x, p)
        return Slopes(*(np.asarray(a, dtype=self.dtype) for a in (_transposed(H_xp), H_pp, H_xx)))

    @abstractmethod
    def _inner(self, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    @abstractmethod
    def _blocks(self, x: np.ndarray, p: np.ndarray) -> Iterator[Blocks]: ...


class HermiteSimpson(Canonical):
    """Collocation of order four at both ends and the middle of each interval (Lobatto IIIA).

    The unknowns are those of the nodes alone: in the middle is the value of the cubic Hermite polynomial,

        y_m = (y₀ + y₁)/2 + h (f₀ − f₁)/8,      y₁ − y₀ = h (f₀ + 4 f_m + f₁)/6.
    """

    def flow(self, t: np.ndarray, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ẋ and ṗ (points, n)."""
        H_x, H_p = self.hamiltonian.gradient(t, x, p)
        return H_p, self.rate * p - H_x

    @property
    def lengths(self) -> np.ndarray:
        """Lengths of the intervals (K, 1)."""
        return np.diff(self.times)[:, None]

    @property
    def middles(self) -> np.ndarray:
        """Middles of the intervals (K,)."""
        return (self.times[1:] + self.times[:-1]) / 2

    def middle(self, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, ...]:
        """States and costates in the middle of the intervals (K, n), and the flow at the nodes (K + 1, n)."""
        dx, dp = self.flow(self.times, x, p)
        x_m, p_m = ((y[:-1] + y[1:]) / 2 + self.lengths / 8 * (f[:-1] - f[1:]) for y, f in ((x, dx), (p, dp)))
        return x_m, p_m, dx, dp

    def _inner(self, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x_m, p_m, dx, dp = self.middle(x, p)
        dx_m, dp_m = self.flow(self.middles, x_m, p_m)
        parts = ((x, dx, dx_m), (p, dp, dp_m))
        r_x, r_p = (np.diff(y, axis=0) - self.lengths / 6 * (f[:-1] + 4 * m + f[1:]) for y, f, m in parts)
        return r_x, r_p

    def _blocks(self, x: np.ndarray, p: np.ndarray) -> Iterator[Blocks]:
        x_m, p_m, _, _ = self.middle(x, p)
        t, middles, K, n = self.times, self.middles, len(x_m), x.shape[1]
        portion = max(1, PORTION // n**2)
        last = self.slopes(t[-1:], x[-1:], p[-1:])
        for stop in range(K, 0, -portion):
            part = slice(max(0, stop - portion), stop)
            left = self.slopes(t[part], x[part], p[part])
            right = Slopes(*(np.concatenate([a[1:], b]) for a, b in zip(left, last, strict=True)))
            last = Slopes(*(a[:1] for a in left))
            centre = self.slopes(middles[part], x_m[part], p_m[part])
            h = self.lengths[part].astype(self.dtype)
            exact = n < SINGLE  # otherwise the products of neighbouring slopes are taken for each other
            square = _product(centre, left if exact else centre, self.rate)
            a = _combined(h, left, centre, square, self.rate)
            square = _product(centre, right, self.rate) if exact else square
            b = _combined(-h, right, centre, square, self.rate)
            weight = -h.reshape(-1, *[1] * (centre.G.ndim - 1)) * centre.G
            for k in range(len(h) - 1, -1, -1):
                yield Blocks(*(block[k] for block in (*a, *b)), weight=weight[k])


class Recursion(Canonical):
    """Discrete time: exact, without any error of a mesh."""

    def _inner(self, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        H_x, H_p = self.hamiltonian.gradient(self.times[:-1], x[:-1], np.exp(-self.rate) * p[1:])
        return x[1:] - H_p, H_x - p[:-1]

    def _blocks(self, x: np.ndarray, p: np.ndarray) -> Iterator[Blocks]:
        weight, one = self.dtype.type(np.exp(-self.rate)), np.eye(x.shape[1], dtype=self.dtype)
        zero = np.zeros_like(one)
        for k in range(len(x) - 2, -1, -1):
            s = self.slopes(self.times[k : k + 1], x[k : k + 1], weight * p[k + 1 : k + 2])
            F, G, Q = s.F[0], s.G[0], s.Q[0]
            b_xp = -weight * (np.diag(G) if G.ndim == 1 else G)
            yield Blocks(F, zero, -Q, one, one, b_xp, zero, weight * F.T, -weight * G)


def _product(a: Slopes, b: Slopes, rate: float) -> tuple[np.ndarray, ...]:
    """Blocks (xx, xp, px, pp) of the products of two linearised flows."""
    FF, QF = a.F @ b.F, a.Q @ b.F
    FQ = _transposed(QF) if a is b else _transposed(a.F) @ b.Q
    back = FF if a is b else b.F @ a.F
    pp = _transposed(back) - _columns(a.Q, b.G) - rate * _transposed(a.F + b.F)
    _add(pp, rate**2)
    xp = _columns(a.F, b.G) - _rows(a.G, _transposed(b.F))
    _add(xp, rate * a.G)
    return FF - _rows(a.G, b.Q), xp, FQ - QF - rate * b.Q, pp


def _combined(
    h: np.ndarray, end: Slopes, centre: Slopes, square: tuple[np.ndarray, ...], rate: float
) -> tuple[np.ndarray, ...]:
    """Blocks of I + h/6 J_end + h/3 J_centre + h²/12 square, for lengths h (points, 1)."""
    length = h[:, :, None]
    F = length / 6 * (end.F + 2 * centre.F)
    xx, xp, px, pp = (length**2 / 12 * block for block in square)
    xx += F
    _add(xp, (h if end.G.ndim == 2 else length) / 6 * (end.G + 2 * centre.G))
    px -= length / 6 * (end.Q + 2 * centre.Q)
    pp -= _transposed(F)
    _add(xx, np.ones_like(h))
    _add(pp, 1 + h * rate / 2)
    return xx, xp, px, pp


def _transposed(a: np.ndarray) -> np.ndarray:
    """Transpose each matrix (points, n, n)."""
    return a.transpose(0, 2, 1)


def _rows(G: np.ndarray, X: np.ndarray) -> np.ndarray:
    """G X for matrices or diagonals G."""
    return G[:, :, None] * X if G.ndim == 2 else G @ X


def _columns(X: np.ndarray, G: np.ndarray) -> np.ndarray:
    """X G for matrices or diagonals G."""
    return X * G[:, None, :] if G.ndim == 2 else X @ G


def _add(to: np.ndarray, G: np.ndarray | float) -> None:
    """Add matrices, diagonals (points, n) or (points, 1), or a number times 1 to matrices (points, n, n)."""
    if np.ndim(G) == 3:
        to += G
    else:
        each = np.arange(to.shape[-1])
        to[:, each, each] += G
