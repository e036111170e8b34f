"""The exact Hamiltonian of synaptic control, in which N multipliers carry N² bounded synapses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import get_blas_funcs

from ocnet.errors import DataError, ProblemError, ShapeError, UnsupportedError
from ocnet.networks.activations import ActivationLike
from ocnet.networks.activations import activation as resolve
from ocnet.networks.arguments import (
    Points,
    checked_controls,
    checked_matrix,
    checked_number,
    checked_points,
    checked_prices,
)
from ocnet.networks.slopes import higher_derivative
from ocnet.networks.synapse_rows import SILENT, linearised, multipliers, one_sided, pull, squares, synapses

WHERE = "SynapticHamiltonian"
SMALL = 100  # neurons below which many small products beat half a large one


class _Rows(NamedTuple):
    """The minimum at some points: prices α (points,), and what each neuron has (points, N)."""

    alpha: np.ndarray
    g: np.ndarray
    h: np.ndarray  # |g|
    nu: np.ndarray
    q: np.ndarray
    free: np.ndarray  # Σ_j I_ij g_j²
    X: np.ndarray


class SynapticHamiltonian:
    """The Hamiltonian of a network whose synapses A + ξ are controlled, minimised exactly.

    With X = (A + ξ) g(u) − u, prices α of motion and β of control and |ξ_ij| ≤ b_ij,

        H(u, p) = min over ξ of  α|X|² + β|ξ|² + p·X,

    or, in discrete time, + p·(u + X), where u + X is the next state. The minimiser is a clipped matrix of
    rank one, ξ = −clip(ν gᵀ, −b, b), with one number ν_i for each neuron (:mod:`ocnet.networks.synapse_rows`
    finds it), and no N² controls are held unless :meth:`control` asks for them.

    Parameters
    ----------
    A : array_like (N, N)
        Fixed synapses; A[i, j] leads from neuron j to neuron i. Dimensionless, as everything here.
    bounds : array_like (N, N)
        b, at least 0; infinity means unbounded.
    rate : float
        Discount rate λ per unit of time (per step), at least 0.
    motion : float or callable
        α, at least 0, or t (points,) -> α (points,).
    effort : float
        β, at least 0; not both prices may be 0. With β = 0 the smallest ξ is taken among the minimisers.
    activation : str or Activation
        See :mod:`ocnet.networks`. It has to be smooth.
    mask : array_like of bool (N, N), optional
        Where it is False, ξ is zero.
    discrete : bool
        Whether p·(u + X) takes the place of p·X.

    Raises
    ------
    ShapeError, DataError, ProblemError
        For wrong shapes, data that are not finite, negative bounds, prices or rates, or both prices 0.
    OptionError
        For an unknown activation.

    Notes
    -----
    F. Cardin, A. Lovison, A. Maritan and A. Megighian, arXiv 2305.14360. With q = αX + p/2,

        H_p = X,   H_u = −2q + 2 g'(u)∘((A + ξ)ᵀq).

    One evaluation at a point takes a few products and passes over N × N numbers, the Hessian one product of
    N × N matrices. All methods may be called from several threads at once.

    Examples
    --------
    >>> import numpy as np
    >>> from ocnet.networks import SynapticHamiltonian
    >>> h = SynapticHamiltonian([[0.0, 1.0], [1.0, 0.0]], np.full((2, 2), 0.1), rate=0.5)
    >>> H_u, H_p = h.gradient(0.0, np.zeros(2), np.ones(2))
    >>> print(H_p)  # g(0) = 0: no synapse acts, and the state rests
    [0. 0.]
    """

    concurrent = True  # methods may be called from several threads at once

    def __init__(
        self,
        A: ArrayLike,
        bounds: ArrayLike,
        rate: float,
        *,
        motion: float | Callable[[np.ndarray], Any] = 1.0,
        effort: float = 1.0,
        activation: ActivationLike = "tanh",
        mask: ArrayLike | None = None,
        discrete: bool = False,
    ) -> None:
        self._A = checked_matrix(A, f"{WHERE}, A", expected="a square matrix (N, N)")
        self.n = len(self._A)
        shape = (self.n, self.n)
        if self._A.shape != shape:
            raise ShapeError(f"{WHERE}, A: got an array of shape {self._A.shape}; expected a square matrix.")
        self._b = checked_matrix(bounds, f"{WHERE}, bounds", shape, infinite=True)
        if (self._b < 0).any():
            raise DataError(f"{WHERE}, bounds: got {self._b.min()}; expected values of at least 0.")
        if mask is not None:
            keep = np.asarray(mask)
            if keep.dtype != bool or keep.shape != shape:
                raise ShapeError(
                    f"{WHERE}, mask: got an array of shape {keep.shape} and type {keep.dtype}; expected "
                    f"booleans of shape {shape}."
                )
            self._b = np.where(keep, self._b, 0.0)
        self._rate = checked_number(rate, f"{WHERE}, rate")
        self._beta = checked_number(effort, f"{WHERE}, effort")
        self._motion = motion if callable(motion) else checked_number(motion, f"{WHERE}, motion")
        if self._beta == 0 and self._motion == 0:
            raise ProblemError(
                f"{WHERE}: motion and effort are both 0; expected at least one positive price."
            )
        self._g = resolve(activation)
        self._discrete = bool(discrete)

    @property
    def rate(self) -> float:
        """The discount rate λ, per unit of time (per step)."""
        return self._rate

    def control(self, t: Any, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the minimising ξ.

        Parameters
        ----------
        t : float or ndarray (points,)
            Time, or the number of the step; it counts only where the price of motion depends on it.
        x, p : ndarray (points, N) or (N,)
            Activations u, and current-value costates (p̂ in discrete time).

        Returns
        -------
        ndarray (points, N·N) or (N·N,)
            Matrices in C order.

        Raises
        ------
        ShapeError, DataError, ProblemError
            For other shapes, values that are not finite, or a `motion` that returned no price.
        """
        points = self._points(t, x, p)
        rows = self._rows(points)
        xi = synapses(rows.nu, rows.g, self._b).reshape(len(points.x), -1)
        return xi[0] if points.one else xi

    def value(self, t: Any, x: np.ndarray, p: np.ndarray, u: np.ndarray | None = None) -> np.ndarray:
        """Return H (points,) at the synapses u (points, N·N), or minimised where none are given."""
        points = self._points(t, x, p)
        if u is None:
            rows = self._rows(points)
            motion, size = rows.X, squares(np.abs(rows.nu), rows.h, self._b)
        else:
            xi = checked_controls(WHERE, u, points, (self.n, self.n))
            g = self._g(points.x)
            motion = g @ self._A.T - points.x + np.einsum("kij,kj->ki", xi, g)
            size = np.einsum("kij,kij->k", xi, xi)
        flow = points.x + motion if self._discrete else motion
        result = self._prices(points.t) * np.einsum("ki,ki->k", motion, motion) + self._beta * size
        result += np.einsum("ki,ki->k", points.p, flow)
        return result[0] if points.one else result

    def gradient(self, t: Any, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return H_u and H_p (points, N) of the minimised Hamiltonian; arguments as for :meth:`control`."""
        points = self._points(t, x, p)
        rows = self._rows(points)
        H_x = 2 * (self._g.derivative(points.x) * self._pulled(rows) - rows.q)
        H_p = rows.X
        if self._discrete:
            H_x, H_p = H_x + points.p, H_p + points.x
        return (H_x[0], H_p[0]) if points.one else (H_x, H_p)

    def hessian(self, t: Any, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the second derivatives of the minimised Hamiltonian.

        Where a synapse is just at its bound they jump, and it is the side on which it stays.

        Parameters
        ----------
        t : float or ndarray (points,)
        x, p : ndarray (points, N) or (N,)

        Returns
        -------
        H_uu, H_up : ndarray (points, N, N) or (N, N)
            H_up[i, j] = ∂²H/∂u_i ∂p_j.
        H_pp : ndarray (points, N) or (N,)
            The diagonal; the rest is zero.

        Notes
        -----
        With I and L of :func:`ocnet.networks.synapse_rows.linearised` and D_i = 1 + (α/β) Σ_j I_ij g_j²,

            H_up = (D⁻¹L)ᵀ,   H_pp = −½ diag(Σ_j I_ij g_j² / (βD_i)),
            H_uu = 2α LᵀD⁻¹L + 2 diag( g''∘((A + ξ)ᵀq) − g'² Σ_i I_ij q_i²/β ).
        """
        points = self._points(t, x, p)
        rows = self._rows(points)
        slope, alpha, free = self._g.derivative(points.x), rows.alpha[:, None], rows.free
        L, curvature = linearised(self._A, self._b, rows.nu, rows.q, rows.g, slope)
        resistance = self._beta + alpha * free  # βD; 0 only where β = 0 and no synapse is inside its bounds
        shrink = np.divide(self._beta, resistance, out=np.ones_like(free), where=resistance > 0)
        H_pp = -0.5 * np.divide(free, resistance, out=np.zeros_like(free), where=resistance > 0)
        H_xx = _grams(np.sqrt(2 * alpha * shrink)[:, :, None] * L)
        pulled = self._second_derivative(points.x) * self._pulled(rows)
        each = np.arange(self.n)
        H_xx[:, each, each] += 2 * (pulled - slope**2 * curvature)
        H_px = shrink[:, :, None] * L
        if self._discrete:
            H_px[:, each, each] += 1.0
        H_xp = H_px.transpose(0, 2, 1)
        return (H_xx[0], H_xp[0], H_pp[0]) if points.one else (H_xx, H_xp, H_pp)

    def upwind(
        self, t: Any, x: np.ndarray, p_minus: np.ndarray, p_plus: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the motion that is best when each neuron pays p⁺ to move up and p⁻ to move down.

        Exact, neuron by neuron; see :func:`ocnet.networks.synapse_rows.one_sided`.

        Parameters
        ----------
        t : float or ndarray (points,)
        x : ndarray (points, N) or (N,)
        p_minus, p_plus : ndarray of the same shape
            One-sided derivatives of the value function; −∞ and ∞ where there is none and a neuron must not
            move that way.

        Returns
        -------
        X : ndarray (points, N) or (N,)
        stage : ndarray (points,)
            α|X|² + β|ξ|².

        Raises
        ------
        ShapeError, DataError, UnsupportedError
            For other shapes, NaN, and in discrete time.
        """
        if self._discrete:
            raise UnsupportedError(f"{WHERE}: one-sided differences have no meaning in discrete time.")
        points = self._points(t, x, x)
        down, up = checked_prices(WHERE, p_minus, p_plus, points)
        alpha, g = self._prices(points.t), self._g(points.x)
        h = np.abs(g)
        h[h < SILENT] = 0.0
        a = g @ self._A.T - points.x
        X, stage = one_sided(a, h, alpha, self._beta, self._b, down, up, (0,) * self.n)
        return (X[0], stage[0]) if points.one else (X, stage)

    @cached_property
    def _second_derivative(self) -> Callable[[np.ndarray], np.ndarray]:
        return higher_derivative(self._g, 2)

    def _points(self, t: Any, x: Any, p: Any) -> Points:
        return checked_points(WHERE, self.n, t, x, p)

    def _rows(self, points: Points) -> _Rows:
        alpha, g = self._prices(points.t), self._g(points.x)
        h = np.abs(g)
        h[h < SILENT] = 0.0
        a = g @ self._A.T - points.x
        c = alpha[:, None] * a + points.p / 2
        sign = np.sign(c)
        nu, moved, q, free = multipliers(np.abs(c), h, alpha, self._beta, self._b)
        return _Rows(alpha, g, h, sign * nu, sign * q, free, a - sign * moved)

    def _pulled(self, rows: _Rows) -> np.ndarray:
        """Return (A + ξ)ᵀq (points, N)."""
        away = pull(np.abs(rows.nu), np.abs(rows.q), rows.h, self._b)
        return rows.q @ self._A - np.sign(rows.g) * away

    def _prices(self, t: np.ndarray) -> np.ndarray:
        """Return α (points,)."""
        if not callable(self._motion):
            return np.full(len(t), self._motion)
        alpha = np.asarray(self._motion(t), dtype=float)
        if alpha.shape not in ((), t.shape):
            raise ShapeError(f"{WHERE}: motion(t) has shape {alpha.shape}; expected () or {t.shape}.")
        if not (np.isfinite(alpha) & (alpha >= 0)).all() or (self._beta == 0 and not alpha.all()):
            kind = "positive (effort is 0)" if self._beta == 0 else "nonnegative"
            raise ProblemError(f"{WHERE}: motion(t) is {alpha!s:.60}; expected {kind} finite numbers.")
        return np.array(np.broadcast_to(alpha, t.shape))


def _grams(rows: np.ndarray) -> np.ndarray:
    """Return rowsᵀ rows of each matrix (points, N, N)."""
    if rows.shape[1] < SMALL:
        return rows.transpose(0, 2, 1) @ rows
    return np.array([_gram(each) for each in rows])


def _gram(rows: np.ndarray) -> np.ndarray:
    """Return rowsᵀ rows, in half the operations of a product."""
    rows = rows[rows.any(axis=1)]
    if not len(rows):
        return np.zeros((rows.shape[1], rows.shape[1]))
    syrk: Any = get_blas_funcs("syrk", dtype=float)
    upper = syrk(1.0, rows.T)
    result = upper + upper.T
    result[np.diag_indices(len(result))] /= 2
    return result
