"""Energies of networks whose outputs run downhill, and a monitor that they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import quad_vec

from ocnet.errors import ProblemError, ShapeError
from ocnet.networks.activations import Activation, ActivationLike
from ocnet.networks.activations import activation as resolve
from ocnet.networks.closure import closure
from ocnet.networks.hopfield import Weights, checked_weights
from ocnet.networks.krotov import Krotov
from ocnet.pointwise import evaluate, scalar_operations
from ocnet.symbols import as_data

FAR = 3.0  # outputs of an activation without a range are tested for closure up to here


@dataclass(frozen=True)
class EnergyAlong:
    """The energy along a trajectory.

    Attributes
    ----------
    time : ndarray (M,)
        Nodes of the states: between the steps of the integrator too.
    values : ndarray (M,)
        E, dimensionless.
    largest_rise : float
        The largest of E(t) − E(s) over all s < t, or 0: how far E ever climbed above its lowest value before.
    """

    time: np.ndarray
    values: np.ndarray
    largest_rise: float

    def __str__(self) -> str:
        return (
            f"energy from {self.values[0]:.6g} to {self.values[-1]:.6g} over [{self.time[0]:.6g}, "
            f"{self.time[-1]:.6g}], largest rise {self.largest_rise:.1e}"
        )


class Energy:
    """E(V) = −P(V) + Σ ∫g⁻¹ + a·V with ∇P = T(V) V, of the network u̇ = T(V) V − u, V = g(u − a).

    u̇ = −∂E/∂V, and Ė = −Σ g'(u_i − a_i) (∂E/∂V_i)² ≤ 0. Take one from :func:`energy`.

    Attributes
    ----------
    n : int
        Number of neurons.
    kind : {"symmetric", "Krotov", "closed"}
        Where P comes from: ½VᵀTV, ∇Φ·V − Φ, or the homotopy integral W.
    """

    def __init__(
        self,
        kind: str,
        potential: Callable[[np.ndarray], np.ndarray],
        field: ca.Function,
        activation: Activation,
        threshold: np.ndarray,
    ) -> None:
        self.kind, self.n = kind, len(threshold)
        self._potential, self._field = potential, field
        self.activation, self.threshold = activation, threshold

    def __call__(self, V: ArrayLike) -> np.ndarray:
        """Return E (…) at outputs (…, n); DataError outside the range of the activation."""
        points = self._checked(V)
        flat = points.reshape(-1, self.n)
        stored = np.sum(self.activation.integral(flat), axis=1) + flat @ self.threshold
        return (stored - self._potential(flat)).reshape(points.shape[:-1])

    def gradient(self, V: ArrayLike) -> np.ndarray:
        """Return ∂E/∂V = −T(V) V + g⁻¹(V) + a, which is −u̇, at outputs (…, n) inside the range."""
        points = self._checked(V)
        drive = evaluate(self._field, points.reshape(-1, self.n))[0].reshape(points.shape)
        return self.activation.inverse(points) + self.threshold - drive

    def of_state(self, u: ArrayLike) -> np.ndarray:
        """Return E (…) at activations u (…, n): at V = g(u − a)."""
        return self(self.activation(self._checked(u) - self.threshold))

    def along(self, trajectory: Any, state: str = "u") -> EnergyAlong:
        """Return the energy along a simulated path.

        Parameters
        ----------
        trajectory : Trajectory
            In continuous time, with the activations as a state.
        state : str
            Its name.

        Returns
        -------
        EnergyAlong

        Raises
        ------
        ProblemError
            For an unknown state, or steps: in discrete time nothing says that E falls.
        ShapeError
            If the state has another number of neurons.
        """
        if trajectory.discrete:
            raise ProblemError(
                f"energy along '{trajectory.problem_name}': time counts steps; E falls in continuous time."
            )
        values = self.of_state(trajectory.state(state, trajectory.time))
        rise = np.max(values - np.minimum.accumulate(values), initial=0.0)
        return EnergyAlong(trajectory.time, values, float(rise))

    def _checked(self, V: Any) -> np.ndarray:
        points = np.asarray(V, dtype=float)
        if points.ndim == 0 or points.shape[-1] != self.n:
            raise ShapeError(f"energy: got outputs of shape {points.shape}; expected (..., {self.n}).")
        return points


def energy(
    T: ArrayLike | Weights,
    n: int | None = None,
    *,
    activation: ActivationLike = "tanh",
    threshold: ArrayLike = 0.0,
) -> Energy:
    """Return the energy of a network, if it has one.

    Parameters
    ----------
    T : array_like (N, N), Krotov or callable
        As for :func:`hopfield`. A matrix has to be symmetric; a callable has to satisfy the closure condition
        (⋆), see :func:`closure`, on the range of the activation (between ±3 where it has no end).
    n, activation, threshold
        As for :func:`hopfield`. The activation has to know its inverse and its integral.

    Returns
    -------
    Energy

    Raises
    ------
    ProblemError
        If T is not symmetric, or T(V) V is no gradient.
    ShapeError, DataError, OptionError, UnsupportedError
        As :func:`hopfield`, and for an activation without an inverse or an integral.

    Notes
    -----
    Cardin, Lovison, Maritan and Megighian (arXiv 2305.14360): E = −½VᵀTV + Σ∫g⁻¹ (J. J. Hopfield, PNAS 81,
    1984); E = −(∇Φ·V − Φ − Σ∫g⁻¹) for T = ∇²Φ; and E = −W + Σ∫g⁻¹ under (⋆), with
    W(V) = ∫_0^1 T_ij(λV) λ V_i V_j dλ, integrated adaptively to 1e-12.

    Examples
    --------
    >>> import ocnet as oc
    >>> T = [[0.0, 2.0], [2.0, 0.0]]
    >>> path = oc.simulate(oc.networks.hopfield(T), initial=[0.4, -0.1], tf=20.0)
    >>> oc.networks.energy(T).along(path).largest_rise < 1e-12
    True
    """
    own = T.n if isinstance(T, Krotov) and n is None else n
    weights, size = checked_weights(T, own, "energy")
    g, a = resolve(activation), as_data(threshold, (size,), "energy: threshold")
    middle = np.array([0.5 * (max(g.lower, -1.0) + min(g.upper, 1.0))])
    for needed in (g.integral, g.inverse):
        needed(middle)  # says so if the activation has none
    V = ca.MX.sym("V", size)
    field = scalar_operations(ca.Function("field", [V], [ca.densify(ca.mtimes(ca.MX(weights(V)), V))]))
    if isinstance(T, Krotov):
        return Energy("Krotov", T.legendre, field, g, a)
    if not callable(T):
        matrix = np.asarray(T, dtype=float)
        _refuse_asymmetric(matrix)
        return Energy("symmetric", lambda V: np.sum((V @ matrix) * V, axis=1) / 2, field, g, a)
    low, high = (end if np.isfinite(end) else np.sign(end) * FAR for end in (g.lower, g.upper))
    found = closure(weights, size, lower=low, upper=high)
    if not found.gradient.holds:
        raise ProblemError(
            f"energy: T(V) V is no gradient (relative residual {found.gradient.residual:.1e}): this network "
            "has no energy of the form −W + Σ∫g⁻¹. print(networks.closure(T, n=...)) says which condition "
            "fails."
        )

    def homotopy(V: np.ndarray) -> np.ndarray:
        def integrand(s: float) -> np.ndarray:
            return np.sum(evaluate(field, s * V)[0] * V, axis=1)

        return np.asarray(quad_vec(integrand, 0.0, 1.0, epsabs=1e-13, epsrel=1e-13, norm="max")[0])

    return Energy("closed", homotopy, field, g, a)


def _refuse_asymmetric(T: np.ndarray) -> None:
    gap = np.abs(T - T.T)
    if gap.max() > 1e-12 * np.abs(T).max():
        i, j = np.unravel_index(int(gap.argmax()), gap.shape)
        raise ProblemError(
            f"energy: T is not symmetric: T[{i}, {j}] is {T[i, j]:.6g} and T[{j}, {i}] is {T[j, i]:.6g}; "
            "only a symmetric network has the energy −½VᵀTV + Σ∫g⁻¹. Asymmetric ones may oscillate: see "
            "ocnet.landscape and ocnet.limit_cycle."
        )
