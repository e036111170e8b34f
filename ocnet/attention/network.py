"""The network whose neurons are virtual: sparse symmetric synapses, inputs, an activation with a gain."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp

from ocnet.errors import DataError, OptionError, ProblemError, ShapeError
from ocnet.networks.activations import ActivationLike, activation
from ocnet.symbols import as_data

KINDS = {"tanh": 0, "logistic": 1}
SHORT, LONG = 1024, 16 * 1024  # neurons whose synapses a near cache holds together


class Network:
    """The objective E(v) = −½ vᵀTv − hᵀv + Σφ(v) of N neurons v = g(γu), with φ' = u.

    Parameters
    ----------
    weights : scipy.sparse matrix or array_like (N, N)
        T, symmetric; copied as CSR. An entry on the diagonal is a neuron's own feedback.
    inputs : array_like (N,) or scalar
        h.
    activation : "tanh" or "logistic"
        g.
    gain : float
        γ > 0, dimensionless: the larger, the closer the outputs are to the ends of their range.

    Attributes
    ----------
    weights : scipy.sparse.csr_array
    inputs : ndarray (N,)
    feedback : ndarray (N,)
        The diagonal of T.
    stride : int
        A number of neurons that no synapse reaches beyond, or 0 where some reach too far.
    kind : int
        0 for tanh, 1 for the logistic function, as the kernels know them.
    gain : float
    name : str
        Of the activation.

    Raises
    ------
    ShapeError, DataError, OptionError
        If T is not square, empty, asymmetric, complex or not finite, h does not fit, net inputs may overflow,
        the activation is another one, or the gain is not positive.

    Notes
    -----
    Equation (3) of Mjolsness and Miranker (NIPS 1990); −∂E/∂v = Tv + h − u (4).
    """

    def __init__(
        self, weights: Any, inputs: Any = 0.0, activation: ActivationLike = "tanh", gain: float = 1.0
    ) -> None:
        self.weights = _csr(weights)
        self.feedback = np.asarray(self.weights.diagonal(), dtype=float)
        self.stride = _stride(self.weights)
        self.inputs = as_data(inputs, (self.size,), "attention.Network: inputs")
        self.name = _kind(activation)
        self.kind = KINDS[self.name]
        self.gain = _gain(gain)
        _check_reach(self.weights, self.inputs)

    @property
    def size(self) -> int:
        """N, the number of virtual neurons."""
        return int(self.weights.shape[0])

    @property
    def connections(self) -> int:
        """Number of stored synapses: both directions of each pair, and self-feedback once."""
        return int(self.weights.nnz)

    def with_gain(self, gain: float) -> Network:
        """Return the same network with another gain; the synapses are shared."""
        twin = object.__new__(Network)
        twin.__dict__.update(self.__dict__)
        twin.gain = _gain(gain)
        return twin

    def output(self, u: np.ndarray) -> np.ndarray:
        """Return v = g(γu) of activations of any shape."""
        return np.asarray(activation(self.name)(self.gain * u))

    def energy(self, u: np.ndarray) -> float:
        """Return E of activations u (N,)."""
        v = self.output(u)
        act = activation(self.name)
        net = self.weights @ v
        return float(-v @ net / 2 - self.inputs @ v + np.sum(act.integral(v)) / self.gain)

    def downhill(self, u: np.ndarray) -> np.ndarray:
        """Return −∂E/∂v = Tv + h − u (N,)."""
        return self.weights @ self.output(u) + self.inputs - u

    def __repr__(self) -> str:
        return (
            f"<attention.Network: {self.size} neurons, {self.connections} connections, {self.name}, "
            f"gain {self.gain:g}>"
        )


def _csr(weights: Any) -> Any:
    """Return T as CSR with sorted indices, and what rounding left of an asymmetry removed."""
    where = "attention.Network: weights"
    try:
        given: Any = weights if sp.issparse(weights) else np.asarray(weights)
        given = given.astype(float) if given.dtype == object else given
    except (TypeError, ValueError):
        raise DataError(f"{where}: got {type(weights).__name__}; expected a matrix of numbers.") from None
    if given.dtype.kind not in "biuf":
        raise DataError(f"{where}: got entries of type {given.dtype}; expected a matrix of real numbers.")
    if given.ndim != 2 or given.shape[0] != given.shape[1] or not given.shape[0]:
        raise ShapeError(f"{where}: got shape {given.shape}; expected a square matrix (N, N).")
    T: Any = sp.csr_array(given, dtype=float, copy=True)
    T.sum_duplicates()
    T.sort_indices()
    if not np.isfinite(T.data).all():
        k = int(np.flatnonzero(~np.isfinite(T.data))[0])
        i = int(np.searchsorted(T.indptr, k, side="right")) - 1
        raise DataError(
            f"{where}: component [{i}, {int(T.indices[k])}] is {T.data[k]}; expected finite numbers."
        )
    mirrored = T.tocsc()
    mirrored.sort_indices()
    same = (
        np.array_equal(T.indptr, mirrored.indptr)
        and np.array_equal(T.indices, mirrored.indices)
        and np.allclose(T.data, mirrored.data, rtol=1e-12, atol=0)
    )
    if not same:
        gap = abs(T - T.T)
        if gap.nnz and gap.max() > 1e-12 * max(1.0, float(np.abs(T.data).max())):
            gap = gap.tocoo()
            k = int(np.argmax(gap.data))
            i, j = int(gap.row[k]), int(gap.col[k])
            raise DataError(
                f"{where}: [{i}, {j}] is {T[i, j]:.6g} and [{j}, {i}] is {T[j, i]:.6g}; expected a symmetric "
                "matrix, for E has no other: take (T + T.T)/2 if its symmetric part is meant."
            )
        even: Any = sp.csr_array((T + T.T) / 2)
        even.sort_indices()
        return even
    return T


def check_network(owner: str, network: Any) -> None:
    """Refuse what is no network."""
    if not isinstance(network, Network):
        raise ProblemError(
            f"{owner}: the network is of type {type(network).__name__}; expected attention.Network(T, h)."
        )


def _gain(gain: Any) -> float:
    if isinstance(gain, bool) or not isinstance(gain, Real) or not 0 < float(gain) < np.inf:
        raise OptionError(f"attention.Network: gain is {gain!r:.60}; expected a positive finite number.")
    return float(gain)


def _check_reach(T: Any, inputs: np.ndarray) -> None:
    """Refuse synapses whose sums, or energies, may overflow."""
    with np.errstate(over="ignore"):
        most = abs(T).sum(axis=1) + np.abs(inputs)
        total = most.sum()
    if not np.isfinite(total):
        i = int(np.argmax(most))
        raise DataError(
            f"attention.Network: the synapses and the input of neuron {i} add up to {most[i]:.3g}, and those "
            "of all neurons overflow; expected smaller numbers: divide T and h by one of their size."
        )


def _stride(T: Any) -> int:
    rows = np.flatnonzero(np.diff(T.indptr))
    if not len(rows):
        return SHORT
    before, after = rows - T.indices[T.indptr[rows]], T.indices[T.indptr[rows + 1] - 1] - rows
    reach = max(1, int(before.max()), int(after.max()))
    return 0 if reach > LONG else SHORT * -(-reach // SHORT)


def _kind(name_or_object: ActivationLike) -> str:
    name = activation(name_or_object).name
    if name not in KINDS:
        raise OptionError(
            f"attention.Network: activation is '{name}'; expected 'tanh' or 'logistic', which are compiled."
        )
    return name
