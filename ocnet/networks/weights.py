"""The exact Hamiltonian of the weight program, in which the costates of L pairs carry the n² weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import OptionError, UnsupportedError
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
from ocnet.networks.weight_rows import one_sided_rows
from ocnet.one_sided import upwind

Index = Literal["activation", "output", "both"]
WHERE = "WeightProgramHamiltonian"


class WeightProgramHamiltonian:
    """The Hamiltonian of L copies of a network that share its controlled weights W, minimised exactly.

    With activations Z and costates Λ (n, L), outputs G = g(Z), an index of performance φ(Z) and T = ∇φ,

        H(Z, Λ) = min over W of  −T·Z + ½β‖TGᵀ‖² + ½β⁻¹‖W‖² + Λ·(WG − Z),

    or, in discrete time, + Λ·(WG), where WG is the next state. The minimiser is W = −βΛGᵀ, a matrix of rank L
    at most, which only :meth:`control` forms.

    Parameters
    ----------
    targets : array_like (n, L)
        Desired outputs Θ. Dimensionless, as everything here.
    beta : float
        β > 0; its inverse is the price of the weights.
    activation : str or Activation
        See :mod:`ocnet.networks`. It has to be smooth.
    index : {"activation", "output", "both"}
        φ = Z·Θ, g(Z)·Θ or (Z + g(Z))·Θ.
    discrete : bool
        Whether Λ·(WG) takes the place of Λ·(WG − Z).

    Raises
    ------
    ShapeError, DataError, ProblemError
        For targets that are no finite matrix, or a `beta` that is not positive.
    OptionError
        For an unknown activation or index.

    Notes
    -----
    O. Farotimi, A. Dembo and T. Kailath, NIPS 1989: H is their (4), W their (8), for φ = Z·Θ. With K = GᵀG,

        H = −T·Z + ½β (TᵀT − ΛᵀΛ)·K − Λ·Z,   H_Λ = −Z − βΛK,
        H_Z = −T − T'∘(Z − βTK) + β g'∘(G(TᵀT − ΛᵀΛ)) − Λ,

    in which no matrix is larger than L × L. States are flat in C order, (n·L,).

    Examples
    --------
    >>> import numpy as np
    >>> from ocnet.networks import WeightProgramHamiltonian
    >>> h = WeightProgramHamiltonian([[1.0], [-1.0]], beta=0.5, activation="tanh")
    >>> Z = np.array([0.3, 0.2])
    >>> H_Z, _ = h.gradient(0.0, Z, np.array([-1.0, 1.0]))
    >>> print(H_Z)  # the costate is −θ, constant (9)
    [0. 0.]
    """

    rate = 0.0  # the cost is not discounted
    concurrent = True  # methods may be called from several threads at once

    def __init__(
        self,
        targets: ArrayLike,
        *,
        beta: float,
        activation: ActivationLike,
        index: Index = "activation",
        discrete: bool = False,
    ) -> None:
        self._theta = checked_matrix(targets, f"{WHERE}, targets", expected="(n neurons, L pairs)")
        self._beta = checked_number(beta, f"{WHERE}, beta", positive=True)
        if index not in get_args(Index):
            raise OptionError(f"{WHERE}: index is {index!r:.40}; expected one of {list(get_args(Index))}.")
        self._g, self._index = resolve(activation), index
        self._leak = 0.0 if discrete else 1.0

    def control(self, t: Any, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the minimising weights −βΛGᵀ.

        Parameters
        ----------
        t : float or ndarray (points,)
            Nothing depends on it.
        x, p : ndarray (points, n·L) or (n·L,)
            Activations and costates (p̂ in discrete time).

        Returns
        -------
        ndarray (points, n·n) or (n·n,)
            Matrices in C order.

        Raises
        ------
        ShapeError, DataError
            For other shapes, or values that are not finite.
        """
        points, z, costate = self._points(t, x, p)
        weights = -self._beta * costate @ _transposed(self._g(z))
        return weights.reshape(-1) if points.one else weights.reshape(len(z), -1)

    def value(self, t: Any, x: np.ndarray, p: np.ndarray, u: np.ndarray | None = None) -> np.ndarray:
        """Return H (points,) at the weights u (points, n·n), or minimised where none are given."""
        points, z, costate = self._points(t, x, p)
        g, T = self._g(z), self._theta * self._slope(z)
        K, n = _gram(g), len(self._theta)
        result = self._beta / 2 * _dot(_gram(T), K) - _dot(T, z) - self._leak * _dot(costate, z)
        if u is None:
            result -= self._beta / 2 * _dot(_gram(costate), K)
        else:
            W = checked_controls(WHERE, u, points, (n, n))
            result += _dot(costate, W @ g) + _dot(W, W) / (2 * self._beta)
        return result[0] if points.one else result

    def gradient(self, t: Any, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return H_Z and H_Λ (points, n·L) of the minimised H; arguments as for :meth:`control`."""
        points, z, costate = self._points(t, x, p)
        g, T = self._g(z), self._theta * self._slope(z)
        K = _gram(g)
        H_x = self._beta * self._g.derivative(z) * (g @ (_gram(T) - _gram(costate))) - T
        if self._index != "activation":
            H_x -= self._theta * self._second(z) * (z - self._beta * T @ K)
        H_x -= self._leak * costate
        H_p = -self._beta * costate @ K - self._leak * z
        H_x, H_p = H_x.reshape(points.x.shape), H_p.reshape(points.x.shape)
        return (H_x[0], H_p[0]) if points.one else (H_x, H_p)

    def hessian(self, t: Any, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the second derivatives of the minimised Hamiltonian.

        Parameters
        ----------
        t : float or ndarray (points,)
        x, p : ndarray (points, n·L) or (n·L,)

        Returns
        -------
        H_ZZ, H_ZΛ, H_ΛΛ : ndarray (points, n·L, n·L) or (n·L, n·L)
            The second one is ∂²H/∂Z_ir ∂Λ_js, the third −β (1 ⊗ K).
        """
        points = checked_points(WHERE, self._theta.size, t, x, p)
        each = [self._one_hessian(*pair) for pair in zip(points.x, points.p, strict=True)]
        H_xx, H_xp, H_pp = (np.array(blocks) for blocks in zip(*each, strict=True))
        return (H_xx[0], H_xp[0], H_pp[0]) if points.one else (H_xx, H_xp, H_pp)

    def upwind(
        self, t: Any, x: np.ndarray, p_minus: np.ndarray, p_plus: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the drift that is best when each activation pays p⁺ to move up and p⁻ to move down.

        Exact for one pair or one neuron (:func:`ocnet.networks.weight_rows.one_sided_rows`); else the general
        :func:`ocnet.one_sided.upwind`.

        Parameters
        ----------
        t : float or ndarray (points,)
        x, p_minus, p_plus : ndarray (points, n·L) or (n·L,)
            p⁻ = −∞ and p⁺ = ∞ forbid a motion.

        Returns
        -------
        drift : ndarray (points, n·L) or (n·L,)
        stage : ndarray (points,)

        Raises
        ------
        ShapeError, DataError, UnsupportedError
            For other shapes, NaN, and in discrete time.
        """
        if self._leak == 0.0:
            raise UnsupportedError(f"{WHERE}: one-sided differences have no meaning in discrete time.")
        points, z, _ = self._points(t, x, x)
        down, up = checked_prices(WHERE, p_minus, p_plus, points)
        if 1 not in self._theta.shape:
            drift, stage = upwind(self._value_and_flow, points.t, points.x, down, up)
            return (drift[0], stage[0]) if points.one else (drift, stage)
        g = self._g(z)
        T, K = self._theta * self._slope(z), _gram(g)
        one_pair = self._theta.shape[1] == 1
        c, k = (K[:, 0, 0] / self._beta, K[:, 0]) if one_pair else (np.full(len(z), 1 / self._beta), g[:, 0])
        s, drift = one_sided_rows(c, k, z, down.reshape(z.shape), up.reshape(z.shape))
        stage = self._beta / 2 * _dot(_gram(T), K) - _dot(T, z) + 0.5 * c * np.sum(s * s, axis=1)
        drift = drift.reshape(points.x.shape)
        return (drift[0], stage[0]) if points.one else (drift, stage)

    def _value_and_flow(self, t: np.ndarray, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.value(t, x, p), self.gradient(t, x, p)[1]

    def _one_hessian(self, x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shape, beta = self._theta.shape, self._beta
        z, costate = x.reshape(shape), p.reshape(shape)
        g, slope, second = self._g(z), self._g.derivative(z), self._second(z)
        T, K, n, pair = self._theta * self._slope(z), g.T @ g, shape[0], np.arange(shape[1])
        gap = T.T @ T - costate.T @ costate

        mixed = -beta * np.einsum("ir,jr,is->irjs", slope, costate, g)
        mixed[:, pair, :, pair] -= beta * np.einsum("ir,ij->rij", slope, g @ costate.T)
        H_xp = mixed.reshape(z.size, z.size) - self._leak * np.eye(z.size)

        same = beta * np.einsum("ir,is,rs->irs", slope, slope, gap)  # one neuron, two pairs
        diagonal = beta * second * (g @ gap)
        H_xx = np.zeros((*shape, *shape))
        if self._index != "activation":
            bend, third = self._theta * second, self._theta * self._third(z)  # T' and T''
            same += beta * np.einsum("ir,is,rs->irs", bend, bend, K)
            diagonal += third * (beta * T @ K - z) - 2 * bend
            H_xx += beta * np.einsum("ir,js,is,jr->irjs", bend, slope, T, g)
            H_xx[:, pair, :, pair] += beta * np.einsum("ir,jr,ij->rij", bend, slope, T @ g.T)
            H_xx += H_xx.transpose(2, 3, 0, 1).copy()
        neuron = np.arange(n)
        H_xx[neuron, :, neuron, :] += same
        H_xx = H_xx.reshape(z.size, z.size)
        H_xx[np.diag_indices(z.size)] += diagonal.reshape(-1)
        return H_xx, H_xp, -beta * np.kron(np.eye(n), K)

    def _slope(self, z: np.ndarray) -> np.ndarray | float:
        """Return τ with T = Θ∘τ."""
        if self._index == "activation":
            return 1.0
        return self._g.derivative(z) + (1.0 if self._index == "both" else 0.0)

    @cached_property
    def _second(self) -> Callable[[np.ndarray], np.ndarray]:
        return higher_derivative(self._g, 2)

    @cached_property
    def _third(self) -> Callable[[np.ndarray], np.ndarray]:
        return higher_derivative(self._g, 3)

    def _points(self, t: Any, x: Any, p: Any) -> tuple[Points, np.ndarray, np.ndarray]:
        points = checked_points(WHERE, self._theta.size, t, x, p)
        shape = (len(points.x), *self._theta.shape)
        return points, points.x.reshape(shape), points.p.reshape(shape)


def _transposed(values: np.ndarray) -> np.ndarray:
    return np.swapaxes(values, -1, -2)


def _gram(values: np.ndarray) -> np.ndarray:
    """Return valuesᵀ values (..., L, L)."""
    return _transposed(values) @ values


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a·b (points,) of matrices; either may be one for all points."""
    return np.sum(a * b, axis=(-1, -2))
