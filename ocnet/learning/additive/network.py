"""The additive network with terminal attractors: its fixed points, what it recalls, its exact gradient."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
from numpy.typing import ArrayLike

from ocnet.errors import DataError, OptionError, ShapeError, SolveError
from ocnet.learning.additive.kernels import NEWTON, gradients, settle_all
from ocnet.learning.additive.operational_dynamics import follow_to_rest
from ocnet.learning.additive.terminal_attractors import (
    attraction,
    checked_attractors,
    implicit_method,
    odd_power,
    steepness,
)
from ocnet.learning.fixed_points.fixed_point import FixedPoint

WHERE = "AdditiveNetwork"
SETTLED = 1e-12  # |φ| of a fixed point
ITERATIONS = 400


@dataclass(frozen=True)
class EnergyGradient:
    """The energy (3.5) of a set of samples and its derivatives; everything is dimensionless.

    Attributes
    ----------
    energy : float
        E = ½ Σ_k Σ_n (u_n − a_n)² over input and output units.
    T : ndarray (N, N)
        dE/dT (3.18); 0 where the mask is False.
    decay, gain : ndarray (N,)
        dE/dκ and dE/dγ.
    rest : ndarray (K, N)
        The fixed points.
    adjoint : ndarray (K, N)
        v of (3.14).
    worst : float
        Largest |u_n − a_n| of an output unit.
    """

    energy: float
    T: np.ndarray
    decay: np.ndarray
    gain: np.ndarray
    rest: np.ndarray
    adjoint: np.ndarray
    worst: float


class AdditiveNetwork:
    """A network that answers by its fixed point, u̇ + u = tanh[(γ/κ)(Σ ω T u + I)].

    Input units are drawn to the coordinates of a sample by terminal attractors I_n (3.2), output units
    answer, all others are hidden, and bias units rest at 1. All quantities are dimensionless; time is
    counted in time constants.

    Parameters
    ----------
    T : array_like (N, N)
        Synapses; T[n, m] leads from unit m to unit n.
    inputs, outputs : sequence of int
        The partitions S_X and S_Y: disjoint, not empty.
    mask : array_like of bool (N, N), optional
        ω, where synapses exist; everywhere if left out.
    bias : sequence of int
        Units that rest at 1; they take no synapses.
    decay, gain : array_like (N,) or float
        κ and γ, positive.
    order : int
        i ≥ 1 of the terminal attractors' exponent β = 1/(2i + 1).

    Raises
    ------
    ShapeError, DataError, OptionError
        For wrong shapes, numbers that are not finite, units that do not exist or have two roles, decay or
        gain that is not positive.

    Notes
    -----
    J. Barhen, N. Toomarian and S. Gulati (NIPS 1989), equations 3.1 to 3.18. A fixed point is taken to be the
    one that the dynamics reach from u = 0; methods follow them from there. Inputs of 0 exert no force.

    Examples
    --------
    >>> from ocnet.learning import AdditiveNetwork
    >>> pair = AdditiveNetwork([[0.0, 0.0], [0.9, 0.0]], inputs=[0], outputs=[1], gain=4.0)
    >>> print(pair.recall([[0.5], [-0.5]]).round(3).ravel())
    [ 0.943 -0.943]
    """

    def __init__(
        self,
        T: ArrayLike,
        *,
        inputs: Sequence[int],
        outputs: Sequence[int],
        mask: ArrayLike | None = None,
        bias: Sequence[int] = (),
        decay: ArrayLike = 1.0,
        gain: ArrayLike = 1.0,
        order: int = 1,
    ) -> None:
        weights = np.array(T, dtype=float)
        if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or not weights.size:
            raise ShapeError(f"{WHERE}: T has shape {weights.shape}; expected a square matrix (N, N).")
        self.n = n = len(weights)
        _finite(weights, "T")
        self.mask = np.ones((n, n), bool) if mask is None else np.asarray(mask)
        if self.mask.dtype != bool or self.mask.shape != (n, n):
            raise ShapeError(
                f"{WHERE}: mask has shape {self.mask.shape} and type {self.mask.dtype}; expected booleans of "
                f"shape {(n, n)}."
            )
        self.T = np.where(self.mask, weights, 0.0)
        self.inputs, self.outputs, self.bias = (
            _units(which, n, what)
            for which, what in ((inputs, "inputs"), (outputs, "outputs"), (bias, "bias"))
        )
        roles = [*self.inputs, *self.outputs, *self.bias]
        if len(set(roles)) != len(roles):
            twice = next(unit for unit in roles if roles.count(unit) > 1)
            raise OptionError(f"{WHERE}: unit {twice} has two roles; inputs, outputs and bias are disjoint.")
        if not self.inputs or not self.outputs:
            raise OptionError(
                f"{WHERE}: inputs {self.inputs}, outputs {self.outputs}; expected some of both."
            )
        if self.mask[list(self.bias)].any():
            raise OptionError(
                f"{WHERE}: bias units {self.bias} rest at 1, but the mask lets synapses into them."
            )
        self.decay, self.gain = _positive(decay, n, "decay"), _positive(gain, n, "gain")
        self.order, self._odd = order, odd_power(order)
        self._is_bias = np.zeros(n, bool)
        self._is_bias[list(self.bias)] = True
        self._visible = np.zeros(n, bool)
        self._visible[[*self.inputs, *self.outputs]] = True

    @property
    def hidden(self) -> tuple[int, ...]:
        """The units without another role."""
        roles = {*self.inputs, *self.outputs, *self.bias}
        return tuple(unit for unit in range(self.n) if unit not in roles)

    def replaced(
        self, *, T: np.ndarray | None = None, decay: Any = None, gain: Any = None
    ) -> AdditiveNetwork:
        """Return the same network with other synapses, decay or gain."""
        return AdditiveNetwork(
            self.T if T is None else T,
            inputs=self.inputs,
            outputs=self.outputs,
            mask=self.mask,
            bias=self.bias,
            decay=self.decay if decay is None else decay,
            gain=self.gain if gain is None else gain,
            order=self.order,
        )

    def moved(self, T: np.ndarray, decay: np.ndarray, gain: np.ndarray) -> AdditiveNetwork:
        """Return what :meth:`replaced` does, for arrays of the right shapes that nobody has to check."""
        other = copy.copy(self)
        other.__dict__.update(T=T, decay=decay, gain=gain)
        return other

    def attractors(self, inputs: ArrayLike, targets: ArrayLike | None = None) -> np.ndarray:
        """Return the coordinates a (K, N) of samples: inputs, targets, and 0 at hidden units.

        Parameters
        ----------
        inputs : array_like (K, len(S_X))
        targets : array_like (K, len(S_Y)), optional

        Raises
        ------
        ShapeError, DataError
            For other shapes, or values outside (−1, 1). An input of 0 is warned of.
        """
        x = checked_attractors(inputs, len(self.inputs), "inputs", WHERE)
        a = np.zeros((len(x), self.n))
        a[:, self.inputs] = x
        if targets is not None:
            y = checked_attractors(targets, len(self.outputs), "targets", WHERE)
            if len(x) != len(y):
                raise ShapeError(f"{WHERE}: {len(x)} inputs and {len(y)} targets; expected as many of both.")
            a[:, self.outputs] = y
        return a

    def rest(self, inputs: ArrayLike, *, method: str = "newton", tf: float = 1000.0) -> np.ndarray:
        """Return the fixed points that the dynamics reach from u = 0.

        Parameters
        ----------
        inputs : array_like (K, len(S_X))
        method : {"newton", "BDF", "Radau"}
            Linearly implicit steps that grow into Newton's method, or the dynamics followed by an implicit
            integrator and polished by Newton's method. With several fixed points only the latter is certain
            to find the one that is meant.
        tf : float
            When the integrators give up, in time constants.

        Returns
        -------
        ndarray (K, N)

        Raises
        ------
        OptionError
            For explicit integrators, with the reason.
        SolveError, SimulationError
            If a sample has no fixed point within reach; the message names it.
        """
        a = self.attractors(inputs)
        if method == "newton":
            return self.settled(a)[1]
        implicit_method(method, WHERE)
        ends = np.array(
            [self._motion(a[k], method, tf, f"{WHERE}, sample {k}")[1][-1] for k in range(len(a))]
        )
        _, u = self.settled(a, self._coordinates(ends, a), NEWTON)
        worst = int(np.argmax(np.abs(u - ends).max(axis=1)))
        if np.abs(u[worst] - ends[worst]).max() > 1e-3:
            raise SolveError(
                f"{WHERE}, sample {worst}: Newton's method left the rest that {method} had reached; the "
                "fixed point is nearly a fold."
            )
        return u

    def motion(
        self, inputs: ArrayLike, *, method: str = "BDF", tf: float = 1000.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Follow the dynamics of one sample from u = 0 to rest.

        Parameters
        ----------
        inputs : array_like (len(S_X),)
        method : {"BDF", "Radau"}
        tf : float
            When it gives up, in time constants.

        Returns
        -------
        t : ndarray (M,)
        u : ndarray (M, N)

        Raises
        ------
        OptionError, SimulationError
            For explicit integrators, and dynamics that do not come to rest.
        """
        implicit_method(method, WHERE)
        return self._motion(self.attractors(np.asarray(inputs, dtype=float)[None])[0], method, tf, WHERE)

    def recall(self, inputs: ArrayLike, *, method: str = "newton") -> np.ndarray:
        """Return the outputs (K, len(S_Y)) at rest; parameters and errors as for :meth:`rest`."""
        return self.rest(inputs, method=method)[:, self.outputs]

    def gradient(self, inputs: ArrayLike, targets: ArrayLike) -> EnergyGradient:
        """Return the energy (3.5) and its gradient in T, κ and γ, by one adjoint solve for each sample.

        Parameters
        ----------
        inputs : array_like (K, len(S_X))
        targets : array_like (K, len(S_Y))

        Raises
        ------
        SolveError
            If a sample has no fixed point within reach, or one that is a fold.
        """
        a = self.attractors(inputs, targets)
        return self.gradient_at(self.settled(a)[0], a)

    def stability(self, inputs: ArrayLike) -> np.ndarray:
        """Return the largest real part of the eigenvalues of ∂φ/∂u at each fixed point (K,).

        Negative: the fixed point attracts, and so do the adjoint dynamics (3.15).
        """
        a = self.attractors(inputs)
        u = self.settled(a)[1]
        matrices = [self._jacobian(*pair) for pair in zip(u, a, strict=True)]
        return np.array([np.linalg.eigvals(matrix).real.max() for matrix in matrices])

    def as_fixed_point(
        self, inputs: ArrayLike, targets: ArrayLike
    ) -> tuple[FixedPoint, dict[str, np.ndarray]]:
        """State the samples as one general system φ(u, p) = 0 with the response E, and its parameters.

        u holds the K samples one after the other (K·N,); the parameters are "T", "decay" and "gain". The
        Jacobian (3.9) is not scaled: it is infinite where an input unit rests exactly at its attractor.
        """
        a = self.attractors(inputs, targets)
        shape = a.shape

        def residual(u: np.ndarray, p: Mapping[str, np.ndarray]) -> np.ndarray:
            other = self.moved(p["T"], p["decay"], p["gain"])
            return other.velocity(u.reshape(shape), a).reshape(-1)

        def jacobian(u: np.ndarray, p: Mapping[str, np.ndarray]) -> Any:
            other = self.moved(p["T"], p["decay"], p["gain"])
            blocks = [other._jacobian(*pair) for pair in zip(u.reshape(shape), a, strict=True)]
            return sparse.block_diag(blocks, format="csc") if len(a) > 1 else blocks[0]

        def pullback(u: np.ndarray, p: Mapping[str, np.ndarray], v: np.ndarray) -> dict[str, np.ndarray]:
            other = self.moved(p["T"], p["decay"], p["gain"])
            rest = u.reshape(shape)
            total = other._input(rest, a)
            pushed = v.reshape(shape) * other._slope(total)
            moved = (pushed * total).sum(axis=0)
            return {
                "T": np.where(self.mask, pushed.T @ rest, 0.0),
                "decay": -moved / p["decay"],
                "gain": moved / p["gain"],
            }

        def gap(u: np.ndarray) -> np.ndarray:
            return np.where(self._visible, u.reshape(shape) - a, 0.0)

        fixed_point = FixedPoint(
            residual,
            lambda u, _: np.sum(gap(u) ** 2) / 2,
            jacobian=jacobian,
            pullback=pullback,
            response_gradient=lambda u, _: (gap(u).reshape(-1), {}),
            name="additive network",
        )
        return fixed_point, {"T": self.T, "decay": self.decay, "gain": self.gain}

    # ------------------------------------------------------------- for learning, with checked coordinates

    def velocity(self, u: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Return φ (3.8), the right-hand side of the dynamics (3.4), of the shape of u, (K, N) or (N,)."""
        g = np.tanh(self.gain / self.decay * self._input(u, a))
        return np.where(self._is_bias, 1.0, g) - u

    def settled(
        self, a: np.ndarray, start: np.ndarray | None = None, step: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return fixed points for coordinates a (K, N), in those of the kernels and as u (K, N).

        `start` holds the former, u = 0 if left out; `step` is the first step of pseudo-time.
        """
        y = self._coordinates(np.zeros_like(a), a) if start is None else start
        parameters = (self.T, self.decay, self.gain)
        samples = (a, self._attracted(a), self._is_bias, self._odd)
        found, u, sizes, _ = settle_all(y, *parameters, *samples, step, SETTLED, ITERATIONS)
        if not (sizes <= 1e-9).all():
            k = int(np.argmax(np.where(np.isfinite(sizes), sizes, np.inf)))
            raise SolveError(
                f"{WHERE}, sample {k}: no fixed point was found from u = 0 (|φ| = {sizes[k]:.2g}). The "
                "dynamics may oscillate; make the synapses or gains smaller, or take method='BDF'."
            )
        return found, u

    def gradient_at(self, y: np.ndarray, a: np.ndarray) -> EnergyGradient:
        """Return the gradient at fixed points that :meth:`settled` gave, for coordinates a (K, N)."""
        attracted = self._attracted(a)
        parameters = (self.T, self.mask, self.decay, self.gain)
        energy, d_T, d_decay, d_gain, v = gradients(
            y, *parameters, a, attracted, self._is_bias, self._visible, self._odd
        )
        if not np.isfinite(v).all():
            raise SolveError(f"{WHERE}: ∂φ/∂u is singular at rest (a fold): the energy has no gradient.")
        u = np.where(attracted, a - y**self._odd, y)
        worst = float(np.abs(u - a)[:, self.outputs].max())
        return EnergyGradient(float(energy), d_T, d_decay, d_gain, u, v, worst)

    def _attracted(self, a: np.ndarray) -> np.ndarray:
        """Where attractors act: at input units whose coordinate is not 0."""
        attracted = np.zeros(a.shape, bool)
        attracted[..., self.inputs] = a[..., self.inputs] != 0
        return attracted

    def _coordinates(self, u: np.ndarray, a: np.ndarray) -> np.ndarray:
        gap = a - u
        root = np.sign(gap) * np.abs(gap) ** (1 / self._odd)
        return np.where(self._attracted(a), root, u)

    def _input(self, u: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Σ ω T u + I of the shape of u."""
        return u @ self.T.T + np.where(self._attracted(a), attraction(a, u, self.order), 0.0)

    def _slope(self, total: np.ndarray) -> np.ndarray:
        """γ(1 − tanh²)/κ, the derivative of the response in its summed input; 0 at bias units."""
        ratio = self.gain / self.decay
        return np.where(self._is_bias, 0.0, ratio * (1 - np.tanh(ratio * total) ** 2))

    def _jacobian(self, u: np.ndarray, a: np.ndarray) -> np.ndarray:
        """∂φ/∂u (3.9) of one sample (N, N)."""
        slope = self._slope(self._input(u, a))
        pull = np.where(self._attracted(a), steepness(a, u, self.order), 0.0)
        eta = 1 + np.where(slope > 0, slope * pull, 0.0)
        return slope[:, None] * self.T - np.diag(eta)

    def _motion(self, a: np.ndarray, method: str, tf: float, where: str) -> tuple[np.ndarray, np.ndarray]:
        start = np.where(self._is_bias, 1.0, 0.0)
        return follow_to_rest(
            lambda u: self.velocity(u, a),
            lambda u: self._jacobian(u, a),
            start,
            method=method,
            tf=tf,
            where=where,
        )


def _units(which: Sequence[int], n: int, what: str) -> tuple[int, ...]:
    units = tuple(int(unit) for unit in which)
    for unit, given in zip(units, which, strict=True):
        if unit != given or not 0 <= unit < n:
            raise OptionError(f"{WHERE}: {what} contains {given!r}; expected units 0 to {n - 1}.")
    return units


def _finite(array: np.ndarray, what: str) -> None:
    if not np.isfinite(array).all():
        place = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
        raise DataError(f"{WHERE}: {what}{place} is {array[tuple(place)]}; expected finite numbers.")


def _positive(values: ArrayLike, n: int, what: str) -> np.ndarray:
    array = np.array(values, dtype=float)
    if array.ndim > 1 or array.size not in (1, n):
        raise ShapeError(f"{WHERE}: {what} has shape {array.shape}; expected () or ({n},).")
    array = np.ascontiguousarray(np.broadcast_to(array.reshape(-1), (n,)))
    _finite(array, what)
    if not (array > 0).all():
        raise DataError(f"{WHERE}: {what} has {array.min()}; expected positive numbers.")
    return array
